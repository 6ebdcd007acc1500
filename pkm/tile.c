/* SPDX-License-Identifier: MIT */
#include "pkm/tile.h"

#include "nn/parallel.h"
#include "pkm/select.h"

struct pkm_tile *pkm_tiles_alloc(struct peer_pool *pool, int threads, int64_t n, int64_t K,
                                 int64_t k)
{
    int64_t ranks = peer_min(n, k), pairs = pkm_merge_scratch(n, k);
    struct pkm_tile *tiles = peer_pool_alloc(pool, "search tiles", sizeof *tiles, threads, 1, 1);
    for (int i = 0; i < threads; i++) {
        struct pkm_tile tile = {.n = n, .K = K, .k = k};
        tile.queries = peer_pool_floats(pool, "queries of a tile", K / 2, PKM_TILE);
        for (int half = 0; half < 2; half++) {
            tile.scores[half] = peer_pool_floats(pool, "sub-scores", n, PKM_TILE);
            tile.best[half] = peer_pool_floats(pool, "best sub-scores", PKM_TILE, ranks);
            tile.ids[half] = peer_pool_ids(pool, "best sub-keys", PKM_TILE, ranks);
        }
        tile.pair_sums = peer_pool_floats(pool, "pairs", pairs, 1);
        tile.pair_ids = peer_pool_ids(pool, "pairs", pairs, 1);
        if (tiles)
            tiles[i] = tile;
    }
    return tiles;
}

void pkm_tile_score(const struct pkm_tile *tile, const struct peer_kernels *kernels, float *scores,
                    const struct pkm_queries *queries, const float *keys, int half)
{
    int64_t depth = tile->K / 2, n = tile->n;
    kernels->transpose(tile->queries, PKM_TILE, queries->q + half * depth, queries->step * tile->K,
                       queries->rows, depth);
    kernels->product(scores, PKM_TILE, keys + half * n * depth, depth, 1, tile->queries, PKM_TILE,
                     n, queries->rows, depth, false);
}

void pkm_tile_search(const struct pkm_tile *tile, const struct peer_kernels *kernels, int32_t *ids,
                     float *sums, const struct pkm_queries *queries, const float *keys)
{
    int64_t n = tile->n, k = tile->k, ranks = peer_min(n, k);
    for (int half = 0; half < 2; half++) {
        float *scores = tile->scores[0];
        pkm_tile_score(tile, kernels, scores, queries, keys, half);
        kernels->topk_columns(tile->best[half], tile->ids[half], scores, PKM_TILE, n, queries->rows,
                              ranks);
    }
    for (int64_t row = 0; row < queries->rows; row++) {
        struct pkm_halves halves = {.n = n, .k = k};
        for (int half = 0; half < 2; half++) {
            halves.best[half] = tile->best[half] + row * ranks;
            halves.ids[half] = tile->ids[half] + row * ranks;
        }
        int64_t at = row * queries->step * k;
        pkm_merge(kernels, ids + at, sums + at, &halves, tile->pair_sums, tile->pair_ids);
    }
}
