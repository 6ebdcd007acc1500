/* SPDX-License-Identifier: MIT */
/* Internal. Queries against one pair of sub-key tables, a tile of queries at a time, so that the
 * sub-scores [rows, n] of both halves stay in cache. Product-key and exhaustive search take their
 * sub-scores from here, tile by tile alike, and so see the same bits. */
#ifndef PEER_PKM_TILE_H
#define PEER_PKM_TILE_H

#include "nn/kernels.h"
#include "nn/pool.h"

/* Working space of one thread. */
struct pkm_tile {
    float *left, *right; /* [rows, n] sub-scores */
    float *scratch;      /* of pkm_select() */
    int32_t *id_scratch;
};

/* Queries per tile for n sub-keys per half. */
int64_t pkm_tile_rows(int64_t n);

/* One for each of `threads` threads, from the pool. */
struct pkm_tile *pkm_tiles_alloc(struct peer_pool *pool, int threads, int64_t n, int64_t k);

/* Fills left and right with the sub-scores of `rows` <= pkm_tile_rows(n) queries [rows, K] that lie
 * `stride` values apart, and keys [2, n, K/2]. */
void pkm_tile_score(struct pkm_tile *tile, const float *queries, int64_t stride, int64_t rows,
                    const float *keys, int64_t n, int64_t K);

/* Writes the k best keys of query `row` of the tile: ids [k], scores [k]. */
void pkm_tile_select(struct pkm_tile *tile, const struct peer_kernels *kernels, int32_t *ids,
                     float *scores, int64_t row, int64_t n, int64_t k);

#endif
