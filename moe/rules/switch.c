/* SPDX-License-Identifier: MIT */
#include "moe/rule.h"

static const struct peer_option options[] = {
    PEER_MOE_OPTIONS_EXPERTS,
    PEER_MOE_OPTIONS_CAPACITY,
    PEER_MOE_OPTION_GROUP,
    PEER_MOE_OPTION(
        jitter, FLOAT, 0, 1,
        "training inputs of the router times uniform values in 1 - jitter ... 1 + jitter"),
    PEER_MOE_OPTION_BALANCE,
    PEER_MOE_OPTION_Z,
    {.name = NULL},
};

static const struct peer_moe_rule rule = {
    .type = &peer_ffw_switch, .kept = 1, .counts_first = true};

static void defaults(void *config, int64_t width)
{
    struct peer_moe_config *c = peer_moe_defaults(config, &rule, width);
    c->capacity = 1.25f;
    c->jitter = 0.01f;
}

const struct peer_ffw_type peer_ffw_switch = {
    .name = "switch",
    .summary = "one expert of limited capacity",
    .source = "Fedus et al. 2022, arXiv 2101.03961, eqs. 1 to 6",
    .options = options,
    .config_default = defaults,
    PEER_MOE_TYPE,
};
