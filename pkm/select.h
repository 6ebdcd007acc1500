/* SPDX-License-Identifier: MIT */
/* Internal. From sub-scores to the k best pairs. */
#ifndef PEER_PKM_SELECT_H
#define PEER_PKM_SELECT_H

#include "nn/kernels.h"

/* Floats and ids of scratch that pkm_select() needs: at most 4 * min(k, n) + pairs. */
int64_t pkm_select_scratch(int64_t n, int64_t k);

/* Number of candidate pairs that can win: (i, j), 0-based ranks in the two halves, with
 * (i+1)*(j+1) <= k and i, j < n; each has i*j + i + j pairs ahead of it. */
int64_t pkm_select_pairs(int64_t n, int64_t k);

/* Writes ids [k] and sums [k] of the best k of the n*n sums left[i] + right[j], id i*n + j, as
 * pkm/search.h orders them. scratch: pkm_select_scratch(n, k) floats and as many ids. */
void pkm_select(const struct peer_kernels *kernels, int32_t *ids, float *sums, const float *left,
                const float *right, int64_t n, int64_t k, float *scratch, int32_t *id_scratch);

#endif
