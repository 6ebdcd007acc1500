/* SPDX-License-Identifier: MIT */
#include "lm/attention.h"

#include <math.h>
#include <string.h>

#include "nn/kernels/kernels.h"
#include "nn/parallel.h"
#include "nn/products/linear.h"

/* Queries of one block of scores, [QUERIES, keys up to its last query]: few, because half of them
 * squared is spent on keys after a query. Floats of a cache line. Tokens between a prefetch and its
 * use: hardware does not foresee rows 3 D apart. */
enum { QUERIES = 24, LINE = 16, AHEAD = 8 };

void lm_attention_rotations(float *rotation, int64_t length, int64_t head_width)
{
    for (int64_t t = 0; t < length; t++)
        for (int64_t i = 0; i < head_width / 2; i++) {
            double angle = (double)t * pow(10000, -2.0 * (double)i / (double)head_width);
            *rotation++ = (float)cos(angle);
            *rotation++ = (float)sin(angle);
        }
}

int64_t lm_attention_scratch(int64_t S, int64_t head_width)
{
    return (5 * S + QUERIES) * head_width + 2 * (head_width + QUERIES) * peer_row_stride(S);
}

struct job {
    const struct lm_attention *attention;
    const struct peer_kernels *kernels;
    float *y, *dqkv;
    const float *qkv, *dy;
    int64_t B, S;
};

/* One sequence and head, gathered in a thread's scratch. */
struct head {
    const struct peer_kernels *kernels;
    int64_t S, d, stride;
    float *q, *k, *v;                   /* [S, d]: q rotated, by 1 / sqrt(d); k rotated; v */
    float *dk, *dv;                     /* [S, d] */
    float *k_transposed, *v_transposed; /* [d, stride] */
    float *weights, *dweights;          /* [QUERIES, stride] */
    float *dy;                          /* [QUERIES, d] */
};

/* Turns the pairs of one head, and multiplies by `scale`; `sign` -1 turns back. */
static void rotate(float *restrict to, const float *restrict from, const float *restrict rotation,
                   int64_t d, float scale, float sign)
{
    for (int64_t i = 0; i < d; i += 2) {
        float a = from[i], b = from[i + 1], c = scale * rotation[i];
        float s = sign * scale * rotation[i + 1];
        to[i] = a * c - b * s;
        to[i + 1] = a * s + b * c;
    }
}

static float scale_of(const struct head *head)
{
    return 1 / sqrtf((float)head->d);
}

/* Head h of sequence b: tile b * heads + h. */
static struct head gather(const struct job *job, int64_t tile, int thread)
{
    const struct lm_attention *a = job->attention;
    int64_t D = a->width, S = job->S, d = D / a->heads, stride = peer_row_stride(S);
    float *scratch = a->scratch + thread * a->scratch_size;
    struct head head = {.kernels = job->kernels, .S = S, .d = d, .stride = stride};
    float **const arrays[] = {&head.q,
                              &head.k,
                              &head.v,
                              &head.dk,
                              &head.dv,
                              &head.k_transposed,
                              &head.v_transposed,
                              &head.weights,
                              &head.dweights};
    for (int i = 0; i < 9; i++) {
        *arrays[i] = scratch;
        scratch += i < 5 ? S * d : i < 7 ? d * stride : QUERIES * stride;
    }
    head.dy = scratch;
    const float *qkv = job->qkv + tile / a->heads * S * 3 * D + tile % a->heads * d;
    for (int64_t t = 0; t < S; t++) {
        const float *from = qkv + t * 3 * D;
        for (int64_t i = 0; t + AHEAD < S && i < d; i += LINE)
            for (int part = 0; part < 3; part++)
                __builtin_prefetch(from + AHEAD * 3 * D + part * D + i);
        rotate(head.q + t * d, from, a->rotation + t * d, d, scale_of(&head), 1);
        rotate(head.k + t * d, from + D, a->rotation + t * d, d, 1, 1);
        memcpy(head.v + t * d, from + 2 * D, (size_t)d * sizeof(float));
    }
    head.kernels->transpose(head.k_transposed, stride, head.k, d, S, d);
    return head;
}

/* Weights of queries first ... first+rows-1 over keys 0 ... first+rows-1; 0 for keys after a query.
 */
static void weigh(const struct head *head, int64_t first, int64_t rows)
{
    int64_t d = head->d, stride = head->stride, keys = first + rows;
    head->kernels->product(head->weights, stride, head->q + first * d, d, 1, head->k_transposed,
                           stride, rows, keys, d, false);
    for (int64_t i = 0; i < rows; i++) {
        float *row = head->weights + i * stride;
        int64_t n = first + i + 1;
        head->kernels->softmax(row, 1, n);
        memset(row + n, 0, (size_t)(keys - n) * sizeof *row);
    }
}

static void forward_tile(void *arg, int64_t tile, int thread)
{
    const struct job *job = arg;
    int64_t D = job->attention->width, heads = job->attention->heads, S = job->S;
    struct head head = gather(job, tile, thread);
    float *y = job->y + tile / heads * S * D + tile % heads * head.d;
    for (int64_t first = 0; first < S; first += QUERIES) {
        int64_t rows = peer_min(QUERIES, S - first);
        weigh(&head, first, rows);
        head.kernels->product(y + first * D, D, head.weights, head.stride, 1, head.v, head.d, rows,
                              head.d, first + rows, false);
    }
}

void lm_attention_forward(const struct peer_ctx *ctx, float *y, const float *qkv,
                          const struct lm_attention *attention, int64_t B, int64_t S)
{
    struct job job = {
        .attention = attention, .kernels = peer_kernels(ctx), .qkv = qkv, .y = y, .B = B, .S = S};
    peer_parallel(ctx, B * attention->heads, forward_tile, &job);
}

/* Gradients of a block of scores, in the place of dweights, from dy. */
static void scores_gradient(const struct head *head, int64_t first, int64_t rows)
{
    int64_t stride = head->stride, keys = first + rows;
    head->kernels->product(head->dweights, stride, head->dy, head->d, 1, head->v_transposed, stride,
                           rows, keys, head->d, false);
    for (int64_t i = 0; i < rows; i++) {
        float *row = head->dweights + i * stride;
        int64_t n = first + i + 1;
        head->kernels->softmax_backward(row, head->weights + i * stride, n);
        memset(row + n, 0, (size_t)(keys - n) * sizeof *row);
    }
}

/* Adds to dk and dv of the block's keys and puts dq in the place of q. The last block, which
 * reaches all keys, comes first and writes. */
static void block_backward(const struct head *head, int64_t first, int64_t rows)
{
    const struct peer_kernels *kernels = head->kernels;
    int64_t d = head->d, stride = head->stride, keys = first + rows;
    float *q = head->q + first * d;
    bool adds = keys < head->S;
    weigh(head, first, rows);
    scores_gradient(head, first, rows);
    kernels->product(head->dv, d, head->weights, 1, stride, head->dy, d, keys, d, rows, adds);
    kernels->product(head->dk, d, head->dweights, 1, stride, q, d, keys, d, rows, adds);
    kernels->product(q, d, head->dweights, stride, 1, head->k, d, rows, d, keys, false);
}

/* A whole sequence and head, so that the gradients of k and v have one writer. */
static void backward_tile(void *arg, int64_t tile, int thread)
{
    const struct job *job = arg;
    const struct lm_attention *a = job->attention;
    int64_t b = tile / a->heads, h = tile % a->heads, S = job->S, D = a->width;
    struct head head = gather(job, tile, thread);
    int64_t d = head.d;
    float *dqkv = job->dqkv + b * S * 3 * D + h * d;
    const float *dy = job->dy + b * S * D + h * d;
    head.kernels->transpose(head.v_transposed, head.stride, head.v, d, S, d);
    for (int64_t block = peer_tiles(S, QUERIES) - 1; block >= 0; block--) {
        int64_t first = block * QUERIES, rows = peer_min(QUERIES, S - first);
        for (int64_t i = 0; i < rows; i++)
            memcpy(head.dy + i * d, dy + (first + i) * D, (size_t)d * sizeof *dy);
        block_backward(&head, first, rows);
    }
    for (int64_t t = 0; t < S; t++) {
        float *to = dqkv + t * 3 * D;
        const float *rotation = a->rotation + t * d;
        rotate(to, head.q + t * d, rotation, d, scale_of(&head), -1);
        rotate(to + D, head.dk + t * d, rotation, d, 1, -1);
        memcpy(to + 2 * D, head.dv + t * d, (size_t)d * sizeof *to);
    }
}

void lm_attention_backward(const struct peer_ctx *ctx, float *dqkv, const float *dy,
                           const float *qkv, const struct lm_attention *attention, int64_t B,
                           int64_t S)
{
    struct job job = {.attention = attention,
                      .kernels = peer_kernels(ctx),
                      .qkv = qkv,
                      .dqkv = dqkv,
                      .dy = dy,
                      .B = B,
                      .S = S};
    peer_parallel(ctx, B * attention->heads, backward_tile, &job);
}
