/* SPDX-License-Identifier: MIT */
/* Internal. The plain reference of retrieval, in `real`: the equations of pkm/retrieval.h as loops,
 * no tiles, exhaustive top-k over all n*n keys. */
#ifndef PEER_PKM_RETRIEVAL_REF_H
#define PEER_PKM_RETRIEVAL_REF_H

#include <stdbool.h>

#include "nn/real.h"
#include "pkm/retrieval.h"

struct REF(pkm_retrieval_weights) {
    const real *query;       /* [H*K, D] */
    const real *gain, *bias; /* [H*K]; NULL where the norm has none */
    const real *mean, *var;  /* [H*K], running statistics; NULL unless batch */
    const real *keys;        /* [1 or H, 2, n, K/2] */
};

struct REF(pkm_retrieval_grads) {
    real *query, *gain, *bias, *keys; /* as the weights; added to */
};

/* Every array is the caller's. */
struct REF(pkm_retrieval_cache) {
    real *q_raw;          /* [T, H, K], before the norm */
    real *q;              /* [T, H, K] */
    real *mean, *inv_dev; /* of the norm: layer, rms [T, H]; batch [H, K]; else unused */
    int32_t *ids;         /* [T, H, k]; in: used as given where `fixed` */
    real *scores;         /* [T, H, k] */
    real *gates;          /* [T, H, k] */
    bool fixed;           /* keep ids: routing held fixed, for finite differences */
    real margin;          /* smallest gap between the k-th and the next score, over all; infinity
                             where there is no next; out, unless fixed */
    real *sub;            /* scratch [2, n] */
    real *dq, *dq_raw;    /* [T, H, K], written by backward */
};

/* The running statistics are read at evaluation and never written. */
void REF(pkm_retrieval_forward)(struct REF(pkm_retrieval_cache) * cache,
                                const struct REF(pkm_retrieval_weights) * weights, const real *x,
                                const uint8_t *mask, int64_t T,
                                const struct pkm_retrieval_config *config, bool train);

/* Adds to dx [T, D] and grads. */
void REF(pkm_retrieval_backward)(real *dx, const struct REF(pkm_retrieval_grads) * grads,
                                 const struct REF(pkm_retrieval_cache) * cache,
                                 const struct REF(pkm_retrieval_weights) * weights,
                                 const real *dgates, const real *x, const uint8_t *mask, int64_t T,
                                 const struct pkm_retrieval_config *config);

#endif
