/* SPDX-License-Identifier: MIT */
#include "moe/experts.h"

#include <string.h>

#include "nn/context_private.h"
#include "nn/layers/hidden.h"
#include "nn/parallel.h"

enum {
    TILE = 32,        /* tokens */
    ROWS = 96,        /* of a weight's gradient in one tile, which the second-level cache holds */
    COLUMNS = 1024,   /* the same */
    CACHED = 1 << 23, /* values that caches may hold from one pass over them to the next */
    MANY = 64,        /* experts from which tiles have all rows: few entries each, so that gradients
                         pass through once, from memory and back, best in one piece */
};

static float *gradient(struct peer_pool *pool, const struct peer_moe_sizes *s, const char *what,
                       int64_t n0, int64_t n1)
{
    return s->trained ? peer_pool_floats(pool, what, n0, n1) : NULL;
}

void peer_moe_experts_alloc(struct peer_moe_experts *ex, struct peer_pool *pool,
                            const struct peer_moe_sizes *s)
{
    int64_t E = s->E, D = s->D, F = s->F;
    *ex = (struct peer_moe_experts){.E = E, .D = D, .F = F, .activation = s->activation};
    ex->in = peer_pool_floats(pool, "experts.in", E * F, D);
    ex->out = peer_pool_floats(pool, "experts.out", E * D, F);
    ex->din = gradient(pool, s, "experts.in gradient", E * F, D);
    ex->dout = gradient(pool, s, "experts.out gradient", E * D, F);
    if (!s->gated)
        return;
    ex->gate = peer_pool_floats(pool, "experts.gate", E * F, D);
    ex->dgate = gradient(pool, s, "experts.gate gradient", E * F, D);
}

void peer_moe_experts_cache_alloc(struct peer_moe_experts_cache *cache, struct peer_pool *pool,
                                  const struct peer_moe_sizes *s, int64_t entries, int64_t T,
                                  int64_t R, bool training)
{
    int64_t D = s->D, F = s->F, columns = peer_pool_threads(pool) * PEER_MOE_BLOCK;
    cache->x = peer_pool_floats(pool, "experts' inputs", entries, D);
    cache->y = peer_pool_floats(pool, "experts' outputs", entries, D);
    cache->pre = peer_pool_floats(pool, "experts.in cache", entries, F);
    if (training)
        cache->hidden = peer_pool_floats(pool, "experts' hidden cache", entries, F);
    cache->columns = peer_pool_floats(pool, "experts' columns", columns, D + F);
    if (s->gated)
        cache->gate_pre = peer_pool_floats(pool, "experts.gate cache", entries, F);
    peer_moe_dispatch_alloc(&cache->by, pool, entries, T, s->E, R);
}

struct job {
    const struct peer_kernels *kernels;
    const struct peer_moe_experts *ex;
    const struct peer_moe_experts_cache *cache;
    float *y, *dx, *dgates;
    const float *x, *dy, *gates;
    int64_t T, R;
};

/* Entries of one expert; arrays of theirs, and what a thread has for their columns. */
struct block {
    int64_t n, from, matrix; /* entries, the first of them, where the expert's weights begin */
    float *x, *y, *hidden;   /* [n, D], [n, D], [n, F] or NULL */
    float *pre, *gate_pre;   /* [F, n]; gate_pre NULL where not gated */
    float *narrow, *wide;    /* [D, n], [F, n] */
};

static struct block block_of(const struct job *j, int64_t number, int thread)
{
    const struct peer_moe_experts_cache *cache = j->cache;
    int64_t e = cache->by.block_expert[number], from = cache->by.block_from[number];
    int64_t D = j->ex->D, F = j->ex->F;
    float *columns = cache->columns + thread * PEER_MOE_BLOCK * (D + F);
    return (struct block){.n = peer_moe_block_size(&cache->by, e, from),
                          .from = from,
                          .matrix = e * F * D,
                          .x = cache->x + from * D,
                          .y = cache->y + from * D,
                          .hidden = cache->hidden ? cache->hidden + from * F : NULL,
                          .pre = cache->pre + from * F,
                          .gate_pre = j->ex->gate ? cache->gate_pre + from * F : NULL,
                          .narrow = columns,
                          .wide = columns + PEER_MOE_BLOCK * D};
}

/* Weights are rows, entries columns: to [rows, n] = w [rows, depth] from [depth, n]. */
static void forward_product(const struct job *j, const struct block *b, float *to, const float *w,
                            const float *from, int64_t rows, int64_t depth)
{
    j->kernels->product(to, b->n, w, depth, 1, from, b->n, rows, b->n, depth, false);
}

/* to [depth, n] = w^T from [rows, n], or += that. */
static void backward_product(const struct job *j, const struct block *b, float *to, const float *w,
                             const float *from, int64_t rows, int64_t depth, bool adds)
{
    j->kernels->product(to, b->n, w, 1, depth, from, b->n, depth, b->n, rows, adds);
}

static void forward_block(void *arg, int64_t number, int thread)
{
    const struct job *j = arg;
    const struct peer_moe_experts *ex = j->ex;
    const struct block b = block_of(j, number, thread);
    int64_t D = ex->D, F = ex->F;
    for (int64_t i = 0; i < b.n; i++)
        memcpy(b.x + i * D, j->x + j->cache->by.token[b.from + i] * D, (size_t)D * sizeof *b.x);
    j->kernels->transpose(b.narrow, b.n, b.x, D, b.n, D);
    forward_product(j, &b, b.pre, ex->in + b.matrix, b.narrow, F, D);
    if (b.gate_pre)
        forward_product(j, &b, b.gate_pre, ex->gate + b.matrix, b.narrow, F, D);
    peer_hidden_forward(j->kernels, b.wide, b.pre, b.gate_pre, b.n * F, ex->activation);
    if (b.hidden)
        j->kernels->transpose(b.hidden, F, b.wide, b.n, F, b.n);
    forward_product(j, &b, b.narrow, ex->out + b.matrix, b.wide, D, F);
    j->kernels->transpose(b.y, D, b.narrow, b.n, D, b.n);
}

static void combine_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const struct job *j = arg;
    int64_t D = j->ex->D, end = peer_min((tile + 1) * TILE, j->T);
    for (int64_t t = tile * TILE; t < end; t++)
        j->kernels->rows_axpy(j->y + t * D, j->cache->y, D, j->cache->by.place + t * j->R, j->R,
                              -j->R, j->gates + t * j->R, D);
}

void peer_moe_experts_forward(const struct peer_ctx *ctx, const struct peer_moe_experts *experts,
                              struct peer_moe_experts_cache *cache, float *y, const float *x,
                              const int32_t *ids, const float *gates, int64_t T, int64_t R)
{
    struct job job = {.kernels = peer_kernels(ctx),
                      .ex = experts,
                      .cache = cache,
                      .y = y,
                      .x = x,
                      .gates = gates,
                      .T = T,
                      .R = R};
    peer_moe_dispatch_sort(&cache->by, ids, T, experts->E, R);
    peer_parallel(ctx, cache->by.blocks, forward_block, &job);
    peer_parallel(ctx, peer_tiles(T, TILE), combine_tile, &job);
}

/* dgates, and in y's place the gradients of the experts' outputs. */
static void combine_backward_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const struct job *j = arg;
    int64_t D = j->ex->D, R = j->R, end = peer_min((tile + 1) * TILE, j->T);
    for (int64_t t = tile * TILE; t < end; t++) {
        const int32_t *place = j->cache->by.place + t * R;
        const float *dy = j->dy + t * D;
        j->kernels->rows_dot(j->dgates + t * R, j->cache->y, D, place, R, -R, dy, D);
        for (int64_t i = 0; i < R; i++) {
            float *row = j->cache->y + (place[i] < 0 ? 0 : place[i]) * D,
                  gate = j->gates[t * R + i];
            for (int64_t d = 0; place[i] >= 0 && d < D; d++)
                row[d] = gate * dy[d];
        }
    }
}

/* From y's gradient to those of the pre-activations, and in y's place that of x. */
static void backward_block(void *arg, int64_t number, int thread)
{
    const struct job *j = arg;
    const struct peer_moe_experts *ex = j->ex;
    const struct block b = block_of(j, number, thread);
    int64_t D = ex->D, F = ex->F;
    j->kernels->transpose(b.narrow, b.n, b.y, D, b.n, D);
    backward_product(j, &b, b.wide, ex->out + b.matrix, b.narrow, D, F, false);
    peer_hidden_backward(j->kernels, b.pre, b.gate_pre, b.wide, b.n * F, ex->activation);
    backward_product(j, &b, b.narrow, ex->in + b.matrix, b.pre, F, D, false);
    if (b.gate_pre)
        backward_product(j, &b, b.narrow, ex->gate + b.matrix, b.gate_pre, F, D, true);
    j->kernels->transpose(b.y, D, b.narrow, b.n, D, b.n);
}

/* Tiles of an expert's weight gradients: dw [E, rows, columns] += left right, or = that where
 * stale, entries summed in order; right [entries, columns], left [entries, rows], or [rows, n] per
 * block. */
struct weight_job {
    const struct peer_kernels *kernels;
    const struct peer_moe_dispatch *by;
    int64_t E;
    float *dw;
    bool *stale;
    const float *left, *right;
    int64_t rows, columns, tile; /* tile: rows of one */
    bool left_by_blocks;
};

/* What a block of n entries gives to a tile. */
enum giving { ADDS, WRITES, STREAMS };

static void give(const struct weight_job *j, float *dw, const float *left, const float *right,
                 int64_t rows, int64_t columns, int64_t n, enum giving how)
{
    int64_t a_row = j->left_by_blocks ? n : 1, a_step = j->left_by_blocks ? 1 : j->rows;
    if (how == STREAMS)
        j->kernels->product_stream(dw, j->columns, left, a_row, a_step, right, j->columns, rows,
                                   columns, n);
    else
        j->kernels->product(dw, j->columns, left, a_row, a_step, right, j->columns, rows, columns,
                            n, how == ADDS);
}

/* How an expert's first block does; the second would read what has left the caches. */
static enum giving first_of(const struct weight_job *j, int64_t entries)
{
    bool large = j->E * j->rows * j->columns > CACHED;
    return !*j->stale ? ADDS : large && entries <= PEER_MOE_BLOCK ? STREAMS : WRITES;
}

static void weight_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const struct weight_job *j = arg;
    int64_t across = peer_tiles(j->columns, COLUMNS), down = peer_tiles(j->rows, j->tile);
    int64_t e = tile / (across * down), column = tile % across * COLUMNS;
    int64_t row = tile / across % down * j->tile, rows = peer_min(j->tile, j->rows - row);
    float *dw = j->dw + (e * j->rows + row) * j->columns + column;
    const struct peer_moe_dispatch *by = j->by;
    int64_t from = by->offsets[e], end = by->offsets[e + 1], n;
    for (enum giving how = first_of(j, end - from); from < end || how != ADDS; how = ADDS) {
        n = peer_moe_block_size(by, e, from);
        give(j, dw, j->left + from * j->rows + row * (j->left_by_blocks ? n : 1),
             j->right + from * j->columns + column, rows, peer_min(COLUMNS, j->columns - column), n,
             how);
        from += n;
    }
}

static void weight_backward(const struct peer_ctx *ctx, struct weight_job job)
{
    if (!job.dw)
        return;
    job.tile = job.E < MANY ? ROWS : job.rows;
    peer_parallel(ctx, job.E * peer_tiles(job.rows, job.tile) * peer_tiles(job.columns, COLUMNS),
                  weight_tile, &job);
    *job.stale = false;
}

static void scatter_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const struct job *j = arg;
    int64_t D = j->ex->D, end = peer_min((tile + 1) * TILE, j->T);
    for (int64_t t = tile * TILE; t < end; t++)
        for (int64_t i = t * j->R; i < (t + 1) * j->R; i++) {
            int32_t place = j->cache->by.place[i];
            for (int64_t d = 0; place >= 0 && d < D; d++)
                j->dx[t * D + d] += j->cache->y[place * D + d];
        }
}

void peer_moe_experts_backward(const struct peer_ctx *ctx, struct peer_moe_experts *ex,
                               const struct peer_moe_experts_cache *cache, float *dx, float *dgates,
                               const float *dy, const float *gates, int64_t T, int64_t R)
{
    struct job job = {.kernels = peer_kernels(ctx),
                      .ex = ex,
                      .cache = cache,
                      .dx = dx,
                      .dgates = dgates,
                      .dy = dy,
                      .gates = gates,
                      .T = T,
                      .R = R};
    peer_parallel(ctx, peer_tiles(T, TILE), combine_backward_tile, &job);
    struct weight_job out = {.kernels = job.kernels,
                             .by = &cache->by,
                             .E = ex->E,
                             .dw = ex->dout,
                             .stale = &ex->dout_stale,
                             .left = cache->y,
                             .right = cache->hidden,
                             .rows = ex->D,
                             .columns = ex->F};
    weight_backward(ctx, out);
    peer_parallel(ctx, cache->by.blocks, backward_block, &job);
    struct weight_job in = {.kernels = job.kernels,
                            .by = &cache->by,
                            .E = ex->E,
                            .dw = ex->din,
                            .stale = &ex->din_stale,
                            .left = cache->pre,
                            .right = cache->x,
                            .rows = ex->F,
                            .columns = ex->D,
                            .left_by_blocks = true};
    weight_backward(ctx, in);
    if (ex->gate) {
        in.dw = ex->dgate;
        in.stale = &ex->dgate_stale;
        in.left = cache->gate_pre;
        weight_backward(ctx, in);
    }
    peer_parallel(ctx, peer_tiles(T, TILE), scatter_tile, &job);
}
