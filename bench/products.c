/* SPDX-License-Identifier: MIT */
/* The products of nn/products/linear.h: as the context makes them, and by the kernels alone, as it
 * makes them where it uses no BLAS. */
#include <stdio.h>

#include "bench/bench.h"
#include "nn/context_private.h"
#include "nn/pool.h"
#include "nn/products/linear.h"
#include "nn/random.h"

enum { T = 2048, IN = 256, OUT = 1024 };

struct products {
    struct peer_ctx ctx; /* the bench's, but for what makes products */
    float *x, *w, *y;
};

static void forward(void *job)
{
    struct products *p = job;
    peer_linear_forward(&p->ctx, p->y, p->x, p->w, T, IN, OUT);
}

static void backward_x(void *job)
{
    struct products *p = job;
    peer_linear_backward_x(&p->ctx, p->x, p->y, p->w, T, IN, OUT, false);
}

static void backward_w(void *job)
{
    struct products *p = job;
    peer_linear_backward_w(&p->ctx, p->w, p->y, p->x, T, IN, OUT);
}

static void time_one(struct bench *bench, struct products *p, const char *name,
                     void (*run)(void *job))
{
    struct bench_row row = {.name = name, .unit = "tokens", .work = T, .flops = 2.0 * T * IN * OUT};
    for (int blas = p->ctx.uses_blas; blas >= 0 && bench_wants(bench, name); blas--) {
        bool before = p->ctx.uses_blas;
        p->ctx.uses_blas = blas;
        snprintf(row.sizes, sizeof row.sizes, "T=%d, %d to %d, %s", T, IN, OUT,
                 blas ? "with BLAS" : "kernels alone");
        bench_time(bench, &row, run, p);
        p->ctx.uses_blas = before;
    }
}

void bench_products(struct bench *bench)
{
    struct peer_pool pool = {.ctx = bench->ctx};
    if (!bench_wants(bench, "products/"))
        return;
    struct products p = {.ctx = *bench->ctx,
                         .x = peer_pool_floats(&pool, "x", T, IN),
                         .w = peer_pool_floats(&pool, "w", OUT, IN),
                         .y = peer_pool_floats(&pool, "y", T, OUT)};
    bench_check(bench, pool.failed ? PEER_ERR_MEMORY : PEER_OK);
    peer_fill_normal(p.x, T * IN, 0, 1, 1, 1);
    peer_fill_normal(p.w, OUT * IN, 0, 1, 1, 2);
    time_one(bench, &p, "products/forward", forward);
    time_one(bench, &p, "products/inputs", backward_x);
    time_one(bench, &p, "products/weights", backward_w);
    peer_pool_free(&pool);
}
