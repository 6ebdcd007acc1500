/* SPDX-License-Identifier: MIT */
#include "moe/rule.h"

static const struct peer_option options[] = {
    PEER_MOE_OPTIONS_EXPERTS,
    PEER_MOE_OPTION_KEPT,
    PEER_MOE_OPTION(noise, BOOL, 0, 1, "learned noise on the logits in training"),
    PEER_MOE_COEFFICIENT(importance_loss, "coefficient of the squared variation of summed gates"),
    PEER_MOE_COEFFICIENT(load_loss,
                         "coefficient of the squared variation of expected loads, with noise"),
    {.name = NULL},
};

static const struct peer_moe_rule rule = {.type = &peer_ffw_noisy_topk, .score = PEER_MOE_KEPT};

static void defaults(void *config, int64_t width)
{
    struct peer_moe_config *c = peer_moe_defaults(config, &rule, width);
    c->kept = 4;
    c->noise = true;
    c->importance_loss = c->load_loss = 0.01f;
}

const struct peer_ffw_type peer_ffw_noisy_topk = {
    .name = "noisy_topk",
    .summary = "the k experts of the largest logits with learned noise",
    .source = "Shazeer et al. 2017, arXiv 1701.06538, eqs. 3 to 11",
    .options = options,
    .config_default = defaults,
    PEER_MOE_TYPE,
};
