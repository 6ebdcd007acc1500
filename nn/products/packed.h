/* SPDX-License-Identifier: MIT */
/* Internal. Matrix products of any shape by the kernels: what stands in for a BLAS. */
#ifndef PEER_NN_PACKED_H
#define PEER_NN_PACKED_H

#include "nn/kernels/kernels.h"

/* Up to so many rows of A, op(B) is read where it lies. */
enum { PEER_PACKED_FEW = 8 };

/* C [M, N] = op(A) op(B), or adds it, row-major, op by the two flags; leading dimensions in values.
 * Single-threaded; 160 KiB of stack. Each value is one chain in the order of k, its bits depending
 * on its row and column alone; but up to PEER_PACKED_FEW rows against a transposed B are summed as
 * rows_dot does. */
void peer_packed_product(const struct peer_kernels *kernels, bool transpose_a, bool transpose_b,
                         int64_t M, int64_t N, int64_t K, const float *A, int64_t lda,
                         const float *B, int64_t ldb, bool adds, float *C, int64_t ldc);

/* y [T, out] = x [T, in] w^T, each value summed as rows_dot does; rows ldy, ldx, ldw apart. */
void peer_packed_few(const struct peer_kernels *kernels, float *y, int64_t ldy, const float *x,
                     int64_t ldx, const float *w, int64_t ldw, int64_t T, int64_t in, int64_t out);

#endif
