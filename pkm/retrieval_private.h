/* SPDX-License-Identifier: MIT */
/* Internal. What is inside a retrieval: retrieval.c makes and runs it, retrieval_backward.c
 * differentiates it. */
#ifndef PEER_PKM_RETRIEVAL_PRIVATE_H
#define PEER_PKM_RETRIEVAL_PRIVATE_H

#include "nn/pool.h"
#include "pkm/retrieval.h"
#include "pkm/tile.h"

/* Scratch of one thread's backward pass. */
struct pkm_backward {
    float *dscores;   /* [k], of one row */
    int32_t *keys[2]; /* [k]: the sub-keys of its ids, by half */
    float *sums[2];   /* [n]: of dscores, by sub-key; zeros between rows */
};

/* Weights and gradients. */
struct pkm_retrieval {
    struct peer_pool pool; /* empty where they lie in a layer's */
    struct pkm_retrieval_config config;
    int64_t n, tables; /* sub-keys per half; pairs of sub-key tables: 1 or H */

    float *query, *dquery;     /* [H*K, D]; gradients are NULL where frozen */
    float *keys, *dkeys;       /* [tables, 2, n, K/2] */
    float *gain, *dgain;       /* [H*K], where the norm has them */
    float *bias, *dbias;       /* the same */
    float *run_mean, *run_var; /* [H*K], batch norm's */
    int64_t skipped;           /* running statistics skipped or limited */
};

struct pkm_retrieval_cache {
    struct peer_pool pool; /* empty where it lies in a layer's cache */
    struct pkm_retrieval *of;
    struct peer_ctx *ctx;
    const struct peer_kernels *kernels;
    int64_t capacity; /* most tokens in one call */

    int64_t T;           /* tokens of the last forward pass */
    bool trained;        /* it was for training, and backward has not used it up */
    const uint8_t *mask; /* [T], of the call at work */
    float *q_raw; /* [T, H, K], before the norm; the same array as q where there is no norm */
    float *q;     /* [T, H, K]; backward leaves the gradient of q_raw here */
    float *dq;    /* [T, H, K] */
    float *mean, *inv_dev, *partial; /* as struct peer_query_norm has them */
    int32_t *ids;                    /* [T, H, k] */
    float *gates;                    /* [T, H, k] */

    /* Of either half the sub-keys that a row's ids use, each once, -1 behind them, and the gradient
     * of their sub-scores; uses = pkm_uses(). */
    int32_t *row_keys;  /* [2, T, H, uses] */
    float *row_dscores; /* [2, T, H, uses] */

    struct pkm_tile *tiles;        /* [threads] */
    struct pkm_backward *backward; /* [threads] */
    struct pkm_screen *screen; /* of one pair of tables; NULL with more, or where it cannot pay */

    /* Unless frozen: uses, sorted by sub-key, in tables*2 runs of [T*H/tables*uses]. */
    int32_t *use_query; /* t*H + h of a use */
    float *use_dscore;
    int32_t *use_first; /* [tables, 2, n+1], where a sub-key's uses begin in its run */
};

/* Room for the sub-keys of a half that a row's ids use, and for one more. */
static inline int64_t pkm_uses(const struct pkm_retrieval *r)
{
    return (r->n < r->config.kept ? r->n : r->config.kept) + 1;
}

/* The norm of the cache's pass. */
struct peer_query_norm pkm_retrieval_norm(const struct pkm_retrieval_cache *cache);

/* Both objects for a config that is right, from the pool of a layer and of its cache. */
void pkm_retrieval_build(struct pkm_retrieval *r, struct peer_pool *pool,
                         const struct pkm_retrieval_config *config);
void pkm_retrieval_cache_build(struct pkm_retrieval_cache *cache, struct peer_pool *pool,
                               struct pkm_retrieval *of, int64_t tokens);

#endif
