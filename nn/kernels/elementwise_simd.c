/* SPDX-License-Identifier: MIT */
/* Plain loops over branch-free functions, which the compiler turns into vector code; exponentials
 * of rows in vectors. */
#include <math.h>

#include "nn/kernels/simd.h"
#include "nn/kernels/vecmath.h"

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
    float largest = -INFINITY;
    if (n < VEC) {
        for (int64_t i = 0; i < n; i++)
            largest = x[i] > largest ? x[i] : largest;
        return largest;
    }
    vec even = vec_set(-INFINITY), odd = even;
    int64_t i = 0;
    for (; i + 2 * VEC <= n; i += 2 * VEC) {
        even = vec_max(vec_load(x + i), even);
        odd = vec_max(vec_load(x + i + VEC), odd);
    }
    if (i + VEC <= n)
        even = vec_max(vec_load(x + i), even);
    odd = vec_max(vec_load(x + n - VEC), odd); /* what is left, and some again */
    return vec_largest(vec_max(even, odd));
}

/* exp(x) for x <= 0, as vecmath_exp(), whose constants these are: compilers do not find the few
 * instructions that its bounds and powers of two come down to. NaN stays. */
static inline vec exp_vector(vec x)
{
    const vec round = vec_set(12582912);
    vec z = vec_max(vec_set(-104), x);
    vec n = vec_sub(vec_fma(z, vec_set(1.44269504f), round), round);
    vec r = vec_fma(n, vec_set(-1.42860682e-6f), vec_fma(n, vec_set(-0.693145752f), z));
    vec p = vec_fma(vec_set(0.00138131446f), r, vec_set(0.00836941883f));
    p = vec_fma(p, r, vec_set(0.0416684568f));
    p = vec_fma(p, r, vec_set(0.166665148f));
    p = vec_fma(p, r, vec_set(0.499999931f));
    p = vec_add(vec_fma(vec_mul(p, r), r, r), vec_set(1));
    return vec_times_power(p, n);
}

/* Values become exp(x - shift), shift the largest. Returns their sum. */
static float exp_row(float *x, float shift, int64_t n)
{
    const vec minus = vec_set(-shift);
    vec sums = vec_set(0);
    int64_t i = 0;
    for (; i + VEC <= n; i += VEC) {
        vec e = exp_vector(vec_add(vec_load(x + i), minus));
        vec_store(x + i, e);
        sums = vec_add(sums, e);
    }
    if (i < n) {
        vec e = exp_vector(vec_add(vec_load_first(x + i, n - i), minus));
        vec_store_first(x + i, e, n - i);
        sums = vec_add(sums, vec_load_first(x + i, n - i));
    }
    return vec_sum(sums);
}

static void scale_row(float *x, float sum, int64_t n)
{
    float scale = sum == 0 ? 0 : 1 / sum;
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        x[i] *= scale;
}

void ISA(peer_softmax)(float *x, int64_t rows, int64_t n)
{
    for (int64_t row = 0; row < rows; row++, x += n) {
        float largest = largest_of(x, n);
        scale_row(x, exp_row(x, largest == -INFINITY ? 0 : largest, n), n);
    }
}

void ISA(peer_softmax_backward)(float *dx, const float *p, int64_t n)
{
    vec sums = vec_set(0);
    int64_t i = 0;
    for (; i + VEC <= n; i += VEC)
        sums = vec_fma(vec_load(p + i), vec_load(dx + i), sums);
    sums = vec_fma(vec_load_first(p + i, n - i), vec_load_first(dx + i, n - i), sums);
    const vec mean = vec_set(vec_sum(sums));
    for (i = 0; i + VEC <= n; i += VEC)
        vec_store(dx + i, vec_mul(vec_load(p + i), vec_sub(vec_load(dx + i), mean)));
    vec last = vec_sub(vec_load_first(dx + i, n - i), mean);
    vec_store_first(dx + i, vec_mul(vec_load_first(p + i, n - i), last), n - i);
}

void ISA(peer_cross_entropy)(float *x, float *loss, int64_t n, int64_t target, float scale)
{
    float largest = largest_of(x, n), wanted = x[target], sum = exp_row(x, largest, n);
    *loss = largest - wanted + logf(sum);
    scale_row(x, sum / scale, n);
    x[target] -= scale;
}
