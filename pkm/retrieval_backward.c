/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <string.h>

#include "nn/parallel.h"
#include "nn/products/linear.h"
#include "pkm/retrieval_private.h"

enum {
    QUERY_TILE = 256, /* rows t*H + h */
    KEY_TILE = 16,    /* sub-keys */
    AHEAD = 8,        /* rows to prefetch past the end of a list */
};

/* dscores [k] of one head. Softmax: g_j (dg_j - sum_i g_i dg_i). A relu gate is its own score. */
static void gate_backward(float *dscores, const float *gates, const float *dgates, int64_t k,
                          enum peer_gate gate)
{
    float along = 0;
    switch (gate) {
    case PEER_GATE_SIGMOID:
        for (int64_t j = 0; j < k; j++)
            dscores[j] = dgates[j] * gates[j] * (1 - gates[j]);
        break;
    case PEER_GATE_RELU:
        for (int64_t j = 0; j < k; j++)
            dscores[j] = gates[j] > 0 ? dgates[j] : 0;
        break;
    default:
        for (int64_t j = 0; j < k; j++)
            along += gates[j] * dgates[j];
        for (int64_t j = 0; j < k; j++)
            dscores[j] = gates[j] * (dgates[j] - along);
    }
}

struct backward {
    struct pkm_retrieval_cache *cache;
    const float *dgates;
};

/* Adds each id's dscore to its two sub-keys'. */
static void add_scores(const struct pkm_backward *scratch, const int32_t *ids, int64_t k, int32_t n)
{
    for (int64_t j = 0; j < k; j++) {
        int32_t left = ids[j] / n, right = ids[j] - left * n;
        scratch->keys[0][j] = left;
        scratch->keys[1][j] = right;
        scratch->sums[0][left] += scratch->dscores[j];
        scratch->sums[1][right] += scratch->dscores[j];
    }
}

/* Lists the sub-keys of a half that have a gradient, -1 behind them; returns how many. Their sums
 * become 0, which is what further ids of a sub-key find; it takes no branch, for nothing could
 * foresee it. */
static int64_t list_keys(int32_t *keys, float *dscores, const struct pkm_backward *scratch,
                         int half, int64_t k)
{
    int64_t count = 0;
    for (int64_t j = 0; j < k; j++) {
        int32_t key = scratch->keys[half][j];
        float *sum = &scratch->sums[half][key];
        keys[count] = key;
        dscores[count] = *sum;
        count += *sum != 0;
        *sum = 0;
    }
    keys[count] = -1;
    return count;
}

/* dq = sum over kept of dscore * sub-key, of a run of rows. The ids of a row share sub-keys: of k
 * ids of independent scores there are 7 for k = 16, 12 for k = 32. So what ids add to a sub-key's
 * score goes first, and each sub-key has one product here and one use in key_tile(). */
static void query_tile(void *job, int64_t tile, int thread)
{
    const struct backward *b = job;
    struct pkm_retrieval_cache *cache = b->cache;
    const struct pkm_retrieval *r = cache->of;
    const struct pkm_backward *scratch = &cache->backward[thread];
    const struct peer_kernels *kernels = cache->kernels;
    int64_t k = r->config.kept, d = r->config.query_width / 2, n = r->n, uses = pkm_uses(r);
    int64_t rows = cache->T * r->config.heads, end = peer_min((tile + 1) * QUERY_TILE, rows);
    for (int64_t row = tile * QUERY_TILE; row < end; row++) {
        const int32_t *ids = cache->ids + row * k;
        int64_t kept = ids[0] < 0 ? 0 : k;
        gate_backward(scratch->dscores, cache->gates + row * k, b->dgates + row * k, kept,
                      r->config.gate);
        add_scores(scratch, ids, kept, (int32_t)n);
        for (int half = 0; half < 2; half++) {
            int64_t at = (half * rows + row) * uses;
            const float *keys = r->keys + (row % r->tables * 2 + half) * n * d;
            float *dq = cache->dq + (2 * row + half) * d;
            int64_t count =
                list_keys(cache->row_keys + at, cache->row_dscores + at, scratch, half, kept);
            memset(dq, 0, (size_t)d * sizeof *dq);
            kernels->rows_axpy(dq, keys, d, cache->row_keys + at, count, 0, cache->row_dscores + at,
                               d);
        }
    }
}

/* Sorts the uses of the sub-keys of one table and half, stably, by counting. */
static void sort_tile(void *job, int64_t run, int thread)
{
    (void)thread;
    struct pkm_retrieval_cache *cache = job;
    const struct pkm_retrieval *r = cache->of;
    int64_t n = r->n, rows = cache->T * r->config.heads, uses = pkm_uses(r);
    int64_t table = run / 2, begin = run * (rows / r->tables) * uses;
    const int32_t *keys = cache->row_keys + run % 2 * rows * uses;
    const float *dscores = cache->row_dscores + run % 2 * rows * uses;
    int32_t *first = cache->use_first + run * (n + 1);
    memset(first, 0, (size_t)(n + 1) * sizeof *first);
    for (int64_t row = table; row < rows; row += r->tables)
        for (int64_t j = row * uses; j < (row + 1) * uses && keys[j] >= 0; j++)
            first[keys[j]]++;
    int32_t sum = 0;
    for (int64_t i = 0; i <= n; i++) {
        int32_t count = first[i];
        first[i] = sum;
        sum += count;
    }
    /* Filling moves each start to the next one's place; the loop after it moves them back. */
    for (int64_t row = table; row < rows; row += r->tables)
        for (int64_t j = row * uses; j < (row + 1) * uses && keys[j] >= 0; j++) {
            int64_t at = begin + first[keys[j]]++;
            cache->use_query[at] = (int32_t)row;
            cache->use_dscore[at] = dscores[j];
        }
    for (int64_t i = n; i > 0; i--)
        first[i] = first[i - 1];
    first[0] = 0;
}

/* dkey += sum over its uses of dscore * half of the query, for a run of sub-keys. */
static void key_tile(void *job, int64_t tile, int thread)
{
    (void)thread;
    struct pkm_retrieval_cache *cache = job;
    const struct pkm_retrieval *r = cache->of;
    const struct peer_kernels *kernels = cache->kernels;
    int64_t K = r->config.query_width, half = K / 2, n = r->n, per_run = peer_tiles(n, KEY_TILE);
    int64_t run = tile / per_run, begin = tile % per_run * KEY_TILE;
    int64_t offset = run * (cache->T * r->config.heads / r->tables) * pkm_uses(r);
    const int32_t *first = cache->use_first + run * (n + 1);
    for (int64_t i = begin; i < peer_min(begin + KEY_TILE, n); i++) {
        int64_t m = first[i + 1] - first[i], ahead = peer_min(AHEAD, first[n] - first[i + 1]);
        kernels->rows_axpy(r->dkeys + (run * n + i) * half, cache->q + run % 2 * half, K,
                           cache->use_query + offset + first[i], m, ahead,
                           cache->use_dscore + offset + first[i], half);
    }
}

void pkm_retrieval_backward(struct pkm_retrieval_cache *cache, float *dx, const float *dgates,
                            const float *x, const uint8_t *mask, int64_t T)
{
    struct pkm_retrieval *r = cache->of;
    const struct pkm_retrieval_config *c = &r->config;
    struct peer_ctx *ctx = cache->ctx;
    int64_t out = c->heads * c->query_width, runs = 2 * r->tables;
    assert(cache->trained && T == cache->T);
    cache->trained = false;
    if (T == 0)
        return;
    struct backward job = {cache, dgates};
    peer_parallel(ctx, peer_tiles(T * c->heads, QUERY_TILE), query_tile, &job);
    if (!c->frozen) {
        peer_parallel(ctx, runs, sort_tile, cache);
        peer_parallel(ctx, runs * peer_tiles(r->n, KEY_TILE), key_tile, cache);
    }
    float *dq_raw = cache->dq;
    if (c->query_norm != PEER_NORM_NONE) {
        struct peer_query_norm norm = pkm_retrieval_norm(cache);
        dq_raw = cache->q;
        peer_query_norm_backward(ctx, dq_raw, &norm, cache->dq, cache->q_raw, mask, T);
    }
    peer_linear_backward_w(ctx, r->dquery, dq_raw, x, T, c->width, out);
    peer_linear_backward_x(ctx, dx, dq_raw, r->query, T, c->width, out, true);
}
