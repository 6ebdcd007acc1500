/* SPDX-License-Identifier: MIT */
/* Selection beside torch.topk, product-key search beside FAISS. */
#include <math.h>
#include <stdlib.h>

#include "bench/match.h"
#include "bench/peers.h"
#include "nn/kernels/kernels.h"
#include "nn/parallel.h"
#include "nn/pool.h"
#include "nn/random.h"
#include "pkm/search.h"

enum { WIDTH = 256, KEPT = 16, TOPK_ROWS = 16384, TOPK_OF = 1024, TILE = 256 };

/* Share of the results that may differ: where two scores are equal to rounding. */
#define TOLERANCE 1e-3

struct selection {
    const struct peer_ctx *ctx;
    float *scores, *values;
    int32_t *ids;
};

static void select_tile(void *job, int64_t tile, int thread)
{
    (void)thread;
    const struct selection *s = job;
    for (int64_t i = tile * TILE; i < (tile + 1) * TILE; i++)
        peer_kernels(s->ctx)->topk(s->values + i * KEPT, s->ids + i * KEPT, s->scores + i * TOPK_OF,
                                   TOPK_OF, KEPT);
}

static void run_selection(void *job)
{
    struct selection *s = job;
    peer_parallel(s->ctx, TOPK_ROWS / TILE, select_tile, s);
}

/* The share of `count` ids in which the rival differs, or a negative number. */
static double ids_difference(struct rival *rival, const int32_t *ours, int64_t count)
{
    int32_t *theirs = malloc((size_t)count * sizeof *theirs);
    int64_t apart = 0;
    bool known = theirs && rival_get_ids(rival, "ids", theirs, count);
    for (int64_t i = 0; known && i < count; i++)
        apart += ours[i] != theirs[i];
    free(theirs);
    return known ? (double)apart / (double)count : -1;
}

static void versus_topk(struct bench *bench)
{
    struct peer_pool pool = {.ctx = bench->ctx};
    struct selection s = {.ctx = bench->ctx,
                          .scores = peer_pool_floats(&pool, "scores", TOPK_ROWS, TOPK_OF),
                          .values = peer_pool_floats(&pool, "values", TOPK_ROWS, KEPT),
                          .ids = peer_pool_ids(&pool, "ids", TOPK_ROWS, KEPT)};
    bench_check(bench, pool.failed ? PEER_ERR_MEMORY : PEER_OK);
    peer_fill_normal(s.scores, TOPK_ROWS * TOPK_OF, 0, 1, 1, 1);
    struct rival *rival = bench_rival(bench, "topk.py");
    rival_option(rival, "kept", KEPT);
    rival_send_floats(rival, "scores", s.scores, TOPK_ROWS, TOPK_OF);
    run_selection(&s);
    struct bench_match match = {.name = "topk",
                                .sizes = "16 of 1024, 16384 rows",
                                .unit = "rows",
                                .work = TOPK_ROWS,
                                .target = 12,
                                .ours = {"ours", run_selection, &s, NULL},
                                .theirs = {"torch.topk", NULL, NULL, rival},
                                .difference = -1,
                                .tolerance = TOLERANCE};
    if (rival_ready(rival) && rival_run(rival) > 0)
        match.difference = ids_difference(rival, s.ids, TOPK_ROWS * KEPT);
    bench_match(bench, &match);
    rival_stop(&rival);
    peer_pool_free(&pool);
}

struct search_case {
    const char *script, *against;
    int64_t n, T;
    double target;
    int64_t call; /* queries of one call of ours; 0 = all */
};

/* Of so few queries in a call none is screened (pkm/tile.c); whole tiles for two threads. */
enum { UNSCREENED = 384 };

static const struct search_case searches[] = {
    {"faiss_product.py", "faiss MultiIndexQuantizer", 128, 16384, 0, 0},
    {"faiss_product.py", "faiss MultiIndexQuantizer", 512, 16384, 0, 0},
    {"faiss_product.py", "faiss MultiIndexQuantizer", 1024, 16384, 3, UNSCREENED},
    {"faiss_product.py", "faiss MultiIndexQuantizer", 1024, 16384, 5, 0},
    {"faiss_flat.py", "faiss IndexFlatIP", 128, 256, 0, 0},
    {"faiss_flat.py", "faiss IndexFlatIP", 256, 256, 0, 0},
    {"faiss_flat.py", "faiss IndexFlatIP", 512, 256, 0, 0},
    {"faiss_flat.py", "faiss IndexFlatIP", 1024, 256, 0, 0},
};

struct search {
    struct pkm_index *index;
    float *queries, *scores;
    int32_t *ids;
    int64_t T, call; /* queries, and how many of them a call has */
};

static void run_search(void *job)
{
    const struct search *s = job;
    for (int64_t at = 0; at < s->T; at += s->call)
        pkm_index_search(s->index, s->ids + at * KEPT, s->scores + at * KEPT,
                         s->queries + at * WIDTH, peer_min(s->call, s->T - at));
}

/* Sub-keys of length 1: then the smallest distance, which FAISS's quantizer looks for, is the
 * largest inner product. */
static void fill_keys(float *keys, int64_t n)
{
    const int64_t half = WIDTH / 2;
    peer_fill_normal(keys, 2 * n * half, 0, 1, 1, 1);
    for (int64_t i = 0; i < 2 * n; i++) {
        float *key = keys + i * half, squares = 0;
        for (int64_t j = 0; j < half; j++)
            squares += key[j] * key[j];
        for (int64_t j = 0; j < half; j++)
            key[j] /= sqrtf(squares);
    }
}

static void open_search(struct search *s, struct bench *bench, struct peer_pool *pool,
                        const struct search_case *c)
{
    struct pkm_index_config config = {.n = c->n, .width = WIDTH, .kept = KEPT, .queries = c->T};
    *s = (struct search){.T = c->T, .call = c->call ? c->call : c->T};
    bench_check(bench, pkm_index_create(&s->index, bench->ctx, &config));
    s->queries = peer_pool_floats(pool, "queries", c->T, WIDTH);
    s->scores = peer_pool_floats(pool, "scores", c->T, KEPT);
    s->ids = peer_pool_ids(pool, "ids", c->T, KEPT);
    bench_check(bench, pool->failed ? PEER_ERR_MEMORY : PEER_OK);
    fill_keys(pkm_index_keys(s->index), c->n);
    peer_fill_normal(s->queries, c->T * WIDTH, 0, 1, 1, 2);
}

static void versus_faiss(struct bench *bench, const struct search_case *c, struct bench_match match)
{
    struct peer_pool pool = {.ctx = bench->ctx};
    struct search s;
    open_search(&s, bench, &pool, c);
    struct rival *rival = bench_rival(bench, c->script);
    rival_option(rival, "side", c->n);
    rival_option(rival, "width", WIDTH);
    rival_option(rival, "kept", KEPT);
    rival_send_floats(rival, "keys", pkm_index_keys(s.index), 2 * c->n, WIDTH / 2);
    rival_send_floats(rival, "queries", s.queries, c->T, WIDTH);
    run_search(&s);
    match.ours = (struct bench_side){"ours", run_search, &s, NULL};
    match.theirs = (struct bench_side){c->against, NULL, NULL, rival};
    if (rival_ready(rival) && rival_run(rival) > 0)
        match.difference = ids_difference(rival, s.ids, c->T * KEPT);
    bench_match(bench, &match);
    rival_stop(&rival);
    peer_pool_free(&pool);
    pkm_index_destroy(&s.index);
}

void bench_versus_search(struct bench *bench)
{
    if (bench_wants(bench, "topk 16 of 1024, 16384 rows torch.topk"))
        versus_topk(bench);
    for (size_t i = 0; i < sizeof searches / sizeof *searches; i++) {
        const struct search_case *c = &searches[i];
        struct bench_match match = {.name = "retrieval",
                                    .unit = "queries",
                                    .work = (double)c->T,
                                    .target = c->target,
                                    .theirs.name = c->against,
                                    .difference = -1,
                                    .tolerance = TOLERANCE};
        snprintf(match.sizes, sizeof match.sizes, "N=%lld^2 K=256 k=16 T=%lld%s", (long long)c->n,
                 (long long)c->T, c->call ? ", in float" : "");
        if (bench_match_wanted(bench, &match))
            versus_faiss(bench, c, match);
    }
}
