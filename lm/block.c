/* SPDX-License-Identifier: MIT */
#include "lm/block.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/layers/norm.h"
#include "nn/parallel.h"
#include "nn/params/finite.h"
#include "nn/products/linear.h"

void lm_trace_alloc(struct lm_trace *trace, struct peer_pool *pool, int64_t D, int64_t tokens)
{
    trace->x = peer_pool_floats(pool, "block input", tokens, D);
    trace->inv_rms = peer_pool_floats(pool, "norm", tokens, 1);
    trace->normed = peer_pool_floats(pool, "normed input", tokens, D);
    trace->qkv = peer_pool_floats(pool, "queries, keys, values", tokens, 3 * D);
    trace->mixed = peer_pool_floats(pool, "attention", tokens, D);
    trace->middle = peer_pool_floats(pool, "ffw input", tokens, D);
    trace->middle_inv_rms = peer_pool_floats(pool, "norm", tokens, 1);
    trace->middle_normed = peer_pool_floats(pool, "normed ffw input", tokens, D);
}

void lm_block_alloc(struct lm_block *block, struct peer_pool *pool, int64_t D, bool trainable)
{
    block->norm = lm_weight_alloc(pool, "attention.norm.gain", D, 1, trainable);
    block->qkv = lm_weight_alloc(pool, "attention.qkv", 3 * D, D, trainable);
    block->out = lm_weight_alloc(pool, "attention.out", D, D, trainable);
    block->ffw_norm = lm_weight_alloc(pool, "ffw.norm.gain", D, 1, trainable);
}

enum peer_status lm_block_params(struct lm_block *block, struct peer_params *list,
                                 const char *prefix, int64_t D, int64_t blocks)
{
    const struct peer_init one = {PEER_INIT_CONSTANT, 1};
    const struct peer_init qkv = {PEER_INIT_NORMAL, 1 / sqrtf((float)D)};
    const struct peer_init out = {PEER_INIT_NORMAL, 1 / sqrtf(2 * (float)D * (float)blocks)};
    enum peer_status status;
    status = lm_weight_params(&block->norm, list, prefix, "attention.norm.gain", D, 0, one);
    if (!status)
        status = lm_weight_params(&block->qkv, list, prefix, "attention.qkv", 3 * D, D, qkv);
    if (!status)
        status = lm_weight_params(&block->out, list, prefix, "attention.out", D, D, out);
    if (!status)
        status = lm_weight_params(&block->ffw_norm, list, prefix, "ffw.norm.gain", D, 0, one);
    if (status)
        return status;
    char ffw_prefix[PEER_PARAM_NAME];
    snprintf(ffw_prefix, sizeof ffw_prefix, "%sffw.", prefix);
    return peer_ffw_params(block->ffw, list, ffw_prefix);
}

enum { VALUES = 1 << 14 }; /* of one tile */

struct sum {
    float *to;
    const float *a, *b;
    int64_t n;
};

static void sum_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const struct sum *sum = arg;
    int64_t end = peer_min((tile + 1) * VALUES, sum->n);
    for (int64_t i = tile * VALUES; i < end; i++)
        sum->to[i] = sum->a[i] + sum->b[i];
}

static void add(const struct peer_ctx *ctx, float *to, const float *a, const float *b, int64_t n)
{
    struct sum job = {.to = to, .a = a, .b = b, .n = n};
    peer_parallel(ctx, peer_tiles(n, VALUES), sum_tile, &job);
}

static struct peer_ffw_batch ffw_batch(const struct lm_trace *trace, const struct lm_batch *batch)
{
    return (struct peer_ffw_batch){.x = trace->middle_normed,
                                   .T = batch->B * batch->S,
                                   .mask = batch->mask,
                                   .ids = batch->ids,
                                   .starts = batch->starts,
                                   .sequences = batch->B};
}

void lm_block_forward(struct peer_ctx *ctx, struct lm_block *block, float *next,
                      const struct lm_work *work, const struct lm_batch *batch)
{
    const struct lm_trace *t = &block->trace;
    int64_t T = batch->B * batch->S, D = work->width;
    peer_rmsnorm_forward(ctx, t->normed, t->inv_rms, t->x, block->norm.w, T, D);
    peer_linear_forward(ctx, t->qkv, t->normed, block->qkv.w, T, D, 3 * D);
    lm_attention_forward(ctx, t->mixed, t->qkv, &work->attention, batch->B, batch->S);
    peer_linear_forward(ctx, work->y, t->mixed, block->out.w, T, D, D);
    add(ctx, t->middle, t->x, work->y, T * D);
    peer_rmsnorm_forward(ctx, t->middle_normed, t->middle_inv_rms, t->middle, block->ffw_norm.w, T,
                         D);
    struct peer_ffw_batch ffw = ffw_batch(t, batch);
    peer_ffw_cache_forward(peer_ffw_own_cache(block->ffw), work->y, &ffw, batch->mode);
    add(ctx, next, t->middle, work->y, T * D);
}

const char *lm_block_nonfinite(const struct peer_ctx *ctx, const struct lm_trace *trace, int64_t T,
                               int64_t D, int64_t *at)
{
    const struct {
        const char *name;
        const float *x;
        int64_t width;
    } parts[] = {{"attention.norm", trace->normed, D},
                 {"attention.qkv", trace->qkv, 3 * D},
                 {"attention", trace->mixed, D},
                 {"attention.out", trace->middle, D},
                 {"ffw.norm", trace->middle_normed, D}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        int64_t first = peer_first_nonfinite(ctx, parts[i].x, T * parts[i].width);
        *at = first < 0 ? -1 : first / parts[i].width * D;
        if (first >= 0)
            return parts[i].name;
    }
    return NULL;
}

void lm_block_backward(struct peer_ctx *ctx, struct lm_block *block, const struct lm_work *work,
                       const struct lm_batch *batch)
{
    const struct lm_trace *t = &block->trace;
    int64_t T = batch->B * batch->S, D = work->width;
    memset(work->dbranch, 0, (size_t)(T * D) * sizeof(float));
    struct peer_ffw_batch ffw = ffw_batch(t, batch);
    struct peer_ffw_cache *cache = peer_ffw_own_cache(block->ffw);
    peer_ffw_cache_loss_scale(cache, batch->scale);
    peer_ffw_cache_backward(cache, work->dbranch, work->dx, &ffw);
    peer_rmsnorm_backward(ctx, work->dx, block->ffw_norm.dw, work->norm_partial, work->dbranch,
                          t->middle, block->ffw_norm.w, t->middle_inv_rms, T, D);

    peer_linear_backward_w(ctx, block->out.dw, work->dx, t->mixed, T, D, D);
    peer_linear_backward_x(ctx, work->dbranch, work->dx, block->out.w, T, D, D, false);
    lm_attention_backward(ctx, work->dqkv, work->dbranch, t->qkv, &work->attention, batch->B,
                          batch->S);
    peer_linear_backward_w(ctx, block->qkv.dw, work->dqkv, t->normed, T, D, 3 * D);
    peer_linear_backward_x(ctx, work->dbranch, work->dqkv, block->qkv.w, T, D, 3 * D, false);
    peer_rmsnorm_backward(ctx, work->dx, block->norm.dw, work->norm_partial, work->dbranch, t->x,
                          block->norm.w, t->inv_rms, T, D);
}
