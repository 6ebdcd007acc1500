/* SPDX-License-Identifier: MIT */
#include "nn/products/packed.h"

#include <stdalign.h>
#include <string.h>

#include "nn/parallel.h"

enum {
    DEPTH = 256, /* k at a time */
    PANEL = 32,  /* columns of B, packed for the first-level cache */
    ROWS = 128,  /* of A, packed for the second where it is read down its columns */
    LIST = 64,   /* rows of w named at a time */
    LINE = 64,   /* bytes */
};

/* A part of op(B), its rows close together. */
static void pack_panel(const struct peer_kernels *kernels, float *panel, bool transposed,
                       const float *B, int64_t ldb, int64_t columns, int64_t depth)
{
    if (transposed)
        kernels->transpose(panel, columns, B, ldb, columns, depth);
    else if (columns == PANEL)
        for (int64_t k = 0; k < depth; k++)
            memcpy(panel + k * PANEL, B + k * ldb, PANEL * sizeof *panel);
    else
        for (int64_t k = 0; k < depth; k++)
            memcpy(panel + k * columns, B + k * ldb, (size_t)columns * sizeof *panel);
}

/* Some rows of A against all of op(B), for some k. A: its rows lda apart. */
static void multiply_rows(const struct peer_kernels *kernels, bool transpose_b, int64_t rows,
                          int64_t N, int64_t depth, const float *A, int64_t lda, const float *B,
                          int64_t ldb, bool adds, float *C, int64_t ldc)
{
    alignas(LINE) float panel[PANEL * DEPTH];
    for (int64_t j = 0; j < N; j += PANEL) {
        int64_t columns = peer_min(PANEL, N - j);
        pack_panel(kernels, panel, transpose_b, B + (transpose_b ? j * ldb : j), ldb, columns,
                   depth);
        kernels->product(C + j, ldc, A, lda, 1, panel, columns, rows, columns, depth, adds);
    }
}

void peer_packed_product(const struct peer_kernels *kernels, bool transpose_a, bool transpose_b,
                         int64_t M, int64_t N, int64_t K, const float *A, int64_t lda,
                         const float *B, int64_t ldb, bool adds, float *C, int64_t ldc)
{
    alignas(LINE) float turned[ROWS * DEPTH];
    if (transpose_b && !transpose_a && !adds && M <= PEER_PACKED_FEW) {
        peer_packed_few(kernels, C, ldc, A, lda, B, ldb, M, K, N);
        return;
    }
    if (K == 0 && !adds)
        kernels->product(C, ldc, A, 1, 1, B, ldb, M, N, 0, false);
    for (int64_t k = 0; k < K; k += DEPTH) {
        int64_t depth = peer_min(DEPTH, K - k);
        for (int64_t i = 0; i < M; i += ROWS) {
            int64_t rows = peer_min(ROWS, M - i);
            const float *from = transpose_a ? turned : A + i * lda + k;
            if (transpose_a)
                kernels->transpose(turned, depth, A + k * lda + i, lda, depth, rows);
            multiply_rows(kernels, transpose_b, rows, N, depth, from, transpose_a ? depth : lda,
                          B + (transpose_b ? k : k * ldb), ldb, adds || k > 0, C + i * ldc, ldc);
        }
    }
}

void peer_packed_few(const struct peer_kernels *kernels, float *y, int64_t ldy, const float *x,
                     int64_t ldx, const float *w, int64_t ldw, int64_t T, int64_t in, int64_t out)
{
    int32_t ids[LIST];
    for (int32_t i = 0; i < LIST; i++)
        ids[i] = i;
    for (int64_t t = 0; t < T; t++)
        for (int64_t o = 0; o < out; o += LIST)
            kernels->rows_dot(y + t * ldy + o, w + o * ldw, ldw, ids, peer_min(LIST, out - o), 0,
                              x + t * ldx, in);
}
