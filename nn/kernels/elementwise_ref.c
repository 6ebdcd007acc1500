/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <tgmath.h>

#include "nn/kernels/kernels_ref.h"

/* Beyond +-LIMIT every activation and slope is its limit, in float and in double; infinities are
 * brought there so that no infinity meets a zero. */
static const real LIMIT = 1000;

static const real SQRT_HALF = (real)0.70710678118654752440;
static const real SQRT_2_OVER_PI = (real)0.79788456080286535588;
static const real CUBIC = (real)0.044715;

static real sigmoid(real x)
{
    real e = exp(x < 0 ? x : -x);
    return (x < 0 ? e : 1) / (1 + e);
}

/* gelu_tanh = x (1 + tanh(u)) / 2 = x sigmoid(2u), which keeps its relative accuracy for negative
 * x; this is 2u. */
static real tanh_argument(real x)
{
    return 2 * SQRT_2_OVER_PI * (x + CUBIC * x * x * x);
}

static real normal_cdf(real x)
{
    return erfc(-x * SQRT_HALF) / 2;
}

static real forward(real x, enum peer_act act)
{
    real low = x < -LIMIT ? -LIMIT : x;
    switch (act) {
    case PEER_ACT_GELU:
        return low * normal_cdf(x);
    case PEER_ACT_GELU_TANH:
        return low * sigmoid(tanh_argument(x));
    case PEER_ACT_RELU:
        return x <= 0 ? 0 : x;
    case PEER_ACT_SILU:
        return low * sigmoid(x);
    default:
        return x;
    }
}

static real slope_of(real x, enum peer_act act)
{
    real s, z = x < -LIMIT ? -LIMIT : x > LIMIT ? LIMIT : x;
    switch (act) {
    case PEER_ACT_GELU:
        return normal_cdf(z) + z * SQRT_2_OVER_PI / 2 * exp(-z * z / 2);
    case PEER_ACT_GELU_TANH:
        s = sigmoid(tanh_argument(z));
        return s + z * s * (1 - s) * 2 * SQRT_2_OVER_PI * (1 + 3 * CUBIC * z * z);
    case PEER_ACT_RELU:
        return z > 0 ? 1 : z <= 0 ? 0 : z;
    case PEER_ACT_SILU:
        s = sigmoid(z);
        return s + z * s * (1 - s);
    default:
        return 1;
    }
}

void REF(peer_act_forward)(real *y, const real *x, int64_t n, enum peer_act act)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = forward(x[i], act);
}

void REF(peer_act_slope)(real *slope, const real *x, int64_t n, enum peer_act act)
{
    for (int64_t i = 0; i < n; i++)
        slope[i] = slope_of(x[i], act);
}

static real largest_of(const real *x, int64_t n)
{
    real largest = -(real)INFINITY;
    for (int64_t i = 0; i < n; i++)
        largest = x[i] > largest ? x[i] : largest;
    return largest;
}

/* Values become exp(x - shift). Returns their sum. */
static real exp_row(real *x, real shift, int64_t n)
{
    real sum = 0;
    for (int64_t i = 0; i < n; i++) {
        x[i] = exp(x[i] - shift);
        sum += x[i];
    }
    return sum;
}

static void scale_row(real *x, real sum, int64_t n)
{
    real scale = sum == 0 ? 0 : 1 / sum;
    for (int64_t i = 0; i < n; i++)
        x[i] *= scale;
}

void REF(peer_softmax)(real *x, int64_t rows, int64_t n)
{
    for (int64_t row = 0; row < rows; row++, x += n) {
        real largest = largest_of(x, n);
        scale_row(x, exp_row(x, largest == -(real)INFINITY ? 0 : largest, n), n);
    }
}

void REF(peer_softmax_backward)(real *dx, const real *p, int64_t n)
{
    real mean = 0;
    for (int64_t i = 0; i < n; i++)
        mean += p[i] * dx[i];
    for (int64_t i = 0; i < n; i++)
        dx[i] = p[i] * (dx[i] - mean);
}

void REF(peer_cross_entropy)(real *x, real *loss, int64_t n, int64_t target, real scale)
{
    real largest = largest_of(x, n), wanted = x[target], sum = exp_row(x, largest, n);
    *loss = largest - wanted + log(sum);
    scale_row(x, sum / scale, n);
    x[target] -= scale;
}
