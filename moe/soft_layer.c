/* SPDX-License-Identifier: MIT */
/* Soft MoE as a type of the slot. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "moe/soft_moe.h"
#include "moe/training.h"
#include "nn/layers/ffw_object.h"
#include "nn/parallel.h"

enum { EXPERTS_MAX = 65536, SLOTS_MAX = 65536, HIDDEN_MAX = 1 << 20 };

struct soft_layer {
    struct peer_ffw base;
    struct peer_soft_moe soft;
};

struct soft_cache {
    struct peer_ffw_cache base;
    struct peer_soft_moe_cache soft;
};

static struct peer_soft_moe *soft_of(struct peer_ffw *layer)
{
    return &((struct soft_layer *)(void *)layer)->soft;
}

static struct peer_soft_moe_cache *soft_cache_of(struct peer_ffw_cache *cache)
{
    return &((struct soft_cache *)(void *)cache)->soft;
}

#define AT(field) offsetof(struct peer_soft_moe_config, field)

static const struct peer_option options[] = {
    {"experts", PEER_OPTION_INT, AT(experts), 1, EXPERTS_MAX, NULL, "number of experts E"},
    {"slots", PEER_OPTION_INT, AT(slots), 1, SLOTS_MAX, NULL, "slots of one expert in a group"},
    {"hidden", PEER_OPTION_INT, AT(hidden), 1, HIDDEN_MAX, NULL,
     "hidden width F of one expert, values per slot"},
    {"activation", PEER_OPTION_CHOICE, AT(activation), 0, 0, peer_act_names,
     "activation of the experts, or of their gates"},
    {"gated", PEER_OPTION_BOOL, AT(gated), 0, 1, NULL,
     "experts with a gated linear unit; with silu SwiGLU"},
    {"group", PEER_OPTION_INT, AT(group), 1, INT32_MAX, NULL,
     "tokens whose mixtures fill the slots, such as those of a sequence"},
    {.name = NULL},
};

static void soft_default(void *config, int64_t width)
{
    *(struct peer_soft_moe_config *)config =
        (struct peer_soft_moe_config){.experts = 16,
                                      .slots = 16,
                                      .hidden = width > HIDDEN_MAX / 4 ? HIDDEN_MAX : 4 * width,
                                      .activation = PEER_ACT_GELU_TANH,
                                      .group = 256};
}

static enum peer_status soft_check(struct peer_ctx *ctx, const void *config, int64_t width)
{
    if (width < 1 || width > INT32_MAX)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "soft_moe: width = %lld, expected 1 to %d",
                         (long long)width, INT32_MAX);
    return peer_options_check(ctx, "soft_moe", config, options);
}

static unsigned soft_traits(const void *config)
{
    (void)config;
    return PEER_FFW_NOT_CAUSAL | PEER_FFW_MIXES_TOKENS_IN_TRAINING;
}

/* Of a full group. Logits, slots and the tokens' sums of them take one product of [D, S] each. */
static void soft_cost(struct peer_cost *ret, const void *config, int64_t D)
{
    const struct peer_soft_moe_config *c = config;
    int64_t S = c->experts * c->slots, expert = (c->gated ? 3 : 2) * c->hidden * D;
    double experts = (double)S / (double)c->group * (double)expert, slots = (double)(S * D);
    *ret = (struct peer_cost){.params_total = S * D + 1 + c->experts * expert,
                              .params_router = S * D + 1,
                              .params_experts = c->experts * expert,
                              .params_active = S * D + 1 + c->experts * expert};
    ret->forward[PEER_PART_QUERY] = 2 * slots;
    ret->forward[PEER_PART_EXPERTS] = 2 * experts;
    ret->forward[PEER_PART_OUTPUT] = 4 * slots;
    for (int part = 0; part < PEER_PART_COUNT; part++)
        ret->backward[part] = 2 * ret->forward[part];
    ret->bytes_forward = (double)ret->params_total * sizeof(float);
    ret->bytes_train = 11 * (double)ret->params_total * sizeof(float);
}

static enum peer_status soft_check_shape(struct peer_ctx *ctx, const void *config,
                                         const struct peer_ffw_shape *shape)
{
    const struct peer_soft_moe_config *c = config;
    int64_t S = c->experts * c->slots;
    if (shape->tokens < 1 || shape->tokens > INT32_MAX ||
        peer_tiles(shape->tokens, c->group) > INT32_MAX / S)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "soft_moe: tokens = %lld in groups of %lld with %lld slots each, expected "
                         "1 to %d tokens and slots",
                         (long long)shape->tokens, (long long)c->group, (long long)S, INT32_MAX);
    return PEER_OK;
}

static struct peer_moe_sizes sizes_of(const struct peer_ffw *layer)
{
    const struct peer_soft_moe_config *c = layer->config;
    return (struct peer_moe_sizes){.E = c->experts,
                                   .D = layer->shape.width,
                                   .F = c->hidden,
                                   .gated = c->gated,
                                   .trained = peer_ffw_trains(&layer->shape, PEER_ROLE_EXPERTS),
                                   .activation = c->activation};
}

static enum peer_status soft_build(struct peer_ffw *layer)
{
    const struct peer_soft_moe_config *c = layer->config;
    const struct peer_ffw_shape *shape = &layer->shape;
    struct peer_pool *pool = &layer->pool;
    struct peer_soft_moe *m = soft_of(layer);
    struct peer_moe_sizes sizes = sizes_of(layer);
    int64_t S = c->experts * c->slots, D = shape->width;
    m->D = D;
    m->S = S;
    m->G = c->group;
    peer_moe_experts_alloc(&m->experts, pool, &sizes);
    m->phi = peer_pool_floats(pool, "slots", S, D);
    m->scale = peer_pool_floats(pool, "slots.scale", 1, 1);
    m->dphi = peer_moe_gradient(pool, shape, PEER_ROLE_ROUTER, "slots gradient", S, D);
    m->dscale = peer_moe_gradient(pool, shape, PEER_ROLE_ROUTER, "slots.scale gradient", 1, 1);
    return PEER_OK;
}

/* What is the same in all passes. */
static void fill_slots(const struct peer_soft_moe_cache *m, int64_t all, int64_t S, int64_t slots)
{
    for (int64_t i = 0; i < all; i++) {
        m->expert[i] = (int32_t)(i % S / slots);
        m->ones[i] = 1;
    }
}

static enum peer_status soft_build_cache(struct peer_ffw_cache *cache)
{
    const struct peer_soft_moe_config *c = cache->layer->config;
    const struct peer_ffw_shape *shape = &cache->layer->shape;
    struct peer_pool *pool = &cache->pool;
    struct peer_soft_moe_cache *m = soft_cache_of(cache);
    struct peer_moe_sizes sizes = sizes_of(cache->layer);
    int64_t S = c->experts * c->slots, T = cache->tokens, D = shape->width;
    int64_t groups = peer_tiles(T, c->group), all = groups * S;
    peer_moe_experts_cache_alloc(&m->experts, pool, &sizes, all, all, 1, !shape->forward_only);
    m->x_unit = peer_pool_floats(pool, "unit inputs", T, D);
    m->x_inverse = peer_pool_floats(pool, "lengths", T, 1);
    m->phi_unit = peer_pool_floats(pool, "unit slots", S, D);
    m->phi_inverse = peer_pool_floats(pool, "lengths", S, 1);
    m->cosine = peer_pool_floats(pool, "slots' cosines", T, S);
    m->dispatch = peer_pool_floats(pool, "dispatch weights", T, S);
    m->combine = peer_pool_floats(pool, "combine weights", T, S);
    m->dweight = peer_moe_training(pool, shape, "weights gradient", T, S);
    m->dunit = peer_moe_training(pool, shape, "unit gradient", T > S ? T : S, D);
    m->in = peer_pool_floats(pool, "slots' inputs", all, D);
    m->out = peer_pool_floats(pool, "slots' outputs", all, D);
    m->dout = peer_moe_training(pool, shape, "slots' outputs gradient", all, D);
    m->expert = peer_pool_ids(pool, "experts of slots", all, 1);
    m->ones = peer_pool_floats(pool, "gates of slots", all, 1);
    m->dones = peer_pool_floats(pool, "gates of slots gradient", all, 2);
    m->lost = peer_pool_alloc(pool, "lost tokens", 1, T, 1, 1);
    if (pool->ctx && !pool->failed)
        fill_slots(m, all, S, c->slots);
    return PEER_OK;
}

static enum peer_status soft_params(struct peer_ffw *layer, struct peer_params *list,
                                    const char *prefix)
{
    struct peer_soft_moe *m = soft_of(layer);
    struct peer_moe_experts *ex = &m->experts;
    int64_t E = ex->E, F = ex->F, D = ex->D;
    const struct peer_init by_D = {PEER_INIT_NORMAL, 1 / sqrtf((float)D)};
    const struct peer_init by_F = {PEER_INIT_NORMAL, 1 / sqrtf((float)F)};
    const struct peer_init one = {PEER_INIT_CONSTANT, 1};
    const struct {
        const char *name;
        float **place, *grad;
        bool *stale;
        int dims;
        int64_t shape[3];
        struct peer_init init;
        enum peer_role role;
    } entries[] = {
        {"slots", &m->phi, m->dphi, NULL, 2, {m->S, D}, by_D, PEER_ROLE_ROUTER},
        {"slots.scale", &m->scale, m->dscale, NULL, 2, {1, 1}, one, PEER_ROLE_ROUTER},
        {"experts.in", &ex->in, ex->din, &ex->din_stale, 3, {E, F, D}, by_D, PEER_ROLE_EXPERTS},
        {"experts.gate",
         &ex->gate,
         ex->dgate,
         &ex->dgate_stale,
         3,
         {E, F, D},
         by_D,
         PEER_ROLE_EXPERTS},
        {"experts.out", &ex->out, ex->dout, &ex->dout_stale, 3, {E, D, F}, by_F, PEER_ROLE_EXPERTS},
    };
    enum peer_status status = PEER_OK;
    for (size_t i = 0; !status && i < sizeof entries / sizeof *entries; i++) {
        struct peer_param param = {.kind = entries[i].grad ? PEER_PARAM_DENSE : PEER_PARAM_BUFFER,
                                   .dims = entries[i].dims,
                                   .data = *entries[i].place,
                                   .place = entries[i].place,
                                   .grad = entries[i].grad,
                                   .stale = entries[i].grad ? entries[i].stale : NULL,
                                   .lr_scale = 1,
                                   .decay = entries[i].place != &m->scale,
                                   .init = entries[i].init,
                                   .role = entries[i].role};
        memcpy(param.name, entries[i].name, strlen(entries[i].name) + 1);
        memcpy(param.shape, entries[i].shape, sizeof entries[i].shape);
        if (param.data)
            status = peer_params_add(list, prefix, &param);
    }
    return status;
}

static void soft_forward(struct peer_ffw_cache *cache, float *y, const struct peer_ffw_batch *batch,
                         enum peer_mode mode)
{
    struct peer_soft_moe_cache *m = soft_cache_of(cache);
    (void)mode;
    m->mask = peer_ffw_cache_mask(cache);
    m->T = cache->T;
    peer_soft_moe_forward(cache->pool.ctx, soft_of(cache->layer), m, y, batch->x);
}

static void soft_backward(struct peer_ffw_cache *cache, float *dx, const float *dy,
                          const struct peer_ffw_batch *batch)
{
    peer_soft_moe_backward(cache->pool.ctx, soft_of(cache->layer), soft_cache_of(cache), dx, dy,
                           batch->x);
}

const struct peer_ffw_type peer_ffw_soft_moe = {
    .name = "soft_moe",
    .summary = "experts of slots, each slot a weighted mean of all tokens, later ones included",
    .source = "Puigcerver et al. 2024, arXiv 2308.00951, Sec. 2",
    .config_size = sizeof(struct peer_soft_moe_config),
    .options = options,
    .config_default = soft_default,
    .check = soft_check,
    .check_shape = soft_check_shape,
    .traits = soft_traits,
    .cost = soft_cost,
    .layer_size = sizeof(struct soft_layer),
    .cache_size = sizeof(struct soft_cache),
    .build = soft_build,
    .build_cache = soft_build_cache,
    .params = soft_params,
    .forward = soft_forward,
    .backward = soft_backward,
};
