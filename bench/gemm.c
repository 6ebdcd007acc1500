/* SPDX-License-Identifier: MIT */
/* What the machine can do: sgemm alone, on a large square product, with OpenBLAS's own threads. */
#include <cblas.h>
#include <omp.h>

#include "bench/bench.h"
#include "nn/pool.h"
#include "nn/random.h"

enum { SIDE = 2048 };

struct gemm {
    float *a, *b, *c;
};

static void run(void *job)
{
    const struct gemm *g = job;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, SIDE, SIDE, SIDE, 1, g->a, SIDE, g->b,
                SIDE, 0, g->c, SIDE);
}

void bench_gemm(struct bench *bench)
{
    struct peer_pool pool = {.ctx = bench->ctx};
    struct gemm g = {.a = peer_pool_floats(&pool, "a", SIDE, SIDE),
                     .b = peer_pool_floats(&pool, "b", SIDE, SIDE),
                     .c = peer_pool_floats(&pool, "c", SIDE, SIDE)};
    bench_check(bench, pool.failed ? PEER_ERR_MEMORY : PEER_OK);
    peer_fill_normal(g.a, SIDE * SIDE, 0, 1, 1, 1);
    peer_fill_normal(g.b, SIDE * SIDE, 0, 1, 1, 2);
    omp_set_num_threads(peer_ctx_threads(bench->ctx));
    double flops = 2.0 * SIDE * SIDE * SIDE;
    struct bench_row row = {
        .name = "gemm", .sizes = "2048^3", .unit = "products", .work = 1, .flops = flops};
    /* Run whatever the filter: the other rows are compared with it. */
    bench->gemm_flops = flops / bench_time(bench, &row, run, &g);
    peer_pool_free(&pool);
}
