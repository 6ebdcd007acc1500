/* SPDX-License-Identifier: MIT */
#include "pkm/tile.h"

#include "nn/parallel.h"
#include "pkm/select.h"

/* Queries from which rounding all sub-keys is paid for. */
enum { SCREEN_ROWS = 512 };

enum { RUN = 240 }; /* sub-keys that one thread scores at a time where all share a tile */

static struct pkm_screened *screened_alloc(struct peer_pool *pool, int64_t K)
{
    int64_t pairs = (K / 2 + 1) / 2;
    struct pkm_screened *s = peer_pool_alloc(pool, "screened", sizeof *s, 1, 1, 1);
    for (int i = 0; i < 2; i++) {
        float *rounded = peer_pool_floats(pool, "rounded queries", pairs, PKM_TILE);
        if (s)
            s->pairs[i] = rounded;
    }
    return s;
}

struct pkm_tile *pkm_tiles_alloc(struct peer_pool *pool, int threads, int64_t n, int64_t K,
                                 int64_t k)
{
    int64_t ranks = peer_min(n, k), pairs = pkm_merge_scratch(n, k);
    struct pkm_tile *tiles = peer_pool_alloc(pool, "search tiles", sizeof *tiles, threads, 1, 1);
    for (int i = 0; i < threads; i++) {
        struct pkm_tile tile = {.n = n, .K = K, .k = k};
        tile.queries = peer_pool_floats(pool, "queries of a tile", K, PKM_TILE);
        for (int half = 0; half < 2; half++) {
            tile.scores[half] = peer_pool_floats(pool, "sub-scores", n, PKM_TILE);
            tile.best[half] = peer_pool_floats(pool, "best sub-scores", PKM_TILE, ranks);
            tile.ids[half] = peer_pool_ids(pool, "best sub-keys", PKM_TILE, ranks);
        }
        if (pkm_screen_pays(n, k))
            tile.screened = screened_alloc(pool, K);
        tile.pair_sums = peer_pool_floats(pool, "pairs", pairs, 1);
        tile.pair_ids = peer_pool_ids(pool, "pairs", pairs, 1);
        if (tiles)
            tiles[i] = tile;
    }
    return tiles;
}

static void write_columns(const struct pkm_tile *tile, const struct peer_kernels *kernels,
                          const struct pkm_queries *queries)
{
    kernels->transpose(tile->queries, PKM_TILE, queries->q, queries->step * tile->K, queries->rows,
                       tile->K);
}

/* Sub-scores of sub-keys begin ... end-1 of one half. */
static void score_keys(const struct pkm_tile *tile, const struct peer_kernels *kernels,
                       int64_t rows, const float *keys, int half, int64_t begin, int64_t end)
{
    int64_t depth = tile->K / 2;
    kernels->product(tile->scores[half] + begin * PKM_TILE, PKM_TILE,
                     keys + (half * tile->n + begin) * depth, depth, 1,
                     tile->queries + half * depth * PKM_TILE, PKM_TILE, end - begin, rows, depth,
                     false);
}

static void select_half(const struct pkm_tile *tile, const struct peer_kernels *kernels,
                        int64_t rows, int half)
{
    kernels->topk_columns(tile->best[half], tile->ids[half], tile->scores[half], PKM_TILE, tile->n,
                          rows, peer_min(tile->n, tile->k));
}

static void merge_row(const struct pkm_tile *tile, const struct peer_kernels *kernels, int32_t *ids,
                      float *sums, const struct pkm_queries *queries, int64_t row)
{
    int64_t k = tile->k, at = row * queries->step * k, ranks = peer_min(tile->n, k);
    struct pkm_halves halves = {.n = tile->n, .k = k};
    for (int half = 0; half < 2; half++) {
        halves.best[half] = tile->best[half] + row * ranks;
        halves.ids[half] = tile->ids[half] + row * ranks;
    }
    pkm_merge(kernels, ids + at, sums + at, &halves, tile->pair_sums, tile->pair_ids);
}

void pkm_tiles_screen(const struct peer_ctx *ctx, struct pkm_tile *tiles, int64_t rows,
                      struct pkm_screen *screen, const float *keys)
{
    bool pays = screen && rows >= SCREEN_ROWS && peer_kernels_have_bf16(ctx);
    if (pays)
        pkm_screen_prepare(ctx, screen, keys);
    for (int i = 0; i < peer_ctx_threads(ctx); i++)
        tiles[i].screen = pays ? screen : NULL;
}

void pkm_tile_score(const struct pkm_tile *tile, const struct peer_kernels *kernels,
                    const struct pkm_queries *queries, const float *keys)
{
    write_columns(tile, kernels, queries);
    for (int half = 0; half < 2; half++)
        score_keys(tile, kernels, queries->rows, keys, half, 0, tile->n);
}

/* Candidates of every query of the tile, from rounded scores; false where too many are left. */
static bool screen_half(const struct pkm_tile *tile, const struct peer_kernels *kernels,
                        const struct pkm_queries *queries, int half)
{
    struct pkm_screened *s = tile->screened;
    int64_t depth = tile->K / 2, pairs = (depth + 1) / 2, n = tile->n, rows = queries->rows;
    int64_t stride = queries->step * tile->K;
    for (int64_t row = 0; row < rows; row++) {
        float squares[2];
        kernels->bf16_pairs(s->pairs[0] + row * pairs, squares,
                            queries->q + row * stride + half * depth, depth);
        s->margins[row] = pkm_screen_margin(tile->screen, squares, half);
    }
    kernels->transpose(s->pairs[1], PKM_TILE, s->pairs[0], pairs, rows, pairs);
    kernels->product_bf16(tile->scores[half], PKM_TILE, tile->screen->keys + half * n * pairs,
                          pairs, s->pairs[1], PKM_TILE, n, rows, pairs);
    kernels->screen_columns(s->ids, s->counts, tile->scores[half], PKM_TILE, n, rows,
                            peer_min(n, tile->k), s->margins);
    for (int64_t row = 0; row < rows; row++)
        if (s->counts[row] < 0)
            return false;
    return true;
}

/* The best of the candidates, scored in float: what select_half() finds among all. */
static void select_screened(const struct pkm_tile *tile, const struct peer_kernels *kernels,
                            const struct pkm_queries *queries, const float *keys, int half)
{
    struct pkm_screened *s = tile->screened;
    int64_t depth = tile->K / 2, ranks = peer_min(tile->n, tile->k);
    for (int64_t row = 0; row < queries->rows; row++) {
        const int32_t *candidates = s->ids + row * PEER_SCREEN_MOST;
        const float *q = queries->q + row * queries->step * tile->K + half * depth;
        kernels->rows_chain(s->scores, keys + half * tile->n * depth, depth, candidates,
                            s->counts[row], q, depth);
        kernels->topk(tile->best[half] + row * ranks, s->places, s->scores, s->counts[row], ranks);
        for (int64_t j = 0; j < ranks; j++)
            tile->ids[half][row * ranks + j] = candidates[s->places[j]];
    }
}

void pkm_tile_search(const struct pkm_tile *tile, const struct peer_kernels *kernels, int32_t *ids,
                     float *sums, const struct pkm_queries *queries, const float *keys)
{
    bool columns = false;
    for (int half = 0; half < 2; half++) {
        if (tile->screen && screen_half(tile, kernels, queries, half)) {
            select_screened(tile, kernels, queries, keys, half);
            continue;
        }
        if (!columns)
            write_columns(tile, kernels, queries);
        columns = true;
        score_keys(tile, kernels, queries->rows, keys, half, 0, tile->n);
        select_half(tile, kernels, queries->rows, half);
    }
    for (int64_t row = 0; row < queries->rows; row++)
        merge_row(tile, kernels, ids, sums, queries, row);
}

struct together {
    const struct pkm_tile *tile;
    const struct peer_kernels *kernels;
    int64_t rows, runs; /* queries; runs of sub-keys of a half */
    const float *keys;
};

static void score_run(void *job, int64_t number, int thread)
{
    (void)thread;
    const struct together *t = job;
    int64_t begin = number % t->runs * RUN;
    score_keys(t->tile, t->kernels, t->rows, t->keys, (int)(number / t->runs), begin,
               peer_min(begin + RUN, t->tile->n));
}

static void select_run(void *job, int64_t half, int thread)
{
    (void)thread;
    const struct together *t = job;
    select_half(t->tile, t->kernels, t->rows, (int)half);
}

void pkm_tile_search_together(const struct peer_ctx *ctx, const struct pkm_tile *tile, int32_t *ids,
                              float *sums, const struct pkm_queries *queries, const float *keys)
{
    struct together job = {.tile = tile,
                           .kernels = peer_kernels(ctx),
                           .rows = queries->rows,
                           .runs = peer_tiles(tile->n, RUN),
                           .keys = keys};
    write_columns(tile, job.kernels, queries);
    peer_parallel(ctx, 2 * job.runs, score_run, &job);
    peer_parallel(ctx, 2, select_run, &job);
    for (int64_t row = 0; row < queries->rows; row++)
        merge_row(tile, job.kernels, ids, sums, queries, row);
}
