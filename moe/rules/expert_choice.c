/* SPDX-License-Identifier: MIT */
#include "moe/rule.h"

static const struct peer_option options[] = {
    PEER_MOE_OPTIONS_EXPERTS,
    PEER_MOE_OPTION(capacity, FLOAT, 0, PEER_MOE_EXPERTS_MAX,
                    "an expert takes capacity * tokens / E, so mean experts per token"),
    PEER_MOE_OPTION_GROUP,
    {.name = NULL},
};

static void choose(struct peer_moe_cache *cache, const struct peer_ffw_batch *batch)
{
    const struct peer_moe_config *c = cache->base.layer->config;
    (void)batch;
    peer_moe_choose_tokens(cache->base.pool.ctx, &cache->routes, c->capacity, c->group,
                           cache->scratch, cache->taken);
}

static const struct peer_moe_rule rule = {.type = &peer_ffw_expert_choice,
                                          .kept = PEER_MOE_ALL,
                                          .experts_choose = true,
                                          .traits = PEER_FFW_NOT_CAUSAL |
                                                    PEER_FFW_MIXES_TOKENS_IN_TRAINING,
                                          .choose = choose};

static void defaults(void *config, int64_t width)
{
    peer_moe_defaults(config, &rule, width);
}

const struct peer_ffw_type peer_ffw_expert_choice = {
    .name = "expert_choice",
    .summary = "experts choose their tokens, later ones included",
    .source = "Zhou et al. 2022, arXiv 2202.09368, Sec. 3.2",
    .options = options,
    .config_default = defaults,
    PEER_MOE_TYPE,
};
