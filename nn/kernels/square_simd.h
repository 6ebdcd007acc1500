/* SPDX-License-Identifier: MIT */
/* Internal. For sources *_simd.c: VEC x VEC values turned round in registers. */
#ifndef PEER_NN_SQUARE_SIMD_H
#define PEER_NN_SQUARE_SIMD_H

#include "nn/kernels/simd.h"

#if defined(__AVX512F__)

static inline vec values_low(vec a, vec b)
{
    return _mm512_unpacklo_ps(a, b);
}

static inline vec values_high(vec a, vec b)
{
    return _mm512_unpackhi_ps(a, b);
}

static inline vec pairs_low(vec a, vec b)
{
    return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}

static inline vec pairs_high(vec a, vec b)
{
    return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}

/* x[c + 4 q] = the quarters q of a[c], a[c + 4], a[c + 8], a[c + 12]. */
static inline __attribute__((always_inline)) void join_quarters(vec *x, const vec *a, int c)
{
    vec low = _mm512_shuffle_f32x4(a[c], a[c + 4], 0x44);
    vec high = _mm512_shuffle_f32x4(a[c], a[c + 4], 0xee);
    vec low2 = _mm512_shuffle_f32x4(a[c + 8], a[c + 12], 0x44);
    vec high2 = _mm512_shuffle_f32x4(a[c + 8], a[c + 12], 0xee);
    x[c] = _mm512_shuffle_f32x4(low, low2, 0x88);
    x[c + 4] = _mm512_shuffle_f32x4(low, low2, 0xdd);
    x[c + 8] = _mm512_shuffle_f32x4(high, high2, 0x88);
    x[c + 12] = _mm512_shuffle_f32x4(high, high2, 0xdd);
}

#else

static inline vec values_low(vec a, vec b)
{
    return _mm256_unpacklo_ps(a, b);
}

static inline vec values_high(vec a, vec b)
{
    return _mm256_unpackhi_ps(a, b);
}

static inline vec pairs_low(vec a, vec b)
{
    return _mm256_castpd_ps(_mm256_unpacklo_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)));
}

static inline vec pairs_high(vec a, vec b)
{
    return _mm256_castpd_ps(_mm256_unpackhi_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)));
}

static inline __attribute__((always_inline)) void join_quarters(vec *x, const vec *a, int c)
{
    x[c] = _mm256_permute2f128_ps(a[c], a[c + 4], 0x20);
    x[c + 4] = _mm256_permute2f128_ps(a[c], a[c + 4], 0x31);
}

#endif

/* x[i] lane j becomes x[j] lane i: within runs of four lanes ("quarters") first, then the runs. */
static inline __attribute__((always_inline)) void vec_square(vec *x)
{
    vec a[VEC], b[VEC];
#pragma GCC unroll 8
    for (int i = 0; i < VEC; i += 2) {
        b[i] = values_low(x[i], x[i + 1]);
        b[i + 1] = values_high(x[i], x[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < VEC; i += 4) { /* a[i + c]: column c of each quarter, of rows i ... i+3 */
        a[i] = pairs_low(b[i], b[i + 2]);
        a[i + 1] = pairs_high(b[i], b[i + 2]);
        a[i + 2] = pairs_low(b[i + 1], b[i + 3]);
        a[i + 3] = pairs_high(b[i + 1], b[i + 3]);
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++)
        join_quarters(x, a, c);
}

#endif
