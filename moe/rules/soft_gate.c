/* SPDX-License-Identifier: MIT */
#include "moe/rule.h"

static const struct peer_option options[] = {PEER_MOE_OPTIONS_EXPERTS, {.name = NULL}};

static const struct peer_moe_rule rule = {.type = &peer_ffw_soft_gate, .kept = PEER_MOE_ALL};

static void defaults(void *config, int64_t width)
{
    peer_moe_defaults(config, &rule, width)->experts = 4;
}

const struct peer_ffw_type peer_ffw_soft_gate = {
    .name = "soft_gate",
    .summary = "all experts, weighted by a softmax",
    .source = "Jacobs et al. 1991, Adaptive mixtures of local experts",
    .options = options,
    .config_default = defaults,
    PEER_MOE_TYPE,
};
