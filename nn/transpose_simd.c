/* SPDX-License-Identifier: MIT */
#include "nn/simd.h"

#if defined(__AVX512F__)

static inline __m512 pairs_low(__m512 a, __m512 b)
{
    return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}

static inline __m512 pairs_high(__m512 a, __m512 b)
{
    return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}

/* VEC x VEC values: within quarters of registers first, then the quarters. */
static inline __attribute__((always_inline)) void square(float *to, int64_t ldto, const float *from,
                                                         int64_t ldfrom)
{
    __m512 a[VEC], b[VEC];
#pragma GCC unroll 16
    for (int i = 0; i < VEC; i++)
        a[i] = _mm512_loadu_ps(from + i * ldfrom);
#pragma GCC unroll 8
    for (int i = 0; i < VEC; i += 2) {
        b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < VEC; i += 4) { /* a[i + c]: column c of each quarter, of rows i ... i+3 */
        a[i] = pairs_low(b[i], b[i + 2]);
        a[i + 1] = pairs_high(b[i], b[i + 2]);
        a[i + 2] = pairs_low(b[i + 1], b[i + 3]);
        a[i + 3] = pairs_high(b[i + 1], b[i + 3]);
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) { /* columns c, c + 4, c + 8, c + 12 */
        __m512 low = _mm512_shuffle_f32x4(a[c], a[c + 4], 0x44);
        __m512 high = _mm512_shuffle_f32x4(a[c], a[c + 4], 0xee);
        __m512 low2 = _mm512_shuffle_f32x4(a[c + 8], a[c + 12], 0x44);
        __m512 high2 = _mm512_shuffle_f32x4(a[c + 8], a[c + 12], 0xee);
        _mm512_storeu_ps(to + c * ldto, _mm512_shuffle_f32x4(low, low2, 0x88));
        _mm512_storeu_ps(to + (c + 4) * ldto, _mm512_shuffle_f32x4(low, low2, 0xdd));
        _mm512_storeu_ps(to + (c + 8) * ldto, _mm512_shuffle_f32x4(high, high2, 0x88));
        _mm512_storeu_ps(to + (c + 12) * ldto, _mm512_shuffle_f32x4(high, high2, 0xdd));
    }
}

#else

static inline __m256 pairs_low(__m256 a, __m256 b)
{
    return _mm256_castpd_ps(_mm256_unpacklo_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)));
}

static inline __m256 pairs_high(__m256 a, __m256 b)
{
    return _mm256_castpd_ps(_mm256_unpackhi_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)));
}

static inline __attribute__((always_inline)) void square(float *to, int64_t ldto, const float *from,
                                                         int64_t ldfrom)
{
    __m256 a[VEC], b[VEC];
#pragma GCC unroll 8
    for (int i = 0; i < VEC; i++)
        a[i] = _mm256_loadu_ps(from + i * ldfrom);
#pragma GCC unroll 4
    for (int i = 0; i < VEC; i += 2) {
        b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < VEC; i += 4) {
        a[i] = pairs_low(b[i], b[i + 2]);
        a[i + 1] = pairs_high(b[i], b[i + 2]);
        a[i + 2] = pairs_low(b[i + 1], b[i + 3]);
        a[i + 3] = pairs_high(b[i + 1], b[i + 3]);
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        _mm256_storeu_ps(to + c * ldto, _mm256_permute2f128_ps(a[c], a[c + 4], 0x20));
        _mm256_storeu_ps(to + (c + 4) * ldto, _mm256_permute2f128_ps(a[c], a[c + 4], 0x31));
    }
}

#endif

static void plainly(float *to, int64_t ldto, const float *from, int64_t ldfrom, int64_t rows,
                    int64_t columns)
{
    for (int64_t j = 0; j < columns; j++)
        for (int64_t i = 0; i < rows; i++)
            to[j * ldto + i] = from[i * ldfrom + j];
}

void ISA(peer_transpose)(float *to, int64_t ldto, const float *from, int64_t ldfrom, int64_t rows,
                         int64_t columns)
{
    int64_t i = 0, whole = columns / VEC * VEC;
    for (; i + VEC <= rows; i += VEC) {
        for (int64_t j = 0; j < whole; j += VEC)
            square(to + j * ldto + i, ldto, from + i * ldfrom + j, ldfrom);
        plainly(to + whole * ldto + i, ldto, from + i * ldfrom + whole, ldfrom, VEC,
                columns - whole);
    }
    plainly(to + i, ldto, from + i * ldfrom, ldfrom, rows - i, columns);
}
