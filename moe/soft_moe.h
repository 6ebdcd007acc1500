/* SPDX-License-Identifier: MIT */
/* Internal. Soft MoE on plain arrays. */
#ifndef PEER_MOE_SOFT_MOE_H
#define PEER_MOE_SOFT_MOE_H

#include "moe/experts.h"
#include "moe/moe.h"

/* Weights and gradients. S = experts * slots per expert; groups of G tokens. */
struct peer_soft_moe {
    int64_t D, S, G;
    float *phi, *scale;   /* [S, D], [1] */
    float *dphi, *dscale; /* both NULL where phi and scale are not trained */
    struct peer_moe_experts experts;
};

/* What a forward pass leaves for its backward pass; of T tokens the last group may be shorter. */
struct peer_soft_moe_cache {
    int64_t T;
    const uint8_t *mask; /* [T] or NULL */
    uint8_t *lost;       /* [T]: tokens without a finite length, which enter no slot */
    struct peer_moe_experts_cache experts;
    float *x_unit, *x_inverse;     /* [T, D], [T]: x / |x|, 1 / |x| */
    float *phi_unit, *phi_inverse; /* [S, D], [S] */
    float *cosine;                 /* [T, S]; after backward the gradient of the logits */
    float *dispatch, *combine;     /* [T, S]: softmax over tokens, over slots; then gradients */
    float *dweight, *dunit;        /* [T, S], [max(T, S), D]: scratch of backward */
    float *in, *out;               /* [groups S, D]: the slots, and what experts make of them */
    float *dout;                   /* [groups S, D] */
    int32_t *expert;               /* [groups S]: of each slot */
    float *ones, *dones;           /* [groups S], [groups, 2 S] */
};

/* Writes y [T, D]. */
void peer_soft_moe_forward(const struct peer_ctx *ctx, const struct peer_soft_moe *m,
                           struct peer_soft_moe_cache *cache, float *y, const float *x);

/* Once after forward: adds to dx [T, D] and to the gradients. */
void peer_soft_moe_backward(const struct peer_ctx *ctx, struct peer_soft_moe *m,
                            struct peer_soft_moe_cache *cache, float *dx, const float *dy,
                            const float *x);

#endif
