/* SPDX-License-Identifier: MIT */
#include "lm/attention_ref.h"

#include <math.h>
#include <string.h>
#include <tgmath.h>

#include "nn/cost.h"
#include "nn/kernels/kernels_ref.h"

/* Turns q and k of all tokens by sign * their positions' angles. */
static void rotate(real *qkv, int64_t B, int64_t S, int64_t D, int64_t heads, real sign)
{
    int64_t d = D / heads;
    for (int64_t t = 0; t < B * S; t++)
        for (int64_t i = 0; i < 2 * D; i += 2) {
            real *pair = qkv + t * 3 * D + i, a = pair[0], b = pair[1];
            real angle = sign * (real)(t % S) * pow((real)10000, -(real)(i % d) / (real)d);
            pair[0] = a * cos(angle) - b * sin(angle);
            pair[1] = a * sin(angle) + b * cos(angle);
        }
}

static real dot(const real *a, const real *b, int64_t d)
{
    real sum = 0;
    for (int64_t i = 0; i < d; i++)
        sum += a[i] * b[i];
    COUNT(PEER_PART_ATTENTION, 2 * d);
    return sum;
}

static void axpy(real *y, real a, const real *x, int64_t d)
{
    for (int64_t i = 0; i < d; i++)
        y[i] += a * x[i];
    COUNT(PEER_PART_ATTENTION, 2 * d);
}

void REF(lm_attention_forward)(real *y, real *weights, real *qkv, int64_t B, int64_t S, int64_t D,
                               int64_t heads)
{
    int64_t d = D / heads;
    rotate(qkv, B, S, D, heads, 1);
    memset(y, 0, (size_t)(B * S * D) * sizeof *y);
    memset(weights, 0, (size_t)(B * heads * S * S) * sizeof *weights);
    for (int64_t b = 0; b < B; b++)
        for (int64_t h = 0; h < heads; h++)
            for (int64_t t = 0; t < S; t++) {
                const real *q = qkv + (b * S + t) * 3 * D + h * d;
                real *w = weights + ((b * heads + h) * S + t) * S;
                for (int64_t u = 0; u <= t; u++)
                    w[u] = dot(q, qkv + (b * S + u) * 3 * D + D + h * d, d) / sqrt((real)d);
                REF(peer_softmax)(w, 1, t + 1);
                for (int64_t u = 0; u <= t; u++)
                    axpy(y + (b * S + t) * D + h * d, w[u],
                         qkv + (b * S + u) * 3 * D + 2 * D + h * d, d);
            }
}

/* Of one query: adds to dq, and to the gradients of the keys and values 0 ... t. Arrays of keys
 * and values start at key 0 of their sequence and head; dv = dk + D. */
static void query_backward(real *dq, real *dk, const real *dy, const real *weights, const real *q,
                           const real *k, int64_t t, int64_t D, int64_t d)
{
    real mean = 0;
    for (int64_t u = 0; u <= t; u++)
        for (int64_t i = 0; i < d; i++)
            mean += weights[u] * dy[i] * k[u * 3 * D + D + i];
    for (int64_t u = 0; u <= t; u++) {
        real dweight = dot(dy, k + u * 3 * D + D, d);
        real dscore = weights[u] * (dweight - mean) / sqrt((real)d);
        axpy(dk + u * 3 * D + D, weights[u], dy, d);
        axpy(dq, dscore, k + u * 3 * D, d);
        axpy(dk + u * 3 * D, dscore, q, d);
    }
}

void REF(lm_attention_backward)(real *dqkv, const real *dy, const real *weights, const real *qkv,
                                int64_t B, int64_t S, int64_t D, int64_t heads)
{
    int64_t d = D / heads;
    memset(dqkv, 0, (size_t)(B * S * 3 * D) * sizeof *dqkv);
    for (int64_t b = 0; b < B; b++)
        for (int64_t h = 0; h < heads; h++)
            for (int64_t t = 0; t < S; t++) {
                int64_t first = b * S * 3 * D + h * d, at = first + t * 3 * D;
                query_backward(dqkv + at, dqkv + first + D, dy + (b * S + t) * D + h * d,
                               weights + ((b * heads + h) * S + t) * S, qkv + at, qkv + first + D,
                               t, D, d);
            }
    rotate(dqkv, B, S, D, heads, -1);
}
