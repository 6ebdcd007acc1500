/* SPDX-License-Identifier: MIT */
/* The optimizer's step over a table of rows, alone: one case per kind. What a backward pass would
 * have left (entries, coefficients, sources) is put back before every step, which is part of the
 * time. */
#include <string.h>

#include "bench/bench.h"
#include "nn/optim/optim.h"
#include "nn/pool.h"
#include "nn/random.h"

enum { SLOTS = 128 }; /* H k */

struct table {
    struct peer_rows *rows;
    struct peer_optim *optim;
    int64_t n, D, T; /* n * n rows of [u | v] */
    float *data;     /* [n * n, 2 D] */
    int32_t *ids;    /* [T, SLOTS] */
    float *coef;     /* [T, SLOTS] */
    float *source;   /* [T, D] */
    bool reads;      /* a forward pass would have read the rows */
};

static void leave_gradient(const struct table *t)
{
    struct peer_rows_block block = peer_rows_reserve(t->rows, t->T, SLOTS);
    memcpy(block.row, t->ids, (size_t)(t->T * SLOTS) * sizeof *t->ids);
    for (int s = 0; s < 2; s++) {
        memcpy(block.coef[s], t->coef, (size_t)(t->T * SLOTS) * sizeof *t->coef);
        memcpy(block.source[s], t->source, (size_t)(t->T * t->D) * sizeof *t->source);
    }
}

static void run_step(void *job)
{
    const struct table *t = job;
    if (t->reads)
        peer_rows_catch_up(t->rows, t->ids, t->T * SLOTS);
    leave_gradient(t);
    peer_optim_step(t->optim, 1e-4f);
}

/* As run_step, with other rows in each call, so that rows are behind by what they would be. */
static void run_moving_step(void *job)
{
    struct table *t = job;
    int64_t rows = t->n * t->n;
    for (int64_t i = 0; i < t->T * SLOTS; i++)
        t->ids[i] = (int32_t)((t->ids[i] + 7919 * (i % 61)) % rows);
    run_step(t);
}

static void create(struct table *t, struct bench *bench, struct peer_pool *pool, int64_t n,
                   int64_t D, int64_t T)
{
    struct peer_rows_config config = {.rows = n * n,
                                      .width = 2 * D,
                                      .tokens = T,
                                      .entries = T * SLOTS,
                                      .segments = 2,
                                      .segment = {{0, D, 0}, {D, D, 1}}};
    *t = (struct table){.n = n, .D = D, .T = T};
    bench_check(bench, peer_rows_create(&t->rows, bench->ctx, &config));
    t->data = peer_pool_floats(pool, "table", n * n, 2 * D);
    t->ids = peer_pool_ids(pool, "ids", T, SLOTS);
    t->coef = peer_pool_floats(pool, "coef", T, SLOTS);
    t->source = peer_pool_floats(pool, "source", T, D);
    bench_check(bench, pool->failed ? PEER_ERR_MEMORY : PEER_OK);
    peer_fill_uniform(t->data, n * n * 2 * D, -1, 1, 1, 1);
    peer_fill_normal(t->coef, T * SLOTS, 0, 1, 1, 2);
    peer_fill_normal(t->source, T * D, 0, 1, 1, 3);
    for (int64_t i = 0; i < T * SLOTS; i++)
        t->ids[i] = (int32_t)peer_random_below(1, 4, (uint64_t)i, (uint32_t)(n * n));
}

/* Rows that a step touches; makes one. */
static int64_t touched_by_step(const struct table *t)
{
    leave_gradient(t);
    peer_rows_group(t->rows);
    int64_t touched = t->rows->touched; /* the step forgets it */
    peer_optim_step(t->optim, 1e-4f);
    return touched;
}

/* Bytes: weights and state of touched rows, read and written. */
static void time_kind(struct bench *bench, struct table *t, const char *name,
                      const struct peer_optim_config *config)
{
    struct bench_row row = {.name = name, .unit = "tokens", .work = (double)t->T};
    struct peer_params params = peer_params_empty(bench->ctx);
    struct peer_param param = {.name = "table",
                               .kind = PEER_PARAM_ROWS,
                               .dims = 2,
                               .shape = {t->n * t->n, 2 * t->D},
                               .data = t->data,
                               .rows = t->rows,
                               .lr_scale = 1,
                               .decay = 1};
    if (!bench_wants(bench, name))
        return;
    bench_check(bench, peer_params_add(&params, "", &param));
    bench_check(bench, peer_optim_create(&t->optim, bench->ctx, &params, config));
    t->reads = config->rows == PEER_ROWS_DEFERRED_ADAMW;
    snprintf(row.sizes, sizeof row.sizes, "N=%lld^2 D=%lld T=%lld H k=%d", (long long)t->n,
             (long long)t->D, (long long)t->T, SLOTS);
    row.bytes = 2 * (double)touched_by_step(t) *
                (8 * (double)t->D + (double)peer_optim_row_bytes(config, 2 * t->D, 2));
    bench_time(bench, &row, t->reads ? run_moving_step : run_step, t);
    peer_optim_destroy(&t->optim);
    peer_params_free(&params);
}

static void time_kinds(struct bench *bench, int64_t n, int64_t D, int64_t T)
{
    static const struct {
        const char *name;
        enum peer_optim_rows rows;
        enum peer_type moments;
        enum peer_optim_second second;
        float clip;
    } kinds[] = {
        {"optim/lazy", PEER_ROWS_ADAMW, PEER_TYPE_F32, PEER_SECOND_VALUE, 1},
        {"optim/lazy, no clipping", PEER_ROWS_ADAMW, PEER_TYPE_F32, PEER_SECOND_VALUE, 0},
        {"optim/lazy, bf16", PEER_ROWS_ADAMW, PEER_TYPE_BF16, PEER_SECOND_VALUE, 1},
        {"optim/lazy, v by row", PEER_ROWS_ADAMW, PEER_TYPE_F32, PEER_SECOND_ROW, 1},
        {"optim/lazy, both", PEER_ROWS_ADAMW, PEER_TYPE_BF16, PEER_SECOND_ROW, 1},
        {"optim/deferred", PEER_ROWS_DEFERRED_ADAMW, PEER_TYPE_F32, PEER_SECOND_VALUE, 1},
        {"optim/adagrad", PEER_ROWS_ADAGRAD, PEER_TYPE_F32, PEER_SECOND_VALUE, 1},
        {"optim/sgd", PEER_ROWS_SGD, PEER_TYPE_F32, PEER_SECOND_VALUE, 1},
    };
    struct table t;
    struct peer_pool pool = {.ctx = bench->ctx};
    if (bench->filter && strncmp(bench->filter, "optim", 5))
        return;
    create(&t, bench, &pool, n, D, T);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct peer_optim_config config = peer_optim_config_default();
        config.rows = kinds[i].rows;
        config.rows_moments = kinds[i].moments;
        config.rows_second = kinds[i].second;
        config.clip = kinds[i].clip;
        config.nonfinite = PEER_NONFINITE_APPLY;
        time_kind(bench, &t, kinds[i].name, &config);
    }
    peer_rows_destroy(&t.rows);
    peer_pool_free(&pool);
}

void bench_optim(struct bench *bench)
{
    time_kinds(bench, 1024, 256, 2048);
    time_kinds(bench, 128, 256, 2048);
}
