/* SPDX-License-Identifier: MIT */
/* Internal. The plain reference of the PEER layer, in `real`: the equations of peer/layer.h as
 * loops over tokens, heads and kept experts, on plain arrays. */
#ifndef PEER_PEER_LAYER_REF_H
#define PEER_PEER_LAYER_REF_H

#include "peer/layer.h"
#include "pkm/retrieval_ref.h"

struct REF(peer_layer_weights) {
    struct REF(pkm_retrieval_weights) retrieval;
    const real *experts; /* [N or H*N, 2 D or 3 D] */
};

struct REF(peer_layer_grads) {
    struct REF(pkm_retrieval_grads) retrieval;
    real *experts; /* [N or H*N, 2 D or 3 D]; added to */
};

/* Every array is the caller's. */
struct REF(peer_layer_cache) {
    struct REF(pkm_retrieval_cache) retrieval; /* its ids are 0 ... N-1 of each head */
    real *pre;                                 /* [T, H, k], a = u.x, or g.x for GLU */
    real *linear;                              /* [T, H, k], b = u.x for GLU; else unused */
    real *dgates;                              /* [T, H, k], written by backward */
};

/* Writes y [T, D]. */
void REF(peer_layer_forward)(real *y, struct REF(peer_layer_cache) * cache,
                             const struct REF(peer_layer_weights) * weights, const real *x,
                             const uint8_t *mask, int64_t T, int64_t D,
                             const struct peer_layer_config *config, bool train);

/* Adds to dx [T, D] and grads, routing held fixed. */
void REF(peer_layer_backward)(real *dx, const struct REF(peer_layer_grads) * grads,
                              const struct REF(peer_layer_cache) * cache,
                              const struct REF(peer_layer_weights) * weights, const real *dy,
                              const real *x, const uint8_t *mask, int64_t T, int64_t D,
                              const struct peer_layer_config *config);

#endif
