/* SPDX-License-Identifier: MIT */
#include "moe/rule.h"

static const struct peer_option options[] = {
    PEER_MOE_OPTIONS_EXPERTS,
    PEER_MOE_OPTIONS_CAPACITY,
    PEER_MOE_OPTION_GROUP,
    PEER_MOE_OPTION(
        second_threshold, FLOAT, 0, 1e6,
        "training: the second expert stays with probability min(1, gate / this); 0 = always"),
    PEER_MOE_OPTION_BALANCE,
    PEER_MOE_OPTION_Z,
    {.name = NULL},
};

static const struct peer_moe_rule rule = {.type = &peer_ffw_gshard,
                                          .kept = 2,
                                          .counts_first = true,
                                          .normalized = true,
                                          .epsilon = 1e-9f};

static void defaults(void *config, int64_t width)
{
    peer_moe_defaults(config, &rule, width)->second_threshold = 0.2f;
}

const struct peer_ffw_type peer_ffw_gshard = {
    .name = "gshard",
    .summary = "two experts of limited capacity, the second at random",
    .source = "Lepikhin et al. 2020, arXiv 2006.16668, Algorithm 1; GLaM: 64 experts, every other "
              "block",
    .options = options,
    .config_default = defaults,
    PEER_MOE_TYPE,
};
