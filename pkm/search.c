/* SPDX-License-Identifier: MIT */
#include "pkm/search.h"

#include <assert.h>

#include "nn/parallel.h"
#include "pkm/select.h"
#include "pkm/tile.h"

struct pkm_index {
    struct peer_pool pool;
    struct pkm_index_config config;
    float *keys;            /* [2, n, K/2] */
    struct pkm_tile *tiles; /* [threads] */
    struct pkm_screen *screen;
};

static enum peer_status check(struct peer_ctx *ctx, const struct pkm_index_config *c)
{
    if (c->n < 1 || c->n > INT32_MAX / c->n)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "pkm_index_create: n = %lld, expected 1 to 46340 sub-keys, so that n*n "
                         "keys have 32-bit ids",
                         (long long)c->n);
    if (c->width < 2 || c->width % 2 || c->width > INT32_MAX)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "pkm_index_create: width = %lld, expected an even number from 2 to %d",
                         (long long)c->width, INT32_MAX);
    if (c->kept < 1 || c->kept > c->n * c->n)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "pkm_index_create: kept = %lld of n*n = %lld keys, expected 1 to %lld",
                         (long long)c->kept, (long long)(c->n * c->n), (long long)(c->n * c->n));
    if (c->queries < 1)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "pkm_index_create: queries = %lld, expected >= 1",
                         (long long)c->queries);
    return PEER_OK;
}

enum peer_status pkm_index_create(struct pkm_index **ret, struct peer_ctx *ctx,
                                  const struct pkm_index_config *config)
{
    enum peer_status status = check(ctx, config);
    if (status)
        return status;
    struct peer_pool pool = {.ctx = ctx};
    struct pkm_index *index = peer_pool_alloc(&pool, "index", sizeof *index, 1, 1, 1);
    float *keys = peer_pool_alloc(&pool, "keys", sizeof *keys, 2, config->n, config->width / 2);
    struct pkm_tile *tiles =
        pkm_tiles_alloc(&pool, peer_ctx_threads(ctx), config->n, config->width, config->kept);
    struct pkm_screen *screen = NULL;
    if (pkm_screen_pays(config->n, config->kept))
        screen = pkm_screen_alloc(&pool, config->n, config->width);
    if (pool.failed) {
        peer_pool_free(&pool);
        return PEER_ERR_MEMORY;
    }
    *index = (struct pkm_index){
        .pool = pool, .config = *config, .keys = keys, .tiles = tiles, .screen = screen};
    *ret = index;
    return PEER_OK;
}

void pkm_index_destroy(struct pkm_index **index)
{
    if (!index || !*index)
        return;
    struct peer_pool pool = (*index)->pool;
    peer_pool_free(&pool);
    *index = NULL;
}

float *pkm_index_keys(struct pkm_index *index)
{
    return index->keys;
}

struct search {
    struct pkm_index *index;
    int32_t *ids;
    float *scores;
    const float *queries;
    int64_t T;
    bool exhaustive;
};

/* One query of the tile: every pair of sub-scores. */
static void select_exhaustively(int32_t *ids, float *sums, const struct pkm_tile *tile, int64_t row)
{
    struct pkm_best best = {.ids = ids, .sums = sums, .k = tile->k};
    const float *left = tile->scores[0] + row, *right = tile->scores[1] + row;
    for (int64_t i = 0; i < tile->n; i++)
        for (int64_t j = 0; j < tile->n; j++)
            pkm_best_offer(&best, (int32_t)(i * tile->n + j),
                           pkm_sum(left[i * PKM_TILE], right[j * PKM_TILE]));
    pkm_best_sort(&best);
}

static void search_tile(void *job, int64_t number, int thread)
{
    const struct search *s = job;
    const struct pkm_index_config *c = &s->index->config;
    const struct peer_kernels *kernels = peer_kernels(s->index->pool.ctx);
    const struct pkm_tile *tile = &s->index->tiles[thread];
    int64_t first = number * PKM_TILE;
    struct pkm_queries queries = {
        .q = s->queries + first * c->width, .rows = peer_min(PKM_TILE, s->T - first), .step = 1};
    int32_t *ids = s->ids + first * c->kept;
    float *scores = s->scores + first * c->kept;
    if (!s->exhaustive) {
        pkm_tile_search(tile, kernels, ids, scores, &queries, s->index->keys);
        return;
    }
    pkm_tile_score(tile, kernels, &queries, s->index->keys);
    for (int64_t row = 0; row < queries.rows; row++)
        select_exhaustively(ids + row * c->kept, scores + row * c->kept, tile, row);
}

static void search(const struct search *job)
{
    const struct pkm_index *index = job->index;
    const struct peer_ctx *ctx = index->pool.ctx;
    assert(job->T >= 0 && job->T <= index->config.queries);
    struct pkm_queries queries = {.q = job->queries, .rows = job->T, .step = 1};
    if (job->T > 0 && job->T <= PKM_TILE && !job->exhaustive)
        pkm_tile_search_together(ctx, index->tiles, job->ids, job->scores, &queries, index->keys);
    else {
        pkm_tiles_screen(ctx, index->tiles, job->exhaustive ? 0 : job->T, index->screen,
                         index->keys);
        peer_parallel(ctx, peer_tiles(job->T, PKM_TILE), search_tile, (void *)job);
    }
}

void pkm_index_search(struct pkm_index *index, int32_t *ids, float *scores, const float *queries,
                      int64_t T)
{
    search(
        &(struct search){.index = index, .ids = ids, .scores = scores, .queries = queries, .T = T});
}

void pkm_index_search_exhaustive(struct pkm_index *index, int32_t *ids, float *scores,
                                 const float *queries, int64_t T)
{
    search(&(struct search){.index = index,
                            .ids = ids,
                            .scores = scores,
                            .queries = queries,
                            .T = T,
                            .exhaustive = true});
}
