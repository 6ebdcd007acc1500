/* SPDX-License-Identifier: MIT */
/* Plain loops over branch-free functions, which the compiler turns into vector code. */
#include <math.h>

#include "nn/simd.h"
#include "nn/vecmath.h"

/* Beyond this, tails of the normal distribution are 0 in float; infinities are brought here so
 * that no infinity meets a zero. */
static const float TAIL = 15;

static inline float clamp(float x, float most)
{
    float low = x < -most ? -most : x;
    return low > most ? most : low;
}

static inline float gelu(float x)
{
    return (x < -TAIL ? -TAIL : x) * vecmath_normal_cdf(x);
}

static inline float gelu_slope(float x)
{
    float z = clamp(x, TAIL), size = fabsf(z), bell = vecmath_bell(size);
    float tail = vecmath_normal_tail(size, bell);
    return fmaf(z * 0.398942280f, bell, z < 0 ? tail : 1 - tail);
}

/* gelu_tanh = x (1 + tanh(u)) / 2 = x sigmoid(2u); this is 2u. */
static inline float tanh_argument(float x)
{
    return x * fmaf(0.0713548163f, x * x, 1.59576912f);
}

/* From -TAIL down both terms are 0 in float: sigmoid(2u) < exp(-264). */
static inline float gelu_tanh(float x)
{
    return (x < -TAIL ? -TAIL : x) * vecmath_sigmoid(tanh_argument(x));
}

static inline float gelu_tanh_slope(float x)
{
    float z = clamp(x, TAIL), s = vecmath_sigmoid(tanh_argument(z));
    return fmaf(z * s * (1 - s), fmaf(0.214064449f, z * z, 1.59576912f), s);
}

static inline float relu(float x)
{
    return x <= 0 ? 0 : x;
}

static inline float relu_slope(float x)
{
    float below = x <= 0 ? 0 : x;
    return x > 0 ? 1 : below;
}

/* The logistic function is 0 in float from -104 down. */
static inline float silu(float x)
{
    return (x < -104 ? -104 : x) * vecmath_sigmoid(x);
}

static inline float silu_slope(float x)
{
    float z = clamp(x, 104), s = vecmath_sigmoid(z);
    return fmaf(z * s, 1 - s, s);
}

static inline float identity(float x)
{
    return x;
}

static inline float identity_slope(float x)
{
    (void)x;
    return 1;
}

/* y may be x: each value depends on its own only, which is what the pragma says. */
#define MAP(function)                                                                              \
    do {                                                                                           \
        _Pragma("omp simd") for (int64_t i = 0; i < n; i++) y[i] = function(x[i]);                 \
    } while (0)

#define MAP_BY_ACT(suffix)                                                                         \
    switch (act) {                                                                                 \
    case PEER_ACT_GELU:                                                                            \
        MAP(gelu##suffix);                                                                         \
        break;                                                                                     \
    case PEER_ACT_GELU_TANH:                                                                       \
        MAP(gelu_tanh##suffix);                                                                    \
        break;                                                                                     \
    case PEER_ACT_RELU:                                                                            \
        MAP(relu##suffix);                                                                         \
        break;                                                                                     \
    case PEER_ACT_SILU:                                                                            \
        MAP(silu##suffix);                                                                         \
        break;                                                                                     \
    default:                                                                                       \
        MAP(identity##suffix);                                                                     \
    }

void ISA(peer_act_forward)(float *y, const float *x, int64_t n, enum peer_act act)
{
    MAP_BY_ACT()
}

void ISA(peer_act_slope)(float *y, const float *x, int64_t n, enum peer_act act)
{
    MAP_BY_ACT(_slope)
}

/* NaN is passed over. */
static float largest_of(const float *x, int64_t n)
{
    float most[VEC], largest = -INFINITY;
    vec lanes = vec_set(-INFINITY);
    int64_t i = 0;
    for (; i + VEC <= n; i += VEC)
        lanes = vec_max(vec_load(x + i), lanes);
    vec_store(most, lanes);
    for (int l = 0; l < VEC; l++)
        largest = most[l] > largest ? most[l] : largest;
    for (; i < n; i++)
        largest = x[i] > largest ? x[i] : largest;
    return largest;
}

/* Largest values to 0; all -infinity stays as it is. */
static void shift_row(float *x, int64_t n)
{
    float largest = largest_of(x, n);
    largest = largest == -INFINITY ? 0 : largest;
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        x[i] -= largest;
}

static void scale_row(float *x, int64_t n)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += x[i];
    float scale = sum == 0 ? 0 : 1 / sum;
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        x[i] *= scale;
}

/* Rows are taken in blocks that stay in cache, so that exp runs over full vectors however short a
 * row is. */
void ISA(peer_softmax)(float *x, int64_t rows, int64_t n)
{
    const int64_t most = n < 4096 ? 4096 / n : 1;
    for (int64_t row = 0; row < rows; row += most) {
        float *block = x + row * n;
        int64_t count = rows - row < most ? rows - row : most;
        for (int64_t r = 0; r < count; r++)
            shift_row(block + r * n, n);
#pragma omp simd
        for (int64_t i = 0; i < count * n; i++)
            block[i] = vecmath_exp(block[i]);
        for (int64_t r = 0; r < count; r++)
            scale_row(block + r * n, n);
    }
}
