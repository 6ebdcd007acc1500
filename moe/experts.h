/* SPDX-License-Identifier: MIT */
/* Internal. Grouped expert FFWs: tokens are gathered by expert, go through its matrices in blocks,
 * as columns, so that weights are read where they lie, once per block; and each token adds up what
 * its experts give, in the order of its list. Every value depends on its own token alone. */
#ifndef PEER_MOE_EXPERTS_H
#define PEER_MOE_EXPERTS_H

#include "moe/dispatch.h"
#include "nn/activation.h"

/* Weights and their gradients. */
struct peer_moe_experts {
    int64_t E, D, F;
    enum peer_act activation;
    float *in, *gate;                        /* [E, F, D]; gate NULL where not gated */
    float *out;                              /* [E, D, F] */
    float *din, *dgate, *dout;               /* gradients; NULL where frozen */
    bool din_stale, dgate_stale, dout_stale; /* as in nn/params/param.h */
};

/* What a forward pass leaves for its backward pass. */
struct peer_moe_experts_cache {
    float *x, *y;          /* [entries, D]: gathered inputs; outputs, or their gradients */
    float *pre, *gate_pre; /* [F, n] per block: before the activation; then their gradients */
    float *hidden;         /* [entries, F]; NULL without training */
    float *columns;        /* [threads, D + F, PEER_MOE_BLOCK]: a block as columns */
    struct peer_moe_dispatch by;
};

/* Sizes of experts. */
struct peer_moe_sizes {
    int64_t E, D, F;
    bool gated, trained; /* trained: with gradients */
    enum peer_act activation;
};

void peer_moe_experts_alloc(struct peer_moe_experts *experts, struct peer_pool *pool,
                            const struct peer_moe_sizes *sizes);

/* For up to `entries` entries of T tokens with R experts each; for the context's threads. Without
 * `training` there is no backward pass. */
void peer_moe_experts_cache_alloc(struct peer_moe_experts_cache *cache, struct peer_pool *pool,
                                  const struct peer_moe_sizes *sizes, int64_t entries, int64_t T,
                                  int64_t R, bool training);

/* Adds to y [T, D] the experts' outputs times gates [T, R]; sorts ids [T, R] first. */
void peer_moe_experts_forward(const struct peer_ctx *ctx, const struct peer_moe_experts *experts,
                              struct peer_moe_experts_cache *cache, float *y, const float *x,
                              const int32_t *ids, const float *gates, int64_t T, int64_t R);

/* Once after forward: writes dgates [T, R] (0 where nothing), adds to dx [T, D] and to the weights'
 * gradients, of which it writes the stale ones. */
void peer_moe_experts_backward(const struct peer_ctx *ctx, struct peer_moe_experts *experts,
                               const struct peer_moe_experts_cache *cache, float *dx, float *dgates,
                               const float *dy, const float *gates, int64_t T, int64_t R);

#endif
