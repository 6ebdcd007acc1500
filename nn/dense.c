/* SPDX-License-Identifier: MIT */
#include "nn/dense.h"

#include <string.h>

#include "nn/hidden.h"
#include "nn/linear.h"
#include "nn/parallel.h"

/* Tokens of one tile, whose pre-activations are activated while they are in cache. */
enum { TILE = 128 };

struct job {
    const struct peer_kernels *kernels;
    const struct peer_dense_config *config;
    const struct peer_dense_weights *weights;
    const struct peer_dense_cache *cache;
    const float *x, *dy;
    float *y, *dx;
    const uint8_t *mask;
    int64_t T, D, F;
};

/* Zeroes the masked rows among rows t ... t+count-1 of an array [T, width]. */
static void clear_masked(float *array, const uint8_t *mask, int64_t t, int64_t count, int64_t width)
{
    for (int64_t row = t; mask && row < t + count; row++)
        if (!mask[row])
            memset(array + row * width, 0, (size_t)width * sizeof *array);
}

static void forward_tile(void *job, int64_t tile, int thread)
{
    (void)thread;
    const struct job *j = job;
    const struct peer_dense_cache *c = j->cache;
    int64_t t = tile * TILE, rows = peer_min(TILE, j->T - t), D = j->D, F = j->F, at = t * F;
    const float *gate = j->config->gated ? c->gate + at : NULL;
    peer_gemm(false, true, rows, F, D, 1, j->x + t * D, D, j->weights->in, D, 0, c->in + at, F);
    if (j->config->gated)
        peer_gemm(false, true, rows, F, D, 1, j->x + t * D, D, j->weights->gate, D, 0, c->gate + at,
                  F);
    peer_hidden_forward(j->kernels, c->hidden + at, c->in + at, gate, rows * F,
                        j->config->activation);
    clear_masked(c->hidden, j->mask, t, rows, F);
    peer_gemm(false, true, rows, D, F, 1, c->hidden + at, F, j->weights->out, F, 0, j->y + t * D,
              D);
    clear_masked(j->y, j->mask, t, rows, D);
}

void peer_dense_forward(const struct peer_ctx *ctx, float *y, const struct peer_dense_cache *cache,
                        const struct peer_dense_weights *weights, const float *x,
                        const uint8_t *mask, int64_t T, int64_t D,
                        const struct peer_dense_config *config)
{
    struct job job = {.kernels = peer_kernels(ctx),
                      .config = config,
                      .weights = weights,
                      .cache = cache,
                      .x = x,
                      .y = y,
                      .mask = mask,
                      .T = T,
                      .D = D,
                      .F = config->hidden};
    peer_parallel(ctx, peer_tiles(T, TILE), forward_tile, &job);
}

static void backward_tile(void *job, int64_t tile, int thread)
{
    (void)thread;
    const struct job *j = job;
    const struct peer_dense_cache *c = j->cache;
    int64_t t = tile * TILE, rows = peer_min(TILE, j->T - t), D = j->D, F = j->F, at = t * F;
    bool gated = j->config->gated;
    peer_gemm(false, false, rows, F, D, 1, j->dy + t * D, D, j->weights->out, F, 0, c->hidden + at,
              F);
    clear_masked(c->hidden, j->mask, t, rows, F);
    peer_hidden_backward(j->kernels, c->in + at, gated ? c->gate + at : NULL, c->hidden + at,
                         rows * F, j->config->activation);
    peer_gemm(false, false, rows, D, F, 1, c->in + at, F, j->weights->in, D, 1, j->dx + t * D, D);
    if (gated)
        peer_gemm(false, false, rows, D, F, 1, c->gate + at, F, j->weights->gate, D, 1,
                  j->dx + t * D, D);
}

void peer_dense_backward(const struct peer_ctx *ctx, float *dx,
                         const struct peer_dense_gradients *gradients,
                         const struct peer_dense_cache *cache, const float *dy,
                         const struct peer_dense_weights *weights, const float *x,
                         const uint8_t *mask, int64_t T, int64_t D,
                         const struct peer_dense_config *config)
{
    int64_t F = config->hidden;
    struct job job = {.kernels = peer_kernels(ctx),
                      .config = config,
                      .weights = weights,
                      .cache = cache,
                      .dx = dx,
                      .dy = dy,
                      .mask = mask,
                      .T = T,
                      .D = D,
                      .F = F};
    peer_linear_backward_w(ctx, gradients->out, dy, cache->hidden, T, F, D);
    peer_parallel(ctx, peer_tiles(T, TILE), backward_tile, &job);
    peer_linear_backward_w(ctx, gradients->in, cache->in, x, T, D, F);
    if (config->gated)
        peer_linear_backward_w(ctx, gradients->gate, cache->gate, x, T, D, F);
}
