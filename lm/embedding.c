/* SPDX-License-Identifier: MIT */
#include "lm/embedding.h"

#include <string.h>

#include "nn/parallel.h"

enum { TOKENS = 64, IDS = 256 }; /* of one tile */

struct job {
    float *to;         /* x or dembed */
    const float *from; /* embed or dx */
    const float *dhead;
    const int32_t *ids, *first, *order;
    int64_t count, D; /* T or V */
    float scale;
};

static void forward_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const struct job *job = arg;
    int64_t D = job->D, end = peer_min((tile + 1) * TOKENS, job->count);
    for (int64_t t = tile * TOKENS; t < end; t++) {
        if (job->ids[t] >= 0)
            memcpy(job->to + t * D, job->from + job->ids[t] * D, (size_t)D * sizeof(float));
        else
            memset(job->to + t * D, 0, (size_t)D * sizeof(float));
    }
}

void lm_embedding_forward(const struct peer_ctx *ctx, float *x, const float *embed,
                          const int32_t *ids, int64_t T, int64_t D)
{
    struct job job = {.to = x, .from = embed, .ids = ids, .count = T, .D = D};
    peer_parallel(ctx, peer_tiles(T, TOKENS), forward_tile, &job);
}

void lm_embedding_group(int32_t *first, int32_t *order, const int32_t *ids, int64_t T, int64_t V)
{
    memset(first, 0, (size_t)(V + 1) * sizeof *first);
    for (int64_t t = 0; t < T; t++)
        if (ids[t] >= 0)
            first[ids[t] + 1]++;
    for (int64_t v = 0; v < V; v++)
        first[v + 1] += first[v];
    for (int64_t t = 0; t < T; t++)
        if (ids[t] >= 0)
            order[first[ids[t]]++] = (int32_t)t;
    /* Each start has moved to the next one's place. */
    memmove(first + 1, first, (size_t)V * sizeof *first);
    first[0] = 0;
}

static void backward_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const struct job *job = arg;
    int64_t D = job->D, end = peer_min((tile + 1) * IDS, job->count);
    for (int64_t v = tile * IDS; v < end; v++) {
        float *restrict dembed = job->to + v * D;
        const float *restrict dhead = job->dhead + v * D;
        for (int64_t i = 0; i < D; i++)
            dembed[i] += job->scale * dhead[i];
        for (int64_t e = job->first[v]; e < job->first[v + 1]; e++) {
            const float *restrict dx = job->from + job->order[e] * D;
            for (int64_t i = 0; i < D; i++)
                dembed[i] += dx[i];
        }
    }
}

void lm_embedding_backward(const struct peer_ctx *ctx, float *dembed, const float *dhead,
                           float scale, const float *dx, const int32_t *first, const int32_t *order,
                           int64_t V, int64_t D)
{
    struct job job = {.to = dembed,
                      .from = dx,
                      .dhead = dhead,
                      .first = first,
                      .order = order,
                      .count = V,
                      .D = D,
                      .scale = scale};
    peer_parallel(ctx, peer_tiles(V, IDS), backward_tile, &job);
}
