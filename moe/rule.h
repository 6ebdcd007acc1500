/* SPDX-License-Identifier: MIT */
/* Internal. What makes the mixtures differ. A mixture is one rule and one type of the slot, both in
 * one file of moe/rules/: the type's options say what the mixture has (capacity, losses, noise,
 * shared experts, a balancing bias), for what they do not name is off; the rule says the rest. */
#ifndef PEER_MOE_RULE_H
#define PEER_MOE_RULE_H

#include <stddef.h>

#include "moe/config.h"
#include "moe/layer.h"

enum { PEER_MOE_ALL = -1 }; /* experts of a token */

struct peer_moe_rule {
    const struct peer_ffw_type *type;
    int64_t kept; /* experts of a token: a number (at most E), PEER_MOE_ALL, or 0 = the option */
    bool experts_choose; /* experts choose tokens: of `kept` a token may get fewer, and capacity is
                            what an expert takes, not what limits it */
    bool counts_first;   /* the balance loss counts first choices only */
    unsigned traits;     /* beside those that capacity brings */

    /* Gates: see struct peer_moe_gating. Options add to it: `normalized`; `loss_free`, which makes
     * scores sigmoids; `route_scale`. */
    enum peer_moe_score score;
    bool normalized;
    float epsilon;

    /* Writes choice and ids of the cache's routes from its logits and scores, and may use its
     * scratch; what drops choices comes after it. NULL = the largest logits, or scores and bias. */
    void (*choose)(struct peer_moe_cache *cache, const struct peer_ffw_batch *batch);
};

/* Fills a config with what most mixtures begin with, and returns it. */
struct peer_moe_config *peer_moe_defaults(void *config, const struct peer_moe_rule *rule,
                                          int64_t width);

/* What all types of mixtures share; name, summary, source, options, config_default come first. */
#define PEER_MOE_TYPE                                                                              \
    .config_size = sizeof(struct peer_moe_config), .check = peer_moe_check,                        \
    .check_shape = peer_moe_check_shape, .traits = peer_moe_traits, .cost = peer_moe_cost,         \
    .layer_size = sizeof(struct peer_moe), .cache_size = sizeof(struct peer_moe_cache),            \
    .build = peer_moe_build, .build_cache = peer_moe_build_cache, .params = peer_moe_params,       \
    .forward = peer_moe_forward, .backward = peer_moe_backward, .routing = peer_moe_routing,       \
    .step = peer_moe_step, .losses = peer_moe_losses

/* Options that several mixtures have. */
#define PEER_MOE_OPTION(field, kind, min, max, meaning)                                            \
    {                                                                                              \
#field, PEER_OPTION_##kind, offsetof(struct peer_moe_config, field), min, max, NULL,       \
            meaning                                                                                \
    }
#define PEER_MOE_COEFFICIENT(field, meaning) PEER_MOE_OPTION(field, FLOAT, 0, 1e6, meaning)

#define PEER_MOE_OPTIONS_EXPERTS                                                                   \
    PEER_MOE_OPTION(experts, INT, 1, PEER_MOE_EXPERTS_MAX, "number of experts E"),                 \
        PEER_MOE_OPTION(hidden, INT, 1, PEER_MOE_HIDDEN_MAX,                                       \
                        "hidden width F of one expert, values per token"),                         \
        {"activation",                                                                             \
         PEER_OPTION_CHOICE,                                                                       \
         offsetof(struct peer_moe_config, activation),                                             \
         0,                                                                                        \
         0,                                                                                        \
         peer_act_names,                                                                           \
         "activation of the experts, or of their gates"},                                          \
        PEER_MOE_OPTION(gated, BOOL, 0, 1, "experts with a gated linear unit; with silu SwiGLU")

#define PEER_MOE_OPTION_KEPT                                                                       \
    PEER_MOE_OPTION(kept, INT, 1, PEER_MOE_EXPERTS_MAX, "experts k of a token, at most E")

#define PEER_MOE_OPTION_GROUP                                                                      \
    PEER_MOE_OPTION(                                                                               \
        group, INT, 0, INT32_MAX,                                                                  \
        "tokens that are balanced, and share capacity, among themselves; 0 = all of the call")

#define PEER_MOE_OPTIONS_CAPACITY                                                                  \
    PEER_MOE_OPTION(                                                                               \
        capacity, FLOAT, 0, PEER_MOE_EXPERTS_MAX,                                                  \
        "training: an expert serves at most capacity * tokens / E; E and more = no limit"),        \
        PEER_MOE_OPTION(capacity_eval, FLOAT, 0, PEER_MOE_EXPERTS_MAX,                             \
                        "evaluation: an expert serves at most capacity_eval * tokens / E")

#define PEER_MOE_OPTION_NORMALIZED                                                                 \
    PEER_MOE_OPTION(normalized, BOOL, 0, 1, "gates are divided by their sum over the k chosen")

#define PEER_MOE_OPTION_BALANCE                                                                    \
    PEER_MOE_COEFFICIENT(balance_loss, "coefficient of the load balancing loss")
#define PEER_MOE_OPTION_Z PEER_MOE_COEFFICIENT(z_loss, "coefficient of the router's z-loss")

#endif
