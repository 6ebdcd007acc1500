/* SPDX-License-Identifier: MIT */
/* Internal. Sources *_simd.c are compiled once per instruction set above the plain one, with its
 * flags; this header gives them the vector type, what they do with it, and the suffix. Loads and
 * stores need no alignment. */
#ifndef PEER_NN_SIMD_H
#define PEER_NN_SIMD_H

#include <immintrin.h>
#include <stdint.h>

#include "nn/kernels/kernels.h"

#if defined(__AVX512F__)

#define ISA(name) name##_avx512
typedef __m512 vec;
typedef __m512i ivec;
enum { VEC = 16 };

static inline vec vec_set(float x)
{
    return _mm512_set1_ps(x);
}

static inline vec vec_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

/* The first 0 <= n < VEC values, then zeros; memory past them is not touched. */
static inline vec vec_load_first(const float *p, int64_t n)
{
    return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}

static inline void vec_store(float *p, vec x)
{
    _mm512_storeu_ps(p, x);
}

/* Past the caches; p is aligned to a whole vector. */
static inline void vec_stream(float *p, vec x)
{
    _mm512_stream_ps(p, x);
}

static inline void vec_store_first(float *p, vec x, int64_t n)
{
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), x);
}

static inline vec vec_add(vec a, vec b)
{
    return _mm512_add_ps(a, b);
}

static inline vec vec_sub(vec a, vec b)
{
    return _mm512_sub_ps(a, b);
}

static inline vec vec_mul(vec a, vec b)
{
    return _mm512_mul_ps(a, b);
}

static inline vec vec_fma(vec a, vec b, vec c)
{
    return _mm512_fmadd_ps(a, b, c);
}

static inline float vec_sum(vec x)
{
    return _mm512_reduce_add_ps(x);
}

/* p 2^n for integers -150 <= n <= 0 and 0.5 <= p <= 2, rounded once. */
static inline vec vec_times_power(vec p, vec n)
{
    return _mm512_scalef_ps(p, n);
}

/* The larger of each pair; b where a or b is NaN. */
static inline vec vec_max(vec a, vec b)
{
    return _mm512_max_ps(a, b);
}

static inline float vec_largest(vec x)
{
    return _mm512_reduce_max_ps(x);
}

static inline vec vec_min(vec a, vec b)
{
    return _mm512_min_ps(a, b);
}

static inline ivec ivec_zero(void)
{
    return _mm512_setzero_si512();
}

/* count + 1 in the lanes where a > b. */
static inline ivec ivec_count_gt(ivec count, vec a, vec b)
{
    __mmask16 more = _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ);
    return _mm512_mask_add_epi32(count, more, count, _mm512_set1_epi32(1));
}

static inline void ivec_store(int32_t *p, ivec x)
{
    _mm512_storeu_si512(p, x);
}

/* Writes first + lane to out for each lane with x >= least, in order; NaN is not. Returns how
 * many. Writes VEC values in all. */
static inline int64_t vec_append_ge(int32_t *out, vec x, vec least, int32_t first)
{
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __mmask16 mask = _mm512_cmp_ps_mask(x, least, _CMP_GE_OQ);
    __m512i ids = _mm512_add_epi32(lanes, _mm512_set1_epi32(first));
    _mm512_storeu_si512(out, _mm512_maskz_compress_epi32(mask, ids));
    return __builtin_popcount(mask);
}

/* Words of 32 bits in lanes of 64. */
typedef __m512i words;
enum { WORDS = 8 };

static inline words words_set(uint32_t x)
{
    return _mm512_set1_epi64(x);
}

static inline words words_load(const uint64_t *p)
{
    return _mm512_loadu_si512((const __m512i *)p);
}

/* The lanes' lower halves. */
static inline void words_store_low(uint32_t *p, words x)
{
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtepi64_epi32(x));
}

/* Products of the lanes' lower halves, 64 bits wide. */
static inline words words_mul(words a, words b)
{
    return _mm512_mul_epu32(a, b);
}

static inline words words_high(words x)
{
    return _mm512_srli_epi64(x, 32);
}

static inline words words_xor(words a, words b)
{
    return _mm512_xor_si512(a, b);
}

#else

#define ISA(name) name##_avx2
typedef __m256 vec;
typedef __m256i ivec;
enum { VEC = 8 };

static inline vec vec_set(float x)
{
    return _mm256_set1_ps(x);
}

static inline vec vec_load(const float *p)
{
    return _mm256_loadu_ps(p);
}

static inline __m256i vec_first(int64_t n)
{
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lanes);
}

static inline vec vec_load_first(const float *p, int64_t n)
{
    return _mm256_maskload_ps(p, vec_first(n));
}

static inline void vec_store(float *p, vec x)
{
    _mm256_storeu_ps(p, x);
}

static inline void vec_stream(float *p, vec x)
{
    _mm256_stream_ps(p, x);
}

static inline void vec_store_first(float *p, vec x, int64_t n)
{
    _mm256_maskstore_ps(p, vec_first(n), x);
}

static inline vec vec_add(vec a, vec b)
{
    return _mm256_add_ps(a, b);
}

static inline vec vec_sub(vec a, vec b)
{
    return _mm256_sub_ps(a, b);
}

static inline vec vec_mul(vec a, vec b)
{
    return _mm256_mul_ps(a, b);
}

static inline vec vec_fma(vec a, vec b, vec c)
{
    return _mm256_fmadd_ps(a, b, c);
}

static inline float vec_sum(vec x)
{
    __m128 sum = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}

/* In two factors, because 2^n may be no normal number. */
static inline vec vec_times_power(vec p, vec n)
{
    __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    __m256i bias = _mm256_set1_epi32(127), rest = _mm256_sub_epi32(whole, half);
    __m256i first = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
    __m256i second = _mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23);
    return vec_mul(vec_mul(p, _mm256_castsi256_ps(first)), _mm256_castsi256_ps(second));
}

static inline vec vec_max(vec a, vec b)
{
    return _mm256_max_ps(a, b);
}

static inline float vec_largest(vec x)
{
    __m128 most = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    most = _mm_max_ps(most, _mm_movehl_ps(most, most));
    return _mm_cvtss_f32(_mm_max_ss(most, _mm_movehdup_ps(most)));
}

static inline vec vec_min(vec a, vec b)
{
    return _mm256_min_ps(a, b);
}

static inline ivec ivec_zero(void)
{
    return _mm256_setzero_si256();
}

static inline ivec ivec_count_gt(ivec count, vec a, vec b)
{
    return _mm256_sub_epi32(count, _mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_GT_OQ)));
}

static inline void ivec_store(int32_t *p, ivec x)
{
    _mm256_storeu_si256((__m256i *)p, x);
}

static inline int64_t vec_append_ge(int32_t *out, vec x, vec least, int32_t first)
{
    unsigned mask = (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(x, least, _CMP_GE_OQ));
    int64_t count = 0;
    for (; mask; mask &= mask - 1)
        out[count++] = first + __builtin_ctz(mask);
    return count;
}

/* Words of 32 bits in lanes of 64. */
typedef __m256i words;
enum { WORDS = 4 };

static inline words words_set(uint32_t x)
{
    return _mm256_set1_epi64x(x);
}

static inline words words_load(const uint64_t *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

static inline void words_store_low(uint32_t *p, words x)
{
    const __m256i even = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
    _mm_storeu_si128((__m128i *)p, _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(x, even)));
}

/* Products of the lanes' lower halves, 64 bits wide. */
static inline words words_mul(words a, words b)
{
    return _mm256_mul_epu32(a, b);
}

static inline words words_high(words x)
{
    return _mm256_srli_epi64(x, 32);
}

static inline words words_xor(words a, words b)
{
    return _mm256_xor_si256(a, b);
}

#endif

#define PEER_KERNEL_ISA(name, arguments) peer_##name##_fn ISA(peer_##name);
PEER_KERNELS(PEER_KERNEL_ISA)
#undef PEER_KERNEL_ISA

#endif
