/* SPDX-License-Identifier: MIT */
#include "nn/kernels_ref.h"

void REF(peer_product)(real *c, int64_t ldc, const real *a, int64_t a_row, int64_t a_step,
                       const real *b, int64_t ldb, int64_t M, int64_t N, int64_t K, bool adds)
{
    for (int64_t i = 0; i < M; i++) {
        real *row = c + i * ldc;
        for (int64_t j = 0; !adds && j < N; j++)
            row[j] = 0;
        for (int64_t k = 0; k < K; k++) {
            real value = a[i * a_row + k * a_step];
            for (int64_t j = 0; j < N; j++)
                row[j] += value * b[k * ldb + j];
        }
    }
}

void REF(peer_product_stream)(real *c, int64_t ldc, const real *a, int64_t a_row, int64_t a_step,
                              const real *b, int64_t ldb, int64_t M, int64_t N, int64_t K)
{
    REF(peer_product)(c, ldc, a, a_row, a_step, b, ldb, M, N, K, false);
}
