/* SPDX-License-Identifier: MIT */
#include "nn/linear.h"

#include <cblas.h>

#include "nn/parallel.h"

/* Rows of the result in one tile. Large enough that packing the other operand is paid for, small
 * enough that two threads share a batch of a few hundred tokens. */
enum { TILE = 128 };

/* Most tokens that read the weights one by one, and rows of the weights in one tile then. */
enum { FEW = 8, FEW_TILE = 128 };

void peer_gemm(bool transpose_a, bool transpose_b, int64_t M, int64_t N, int64_t K, float alpha,
               const float *A, int64_t lda, const float *B, int64_t ldb, float beta, float *C,
               int64_t ldc)
{
    cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans,
                transpose_b ? CblasTrans : CblasNoTrans, (int)M, (int)N, (int)K, alpha, A, (int)lda,
                B, (int)ldb, beta, C, (int)ldc);
}

struct linear {
    float *result;
    const float *left, *right;
    int64_t T, in, out;
    float beta;
};

static void forward_tile(void *job, int64_t tile, int thread)
{
    (void)thread;
    const struct linear *l = job;
    int64_t t = tile * TILE, rows = peer_min(TILE, l->T - t);
    peer_gemm(false, true, rows, l->out, l->in, 1, l->left + t * l->in, l->in, l->right, l->in, 0,
              l->result + t * l->out, l->out);
}

/* A few tokens: packing w for all of them costs more than each reading it where it lies. */
static void few_tile(void *job, int64_t tile, int thread)
{
    (void)thread;
    const struct linear *l = job;
    int64_t o = tile * FEW_TILE, rows = peer_min(FEW_TILE, l->out - o);
    for (int64_t t = 0; t < l->T; t++)
        cblas_sgemv(CblasRowMajor, CblasNoTrans, (int)rows, (int)l->in, 1, l->right + o * l->in,
                    (int)l->in, l->left + t * l->in, 1, 0, l->result + t * l->out + o, 1);
}

void peer_linear_forward(const struct peer_ctx *ctx, float *y, const float *x, const float *w,
                         int64_t T, int64_t in, int64_t out)
{
    if (T <= FEW) {
        struct linear few = {.result = y, .left = x, .right = w, .T = T, .in = in, .out = out};
        peer_parallel(ctx, T > 0 ? peer_tiles(out, FEW_TILE) : 0, few_tile, &few);
        return;
    }
    struct linear job = {.result = y, .left = x, .right = w, .T = T, .in = in, .out = out};
    peer_parallel(ctx, peer_tiles(T, TILE), forward_tile, &job);
}

static void backward_x_tile(void *job, int64_t tile, int thread)
{
    (void)thread;
    const struct linear *l = job;
    int64_t t = tile * TILE, rows = peer_min(TILE, l->T - t);
    peer_gemm(false, false, rows, l->in, l->out, 1, l->left + t * l->out, l->out, l->right, l->in,
              l->beta, l->result + t * l->in, l->in);
}

void peer_linear_backward_x(const struct peer_ctx *ctx, float *dx, const float *dy, const float *w,
                            int64_t T, int64_t in, int64_t out, float beta)
{
    struct linear job = {
        .result = dx, .left = dy, .right = w, .T = T, .in = in, .out = out, .beta = beta};
    peer_parallel(ctx, peer_tiles(T, TILE), backward_x_tile, &job);
}

/* A gradient of weights is cut along its longer side, in tiles that grow with it: few tokens' worth
 * of packing in a tile, and something to do for a second thread in a small matrix. */
static int64_t weight_tile(int64_t side)
{
    return side >= 1024 ? 256 : side >= 256 ? 128 : 64;
}

static void backward_w_tile(void *job, int64_t tile, int thread)
{
    (void)thread;
    const struct linear *l = job;
    int64_t size = weight_tile(l->out >= l->in ? l->out : l->in), at = tile * size;
    int64_t o = l->out >= l->in ? at : 0, i = l->out >= l->in ? 0 : at;
    int64_t rows = l->out >= l->in ? peer_min(size, l->out - o) : l->out;
    int64_t columns = l->out >= l->in ? l->in : peer_min(size, l->in - i);
    peer_gemm(true, false, rows, columns, l->T, 1, l->left + o, l->out, l->right + i, l->in, 1,
              l->result + o * l->in + i, l->in);
}

void peer_linear_backward_w(const struct peer_ctx *ctx, float *dw, const float *dy, const float *x,
                            int64_t T, int64_t in, int64_t out)
{
    struct linear job = {.result = dw, .left = dy, .right = x, .T = T, .in = in, .out = out};
    int64_t side = out >= in ? out : in;
    if (!dw)
        return;
    peer_parallel(ctx, peer_tiles(side, weight_tile(side)), backward_w_tile, &job);
}
