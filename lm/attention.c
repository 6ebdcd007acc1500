/* SPDX-License-Identifier: MIT */
#include "lm/attention.h"

#include <math.h>
#include <string.h>

#include "nn/kernels.h"
#include "nn/linear.h"
#include "nn/parallel.h"

/* Queries of one block of scores: [QUERIES, keys up to its last query]. Tokens of one tile of the
 * rotation. */
enum { QUERIES = 64, TOKENS = 64 };

void lm_attention_rotations(float *rotation, int64_t length, int64_t head_width)
{
    for (int64_t t = 0; t < length; t++)
        for (int64_t i = 0; i < head_width / 2; i++) {
            double angle = (double)t * pow(10000, -2.0 * (double)i / (double)head_width);
            *rotation++ = (float)cos(angle);
            *rotation++ = (float)sin(angle);
        }
}

int64_t lm_attention_scratch(int64_t S)
{
    return 2 * QUERIES * S;
}

struct job {
    const struct lm_attention *attention;
    const struct peer_kernels *kernels;
    float *qkv, *y, *dqkv;
    const float *rotated, *result, *dy; /* qkv and y, read */
    int64_t B, S;
};

/* One sequence and head: arrays at its first token, rows 3 D or D apart. */
struct head {
    const float *q, *k, *v;
    int64_t width, stride; /* d, 3 D */
    float scale;
};

static struct head head_at(const struct job *job, int64_t b, int64_t h)
{
    int64_t D = job->attention->width, d = D / job->attention->heads;
    const float *q = job->rotated + b * job->S * 3 * D + h * d;
    return (struct head){.q = q,
                         .k = q + D,
                         .v = q + 2 * D,
                         .width = d,
                         .stride = 3 * D,
                         .scale = 1 / sqrtf((float)d)};
}

/* Rotates the pairs of one head; `sign` -1 turns back. */
static void rotate(float *restrict x, const float *restrict rotation, int64_t width, float sign)
{
    for (int64_t i = 0; i < width; i += 2) {
        float a = x[i], b = x[i + 1], c = rotation[i], s = sign * rotation[i + 1];
        x[i] = a * c - b * s;
        x[i + 1] = a * s + b * c;
    }
}

static void rotation_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const struct job *job = arg;
    int64_t D = job->attention->width, d = D / job->attention->heads;
    int64_t end = peer_min((tile + 1) * TOKENS, job->B * job->S);
    for (int64_t t = tile * TOKENS; t < end; t++) {
        const float *rotation = job->attention->rotation + t % job->S * d;
        for (int64_t i = 0; i < 2 * D; i += d)
            rotate(job->qkv + t * 3 * D + i, rotation, d, 1);
    }
}

/* Writes the weights [rows, keys] of queries first ... first+rows-1 over keys 0 ... keys-1,
 * keys = first + rows; 0 for keys after a query. */
static void weights_of(const struct job *job, float *weights, const struct head *head,
                       int64_t first, int64_t rows)
{
    int64_t keys = first + rows;
    peer_gemm(false, true, rows, keys, head->width, head->scale, head->q + first * head->stride,
              head->stride, head->k, head->stride, 0, weights, keys);
    for (int64_t i = 0; i < rows; i++) {
        float *row = weights + i * keys;
        job->kernels->softmax(row, 1, first + i + 1);
        memset(row + first + i + 1, 0, (size_t)(rows - i - 1) * sizeof *row);
    }
}

/* Tiles in the order of their work, longest first. */
static void forward_tile(void *arg, int64_t tile, int thread)
{
    const struct job *job = arg;
    const struct lm_attention *a = job->attention;
    int64_t blocks = peer_tiles(job->S, QUERIES), pairs = job->B * a->heads;
    int64_t b = tile % pairs / a->heads, h = tile % a->heads;
    int64_t first = (blocks - 1 - tile / pairs) * QUERIES;
    int64_t rows = peer_min(QUERIES, job->S - first), keys = first + rows;
    struct head head = head_at(job, b, h);
    float *weights = a->scratch + thread * a->scratch_size;
    weights_of(job, weights, &head, first, rows);
    peer_gemm(false, false, rows, head.width, keys, 1, weights, keys, head.v, head.stride, 0,
              job->y + (b * job->S + first) * a->width + h * head.width, a->width);
}

void lm_attention_forward(const struct peer_ctx *ctx, float *y, float *qkv,
                          const struct lm_attention *attention, int64_t B, int64_t S)
{
    struct job job = {.attention = attention,
                      .kernels = peer_kernels(ctx),
                      .qkv = qkv,
                      .rotated = qkv,
                      .y = y,
                      .B = B,
                      .S = S};
    peer_parallel(ctx, peer_tiles(B * S, TOKENS), rotation_tile, &job);
    peer_parallel(ctx, B * attention->heads * peer_tiles(S, QUERIES), forward_tile, &job);
}

/* Gradient of the scores, in place of that of the weights: weights * (dweights - dy . y), and of
 * the scale of the scores. */
static void scores_gradient(float *dweights, const float *weights, const float *dy, const float *y,
                            const struct head *head, int64_t rows, int64_t keys, int64_t D)
{
    for (int64_t i = 0; i < rows; i++) {
        float dot = 0;
#pragma omp simd reduction(+ : dot)
        for (int64_t j = 0; j < head->width; j++)
            dot += dy[i * D + j] * y[i * D + j];
        for (int64_t j = 0; j < keys; j++)
            dweights[i * keys + j] =
                weights[i * keys + j] * (dweights[i * keys + j] - dot) * head->scale;
    }
}

/* A whole sequence and head, so that the gradients of k and v have one writer. Blocks of queries
 * go from the last, which reaches all keys and writes, to the first. */
static void backward_tile(void *arg, int64_t tile, int thread)
{
    const struct job *job = arg;
    const struct lm_attention *a = job->attention;
    int64_t b = tile / a->heads, h = tile % a->heads, S = job->S, D = a->width;
    struct head head = head_at(job, b, h);
    int64_t d = head.width, stride = head.stride;
    float *weights = a->scratch + thread * a->scratch_size, *dweights = weights + QUERIES * S;
    float *dq = job->dqkv + b * S * stride + h * d, *dk = dq + D, *dv = dk + D;
    for (int64_t block = peer_tiles(S, QUERIES) - 1; block >= 0; block--) {
        int64_t first = block * QUERIES, rows = peer_min(QUERIES, S - first), keys = first + rows;
        const float *dy = job->dy + (b * S + first) * D + h * d;
        const float *y = job->result + (b * S + first) * D + h * d;
        float add = keys < S ? 1 : 0;
        weights_of(job, weights, &head, first, rows);
        peer_gemm(true, false, keys, d, rows, 1, weights, keys, dy, D, add, dv, stride);
        peer_gemm(false, true, rows, keys, d, 1, dy, D, head.v, stride, 0, dweights, keys);
        scores_gradient(dweights, weights, dy, y, &head, rows, keys, D);
        peer_gemm(false, false, rows, d, keys, 1, dweights, keys, head.k, stride, 0,
                  dq + first * stride, stride);
        peer_gemm(true, false, keys, d, rows, 1, dweights, keys, head.q + first * stride, stride,
                  add, dk, stride);
    }
    for (int64_t t = 0; t < S; t++) {
        rotate(dq + t * stride, a->rotation + t * d, d, -1);
        rotate(dk + t * stride, a->rotation + t * d, d, -1);
    }
}

void lm_attention_backward(const struct peer_ctx *ctx, float *dqkv, const float *dy, const float *y,
                           const float *qkv, const struct lm_attention *attention, int64_t B,
                           int64_t S)
{
    struct job job = {.attention = attention,
                      .kernels = peer_kernels(ctx),
                      .rotated = qkv,
                      .result = y,
                      .dqkv = dqkv,
                      .dy = dy,
                      .B = B,
                      .S = S};
    peer_parallel(ctx, B * attention->heads, backward_tile, &job);
}
