/* SPDX-License-Identifier: MIT */
#include "moe/rule.h"

static const struct peer_option options[] = {PEER_MOE_OPTIONS_EXPERTS,
                                             PEER_MOE_OPTION_KEPT,
                                             PEER_MOE_OPTION_BALANCE,
                                             PEER_MOE_OPTION_Z,
                                             {.name = NULL}};

static const struct peer_moe_rule rule = {.type = &peer_ffw_mixtral, .score = PEER_MOE_KEPT};

static void defaults(void *config, int64_t width)
{
    struct peer_moe_config *c = peer_moe_defaults(config, &rule, width);
    c->experts = 8;
    c->activation = PEER_ACT_SILU;
    c->gated = true;
}

const struct peer_ffw_type peer_ffw_mixtral = {
    .name = "mixtral",
    .summary = "k experts, weighted by a softmax over their logits",
    .source = "Jiang et al. 2024, arXiv 2401.04088, Sec. 2.1",
    .options = options,
    .config_default = defaults,
    PEER_MOE_TYPE,
};
