/* SPDX-License-Identifier: MIT */
/* Internal. Matrix products through OpenBLAS, by tiles of fixed size, BLAS single-threaded inside
 * a tile: same bits for any number of threads. */
#ifndef PEER_NN_LINEAR_H
#define PEER_NN_LINEAR_H

#include "nn/context.h"

/* C [M, N] = alpha op(A) op(B) + beta C, row-major, op by the two flags; leading dimensions in
 * values. One thread when called inside a tile of peer_parallel(), the only place to call it. */
void peer_gemm(bool transpose_a, bool transpose_b, int64_t M, int64_t N, int64_t K, float alpha,
               const float *A, int64_t lda, const float *B, int64_t ldb, float beta, float *C,
               int64_t ldc);

/* Writes y [T, out] = x [T, in] w^T, w [out, in]. */
void peer_linear_forward(const struct peer_ctx *ctx, float *y, const float *x, const float *w,
                         int64_t T, int64_t in, int64_t out);

/* Adds dy w to dx [T, in] (beta = 1), or writes it (beta = 0). */
void peer_linear_backward_x(const struct peer_ctx *ctx, float *dx, const float *dy, const float *w,
                            int64_t T, int64_t in, int64_t out, float beta);

/* Adds dy^T x to dw [out, in]; does nothing where that is NULL, of a frozen weight. */
void peer_linear_backward_w(const struct peer_ctx *ctx, float *dw, const float *dy, const float *x,
                            int64_t T, int64_t in, int64_t out);

#endif
