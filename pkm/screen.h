/* SPDX-License-Identifier: MIT */
/* Internal. Exact screening: sub-scores of sub-keys and queries rounded to bf16 cost half as much
 * as those in float, and err by no more than a bound. Sub-keys that could still be among the k best
 * are scored again in float, by the same chain of additions as elsewhere: what is found is the same
 * to the bit. pkm/README.md has the bound. */
#ifndef PEER_PKM_SCREEN_H
#define PEER_PKM_SCREEN_H

#include "nn/kernels/kernels.h"
#include "nn/pool.h"

/* Euclidean lengths of vectors and of what rounding takes away from them: of one, or the largest
 * of several. */
struct pkm_lengths {
    double whole, off;
};

/* One pair of sub-key tables. */
struct pkm_screen {
    int64_t n, K;
    float *keys;               /* [2, n, ceil(K/4)]: pairs of bf16, each in the place of a float */
    struct pkm_lengths *runs;  /* [2, runs of sub-keys] */
    struct pkm_lengths all[2]; /* of each half's sub-keys */
};

/* Whether screening can pay for n sub-keys per half and k kept. */
bool pkm_screen_pays(int64_t n, int64_t k);

/* From the pool, which may measure; what is returned lives there. */
struct pkm_screen *pkm_screen_alloc(struct peer_pool *pool, int64_t n, int64_t K);

/* Rounds keys [2, n, K/2], which must stay as they are until the searches are done. */
void pkm_screen_prepare(const struct peer_ctx *ctx, struct pkm_screen *screen, const float *keys);

/* How far below the k-th largest approximate sub-score a sub-key must be to be surely worse than k
 * others, for a query's half of these squared lengths; NaN where there is no bound: something is
 * not finite, or so large or small that squares may have been lost. */
float pkm_screen_margin(const struct pkm_screen *screen, const float squares[2], int half);

#endif
