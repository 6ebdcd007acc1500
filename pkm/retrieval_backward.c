/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <string.h>

#include "nn/linear.h"
#include "nn/parallel.h"
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
    struct pkm_retrieval *r;
    const float *dgates;
};

/* dscores and dq = sum over kept of dscore * sub-key, of a run of rows. */
static void query_tile(void *job, int64_t tile, int thread)
{
    const struct backward *b = job;
    struct pkm_retrieval *r = b->r;
    const struct peer_kernels *kernels = peer_kernels(r->pool.ctx);
    int64_t k = r->config.kept, K = r->config.query_width, half = K / 2, n = r->n;
    int64_t end = peer_min((tile + 1) * QUERY_TILE, r->T * r->config.heads);
    int32_t *left = r->halves + thread * 2 * k, *right = left + k;
    for (int64_t row = tile * QUERY_TILE; row < end; row++) {
        const int32_t *ids = r->ids + row * k;
        const float *keys = r->keys + row % r->tables * n * K;
        float *dscores = r->dscores + row * k, *dq = r->dq + row * K;
        memset(dq, 0, (size_t)K * sizeof *dq);
        if (ids[0] < 0)
            continue;
        gate_backward(dscores, r->gates + row * k, b->dgates + row * k, k, r->config.gate);
        for (int64_t j = 0; j < k; j++) {
            left[j] = (int32_t)(ids[j] / n);
            right[j] = (int32_t)(n + ids[j] % n);
        }
        kernels->rows_axpy(dq, keys, half, left, k, 0, dscores, half);
        kernels->rows_axpy(dq + half, keys, half, right, k, 0, dscores, half);
    }
}

/* Sorts the uses of the sub-keys of one table and half, stably, by counting. */
static void sort_tile(void *job, int64_t run, int thread)
{
    (void)thread;
    struct pkm_retrieval *r = job;
    int64_t k = r->config.kept, n = r->n, rows = r->T * r->config.heads, table = run / 2;
    bool right = run % 2;
    int64_t begin = run * (rows / r->tables) * k;
    int32_t *first = r->use_first + run * (n + 1);
    memset(first, 0, (size_t)(n + 1) * sizeof *first);
    for (int64_t row = table; row < rows; row += r->tables)
        for (int64_t j = row * k; j < (row + 1) * k && r->ids[j] >= 0; j++)
            first[right ? r->ids[j] % n : r->ids[j] / n]++;
    int32_t sum = 0;
    for (int64_t i = 0; i <= n; i++) {
        int32_t count = first[i];
        first[i] = sum;
        sum += count;
    }
    /* Filling moves each start to the next one's place; the loop after it moves them back. */
    for (int64_t row = table; row < rows; row += r->tables)
        for (int64_t j = row * k; j < (row + 1) * k && r->ids[j] >= 0; j++) {
            int64_t at = begin + first[right ? r->ids[j] % n : r->ids[j] / n]++;
            r->use_query[at] = (int32_t)row;
            r->use_dscore[at] = r->dscores[j];
        }
    for (int64_t i = n; i > 0; i--)
        first[i] = first[i - 1];
    first[0] = 0;
}

/* dkey += sum over its uses of dscore * half of the query, for a run of sub-keys. */
static void key_tile(void *job, int64_t tile, int thread)
{
    (void)thread;
    struct pkm_retrieval *r = job;
    const struct peer_kernels *kernels = peer_kernels(r->pool.ctx);
    int64_t K = r->config.query_width, half = K / 2, n = r->n, per_run = peer_tiles(n, KEY_TILE);
    int64_t run = tile / per_run, begin = tile % per_run * KEY_TILE;
    int64_t offset = run * (r->T * r->config.heads / r->tables) * r->config.kept;
    const int32_t *first = r->use_first + run * (n + 1);
    for (int64_t i = begin; i < peer_min(begin + KEY_TILE, n); i++) {
        int64_t m = first[i + 1] - first[i], ahead = peer_min(AHEAD, first[n] - first[i + 1]);
        kernels->rows_axpy(r->dkeys + (run * n + i) * half, r->q + run % 2 * half, K,
                           r->use_query + offset + first[i], m, ahead,
                           r->use_dscore + offset + first[i], half);
    }
}

void pkm_retrieval_backward(struct pkm_retrieval *retrieval, float *dx, const float *dgates,
                            const float *x, int64_t T)
{
    struct pkm_retrieval *r = retrieval;
    const struct pkm_retrieval_config *c = &r->config;
    struct peer_ctx *ctx = r->pool.ctx;
    int64_t out = c->heads * c->query_width, runs = 2 * r->tables;
    assert(r->trained && T == r->T);
    r->trained = false;
    if (T == 0)
        return;
    struct backward job = {r, dgates};
    peer_parallel(ctx, peer_tiles(T * c->heads, QUERY_TILE), query_tile, &job);
    if (!c->frozen) {
        peer_parallel(ctx, runs, sort_tile, r);
        peer_parallel(ctx, runs * peer_tiles(r->n, KEY_TILE), key_tile, r);
    }
    float *dq_raw = r->dq;
    if (c->query_norm != PEER_NORM_NONE) {
        dq_raw = r->q;
        peer_query_norm_backward(ctx, dq_raw, &r->norm, r->dq, r->q_raw, pkm_retrieval_mask(r), T);
    }
    peer_linear_backward_w(ctx, r->dquery, dq_raw, x, T, c->width, out);
    peer_linear_backward_x(ctx, dx, dq_raw, r->query, T, c->width, out, true);
}
