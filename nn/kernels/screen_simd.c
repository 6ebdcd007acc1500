/* SPDX-License-Identifier: MIT */
#include "nn/kernels/kernels_ref.h"
#include "nn/kernels/square_simd.h"

/* VEC rows at a time, their values turned round, so that each lane adds up one row. */
static void chain(float *out, const float *const *rows, const float *x, int64_t D)
{
    vec sum = vec_set(0);
    for (int64_t i = 0; i < D; i += VEC) {
        vec values[VEC];
        int64_t whole = D - i >= VEC;
#pragma GCC unroll 16
        for (int r = 0; r < VEC; r++)
            values[r] = whole ? vec_load(rows[r] + i) : vec_load_first(rows[r] + i, D - i);
        vec_square(values);
        if (whole) {
#pragma GCC unroll 16
            for (int r = 0; r < VEC; r++)
                sum = vec_fma(values[r], vec_set(x[i + r]), sum);
            continue;
        }
        float rest[VEC * VEC];
        for (int r = 0; r < VEC; r++)
            vec_store(rest + r * VEC, values[r]);
        for (int64_t r = 0; r < D - i; r++)
            sum = vec_fma(vec_load(rest + r * VEC), vec_set(x[i + r]), sum);
    }
    vec_store(out, sum);
}

void ISA(peer_rows_chain)(float *out, const float *table, int64_t stride, const int32_t *ids,
                          int64_t m, const float *x, int64_t D)
{
    for (int64_t j = 0; j < m; j += VEC) {
        const float *rows[VEC];
        float sums[VEC];
        int64_t n = m - j < VEC ? m - j : VEC;
        for (int64_t r = 0; r < VEC; r++)
            rows[r] = table + ids[r < n ? j + r : j] * stride;
        chain(sums, rows, x, D);
        for (int64_t r = 0; r < n; r++)
            out[j + r] = sums[r];
    }
}

#if defined(__AVX512F__)

/* Rounds to the nearest, and adds up the squares of x and of what rounding takes away. */
static inline __m256i round_half(__m512 x, __m512 *square, __m512 *off_square)
{
    __m512i bits = _mm512_castps_si512(x), one = _mm512_set1_epi32(1);
    __m512i even = _mm512_and_si512(_mm512_srli_epi32(bits, 16), one);
    bits = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), even);
    __m512i kept = _mm512_and_si512(bits, _mm512_set1_epi32((int)0xffff0000u));
    __m512 off = _mm512_sub_ps(x, _mm512_castsi512_ps(kept));
    *square = _mm512_fmadd_ps(x, x, *square);
    *off_square = _mm512_fmadd_ps(off, off, *off_square);
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(bits, 16));
}

void ISA(peer_bf16_pairs)(float *to, float *squares, const float *from, int64_t n)
{
    __m512 square = _mm512_setzero_ps(), off_square = square;
    int64_t i = 0;
    for (; i + VEC <= n; i += VEC)
        _mm256_storeu_si256((__m256i *)(to + i / 2),
                            round_half(_mm512_loadu_ps(from + i), &square, &off_square));
    squares[0] = squares[1] = 0;
    if (i < n)
        peer_bf16_pairs_ref(to + i / 2, squares, from + i, n - i);
    squares[0] += _mm512_reduce_add_ps(square);
    squares[1] += _mm512_reduce_add_ps(off_square);
}

#define WITH_BF16 __attribute__((target("avx512bf16")))

enum { STRIP = 12, VECS = 2, BLOCK = 2 * STRIP, LINE = 16 };

struct pairs {
    float *c;
    const float *a, *b;
    int64_t ldc, a_row, ldb, K;
    __mmask16 columns[VECS];
};

/* As in product_simd.c. */
WITH_BF16 static inline __attribute__((always_inline)) void strip(const struct pairs *p,
                                                                  const int rows)
{
    __m512 sum[STRIP * VECS];
#pragma GCC unroll 24
    for (int i = 0; i < rows * VECS; i++)
        sum[i] = _mm512_setzero_ps();
    for (int64_t k = 0; k < p->K; k++) {
        __m512 b0 = _mm512_maskz_loadu_ps(p->columns[0], p->b + k * p->ldb);
        __m512 b1 = _mm512_maskz_loadu_ps(p->columns[1], p->b + k * p->ldb + VEC);
        for (int i = 0; k % LINE == 0 && i < rows; i++)
            _mm_prefetch((const char *)(p->a + (BLOCK + i) * p->a_row + k), _MM_HINT_T1);
#pragma GCC unroll 12
        for (int i = 0; i < rows; i++) {
            __m512bh a = (__m512bh)_mm512_set1_ps(p->a[i * p->a_row + k]);
            sum[VECS * i] = _mm512_dpbf16_ps(sum[VECS * i], a, (__m512bh)b0);
            sum[VECS * i + 1] = _mm512_dpbf16_ps(sum[VECS * i + 1], a, (__m512bh)b1);
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
        _mm512_mask_storeu_ps(p->c + i * p->ldc, p->columns[0], sum[VECS * i]);
        _mm512_mask_storeu_ps(p->c + i * p->ldc + VEC, p->columns[1], sum[VECS * i + 1]);
    }
}

WITH_BF16 static void strips(struct pairs p, int64_t M)
{
    for (int64_t i = 0; i < M;) {
        int64_t taken = M - i >= STRIP ? STRIP : M - i >= 4 ? 4 : 1;
        if (taken == STRIP)
            strip(&p, STRIP);
        else if (taken == 4)
            strip(&p, 4);
        else
            strip(&p, 1);
        p.a += taken * p.a_row;
        p.c += taken * p.ldc;
        i += taken;
    }
}

static __mmask16 mask_of(int64_t columns)
{
    return (__mmask16)(columns >= VEC ? 0xffff : columns > 0 ? (1u << columns) - 1 : 0);
}

void ISA(peer_product_bf16)(float *c, int64_t ldc, const float *a, int64_t a_row, const float *b,
                            int64_t ldb, int64_t M, int64_t N, int64_t K)
{
    if (!__builtin_cpu_supports("avx512bf16")) {
        peer_product_bf16_ref(c, ldc, a, a_row, b, ldb, M, N, K);
        return;
    }
    for (int64_t j = 0; j < N; j += VECS * VEC)
        strips((struct pairs){.c = c + j,
                              .a = a,
                              .b = b + j,
                              .ldc = ldc,
                              .a_row = a_row,
                              .ldb = ldb,
                              .K = K,
                              .columns = {mask_of(N - j), mask_of(N - j - VEC)}},
               M);
}

#else

void ISA(peer_bf16_pairs)(float *to, float *squares, const float *from, int64_t n)
{
    peer_bf16_pairs_ref(to, squares, from, n);
}

void ISA(peer_product_bf16)(float *c, int64_t ldc, const float *a, int64_t a_row, const float *b,
                            int64_t ldb, int64_t M, int64_t N, int64_t K)
{
    peer_product_bf16_ref(c, ldc, a, a_row, b, ldb, M, N, K);
}

#endif
