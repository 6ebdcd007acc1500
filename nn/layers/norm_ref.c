/* SPDX-License-Identifier: MIT */
#include "nn/layers/norm_ref.h"

#include <float.h>
#include <math.h>
#include <tgmath.h>

/* NaN where the squares have overflowed; `variance` is their mean. */
static real inverse_deviation(real variance, real epsilon)
{
    return isfinite(variance) ? 1 / sqrt(variance + epsilon) : (real)NAN;
}

void REF(peer_rmsnorm_forward)(real *y, real *inv_rms, const real *x, const real *g, int64_t T,
                               int64_t D)
{
    for (int64_t t = 0; t < T; t++, x += D, y += D) {
        real squares = 0;
        for (int64_t i = 0; i < D; i++)
            squares += x[i] * x[i];
        inv_rms[t] = inverse_deviation(squares / D, (real)PEER_RMSNORM_EPSILON);
        for (int64_t i = 0; i < D; i++)
            y[i] = g[i] * x[i] * inv_rms[t];
    }
}

void REF(peer_rmsnorm_backward)(real *dx, real *dg, const real *dy, const real *x, const real *g,
                                const real *inv_rms, int64_t T, int64_t D)
{
    for (int64_t t = 0; t < T; t++, x += D, dx += D, dy += D) {
        real along = 0;
        for (int64_t i = 0; i < D; i++)
            along += dy[i] * g[i] * x[i] * inv_rms[t];
        for (int64_t i = 0; i < D; i++) {
            real unit = x[i] * inv_rms[t];
            dx[i] += inv_rms[t] * (dy[i] * g[i] - unit * along / D);
            dg[i] += dy[i] * unit;
        }
    }
}

static bool counts(const uint8_t *mask, int64_t t)
{
    return !mask || mask[t];
}

static int64_t count_tokens(const uint8_t *mask, int64_t T)
{
    int64_t count = 0;
    for (int64_t t = 0; t < T; t++)
        count += counts(mask, t);
    return count;
}

/* Moves running statistics towards a batch's: none that is not finite, and no further than 2^10
 * running deviations. Those that are not finite themselves are replaced. */
static void learn(const struct REF(peer_query_norm) * norm, int64_t f, real mean, real variance,
                  bool has_variance)
{
    real *run_mean = norm->run_mean + f, *run_var = norm->run_var + f;
    if (!isfinite(mean) || (has_variance && !isfinite(variance)))
        return;
    real reach = (real)(1 << 10) * sqrt(*run_var + norm->epsilon);
    bool whole = isfinite(reach);
    real shift = mean - *run_mean;
    if (whole && fabs(shift) > reach)
        shift = copysign(reach, shift);
    if (whole && variance > reach * reach)
        variance = reach * reach;
    *run_mean = isfinite(*run_mean) ? *run_mean + norm->momentum * shift : mean;
    if (has_variance)
        *run_var =
            isfinite(*run_var) ? *run_var + norm->momentum * (variance - *run_var) : variance;
}

/* Mean and variance of the unmasked tokens, per feature. */
static void batch_statistics(const struct REF(peer_query_norm) * norm, const real *x,
                             const uint8_t *mask, int64_t T, int64_t count)
{
    int64_t GK = norm->groups * norm->width;
    for (int64_t f = 0; f < GK; f++) {
        real mean = 0, squares = 0;
        for (int64_t t = 0; t < T; t++)
            mean += counts(mask, t) ? x[t * GK + f] / count : 0;
        for (int64_t t = 0; t < T; t++)
            squares += counts(mask, t) ? (x[t * GK + f] - mean) * (x[t * GK + f] - mean) : 0;
        norm->mean[f] = mean;
        norm->inv_dev[f] = inverse_deviation(squares / count, norm->epsilon);
        if (norm->run_mean && norm->run_var)
            learn(norm, f, mean, count > 1 ? squares / (count - 1) : 0, count > 1);
    }
}

static void batch_forward(real *y, const struct REF(peer_query_norm) * norm, const real *x,
                          const uint8_t *mask, int64_t T, bool train)
{
    int64_t GK = norm->groups * norm->width, count = count_tokens(mask, T);
    if (train && count > 0 && !norm->frozen)
        batch_statistics(norm, x, mask, T, count);
    else
        for (int64_t f = 0; f < GK; f++) {
            norm->mean[f] = norm->run_mean[f];
            norm->inv_dev[f] = inverse_deviation(norm->run_var[f], norm->epsilon);
        }
    for (int64_t t = 0; t < T; t++)
        for (int64_t f = 0; f < GK; f++)
            y[t * GK + f] =
                norm->gain[f] * (x[t * GK + f] - norm->mean[f]) * norm->inv_dev[f] + norm->bias[f];
}

void REF(peer_query_norm_forward)(real *y, const struct REF(peer_query_norm) * norm, const real *x,
                                  const uint8_t *mask, int64_t T, bool train)
{
    int64_t G = norm->groups, K = norm->width;
    if (norm->kind == PEER_NORM_BATCH) {
        batch_forward(y, norm, x, mask, T, train);
        return;
    }
    if (norm->kind == PEER_NORM_NONE) {
        for (int64_t i = 0; i < T * G * K; i++)
            y[i] = x[i];
        return;
    }
    bool layer = norm->kind == PEER_NORM_LAYER;
    for (int64_t row = 0; row < T * G; row++, x += K, y += K) {
        const real *gain = norm->gain + row % G * K;
        const real *bias = layer ? norm->bias + row % G * K : NULL;
        real mean = 0, squares = 0;
        for (int64_t i = 0; i < K && layer; i++)
            mean += x[i] / K;
        for (int64_t i = 0; i < K; i++)
            squares += (x[i] - mean) * (x[i] - mean);
        real inv_dev = inverse_deviation(squares / K, norm->epsilon);
        for (int64_t i = 0; i < K; i++)
            y[i] = gain[i] * (x[i] - mean) * inv_dev + (layer ? bias[i] : 0);
        norm->inv_dev[row] = inv_dev;
        if (layer)
            norm->mean[row] = mean;
    }
}

static void batch_backward(real *dx, const struct REF(peer_query_norm) * norm, const real *dy,
                           const real *x, const uint8_t *mask, int64_t T)
{
    int64_t GK = norm->groups * norm->width, count = count_tokens(mask, T);
    real follow = norm->frozen ? 0 : 1; /* the statistics follow x */
    for (int64_t f = 0; f < GK; f++) {
        real sum = 0, along = 0;
        for (int64_t t = 0; t < T; t++)
            if (counts(mask, t)) {
                sum += dy[t * GK + f];
                along += dy[t * GK + f] * (x[t * GK + f] - norm->mean[f]) * norm->inv_dev[f];
            }
        for (int64_t t = 0; t < T; t++) {
            real unit = (x[t * GK + f] - norm->mean[f]) * norm->inv_dev[f];
            dx[t * GK + f] = counts(mask, t)
                                 ? norm->gain[f] * norm->inv_dev[f] *
                                       (dy[t * GK + f] - follow * (sum + unit * along) / count)
                                 : 0;
        }
        norm->dbias[f] += sum;
        norm->dgain[f] += along;
    }
}

/* Layer and rms: one token's group. */
static void group_backward(real *dx, const struct REF(peer_query_norm) * norm, const real *dy,
                           const real *x, int64_t row)
{
    int64_t K = norm->width, first = row % norm->groups * K;
    const real *gain = norm->gain + first;
    bool layer = norm->kind == PEER_NORM_LAYER;
    real mean = layer ? norm->mean[row] : 0, inv_dev = norm->inv_dev[row], sum = 0, along = 0;
    for (int64_t i = 0; i < K; i++) {
        sum += layer ? dy[i] * gain[i] : 0;
        along += dy[i] * gain[i] * (x[i] - mean) * inv_dev;
    }
    for (int64_t i = 0; i < K; i++) {
        real unit = (x[i] - mean) * inv_dev;
        dx[i] = inv_dev * (dy[i] * gain[i] - sum / K - unit * along / K);
        norm->dgain[first + i] += dy[i] * unit;
        if (layer)
            norm->dbias[first + i] += dy[i];
    }
}

void REF(peer_query_norm_backward)(real *dx, const struct REF(peer_query_norm) * norm,
                                   const real *dy, const real *x, const uint8_t *mask, int64_t T)
{
    int64_t G = norm->groups, K = norm->width;
    if (norm->kind == PEER_NORM_BATCH) {
        batch_backward(dx, norm, dy, x, mask, T);
        return;
    }
    for (int64_t row = 0; row < T * G; row++, dx += K, dy += K, x += K)
        if (!counts(mask, row / G))
            for (int64_t i = 0; i < K; i++)
                dx[i] = 0;
        else if (norm->kind == PEER_NORM_NONE)
            for (int64_t i = 0; i < K; i++)
                dx[i] = dy[i];
        else
            group_backward(dx, norm, dy, x, row);
}
