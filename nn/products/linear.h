/* SPDX-License-Identifier: MIT */
/* Internal. Matrix products by tiles whose size never depends on the number of threads: same bits
 * for any. They are the kernels' own with AVX-512, and OpenBLAS's, single-threaded inside a tile,
 * elsewhere and where the sum runs over tokens; but all are the kernels' own where the context uses
 * no BLAS (peer_ctx_blas()). */
#ifndef PEER_NN_LINEAR_H
#define PEER_NN_LINEAR_H

#include "nn/context.h"

/* Values between rows of n: an odd number of cache lines, so that walks down a column use all of
 * the cache. For scratch of which columns are read. */
static inline int64_t peer_row_stride(int64_t n)
{
    return ((n + 15) / 16 | 1) * 16;
}

/* C [M, N] = op(A) op(B), or adds it, row-major, op by the two flags; leading dimensions in values.
 * One thread when called inside a tile of peer_parallel(), the only place to call it. */
void peer_gemm(const struct peer_ctx *ctx, bool transpose_a, bool transpose_b, int64_t M, int64_t N,
               int64_t K, const float *A, int64_t lda, const float *B, int64_t ldb, bool adds,
               float *C, int64_t ldc);

/* C [M, N] = A [M, K] B [K, N], or adds it, row-major; leading dimensions in values. To be called
 * like peer_gemm(), on tiles of peer_multiply_tile() rows where there are T in all. */
void peer_multiply(const struct peer_ctx *ctx, float *C, int64_t ldc, const float *A, int64_t lda,
                   const float *B, int64_t ldb, int64_t M, int64_t N, int64_t K, bool adds);
int64_t peer_multiply_tile(const struct peer_ctx *ctx, int64_t T);

/* Writes y [T, out] = x [T, in] w^T, w [out, in]. Up to 8 tokens are summed in another order than
 * more; where kernels are AVX-512's, a token's bits depend on nothing else. */
void peer_linear_forward(const struct peer_ctx *ctx, float *y, const float *x, const float *w,
                         int64_t T, int64_t in, int64_t out);

/* The same for rows of y that begin ldy >= out values apart. */
void peer_linear_forward_rows(const struct peer_ctx *ctx, float *y, int64_t ldy, const float *x,
                              const float *w, int64_t T, int64_t in, int64_t out);

/* Writes dx [T, in] = dy w, or adds it. */
void peer_linear_backward_x(const struct peer_ctx *ctx, float *dx, const float *dy, const float *w,
                            int64_t T, int64_t in, int64_t out, bool adds);

/* Adds dy^T x to dw [out, in]; does nothing where that is NULL, of a frozen weight. */
void peer_linear_backward_w(const struct peer_ctx *ctx, float *dw, const float *dy, const float *x,
                            int64_t T, int64_t in, int64_t out);

#endif
