/* SPDX-License-Identifier: MIT */
/* Product-key search alone, and the exhaustive search it stands for. */
#include "bench/bench.h"
#include "nn/pool.h"
#include "nn/random.h"
#include "pkm/search.h"

struct search {
    struct pkm_index *index;
    int32_t *ids;
    float *scores, *queries;
    int64_t T;
};

static void run_product(void *job)
{
    const struct search *s = job;
    pkm_index_search(s->index, s->ids, s->scores, s->queries, s->T);
}

static void run_exhaustive(void *job)
{
    const struct search *s = job;
    pkm_index_search_exhaustive(s->index, s->ids, s->scores, s->queries, s->T);
}

static void bench_search(struct bench *bench, const char *name, void (*run)(void *), int64_t n,
                         int64_t K, int64_t k, int64_t T, double flops)
{
    if (!bench_wants(bench, name))
        return;
    struct pkm_index_config config = {.n = n, .width = K, .kept = k, .queries = T};
    struct peer_pool pool = {.ctx = bench->ctx};
    struct search s = {.T = T};
    bench_check(bench, pkm_index_create(&s.index, bench->ctx, &config));
    s.ids = peer_pool_ids(&pool, "ids", T, k);
    s.scores = peer_pool_floats(&pool, "scores", T, k);
    s.queries = peer_pool_floats(&pool, "queries", T, K);
    bench_check(bench, pool.failed ? PEER_ERR_MEMORY : PEER_OK);
    peer_fill_normal(pkm_index_keys(s.index), n * K, 0, 1, 1, 1);
    peer_fill_normal(s.queries, T * K, 0, 1, 1, 2);
    struct bench_row row = {.name = name, .unit = "queries", .work = (double)T, .flops = flops};
    snprintf(row.sizes, sizeof row.sizes, "N=%lld^2 K=%lld k=%lld T=%lld", (long long)n,
             (long long)K, (long long)k, (long long)T);
    bench_time(bench, &row, run, &s);
    peer_pool_free(&pool);
    pkm_index_destroy(&s.index);
}

void bench_retrieval(struct bench *bench)
{
    static const int64_t sides[] = {128, 256, 512, 1024};
    enum { WIDTH = 256, KEPT = 16, MANY = 512 };
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++)
        for (int64_t T = 8; T <= 16384; T *= 2048)
            bench_search(bench, "retrieval/product-key", run_product, sides[i], WIDTH, KEPT, T,
                         2.0 * WIDTH * (double)(sides[i] * T));
    bench_search(bench, "retrieval/product-key", run_product, 1024, WIDTH, MANY, 1024,
                 2.0 * WIDTH * 1024 * 1024);
    bench_search(bench, "retrieval/exhaustive", run_exhaustive, 256, WIDTH, KEPT, 64,
                 2.0 * WIDTH * 256 * 64);
}
