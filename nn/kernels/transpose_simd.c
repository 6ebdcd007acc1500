/* SPDX-License-Identifier: MIT */
#include "nn/kernels/square_simd.h"

static inline __attribute__((always_inline)) void square(float *to, int64_t ldto, const float *from,
                                                         int64_t ldfrom)
{
    vec x[VEC];
#pragma GCC unroll 16
    for (int i = 0; i < VEC; i++)
        x[i] = vec_load(from + i * ldfrom);
    vec_square(x);
#pragma GCC unroll 16
    for (int i = 0; i < VEC; i++)
        vec_store(to + i * ldto, x[i]);
}

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
