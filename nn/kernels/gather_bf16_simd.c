/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "nn/kernels/simd.h"

#define VALUE uint16_t
#define GATHER(name) ISA(name##_bf16)

#if defined(__AVX512F__)

static inline vec widen(__m256i x)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}

static inline vec row_load(const uint16_t *p)
{
    return widen(_mm256_loadu_si256((const __m256i *)p));
}

static inline vec row_load_first(const uint16_t *p, int64_t n)
{
    return widen(_mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1), p));
}

#else

static inline vec widen(__m128i x)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
}

static inline vec row_load(const uint16_t *p)
{
    return widen(_mm_loadu_si128((const __m128i *)p));
}

/* AVX2 has no masked load of 16 bits. */
static inline vec row_load_first(const uint16_t *p, int64_t n)
{
    uint16_t first[VEC] = {0};
    memcpy(first, p, (size_t)n * sizeof *p);
    return row_load(first);
}

#endif

#include "nn/kernels/gather_simd.h"
