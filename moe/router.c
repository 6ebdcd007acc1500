/* SPDX-License-Identifier: MIT */
#include "moe/router.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "nn/kernels/kernels.h"
#include "nn/parallel.h"

enum { TILE = 64 }; /* tokens */

struct job {
    const struct peer_kernels *kernels;
    const struct peer_moe_routes *r;
    const struct peer_moe_gating *gating;
    const float *bias, *dgates;
    float *scratch, *dlogits, *dscores;
    uint8_t *lost;
    void (*token)(const struct job *job, int64_t t);
};

static void tile(void *arg, int64_t number, int thread)
{
    (void)thread;
    const struct job *job = arg;
    int64_t end = peer_min((number + 1) * TILE, job->r->T);
    for (int64_t t = number * TILE; t < end; t++)
        job->token(job, t);
}

static void for_tokens(const struct peer_ctx *ctx, struct job *job)
{
    job->kernels = peer_kernels(ctx);
    peer_parallel(ctx, peer_tiles(job->r->T, TILE), tile, job);
}

static bool masked(const struct peer_moe_routes *r, int64_t t)
{
    return r->mask && !r->mask[t];
}

static void lost_token(const struct job *job, int64_t t)
{
    const float *logits = job->r->logits + t * job->r->E;
    bool finite = true;
    for (int64_t e = 0; e < job->r->E; e++)
        finite &= fabsf(logits[e]) <= FLT_MAX;
    job->lost[t] = !finite && !masked(job->r, t);
}

bool peer_moe_find_lost(const struct peer_ctx *ctx, uint8_t *lost, const struct peer_moe_routes *r)
{
    struct job job = {.r = r, .lost = lost, .token = lost_token};
    for_tokens(ctx, &job);
    return r->T > 0 && memchr(lost, 1, (size_t)r->T) != NULL;
}

static void score_token(const struct job *job, int64_t t)
{
    int64_t E = job->r->E;
    float *logits = job->r->logits + t * E, *scores = job->r->scores + t * E;
    for (int64_t e = 0; e < E; e++)
        logits[e] = isnan(logits[e]) ? -INFINITY : fminf(logits[e], FLT_MAX);
    memcpy(scores, logits, (size_t)E * sizeof *scores);
    if (job->gating->score == PEER_MOE_SIGMOID)
        for (int64_t e = 0; e < E; e++)
            scores[e] = 1 / (1 + expf(-scores[e]));
    else
        job->kernels->softmax(scores, 1, E);
    if (masked(job->r, t))
        memset(scores, 0, (size_t)E * sizeof *scores);
}

void peer_moe_score(const struct peer_ctx *ctx, const struct peer_moe_routes *r,
                    const struct peer_moe_gating *gating)
{
    struct job job = {.r = r, .gating = gating, .token = score_token};
    for_tokens(ctx, &job);
}

static void choose_token(const struct job *job, int64_t t)
{
    int64_t E = job->r->E, R = job->r->R;
    int32_t *choice = job->r->choice + t * R;
    const float *from = job->r->logits + t * E;
    float *values = job->r->gates + t * R, *biased = job->bias ? job->scratch + t * E : NULL;
    for (int64_t e = 0; biased && e < E; e++)
        biased[e] = job->r->scores[t * E + e] + job->bias[e];
    job->kernels->topk(values, choice, biased ? biased : from, E, R);
    for (int64_t i = 0; i < R; i++) {
        choice[i] = masked(job->r, t) ? -1 : choice[i];
        job->r->ids[t * R + i] = choice[i];
    }
}

void peer_moe_choose(const struct peer_ctx *ctx, const struct peer_moe_routes *r, const float *bias,
                     float *scratch)
{
    struct job job = {.r = r, .bias = bias, .scratch = scratch, .token = choose_token};
    for_tokens(ctx, &job);
}

static void gate_token(const struct job *job, int64_t t)
{
    const struct peer_moe_gating *gating = job->gating;
    int64_t E = job->r->E, R = job->r->R;
    const int32_t *choice = job->r->choice + t * R;
    float *gates = job->r->gates + t * R, sum = gating->epsilon;
    const float *from = gating->score == PEER_MOE_KEPT ? job->r->logits : job->r->scores;
    for (int64_t i = 0; i < R; i++)
        gates[i] = choice[i] >= 0 ? from[t * E + choice[i]] : 0;
    if (choice[0] < 0)
        return;
    if (gating->score == PEER_MOE_KEPT)
        job->kernels->softmax(gates, 1, R);
    for (int64_t i = 0; i < R; i++)
        sum += gates[i];
    float factor = gating->scale;
    if (gating->normalized)
        factor = sum > 0 ? gating->scale / sum : 0;
    for (int64_t i = 0; i < R; i++)
        gates[i] *= factor;
}

void peer_moe_gate(const struct peer_ctx *ctx, const struct peer_moe_routes *r,
                   const struct peer_moe_gating *gating)
{
    struct job job = {.r = r, .gating = gating, .token = gate_token};
    for_tokens(ctx, &job);
}

int64_t peer_moe_room(float factor, int64_t n, int64_t E)
{
    /* 1.2 as a float is a little more: its rounding must not make a place. */
    double room = ceil((double)factor * (double)n / (double)E * (1 - 0x1p-22));
    return room < (double)n ? (int64_t)room : n;
}

/* Unmasked tokens among tokens `from` ... `to` - 1. */
static int64_t present(const struct peer_moe_routes *r, int64_t from, int64_t to)
{
    int64_t n = 0;
    for (int64_t t = from; t < to; t++)
        n += !masked(r, t);
    return n;
}

void peer_moe_limit(const struct peer_moe_routes *r, float factor, int64_t group, int64_t *used)
{
    int64_t step = group ? group : r->T, R = r->R;
    for (int64_t from = 0; from < r->T; from += step) {
        int64_t to = peer_min(from + step, r->T);
        int64_t room = peer_moe_room(factor, present(r, from, to), r->E);
        memset(used, 0, (size_t)r->E * sizeof *used);
        for (int64_t i = 0; i < R; i++)
            for (int64_t t = from; t < to; t++) {
                int32_t *id = &r->ids[t * R + i];
                if (*id >= 0 && used[*id]++ >= room)
                    *id = -1;
            }
    }
}

void peer_moe_thin(const struct peer_moe_routes *r, float threshold, const float *uniform)
{
    for (int64_t t = 0; r->R > 1 && t < r->T; t++)
        if (uniform[t] * threshold >= r->gates[t * r->R + 1])
            r->ids[t * r->R + 1] = -1;
}

/* Adds the gradient of the scores, and returns that of a softmax over the chosen in place. */
static void gate_token_backward(const struct job *job, float *dscores, float *dlogits, int64_t t)
{
    const struct peer_moe_gating *gating = job->gating;
    int64_t E = job->r->E, R = job->r->R;
    const int32_t *choice = job->r->choice + t * R;
    const float *gates = job->r->gates + t * R, *dgates = job->dgates + t * R;
    float dot = 0, sum = gating->epsilon;
    for (int64_t i = 0; i < R; i++)
        if (choice[i] >= 0) {
            dot += dgates[i] * gates[i];
            sum += job->r->scores[t * E + choice[i]];
        }
    for (int64_t i = 0; i < R; i++) {
        if (choice[i] < 0)
            continue;
        if (gating->score == PEER_MOE_KEPT)
            dlogits[choice[i]] += gates[i] * (dgates[i] - dot / gating->scale);
        else if (!gating->normalized)
            dscores[choice[i]] += gating->scale * dgates[i];
        else if (sum > 0)
            dscores[choice[i]] += (gating->scale * dgates[i] - dot) / sum;
    }
}

static void backward_token(const struct job *job, int64_t t)
{
    int64_t E = job->r->E;
    const float *scores = job->r->scores + t * E;
    float *dscores = job->dscores + t * E, *dlogits = job->dlogits + t * E, dot = 0;
    memset(dlogits, 0, (size_t)E * sizeof *dlogits);
    gate_token_backward(job, dscores, dlogits, t);
    bool sigmoid = job->gating->score == PEER_MOE_SIGMOID;
    for (int64_t e = 0; !sigmoid && e < E; e++)
        dot += scores[e] * dscores[e];
    for (int64_t e = 0; e < E; e++)
        dlogits[e] +=
            sigmoid ? dscores[e] * scores[e] * (1 - scores[e]) : scores[e] * (dscores[e] - dot);
}

void peer_moe_route_backward(const struct peer_ctx *ctx, float *dlogits, float *dscores,
                             const float *dgates, const struct peer_moe_routes *r,
                             const struct peer_moe_gating *gating)
{
    struct job job = {.r = r,
                      .gating = gating,
                      .dgates = dgates,
                      .dlogits = dlogits,
                      .dscores = dscores,
                      .token = backward_token};
    for_tokens(ctx, &job);
}
