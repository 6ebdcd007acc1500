/* SPDX-License-Identifier: MIT */
/* Internal. From logits to the experts that serve each token, and back to gradients of logits with
 * the routing held fixed. Plain arrays: each step is a function of its own. */
#ifndef PEER_MOE_ROUTER_H
#define PEER_MOE_ROUTER_H

#include "nn/context.h"

enum peer_moe_score {
    PEER_MOE_SOFTMAX = 0, /* gate = softmax over all experts */
    PEER_MOE_SIGMOID,     /* gate = sigmoid of the expert's logit */
    PEER_MOE_KEPT,        /* gate = softmax over the k chosen */
};

/* gate = scale score / (normalized ? sum over the k chosen + epsilon : 1). */
struct peer_moe_gating {
    enum peer_moe_score score;
    bool normalized;
    float epsilon, scale;
};

/* The routing of one call. */
struct peer_moe_routes {
    int64_t T, E, R;     /* R = experts per token at most */
    const uint8_t *mask; /* [T] or NULL: tokens with 0 go nowhere */
    float *logits;       /* [T, E] */
    float *scores;       /* [T, E]: softmax over all experts, or sigmoid; 0 of masked tokens */
    int32_t *choice;     /* [T, R]: what the gates are normalized over; -1 = none */
    int32_t *ids;        /* [T, R]: choice, or -1 where the expert had no room */
    float *gates;        /* [T, R], of choice; 0 where choice is -1 */
};

/* Writes lost [T]: 1 where a logit of an unmasked token is NaN or infinite, which no expert can
 * serve. Returns whether there are any. */
bool peer_moe_find_lost(const struct peer_ctx *ctx, uint8_t *lost, const struct peer_moe_routes *r);

/* Cleans the logits (NaN, +infinity) and writes the scores. */
void peer_moe_score(const struct peer_ctx *ctx, const struct peer_moe_routes *r,
                    const struct peer_moe_gating *gating);

/* Token choice: writes choice and ids, the R largest of logits, or with a bias [E] of
 * scores + bias, largest first. R <= E. */
void peer_moe_choose(const struct peer_ctx *ctx, const struct peer_moe_routes *r, const float *bias,
                     float *scratch);

/* Expert choice (R = E): within each `group` tokens of which n are unmasked, every expert takes the
 * min(n, ceil(factor n / E)) of the largest scores. A token's experts are listed by falling score.
 * scratch [2 E, T], taken [E, T]. */
void peer_moe_choose_tokens(const struct peer_ctx *ctx, const struct peer_moe_routes *r,
                            float factor, int64_t group, float *scratch, int32_t *taken);

/* Writes the gates of the chosen. */
void peer_moe_gate(const struct peer_ctx *ctx, const struct peer_moe_routes *r,
                   const struct peer_moe_gating *gating);

/* Drops what exceeds the room of ceil(factor n / E) tokens per expert and group: first choices of
 * all tokens in order, then second choices, and so on. used [E] is scratch. */
void peer_moe_limit(const struct peer_moe_routes *r, float factor, int64_t group, int64_t *used);

/* Drops token t's second expert where uniform[t] >= gate / threshold. */
void peer_moe_thin(const struct peer_moe_routes *r, float threshold, const float *uniform);

/* ceil(factor n / E), at most n. */
int64_t peer_moe_room(float factor, int64_t n, int64_t E);

/* Writes dlogits [T, E] from dgates [T, R] of the chosen (0 for dropped ones) and dscores [T, E],
 * which it uses up. */
void peer_moe_route_backward(const struct peer_ctx *ctx, float *dlogits, float *dscores,
                             const float *dgates, const struct peer_moe_routes *r,
                             const struct peer_moe_gating *gating);

#endif
