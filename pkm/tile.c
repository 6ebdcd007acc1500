/* SPDX-License-Identifier: MIT */
#include "pkm/tile.h"

#include "nn/linear.h"
#include "nn/parallel.h"
#include "pkm/select.h"

/* Sub-scores per half and tile: 512 KiB. A tile of many queries pays for packing the keys, a small
 * one stays in the second-level cache. */
enum { TILE_SCORES = 1 << 17, ROWS_MIN = 16, ROWS_MAX = 256 };

int64_t pkm_tile_rows(int64_t n)
{
    int64_t rows = TILE_SCORES / n;
    return rows < ROWS_MIN ? ROWS_MIN : peer_min(rows, ROWS_MAX);
}

struct pkm_tile *pkm_tiles_alloc(struct peer_pool *pool, int threads, int64_t n, int64_t k)
{
    int64_t rows = pkm_tile_rows(n), scratch = pkm_select_scratch(n, k);
    struct pkm_tile *tiles = peer_pool_alloc(pool, "search tiles", sizeof *tiles, threads, 1, 1);
    for (int i = 0; i < threads; i++) {
        struct pkm_tile tile = {
            .left = peer_pool_floats(pool, "left sub-scores", rows, n),
            .right = peer_pool_floats(pool, "right sub-scores", rows, n),
            .scratch = peer_pool_floats(pool, "selection scores", scratch, 1),
            .id_scratch = peer_pool_ids(pool, "selection ids", scratch, 1),
        };
        if (tiles)
            tiles[i] = tile;
    }
    return tiles;
}

void pkm_tile_score(struct pkm_tile *tile, const float *queries, int64_t stride, int64_t rows,
                    const float *keys, int64_t n, int64_t K)
{
    int64_t half = K / 2;
    peer_gemm(false, true, rows, n, half, 1, queries, stride, keys, half, 0, tile->left, n);
    peer_gemm(false, true, rows, n, half, 1, queries + half, stride, keys + n * half, half, 0,
              tile->right, n);
}

void pkm_tile_select(struct pkm_tile *tile, const struct peer_kernels *kernels, int32_t *ids,
                     float *scores, int64_t row, int64_t n, int64_t k)
{
    pkm_select(kernels, ids, scores, tile->left + row * n, tile->right + row * n, n, k,
               tile->scratch, tile->id_scratch);
}
