/* SPDX-License-Identifier: MIT */
/* Product keys (Lample et al. 2019; PEER eqs. 4 and 5). The N = n*n keys are all pairs of a row of
 * one sub-key table and a row of another: key i*n + j is [c_i ; c'_j], and its score with a query
 * [q ; q'] is q.c_i + q'.c'_j. The exact top k of all N are found from the top k of each half.
 *
 * Order: by score, descending, ties to the lower id; a NaN score counts as -infinity. Scores are
 * the f32 sum of two f32 sub-scores on every path, so product-key search and exhaustive search
 * agree on scores bit for bit, and on ids except among equal rounded sums: there, unequal
 * sub-scores can round to one sum, and each path keeps the lowest ids among the candidates it
 * saw. */
#ifndef PEER_PKM_SEARCH_H
#define PEER_PKM_SEARCH_H

#include "nn/context.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An index of product keys for retrieval alone. Thread-safety: one search at a time. */
struct pkm_index;

struct pkm_index_config {
    int64_t n;       /* sub-keys per half >= 1; n*n <= 2^31 - 1 */
    int64_t width;   /* K, query width, even, 2 ... 2^31 - 2 */
    int64_t kept;    /* k, 1 ... n*n */
    int64_t queries; /* most queries in one call >= 1 */
};

/* The keys are zero at first: fill pkm_index_keys(). Errors: PEER_ERR_ARGUMENT, PEER_ERR_MEMORY. */
PEER_API enum peer_status pkm_index_create(struct pkm_index **ret, struct peer_ctx *ctx,
                                           const struct pkm_index_config *config);
PEER_API void pkm_index_destroy(struct pkm_index **index);

/* The sub-keys [2, n, K/2], owned by the index, to be written by the caller. */
PEER_API float *pkm_index_keys(struct pkm_index *index);

/* Writes ids [T, k] and scores [T, k] of the k best keys for each of queries [T, K],
 * T <= config.queries. Allocates nothing. */
PEER_API void pkm_index_search(struct pkm_index *index, int32_t *ids, float *scores,
                               const float *queries, int64_t T);

/* The same by scoring all n*n keys: the oracle. O(T n n) time; it allocates nothing. */
PEER_API void pkm_index_search_exhaustive(struct pkm_index *index, int32_t *ids, float *scores,
                                          const float *queries, int64_t T);

#ifdef __cplusplus
}
#endif

#endif
