/* SPDX-License-Identifier: MIT */
#include "nn/kernels/kernels_ref.h"

enum {
    STEPS = 8,
    COLUMNS = 512
}; /* of k at a time for a row of sums; of b, which then stay near */

/* One row of c, each value's terms in the order of k. */
static void add_row(real *restrict c, const real *a, int64_t a_step, const real *restrict b,
                    int64_t ldb, int64_t N, int64_t K)
{
    int64_t k = 0;
    for (; k + STEPS <= K; k += STEPS) {
        const real *rows = b + k * ldb;
        real v[STEPS];
        for (int s = 0; s < STEPS; s++)
            v[s] = a[(k + s) * a_step];
        for (int64_t j = 0; j < N; j++) {
            real sum = c[j];
#pragma GCC unroll 8
            for (int s = 0; s < STEPS; s++)
                sum += v[s] * rows[s * ldb + j];
            c[j] = sum;
        }
    }
    for (; k < K; k++)
        for (int64_t j = 0; j < N; j++)
            c[j] += a[k * a_step] * b[k * ldb + j];
}

void REF(peer_product)(real *c, int64_t ldc, const real *a, int64_t a_row, int64_t a_step,
                       const real *b, int64_t ldb, int64_t M, int64_t N, int64_t K, bool adds)
{
    for (int64_t first = 0; first < N; first += COLUMNS) {
        int64_t columns = N - first < COLUMNS ? N - first : COLUMNS;
        for (int64_t i = 0; i < M; i++) {
            real *row = c + i * ldc + first;
            for (int64_t j = 0; !adds && j < columns; j++)
                row[j] = 0;
            add_row(row, a + i * a_row, a_step, b + first, ldb, columns, K);
        }
    }
}

void REF(peer_product_stream)(real *c, int64_t ldc, const real *a, int64_t a_row, int64_t a_step,
                              const real *b, int64_t ldb, int64_t M, int64_t N, int64_t K)
{
    REF(peer_product)(c, ldc, a, a_row, a_step, b, ldb, M, N, K, false);
}
