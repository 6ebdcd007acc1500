/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "nn/kernels/simd.h"

#define VALUE int8_t
#define GATHER(name) ISA(name##_int8)

#if defined(__AVX512F__)

static inline vec row_load(const int8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}

static inline vec row_load_first(const int8_t *p, int64_t n)
{
    __m128i x = _mm_maskz_loadu_epi8((__mmask16)((1u << n) - 1), p);
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(x));
}

#else

static inline vec row_load(const int8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}

/* AVX2 has no masked load of 8 bits. */
static inline vec row_load_first(const int8_t *p, int64_t n)
{
    int8_t first[VEC] = {0};
    memcpy(first, p, (size_t)n);
    return row_load(first);
}

#endif

#include "nn/kernels/gather_simd.h"
