/* SPDX-License-Identifier: MIT */
#include "moe/rule.h"

static const struct peer_option options[] = {
    PEER_MOE_OPTIONS_EXPERTS,
    PEER_MOE_OPTION_KEPT,
    PEER_MOE_OPTION(shared, INT, 0, PEER_MOE_SHARED_MAX,
                    "experts of the same size that every token takes"),
    PEER_MOE_OPTION_NORMALIZED,
    PEER_MOE_OPTION(route_scale, FLOAT, 1e-3, 1e3, "factor of the routed experts' gates"),
    PEER_MOE_OPTION(loss_free, BOOL, 0, 1,
                    "sigmoid scores, normalized gates and a bias that balances, as in DeepSeek-V3"),
    PEER_MOE_OPTION(bias_rate, FLOAT, 0, 1, "loss_free: what the bias moves by in one step"),
    PEER_MOE_OPTION_GROUP,
    PEER_MOE_OPTION_BALANCE,
    {.name = NULL},
};

static const struct peer_moe_rule rule = {.type = &peer_ffw_deepseek};

static void defaults(void *config, int64_t width)
{
    struct peer_moe_config *c = peer_moe_defaults(config, &rule, width);
    c->experts = 64;
    c->kept = 6;
    c->shared = 2;
    c->hidden = width;
    c->activation = PEER_ACT_SILU;
    c->gated = true;
    c->balance_loss = 0.001f;
    c->bias_rate = 0.001f;
}

const struct peer_ffw_type peer_ffw_deepseek = {
    .name = "deepseek",
    .summary = "k of many small experts, beside shared ones",
    .source = "Dai et al. 2024, arXiv 2401.06066, eqs. 9 to 14; loss_free: arXiv 2412.19437, eqs. "
              "12 to 20",
    .options = options,
    .config_default = defaults,
    PEER_MOE_TYPE,
};
