/* SPDX-License-Identifier: MIT */
#include "nn/layers/dense.h"

#include <string.h>

#include "nn/layers/hidden.h"
#include "nn/parallel.h"
#include "nn/products/linear.h"

struct job {
    const struct peer_ctx *ctx;
    const struct peer_dense_config *config;
    const struct peer_dense_weights *weights;
    const struct peer_dense_cache *cache;
    const float *dy;
    float *dx;
    const uint8_t *mask;
    int64_t T, D, F, tile; /* tokens of a tile */
};

/* Zeroes the masked rows among rows t ... t+count-1 of an array [T, width]. */
static void clear_masked(float *array, const uint8_t *mask, int64_t t, int64_t count, int64_t width)
{
    for (int64_t row = t; mask && row < t + count; row++)
        if (!mask[row])
            memset(array + row * width, 0, (size_t)width * sizeof *array);
}

static void hidden_tile(void *job, int64_t tile, int thread)
{
    (void)thread;
    const struct job *j = job;
    const struct peer_dense_cache *c = j->cache;
    int64_t t = tile * j->tile, rows = peer_min(j->tile, j->T - t), at = t * j->F;
    const float *gate = j->config->gated ? c->gate + at : NULL;
    peer_hidden_forward(peer_kernels(j->ctx), c->hidden + at, c->in + at, gate, rows * j->F,
                        j->config->activation);
    clear_masked(c->hidden, j->mask, t, rows, j->F);
}

void peer_dense_forward(const struct peer_ctx *ctx, float *y, const struct peer_dense_cache *cache,
                        const struct peer_dense_weights *weights, const float *x,
                        const uint8_t *mask, int64_t T, int64_t D,
                        const struct peer_dense_config *config)
{
    int64_t F = config->hidden;
    struct job job = {.ctx = ctx,
                      .config = config,
                      .cache = cache,
                      .mask = mask,
                      .T = T,
                      .D = D,
                      .F = F,
                      .tile = peer_multiply_tile(ctx, T)};
    peer_linear_forward(ctx, cache->in, x, weights->in, T, D, F);
    if (config->gated)
        peer_linear_forward(ctx, cache->gate, x, weights->gate, T, D, F);
    peer_parallel(ctx, peer_tiles(T, job.tile), hidden_tile, &job);
    peer_linear_forward(ctx, y, cache->hidden, weights->out, T, F, D);
    clear_masked(y, mask, 0, T, D);
}

static void backward_tile(void *job, int64_t tile, int thread)
{
    (void)thread;
    const struct job *j = job;
    const struct peer_dense_cache *c = j->cache;
    int64_t t = tile * j->tile, rows = peer_min(j->tile, j->T - t), D = j->D, F = j->F, at = t * F;
    bool gated = j->config->gated;
    peer_multiply(j->ctx, c->hidden + at, F, j->dy + t * D, D, j->weights->out, F, rows, F, D,
                  false);
    clear_masked(c->hidden, j->mask, t, rows, F);
    peer_hidden_backward(peer_kernels(j->ctx), c->in + at, gated ? c->gate + at : NULL,
                         c->hidden + at, rows * F, j->config->activation);
    peer_multiply(j->ctx, j->dx + t * D, D, c->in + at, F, j->weights->in, D, rows, D, F, true);
    if (gated)
        peer_multiply(j->ctx, j->dx + t * D, D, c->gate + at, F, j->weights->gate, D, rows, D, F,
                      true);
}

void peer_dense_backward(const struct peer_ctx *ctx, float *dx,
                         const struct peer_dense_gradients *gradients,
                         const struct peer_dense_cache *cache, const float *dy,
                         const struct peer_dense_weights *weights, const float *x,
                         const uint8_t *mask, int64_t T, int64_t D,
                         const struct peer_dense_config *config)
{
    int64_t F = config->hidden;
    struct job job = {.ctx = ctx,
                      .config = config,
                      .weights = weights,
                      .cache = cache,
                      .dx = dx,
                      .dy = dy,
                      .mask = mask,
                      .T = T,
                      .D = D,
                      .F = F,
                      .tile = peer_multiply_tile(ctx, T)};
    peer_linear_backward_w(ctx, gradients->out, dy, cache->hidden, T, F, D);
    peer_parallel(ctx, peer_tiles(T, job.tile), backward_tile, &job);
    peer_linear_backward_w(ctx, gradients->in, cache->in, x, T, D, F);
    if (config->gated)
        peer_linear_backward_w(ctx, gradients->gate, cache->gate, x, T, D, F);
}
