/* SPDX-License-Identifier: MIT */
/* The mixtures as types of the FFW slot: they differ in their options, defaults and texts. */
#include "moe/layer.h"

#include <string.h>

static enum peer_status check(struct peer_ctx *ctx, const void *config, int64_t width)
{
    return peer_moe_check(ctx, config, width);
}

static unsigned traits(const void *config)
{
    return peer_moe_traits(config);
}

static void cost(struct peer_cost *ret, const void *config, int64_t width)
{
    peer_moe_cost(ret, config, width);
}

static enum peer_status check_shape(struct peer_ctx *ctx, const void *config,
                                    const struct peer_ffw_shape *shape)
{
    return peer_moe_check_shape(ctx, config, shape);
}

static size_t memory(const void *config, const struct peer_ffw_shape *shape)
{
    return peer_moe_memory(config, shape);
}

static enum peer_status create(void **ret, struct peer_ctx *ctx, const void *config,
                               const struct peer_ffw_shape *shape)
{
    struct peer_moe *layer;
    enum peer_status status = peer_moe_create(&layer, ctx, config, shape);
    if (!status)
        *ret = layer;
    return status;
}

static enum peer_status params(void *layer, struct peer_params *list, const char *prefix)
{
    return peer_moe_params(layer, list, prefix);
}

static void forward(void *layer, float *y, const float *x, const uint8_t *mask, int64_t T,
                    enum peer_mode mode)
{
    peer_moe_forward(layer, y, x, mask, T, mode);
}

static void backward(void *layer, float *dx, const float *dy, const float *x, int64_t T)
{
    peer_moe_backward(layer, dx, dy, x, T);
}

static bool routing(const void *layer, struct peer_routing *ret)
{
    const struct peer_moe *l = layer;
    *ret = (struct peer_routing){.experts = l->config.experts,
                                 .heads = 1,
                                 .kept = l->routes.R,
                                 .experts_choose = l->config.kind == PEER_MOE_EXPERT_CHOICE,
                                 .ids = l->routes.ids,
                                 .gates = l->routes.gates};
    return true;
}

static int losses(const void *layer, struct peer_ffw_loss *ret)
{
    const struct peer_moe *l = layer;
    memcpy(ret, l->losses, (size_t)l->loss_count * sizeof *ret);
    return l->loss_count;
}

static void loss_scale(void *layer, float scale)
{
    struct peer_moe *l = layer;
    l->loss_scale = scale;
}

static void destroy(void **layer)
{
    if (!layer)
        return;
    struct peer_moe *whole = *layer;
    peer_moe_destroy(&whole);
    *layer = NULL;
}

#define TYPE(id, kind, summary_text, source_text)                                                  \
    static void id##_default(void *config, int64_t width)                                          \
    {                                                                                              \
        *(struct peer_moe_config *)config = peer_moe_config_default(kind, width);                  \
    }                                                                                              \
    const struct peer_ffw_type peer_ffw_##id = {                                                   \
        .name = #id,                                                                               \
        .summary = summary_text,                                                                   \
        .source = source_text,                                                                     \
        .config_size = sizeof(struct peer_moe_config),                                             \
        .options = peer_moe_##id##_options,                                                        \
        .config_default = id##_default,                                                            \
        .check = check,                                                                            \
        .check_shape = check_shape,                                                                \
        .traits = traits,                                                                          \
        .cost = cost,                                                                              \
        .memory = memory,                                                                          \
        .create = create,                                                                          \
        .params = params,                                                                          \
        .forward = forward,                                                                        \
        .backward = backward,                                                                      \
        .routing = routing,                                                                        \
        .losses = losses,                                                                          \
        .loss_scale = loss_scale,                                                                  \
        .destroy = destroy,                                                                        \
    }

TYPE(soft_gate, PEER_MOE_SOFT_GATE, "all experts, weighted by a softmax",
     "Jacobs et al. 1991, Adaptive mixtures of local experts");
TYPE(noisy_topk, PEER_MOE_NOISY_TOPK, "the k experts of the largest logits with learned noise",
     "Shazeer et al. 2017, arXiv 1701.06538, eqs. 3 to 11");
TYPE(gshard, PEER_MOE_GSHARD, "two experts of limited capacity, the second at random",
     "Lepikhin et al. 2020, arXiv 2006.16668, Algorithm 1; GLaM: 64 experts, every other block");
TYPE(switch, PEER_MOE_SWITCH, "one expert of limited capacity",
     "Fedus et al. 2022, arXiv 2101.03961, eqs. 1 to 6");
TYPE(expert_choice, PEER_MOE_EXPERT_CHOICE, "experts choose their tokens, later ones included",
     "Zhou et al. 2022, arXiv 2202.09368, Sec. 3.2");
TYPE(mixtral, PEER_MOE_MIXTRAL, "k experts, weighted by a softmax over their logits",
     "Jiang et al. 2024, arXiv 2401.04088, Sec. 2.1");
TYPE(deepseek, PEER_MOE_DEEPSEEK, "k of many small experts, beside shared ones",
     "Dai et al. 2024, arXiv 2401.06066, eqs. 9 to 14; loss_free: arXiv 2412.19437, eqs. 12 to 20");
TYPE(dropless, PEER_MOE_DROPLESS, "k experts of any load",
     "Gale et al. 2022, MegaBlocks, arXiv 2211.15841");
