/* SPDX-License-Identifier: MIT */
#include "lm/loss.h"

#include <math.h>
#include <string.h>

#include "nn/kernels.h"
#include "nn/linear.h"
#include "nn/parallel.h"

/* Tokens and vocabulary rows of one tile; most tokens, and most logits, of one chunk. */
enum { TOKENS = 128, IDS = 128, CHUNK_TOKENS = 1024, CHUNK_LOGITS = 1 << 24, LANES = 16 };

int64_t lm_loss_chunk(int64_t V, int64_t tokens)
{
    int64_t chunk = CHUNK_LOGITS / V / TOKENS * TOKENS;
    chunk = peer_min(chunk, CHUNK_TOKENS);
    return peer_min(chunk > TOKENS ? chunk : TOKENS, tokens);
}

struct job {
    const struct lm_loss *loss;
    const struct peer_kernels *kernels;
    const float *x; /* of this chunk, as are the next */
    const int32_t *targets;
    float *losses, *dx, *logits;
    int64_t T;
    float scale; /* 1 / scored */
    bool first;  /* chunk: writes dembed */
};

/* The largest of x[n], by lanes, which compilers turn into vector instructions. */
static float largest(const float *x, int64_t n)
{
    float best[LANES], all = -INFINITY;
    for (int j = 0; j < LANES; j++)
        best[j] = -INFINITY;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++)
            best[j] = x[i + j] > best[j] ? x[i + j] : best[j];
    for (; i < n; i++)
        all = x[i] > all ? x[i] : all;
    for (int j = 0; j < LANES; j++)
        all = best[j] > all ? best[j] : all;
    return all;
}

/* Turns logits [V] into probabilities and returns the loss. The largest probability is
 * exp(largest - log sum), which gives the logarithm of the sum at full precision however unlikely
 * the target is. */
static float cross_entropy(const struct job *job, float *logits, int32_t target)
{
    int64_t V = job->loss->vocab;
    float top = largest(logits, V), wanted = logits[target];
    job->kernels->softmax(logits, 1, V);
    if (isnan(logits[target]))
        return logits[target];
    return top - wanted - logf(largest(logits, V));
}

static bool any_scored(const int32_t *targets, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (targets[i] >= 0)
            return true;
    return false;
}

/* Losses of a few tokens; with gradients also those of their logits, but for the factor `scale`,
 * in place of the logits, and dx. */
static void tokens_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const struct job *job = arg;
    int64_t V = job->loss->vocab, D = job->loss->width;
    int64_t t = tile * TOKENS, rows = peer_min(TOKENS, job->T - t);
    float *logits = job->logits + t * V;
    bool scored = any_scored(job->targets + t, rows);
    if (scored)
        peer_gemm(false, true, rows, V, D, 1, job->x + t * D, D, job->loss->embed, D, 0, logits, V);
    for (int64_t i = 0; i < rows; i++) {
        int32_t target = job->targets[t + i];
        job->losses[t + i] = target < 0 ? 0 : cross_entropy(job, logits + i * V, target);
        if (target >= 0)
            logits[i * V + target] -= 1;
        else if (job->dx)
            memset(logits + i * V, 0, (size_t)V * sizeof *logits);
    }
    if (job->dx)
        peer_gemm(false, false, rows, D, V, job->scale, logits, V, job->loss->embed, D, 0,
                  job->dx + t * D, D);
}

static void embed_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const struct job *job = arg;
    int64_t V = job->loss->vocab, D = job->loss->width;
    int64_t v = tile * IDS, rows = peer_min(IDS, V - v);
    peer_gemm(true, false, rows, D, job->T, job->scale, job->logits + v, V, job->x, D,
              job->first ? 0 : 1, job->loss->dembed + v * D, D);
}

double lm_loss_forward(const struct peer_ctx *ctx, int64_t *scored, float *losses,
                       const struct lm_loss *loss, const float *x, const int32_t *targets,
                       int64_t T)
{
    int64_t count = 0, D = loss->width, chunk = lm_loss_chunk(loss->vocab, T);
    for (int64_t t = 0; t < T; t++)
        count += targets[t] >= 0;
    struct job job = {.loss = loss,
                      .kernels = peer_kernels(ctx),
                      .logits = loss->logits,
                      .scale = count ? 1 / (float)count : 0};
    for (int64_t t = 0; t < T; t += chunk) {
        job.x = x + t * D;
        job.targets = targets + t;
        job.losses = losses + t;
        job.dx = loss->dx ? loss->dx + t * D : NULL;
        job.T = peer_min(chunk, T - t);
        job.first = t == 0;
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
    const struct lm_loss *loss;
    float *logits;
    const float *x;
};

static void logits_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const struct logits_job *job = arg;
    int64_t D = job->loss->width, v = tile * IDS, rows = peer_min(IDS, job->loss->vocab - v);
    peer_gemm(false, true, 1, rows, D, 1, job->x, D, job->loss->embed + v * D, D, 0,
              job->logits + v, rows);
}

void lm_loss_logits(const struct peer_ctx *ctx, float *logits, const struct lm_loss *loss,
                    const float *x)
{
    struct logits_job job = {.loss = loss, .logits = logits, .x = x};
    peer_parallel(ctx, peer_tiles(loss->vocab, IDS), logits_tile, &job);
}
