/* SPDX-License-Identifier: MIT */
#include "lm/loss.h"

#include <string.h>

#include "nn/kernels/kernels.h"
#include "nn/parallel.h"
#include "nn/products/linear.h"

/* Tokens and vocabulary rows of one tile; most tokens, and most logits, of one chunk. */
enum { TOKENS = 96, IDS = 256, CHUNK_TOKENS = 1024, CHUNK_LOGITS = 1 << 24 };

static int64_t chunk_of(int64_t V, int64_t tokens)
{
    int64_t chunk = peer_min(CHUNK_LOGITS / V, CHUNK_TOKENS);
    return peer_min(chunk, tokens);
}

int64_t lm_loss_scratch(int64_t V, int64_t tokens)
{
    return chunk_of(V, tokens) * peer_row_stride(V);
}

struct job {
    const struct peer_ctx *ctx;
    const struct lm_loss *loss;
    const struct peer_kernels *kernels;
    const float *x; /* of this chunk, as are the next */
    const int32_t *targets;
    float *losses, *dx, *logits;
    int64_t T, stride; /* stride of logits */
    float scale;       /* 1 / scored */
    bool first;        /* chunk: writes dembed */
};

/* Losses of a few tokens; with gradients also those of their logits, in place of the logits, and
 * dx. */
static void tokens_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const struct job *job = arg;
    int64_t V = job->loss->vocab, D = job->loss->width, stride = job->stride;
    int64_t t = tile * TOKENS, rows = peer_min(TOKENS, job->T - t);
    float *logits = job->logits + t * stride;
    for (int64_t i = 0; i < rows; i++) {
        int32_t target = job->targets[t + i];
        job->losses[t + i] = 0;
        if (target >= 0)
            job->kernels->cross_entropy(logits + i * stride, job->losses + t + i, V, target,
                                        job->scale);
        else if (job->dx)
            memset(logits + i * stride, 0, (size_t)V * sizeof *logits);
    }
    if (job->dx)
        peer_multiply(job->ctx, job->dx + t * D, D, logits, stride, job->loss->embed, D, rows, D, V,
                      false);
}

static void embed_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const struct job *job = arg;
    int64_t V = job->loss->vocab, D = job->loss->width;
    int64_t v = tile * IDS, rows = peer_min(IDS, V - v);
    peer_gemm(job->ctx, true, false, rows, D, job->T, job->logits + v, job->stride, job->x, D,
              !job->first, job->loss->dembed + v * D, D);
}

double lm_loss_forward(const struct peer_ctx *ctx, int64_t *scored, float *losses,
                       const struct lm_loss *loss, const float *x, const int32_t *targets,
                       int64_t T)
{
    int64_t count = 0, D = loss->width, chunk = chunk_of(loss->vocab, T);
    for (int64_t t = 0; t < T; t++)
        count += targets[t] >= 0;
    struct job job = {.ctx = ctx,
                      .loss = loss,
                      .kernels = peer_kernels(ctx),
                      .logits = loss->logits,
                      .stride = peer_row_stride(loss->vocab),
                      .scale = count ? 1 / (float)count : 0};
    for (int64_t t = 0; t < T; t += chunk) {
        job.x = x + t * D;
        job.targets = targets + t;
        job.losses = losses + t;
        job.dx = loss->dx ? loss->dx + t * D : NULL;
        job.T = peer_min(chunk, T - t);
        job.first = t == 0;
        peer_linear_forward_rows(ctx, job.logits, job.stride, job.x, loss->embed, job.T, D,
                                 loss->vocab);
        peer_parallel(ctx, peer_tiles(job.T, TOKENS), tokens_tile, &job);
        if (loss->dembed)
            peer_parallel(ctx, peer_tiles(loss->vocab, IDS), embed_tile, &job);
    }
    double sum = 0;
    for (int64_t t = 0; t < T; t++)
        sum += losses[t];
    *scored = count;
    return sum;
}

struct logits_job {
    const struct peer_ctx *ctx;
    const struct lm_loss *loss;
    float *logits;
    const float *x;
};

static void logits_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const struct logits_job *job = arg;
    int64_t D = job->loss->width, v = tile * IDS, rows = peer_min(IDS, job->loss->vocab - v);
    peer_gemm(job->ctx, false, true, 1, rows, D, job->x, D, job->loss->embed + v * D, D, false,
              job->logits + v, rows);
}

void lm_loss_logits(const struct peer_ctx *ctx, float *logits, const struct lm_loss *loss,
                    const float *x)
{
    struct logits_job job = {.ctx = ctx, .loss = loss, .logits = logits, .x = x};
    peer_parallel(ctx, peer_tiles(loss->vocab, IDS), logits_tile, &job);
}
