/* SPDX-License-Identifier: MIT */
/* The dense FFW: y = act(x W1^T) W2^T, or gated (SwiGLU, Shazeer 2020, with silu)
 * y = (act(x Wg^T) * x W1^T) W2^T. No biases. W1 and Wg are [F, D], W2 is [D, F]. */
#ifndef PEER_NN_DENSE_H
#define PEER_NN_DENSE_H

#include "nn/activation.h"
#include "nn/layers/ffw.h"

#ifdef __cplusplus
extern "C" {
#endif

struct peer_dense_config {
    int64_t hidden;           /* F, 1 ... 2^20. Default 4 D, at most 2^20 */
    enum peer_act activation; /* default gelu_tanh */
    bool gated;               /* GLU: two input matrices. Default false */
};

/* Pointers to the gate are unused, and may be NULL, where the config is not gated. */
struct peer_dense_weights {
    const float *in;   /* W1 [F, D] */
    const float *gate; /* Wg [F, D] */
    const float *out;  /* W2 [D, F] */
};

/* NULL where they are not wanted. */
struct peer_dense_gradients {
    float *in, *gate; /* [F, D] */
    float *out;       /* [D, F] */
};

/* What forward leaves for backward, which uses it up. */
struct peer_dense_cache {
    float *in, *gate; /* [T, F]: x W1^T and x Wg^T; after backward their gradients */
    float *hidden;    /* [T, F]: what W2 multiplies */
};

/* Writes y [T, D] from x [T, D] and the cache. mask [T] or NULL: rows with 0 get y = 0. */
PEER_API void peer_dense_forward(const struct peer_ctx *ctx, float *y,
                                 const struct peer_dense_cache *cache,
                                 const struct peer_dense_weights *weights, const float *x,
                                 const uint8_t *mask, int64_t T, int64_t D,
                                 const struct peer_dense_config *config);

/* Adds to dx [T, D] and to the weights' gradients, once after a forward pass of the same x and
 * mask. dy [T, D] of masked rows, if finite, is ignored. */
PEER_API void peer_dense_backward(const struct peer_ctx *ctx, float *dx,
                                  const struct peer_dense_gradients *gradients,
                                  const struct peer_dense_cache *cache, const float *dy,
                                  const struct peer_dense_weights *weights, const float *x,
                                  const uint8_t *mask, int64_t T, int64_t D,
                                  const struct peer_dense_config *config);

/* The slot's type, "dense"; its config is struct peer_dense_config. Parameters: "in" [F, D] and,
 * gated, "gate" [F, D], drawn from a normal distribution of deviation 1 / sqrt(D); "out" [D, F], of
 * deviation 1 / sqrt(F). */
PEER_API extern const struct peer_ffw_type peer_ffw_dense;

#ifdef __cplusplus
}
#endif

#endif
