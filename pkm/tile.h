/* SPDX-License-Identifier: MIT */
/* Internal. Queries against one pair of sub-key tables, a tile of queries at a time, so that their
 * sub-scores stay in cache. Queries are columns: keys are read where they lie, a sub-score depends
 * on its query and key alone, and so do the bits of what is found. Product-key and exhaustive
 * search take their sub-scores from here. */
#ifndef PEER_PKM_TILE_H
#define PEER_PKM_TILE_H

#include "nn/kernels/kernels.h"
#include "nn/pool.h"
#include "pkm/screen.h"

enum { PKM_TILE = 2 * PEER_COLUMNS }; /* queries */

/* Working space of one thread; ranks = min(n, k). */
struct pkm_tile {
    int64_t n, K, k;
    float *queries;    /* [K, PKM_TILE] */
    float *scores[2];  /* [n, PKM_TILE]: sub-scores of each half */
    float *best[2];    /* [PKM_TILE, ranks]: the best of each half, by rank */
    int32_t *ids[2];   /* [PKM_TILE, ranks]: their sub-keys */
    float *pair_sums;  /* of pkm_merge() */
    int32_t *pair_ids; /* the same */

    const struct pkm_screen *screen; /* of the keys to be searched, prepared; NULL = none */
    struct pkm_screened *screened;   /* scratch, where screening can pay */
};

/* What screening leaves of a tile. */
struct pkm_screened {
    float *pairs[2]; /* [PKM_TILE, ceil(K/4)], as columns [ceil(K/4), PKM_TILE]: rounded queries */
    float margins[PKM_TILE];
    int32_t counts[PKM_TILE];
    int32_t ids[PKM_TILE * PEER_SCREEN_MOST];
    float scores[PEER_SCREEN_MOST]; /* of one query */
    int32_t places[PEER_SCREEN_MOST];
};

/* Queries [rows, K], rows <= PKM_TILE, that lie `step` rows apart. */
struct pkm_queries {
    const float *q;
    int64_t rows, step;
};

/* One for each of `threads` threads, from the pool. */
struct pkm_tile *pkm_tiles_alloc(struct peer_pool *pool, int threads, int64_t n, int64_t K,
                                 int64_t k);

/* Before pkm_tile_search() of `rows` queries in all: decides whether to screen them, and prepares
 * it. screen is NULL where it cannot pay. */
void pkm_tiles_screen(const struct peer_ctx *ctx, struct pkm_tile *tiles, int64_t rows,
                      struct pkm_screen *screen, const float *keys);

/* Writes both halves' scores, of which the first queries->rows columns count; keys [2, n, K/2]. */
void pkm_tile_score(const struct pkm_tile *tile, const struct peer_kernels *kernels,
                    const struct pkm_queries *queries, const float *keys);

/* Writes the k best keys of each query: ids [rows, k], sums [rows, k], rows as far apart as the
 * queries'. */
void pkm_tile_search(const struct pkm_tile *tile, const struct peer_kernels *kernels, int32_t *ids,
                     float *sums, const struct pkm_queries *queries, const float *keys);

/* The same bits, by all threads of the context: for queries that are but one tile. */
void pkm_tile_search_together(const struct peer_ctx *ctx, const struct pkm_tile *tile, int32_t *ids,
                              float *sums, const struct pkm_queries *queries, const float *keys);

#endif
