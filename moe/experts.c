/* SPDX-License-Identifier: MIT */
#include "moe/experts.h"

#include <string.h>

#include "nn/hidden.h"
#include "nn/linear.h"
#include "nn/parallel.h"

enum {
    BLOCK = 128, /* rows of one expert */
    TILE = 32,   /* tokens */
    SIDE = 256,  /* rows of a weight's gradient in one tile */
};

void peer_moe_dispatch_alloc(struct peer_moe_dispatch *by, struct peer_pool *pool, int64_t entries,
                             int64_t T, int64_t E, int64_t R)
{
    int64_t blocks = entries / BLOCK + peer_min(entries, E);
    by->offsets = peer_pool_ids(pool, "moe.offsets", E + 1, 1);
    by->token = peer_pool_ids(pool, "moe.tokens of experts", entries, 1);
    by->place = peer_pool_ids(pool, "moe.places", T, R);
    by->block_expert = peer_pool_ids(pool, "moe.blocks", blocks, 1);
    by->block_from = peer_pool_ids(pool, "moe.blocks", blocks, 1);
}

void peer_moe_dispatch_sort(struct peer_moe_dispatch *by, const int32_t *ids, int64_t T, int64_t E,
                            int64_t R)
{
    int32_t *offsets = by->offsets;
    memset(offsets, 0, (size_t)(E + 1) * sizeof *offsets);
    for (int64_t i = 0; i < T * R; i++)
        if (ids[i] >= 0)
            offsets[ids[i] + 1]++;
    by->blocks = 0;
    for (int32_t e = 0; e < E; e++) {
        offsets[e + 1] += offsets[e];
        for (int32_t from = offsets[e]; from < offsets[e + 1]; from += BLOCK) {
            by->block_expert[by->blocks] = e;
            by->block_from[by->blocks++] = from;
        }
    }
    by->entries = offsets[E];
    for (int64_t t = 0; t < T; t++)
        for (int64_t i = t * R; i < (t + 1) * R; i++) {
            by->place[i] = ids[i] < 0 ? -1 : offsets[ids[i]]++;
            if (ids[i] >= 0)
                by->token[by->place[i]] = (int32_t)t;
        }
    memmove(offsets + 1, offsets, (size_t)E * sizeof *offsets);
    offsets[0] = 0;
}

struct job {
    const struct peer_kernels *kernels;
    const struct peer_moe_experts *ex;
    float *y, *dx, *dgates;
    const float *x, *dy, *gates;
    int64_t T, R;
};

static int64_t block_rows(const struct peer_moe_dispatch *by, int64_t block)
{
    return peer_min(BLOCK, by->offsets[by->block_expert[block] + 1] - by->block_from[block]);
}

static void forward_block(void *arg, int64_t block, int thread)
{
    (void)thread;
    const struct job *j = arg;
    const struct peer_moe_experts *ex = j->ex;
    int64_t e = ex->by.block_expert[block], from = ex->by.block_from[block];
    int64_t rows = block_rows(&ex->by, block), D = ex->D, F = ex->F, matrix = e * F * D;
    float *x = ex->x + from * D, *pre = ex->pre + from * F, *hidden = ex->hidden + from * F;
    float *gate_pre = ex->gate ? ex->gate_pre + from * F : NULL;
    for (int64_t i = 0; i < rows; i++)
        memcpy(x + i * D, j->x + ex->by.token[from + i] * D, (size_t)D * sizeof *x);
    peer_gemm(false, true, rows, F, D, 1, x, D, ex->in + matrix, D, 0, pre, F);
    if (gate_pre)
        peer_gemm(false, true, rows, F, D, 1, x, D, ex->gate + matrix, D, 0, gate_pre, F);
    peer_hidden_forward(j->kernels, hidden, pre, gate_pre, rows * F, ex->activation);
    peer_gemm(false, true, rows, D, F, 1, hidden, F, ex->out + matrix, F, 0, ex->y + from * D, D);
}

static void combine_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const struct job *j = arg;
    int64_t D = j->ex->D, end = peer_min((tile + 1) * TILE, j->T);
    for (int64_t t = tile * TILE; t < end; t++)
        j->kernels->rows_axpy(j->y + t * D, j->ex->y, D, j->ex->by.place + t * j->R, j->R, -j->R,
                              j->gates + t * j->R, D);
}

void peer_moe_experts_forward(const struct peer_ctx *ctx, struct peer_moe_experts *experts,
                              float *y, const float *x, const int32_t *ids, const float *gates,
                              int64_t T, int64_t R)
{
    struct job job = {.kernels = peer_kernels(ctx),
                      .ex = experts,
                      .y = y,
                      .x = x,
                      .gates = gates,
                      .T = T,
                      .R = R};
    peer_moe_dispatch_sort(&experts->by, ids, T, experts->E, R);
    peer_parallel(ctx, experts->by.blocks, forward_block, &job);
    peer_parallel(ctx, peer_tiles(T, TILE), combine_tile, &job);
}

/* dgates, and in y's place the gradients of the experts' outputs. */
static void combine_backward_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const struct job *j = arg;
    int64_t D = j->ex->D, R = j->R, end = peer_min((tile + 1) * TILE, j->T);
    for (int64_t t = tile * TILE; t < end; t++) {
        const int32_t *place = j->ex->by.place + t * R;
        const float *dy = j->dy + t * D;
        j->kernels->rows_dot(j->dgates + t * R, j->ex->y, D, place, R, -R, dy, D);
        for (int64_t i = 0; i < R; i++) {
            float *row = j->ex->y + (place[i] < 0 ? 0 : place[i]) * D, gate = j->gates[t * R + i];
            for (int64_t d = 0; place[i] >= 0 && d < D; d++)
                row[d] = gate * dy[d];
        }
    }
}

/* From y's gradient to those of the pre-activations, and in y's place that of x. */
static void backward_block(void *arg, int64_t block, int thread)
{
    (void)thread;
    const struct job *j = arg;
    const struct peer_moe_experts *ex = j->ex;
    int64_t e = ex->by.block_expert[block], from = ex->by.block_from[block];
    int64_t rows = block_rows(&ex->by, block), D = ex->D, F = ex->F, matrix = e * F * D;
    float *y = ex->y + from * D, *pre = ex->pre + from * F, *hidden = ex->hidden + from * F;
    float *gate_pre = ex->gate ? ex->gate_pre + from * F : NULL;
    peer_gemm(false, false, rows, F, D, 1, y, D, ex->out + matrix, F, 0, hidden, F);
    peer_hidden_backward(j->kernels, pre, gate_pre, hidden, rows * F, ex->activation);
    peer_gemm(false, false, rows, D, F, 1, pre, F, ex->in + matrix, D, 0, y, D);
    if (gate_pre)
        peer_gemm(false, false, rows, D, F, 1, gate_pre, F, ex->gate + matrix, D, 1, y, D);
}

/* Tiles of an expert's weight gradients: rows of W [E, rows, columns]. */
struct weight_job {
    const struct peer_moe_dispatch *by;
    float *dw;
    const float *left, *right; /* [entries, rows], [entries, columns] */
    int64_t rows, columns;
};

static void weight_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const struct weight_job *j = arg;
    int64_t tiles = peer_tiles(j->rows, SIDE), e = tile / tiles, at = tile % tiles * SIDE;
    int64_t from = j->by->offsets[e], n = j->by->offsets[e + 1] - from;
    if (n > 0)
        peer_gemm(true, false, peer_min(SIDE, j->rows - at), j->columns, n, 1,
                  j->left + from * j->rows + at, j->rows, j->right + from * j->columns, j->columns,
                  1, j->dw + (e * j->rows + at) * j->columns, j->columns);
}

static void weight_backward(const struct peer_ctx *ctx, const struct peer_moe_experts *ex,
                            float *dw, const float *left, const float *right, int64_t rows,
                            int64_t columns)
{
    struct weight_job job = {&ex->by, dw, left, right, rows, columns};
    peer_parallel(ctx, ex->E * peer_tiles(rows, SIDE), weight_tile, &job);
}

static void scatter_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const struct job *j = arg;
    int64_t D = j->ex->D, end = peer_min((tile + 1) * TILE, j->T);
    for (int64_t t = tile * TILE; t < end; t++)
        for (int64_t i = t * j->R; i < (t + 1) * j->R; i++) {
            int32_t place = j->ex->by.place[i];
            for (int64_t d = 0; place >= 0 && d < D; d++)
                j->dx[t * D + d] += j->ex->y[place * D + d];
        }
}

void peer_moe_experts_backward(const struct peer_ctx *ctx, struct peer_moe_experts *experts,
                               float *dx, float *dgates, const float *dy, const float *gates,
                               int64_t T, int64_t R)
{
    const struct peer_moe_experts *ex = experts;
    struct job job = {.kernels = peer_kernels(ctx),
                      .ex = ex,
                      .dx = dx,
                      .dgates = dgates,
                      .dy = dy,
                      .gates = gates,
                      .T = T,
                      .R = R};
    peer_parallel(ctx, peer_tiles(T, TILE), combine_backward_tile, &job);
    weight_backward(ctx, ex, ex->dout, ex->y, ex->hidden, ex->D, ex->F);
    peer_parallel(ctx, ex->by.blocks, backward_block, &job);
    weight_backward(ctx, ex, ex->din, ex->pre, ex->x, ex->F, ex->D);
    if (ex->gate)
        weight_backward(ctx, ex, ex->dgate, ex->gate_pre, ex->x, ex->F, ex->D);
    peer_parallel(ctx, peer_tiles(T, TILE), scatter_tile, &job);
}
