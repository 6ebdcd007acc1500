/* SPDX-License-Identifier: MIT */
/* Internal. What is inside a retrieval: retrieval.c makes and runs it, retrieval_backward.c
 * differentiates it. */
#ifndef PEER_PKM_RETRIEVAL_PRIVATE_H
#define PEER_PKM_RETRIEVAL_PRIVATE_H

#include "nn/pool.h"
#include "pkm/retrieval.h"
#include "pkm/tile.h"

struct pkm_retrieval {
    struct peer_pool pool;
    struct pkm_retrieval_config config;
    int64_t n, tables; /* sub-keys per half; pairs of sub-key tables: 1 or H */
    int64_t capacity;  /* most tokens in one call */

    float *query, *dquery; /* [H*K, D]; gradients are NULL where frozen */
    float *keys, *dkeys;   /* [tables, 2, n, K/2] */
    float *gain, *bias;    /* [H*K], as struct peer_query_norm has them */
    struct peer_query_norm norm;

    int64_t T;    /* tokens of the last forward pass */
    bool trained; /* it was for training, and backward has not used it up */
    bool masked;
    uint8_t *mask;  /* [T], a copy */
    float *q_raw;   /* [T, H, K], before the norm; the same array as q where there is no norm */
    float *q;       /* [T, H, K]; backward leaves the gradient of q_raw here */
    float *dq;      /* [T, H, K] */
    int32_t *ids;   /* [T, H, k] */
    float *gates;   /* [T, H, k] */
    float *dscores; /* [T, H, k] */

    struct pkm_tile *tiles;    /* [threads] */
    struct pkm_screen *screen; /* of one pair of tables; NULL with more, or where it cannot pay */
    int32_t *halves;           /* [threads, 2, k], rows of each half's table of one head's ids */

    /* Unless frozen: the uses of each sub-key, sorted by it: tables*2 runs of [T*H/tables*k]. */
    int32_t *use_query; /* t*H + h of a use */
    float *use_dscore;
    int32_t *use_first; /* [tables, 2, n+1], where a sub-key's uses begin in its run */
};

/* The mask of the last forward pass, or NULL. */
static inline const uint8_t *pkm_retrieval_mask(const struct pkm_retrieval *r)
{
    return r->masked ? r->mask : NULL;
}

#endif
