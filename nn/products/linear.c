/* SPDX-License-Identifier: MIT */
#include "nn/products/linear.h"

#include <cblas.h>

#include "nn/context_private.h"
#include "nn/kernels/kernels.h"
#include "nn/parallel.h"
#include "nn/products/packed.h"

enum {
    /* OpenBLAS: rows of a tile, a multiple of STEP; every tile packs the weights anew. */
    STEP = 64,
    LEAST = 128,
    MOST = 512,
    TILES = 8, /* where that leaves them LEAST rows */
    /* The products of nn/kernels/kernels.h: a panel of weights, transposed, which stays in the
     * first-level cache while ROWS pass by; rows of a tile where weights are read as they are. */
    PANEL = 32,
    DEPTH = 256,
    ROWS = 1024,
    STRIPS = 96,
    NEAR = 512, /* most columns of B that are read where they lie */
    /* Most tokens that read the weights one by one, and rows of the weights in one tile then. */
    FEW = PEER_PACKED_FEW,
    FEW_TILE = 128,
};

/* With AVX-512 the kernels' products are faster than OpenBLAS's on all the sizes that occur; where
 * no BLAS is used there are no others. */
static bool by_kernels(const struct peer_ctx *ctx)
{
    return peer_ctx_cpu(ctx) == PEER_CPU_AVX512 || !ctx->uses_blas;
}

void peer_gemm(const struct peer_ctx *ctx, bool transpose_a, bool transpose_b, int64_t M, int64_t N,
               int64_t K, const float *A, int64_t lda, const float *B, int64_t ldb, bool adds,
               float *C, int64_t ldc)
{
    if (!ctx->uses_blas)
        peer_packed_product(peer_kernels(ctx), transpose_a, transpose_b, M, N, K, A, lda, B, ldb,
                            adds, C, ldc);
    else
        cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans,
                    transpose_b ? CblasTrans : CblasNoTrans, (int)M, (int)N, (int)K, 1, A, (int)lda,
                    B, (int)ldb, adds ? 1 : 0, C, (int)ldc);
}

void peer_multiply(const struct peer_ctx *ctx, float *C, int64_t ldc, const float *A, int64_t lda,
                   const float *B, int64_t ldb, int64_t M, int64_t N, int64_t K, bool adds)
{
    if (!by_kernels(ctx)) {
        peer_gemm(ctx, false, false, M, N, K, A, lda, B, ldb, adds, C, ldc);
        return;
    }
    if (N > NEAR) {
        peer_packed_product(peer_kernels(ctx), false, false, M, N, K, A, lda, B, ldb, adds, C, ldc);
        return;
    }
    for (int64_t k = 0; k < K; k += DEPTH)
        peer_kernels(ctx)->product(C, ldc, A + k, lda, 1, B + k * ldb, ldb, M, N,
                                   peer_min(DEPTH, K - k), adds || k > 0);
}

int64_t peer_multiply_tile(const struct peer_ctx *ctx, int64_t T)
{
    if (by_kernels(ctx))
        return STRIPS;
    int64_t tile = peer_tiles(T, TILES * STEP) * STEP;
    return tile < LEAST ? LEAST : peer_min(tile, MOST);
}

struct linear {
    const struct peer_ctx *ctx;
    float *result;
    const float *left, *right;
    int64_t T, in, out, ldy, tile; /* ldy: of forward's result; rows of a tile */
    bool adds;
};

static void forward_tile(void *job, int64_t tile, int thread)
{
    (void)thread;
    const struct linear *l = job;
    int64_t t = tile * l->tile, rows = peer_min(l->tile, l->T - t);
    peer_gemm(l->ctx, false, true, rows, l->out, l->in, l->left + t * l->in, l->in, l->right, l->in,
              false, l->result + t * l->ldy, l->ldy);
}

/* Some columns of the result, for many rows. */
static void panel_tile(void *job, int64_t tile, int thread)
{
    (void)thread;
    const struct linear *l = job;
    const struct peer_kernels *kernels = peer_kernels(l->ctx);
    float panel[DEPTH * PANEL];
    int64_t panels = peer_tiles(l->out, PANEL), o = tile % panels * PANEL;
    int64_t t = tile / panels * ROWS, rows = peer_min(ROWS, l->T - t);
    int64_t columns = peer_min(PANEL, l->out - o);
    for (int64_t k = 0; k < l->in; k += DEPTH) {
        int64_t depth = peer_min(DEPTH, l->in - k);
        kernels->transpose(panel, columns, l->right + o * l->in + k, l->in, columns, depth);
        kernels->product(l->result + t * l->ldy + o, l->ldy, l->left + t * l->in + k, l->in, 1,
                         panel, columns, rows, columns, depth, k > 0);
    }
}

/* A few tokens: packing w for all of them costs more than each reading it where it lies. */
static void few_tile(void *job, int64_t tile, int thread)
{
    (void)thread;
    const struct linear *l = job;
    int64_t o = tile * FEW_TILE, rows = peer_min(FEW_TILE, l->out - o);
    if (!l->ctx->uses_blas) {
        peer_packed_few(peer_kernels(l->ctx), l->result + o, l->ldy, l->left, l->in,
                        l->right + o * l->in, l->in, l->T, l->in, rows);
        return;
    }
    for (int64_t t = 0; t < l->T; t++)
        cblas_sgemv(CblasRowMajor, CblasNoTrans, (int)rows, (int)l->in, 1, l->right + o * l->in,
                    (int)l->in, l->left + t * l->in, 1, 0, l->result + t * l->ldy + o, 1);
}

void peer_linear_forward(const struct peer_ctx *ctx, float *y, const float *x, const float *w,
                         int64_t T, int64_t in, int64_t out)
{
    peer_linear_forward_rows(ctx, y, out, x, w, T, in, out);
}

void peer_linear_forward_rows(const struct peer_ctx *ctx, float *y, int64_t ldy, const float *x,
                              const float *w, int64_t T, int64_t in, int64_t out)
{
    struct linear job = {
        .ctx = ctx, .result = y, .left = x, .right = w, .T = T, .in = in, .out = out, .ldy = ldy};
    job.tile = peer_multiply_tile(ctx, T);
    if (T <= FEW)
        peer_parallel(ctx, T > 0 ? peer_tiles(out, FEW_TILE) : 0, few_tile, &job);
    else if (by_kernels(ctx))
        peer_parallel(ctx, peer_tiles(T, ROWS) * peer_tiles(out, PANEL), panel_tile, &job);
    else
        peer_parallel(ctx, peer_tiles(T, job.tile), forward_tile, &job);
}

static void backward_x_tile(void *job, int64_t tile, int thread)
{
    (void)thread;
    const struct linear *l = job;
    int64_t t = tile * l->tile, rows = peer_min(l->tile, l->T - t);
    peer_multiply(l->ctx, l->result + t * l->in, l->in, l->left + t * l->out, l->out, l->right,
                  l->in, rows, l->in, l->out, l->adds);
}

void peer_linear_backward_x(const struct peer_ctx *ctx, float *dx, const float *dy, const float *w,
                            int64_t T, int64_t in, int64_t out, bool adds)
{
    struct linear job = {.ctx = ctx,
                         .result = dx,
                         .left = dy,
                         .right = w,
                         .T = T,
                         .in = in,
                         .out = out,
                         .adds = adds};
    job.tile = peer_multiply_tile(ctx, T);
    peer_parallel(ctx, peer_tiles(T, job.tile), backward_x_tile, &job);
}

/* A gradient of weights is cut along its longer side: in four tiles where that leaves them 128 to
 * 256 rows, and in two at least for a second thread. */
static int64_t weight_tile(int64_t side)
{
    int64_t tile = peer_tiles(side, 4 * STEP) * STEP;
    return side < 256 ? STEP : tile < 128 ? 128 : peer_min(tile, 256);
}

static void backward_w_tile(void *job, int64_t tile, int thread)
{
    (void)thread;
    const struct linear *l = job;
    int64_t size = l->tile, at = tile * size;
    int64_t o = l->out >= l->in ? at : 0, i = l->out >= l->in ? 0 : at;
    int64_t rows = l->out >= l->in ? peer_min(size, l->out - o) : l->out;
    int64_t columns = l->out >= l->in ? l->in : peer_min(size, l->in - i);
    peer_gemm(l->ctx, true, false, rows, columns, l->T, l->left + o, l->out, l->right + i, l->in,
              true, l->result + o * l->in + i, l->in);
}

void peer_linear_backward_w(const struct peer_ctx *ctx, float *dw, const float *dy, const float *x,
                            int64_t T, int64_t in, int64_t out)
{
    struct linear job = {
        .ctx = ctx, .result = dw, .left = dy, .right = x, .T = T, .in = in, .out = out};
    int64_t side = out >= in ? out : in;
    if (!dw)
        return;
    job.tile = weight_tile(side);
    peer_parallel(ctx, peer_tiles(side, job.tile), backward_w_tile, &job);
}
