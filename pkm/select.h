/* SPDX-License-Identifier: MIT */
/* Internal. From sub-scores to the k best pairs. */
#ifndef PEER_PKM_SELECT_H
#define PEER_PKM_SELECT_H

#include <math.h>

#include "nn/kernels/kernels.h"

/* The k best of the scored ids offered so far: a heap whose root, ids[0], is the worst of them. */
struct pkm_best {
    int32_t *ids; /* [k] */
    float *sums;  /* [k] */
    int64_t kept, k;
};

/* The score of a pair of sub-scores: NaN, also of inf + -inf, counts as -inf; -0 becomes 0, so that
 * equal scores are equal bit for bit. It never falls when a sub-score rises, which is what makes
 * pruning exact. */
static inline float pkm_sum(float left, float right)
{
    float sum = left + right;
    return isnan(sum) ? -INFINITY : sum + 0.0f;
}

/* Keeps (id, sum) if it is among the k best so far. */
void pkm_best_offer(struct pkm_best *best, int32_t id, float sum);

/* Sorts what is kept by descending score, ties by ascending id. */
void pkm_best_sort(struct pkm_best *best);

/* Number of candidate pairs that can win: (i, j), 0-based ranks in the two halves, with
 * (i+1)*(j+1) <= k and i, j < n; each has i*j + i + j pairs ahead of it. */
int64_t pkm_select_pairs(int64_t n, int64_t k);

/* The min(n, k) best of each half's n sub-scores, by rank: what top-k gives. */
struct pkm_halves {
    int64_t n, k;
    const float *best[2];
    const int32_t *ids[2];
};

/* Sums and ids of scratch that pkm_merge() needs: up to a large k the pairs, so that they can be
 * put in order at once. */
int64_t pkm_merge_scratch(int64_t n, int64_t k);

/* Writes the k best of the n*n pairs: ids [k] (left * n + right), sums [k]; by descending score,
 * ties by ascending id. 1 <= k <= n*n. */
void pkm_merge(const struct peer_kernels *kernels, int32_t *ids, float *sums,
               const struct pkm_halves *halves, float *pair_sums, int32_t *pair_ids);

#endif
