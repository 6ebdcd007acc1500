/* SPDX-License-Identifier: MIT */
/* Internal. The plain reference of the PKM layer, in `real`: the equations of pkm/layer.h as loops
 * over tokens, heads and kept memories, on plain arrays. */
#ifndef PEER_PKM_LAYER_REF_H
#define PEER_PKM_LAYER_REF_H

#include "pkm/layer.h"
#include "pkm/retrieval_ref.h"

struct REF(pkm_layer_weights) {
    struct REF(pkm_retrieval_weights) retrieval;
    const real *values;  /* [N, D] */
    const real *w1, *w2; /* "gate" and "output" [D, D]; the gated form only */
};

struct REF(pkm_layer_grads) {
    struct REF(pkm_retrieval_grads) retrieval;
    real *values, *w1, *w2; /* as the weights; added to */
};

/* Every array is the caller's. */
struct REF(pkm_layer_cache) {
    struct REF(pkm_retrieval_cache) retrieval;
    real *memory;  /* [T, D], sum of gates * values */
    real *z;       /* [T, D] = x W1^T; gated */
    real *dgates;  /* [T, H, k], written by backward */
    real *dmemory; /* [T, D], written by backward */
    real *scratch; /* [D]; gated */
};

/* Writes y [T, D]. */
void REF(pkm_layer_forward)(real *y, struct REF(pkm_layer_cache) * cache,
                            const struct REF(pkm_layer_weights) * weights, const real *x,
                            const uint8_t *mask, int64_t T, int64_t D,
                            const struct pkm_config *config, bool train);

/* Adds to dx [T, D] and grads, routing held fixed. */
void REF(pkm_layer_backward)(real *dx, const struct REF(pkm_layer_grads) * grads,
                             const struct REF(pkm_layer_cache) * cache,
                             const struct REF(pkm_layer_weights) * weights, const real *dy,
                             const real *x, const uint8_t *mask, int64_t T, int64_t D,
                             const struct pkm_config *config);

#endif
