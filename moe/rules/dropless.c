/* SPDX-License-Identifier: MIT */
#include "moe/rule.h"

static const struct peer_option options[] = {PEER_MOE_OPTIONS_EXPERTS,   PEER_MOE_OPTION_KEPT,
                                             PEER_MOE_OPTION_NORMALIZED, PEER_MOE_OPTION_BALANCE,
                                             PEER_MOE_OPTION_Z,          {.name = NULL}};

static const struct peer_moe_rule rule = {.type = &peer_ffw_dropless};

static void defaults(void *config, int64_t width)
{
    struct peer_moe_config *c = peer_moe_defaults(config, &rule, width);
    c->kept = 1;
    c->balance_loss = 0.1f;
}

const struct peer_ffw_type peer_ffw_dropless = {
    .name = "dropless",
    .summary = "k experts of any load",
    .source = "Gale et al. 2022, MegaBlocks, arXiv 2211.15841",
    .options = options,
    .config_default = defaults,
    PEER_MOE_TYPE,
};
