/* SPDX-License-Identifier: MIT */
/* Internal. Grouped expert FFWs: tokens are gathered by expert, each expert's rows go through its
 * matrices in blocks, and each token adds up what its experts give, in the order of its list. */
#ifndef PEER_MOE_EXPERTS_H
#define PEER_MOE_EXPERTS_H

#include "nn/activation.h"
#include "nn/pool.h"

/* Who works on what: entries sorted by expert, then by token. */
struct peer_moe_dispatch {
    int64_t entries, blocks;
    int32_t *offsets;                   /* [E + 1] */
    int32_t *token;                     /* [entries] */
    int32_t *place;                     /* [T, R]: entry of ids[t, i], -1 = none */
    int32_t *block_expert, *block_from; /* [blocks]: rows of one expert, at most 128 */
};

struct peer_moe_experts {
    int64_t E, D, F;
    enum peer_act activation;
    const float *in, *gate;      /* [E, F, D]; gate NULL where not gated */
    const float *out;            /* [E, D, F] */
    float *din, *dgate, *dout;   /* gradients */
    float *x, *y;                /* [entries, D]: gathered inputs; outputs, or their gradients */
    float *pre, *gate_pre;       /* [entries, F]: before the activation; then their gradients */
    float *hidden;               /* [entries, F] */
    struct peer_moe_dispatch by; /* of the last forward pass */
};

/* Arrays of a dispatch of at most `entries` entries of T tokens with R experts each. */
void peer_moe_dispatch_alloc(struct peer_moe_dispatch *by, struct peer_pool *pool, int64_t entries,
                             int64_t T, int64_t E, int64_t R);

/* Sorts ids [T, R], of which -1 is nothing. */
void peer_moe_dispatch_sort(struct peer_moe_dispatch *by, const int32_t *ids, int64_t T, int64_t E,
                            int64_t R);

/* Adds to y [T, D] the experts' outputs times gates [T, R]; sorts ids [T, R] first. */
void peer_moe_experts_forward(const struct peer_ctx *ctx, struct peer_moe_experts *experts,
                              float *y, const float *x, const int32_t *ids, const float *gates,
                              int64_t T, int64_t R);

/* Once after forward: writes dgates [T, R] (0 where nothing), adds to dx [T, D] and to the weights'
 * gradients. */
void peer_moe_experts_backward(const struct peer_ctx *ctx, struct peer_moe_experts *experts,
                               float *dx, float *dgates, const float *dy, const float *gates,
                               int64_t T, int64_t R);

#endif
