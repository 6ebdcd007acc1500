/* SPDX-License-Identifier: MIT */
/* Each kernel of nn/kernels/kernels.h alone, in the shape that a layer gives it. A run is TILES
 * tiles on all threads; a tile makes the same call on data of its own `repeats` times. */
#include <string.h>

#include "bench/bench.h"
#include "nn/kernels/kernels.h"
#include "nn/parallel.h"
#include "nn/pool.h"
#include "nn/random.h"

enum {
    TILES = 128,
    REPEATS = 8,             /* of calls whose data stays in cache */
    VALUES = 4096,           /* of a call that is element by element */
    D = 256,                 /* columns of a gathered row */
    GATHERED = 2048,         /* rows of a call */
    KEYS = 1024,             /* sub-keys, and scores of a query */
    HALF = 128,              /* width of a sub-key */
    QUERIES = 32,            /* columns of a product */
    KEPT = 16,               /* k */
    MANY = 512,              /* a k that is sorted for */
    FEW = 8,                 /* queries that keep so many */
    SCREENED = 24,           /* candidates of a query */
    HIDDEN = 1024,           /* of an expert */
    WIDTH = 512,             /* of an expert's tokens */
    ROWS = 96,               /* of a weight's gradient in one call */
    EXPERT = HIDDEN * WIDTH, /* TILES of them are 256 MB */
    MISSED = 16,             /* steps */
};
#define TABLE_BYTES ((int64_t)1 << 30)

struct data {
    const struct peer_ctx *ctx;
    const struct peer_kernels *k;
    void *table;         /* TABLE_BYTES: rows of any type, and weights of experts */
    int32_t *ids;        /* [TILES, GATHERED] */
    float *keys, *pairs; /* [KEYS, HALF]; the same in bf16 */
    float *columns;      /* [WIDTH, QUERIES] */
    float *x, *y;        /* [TILES, KEYS * QUERIES] */
    float *p, *m, *v;    /* [TILES, VALUES] */
    uint16_t *narrow;    /* [TILES, VALUES] */
    float *margins;      /* [QUERIES] */
    int32_t *found;      /* [TILES, QUERIES * PEER_SCREEN_MOST] */
    struct peer_adam_missed missed[MISSED];
};

/* The slices of a tile. */
#define X (d->x + t * KEYS * QUERIES)
#define Y (d->y + t * KEYS * QUERIES)
#define OF(array) (d->array + t * VALUES)
#define FOUND (d->found + t * QUERIES * PEER_SCREEN_MOST)

static const struct peer_adam_step adam = {.beta1 = 0.9f,
                                           .beta2 = 0.95f,
                                           .fresh1 = 0.1f,
                                           .fresh2 = 0.05f,
                                           .epsilon = 1e-8f,
                                           .rate = 1e-4f,
                                           .second_scale = 1,
                                           .shrink = 1,
                                           .grad_scale = 1,
                                           .coef = 1};
static const struct peer_rounding draws = {.key = {1, 2}};

/* CALL(name, call): a function of this name that makes the call. */
#define CALL(name, ...)                                                                            \
    static void name(const struct data *d, int64_t t)                                              \
    {                                                                                              \
        d->k->__VA_ARGS__;                                                                         \
    }

/* clang-format off */
#define GATHER_ARGUMENTS Y, d->table, D, d->ids + t * GATHERED, GATHERED, 0, X, D
CALL(rows_dot, rows_dot(GATHER_ARGUMENTS))
CALL(rows_axpy, rows_axpy(GATHER_ARGUMENTS))
CALL(rows_dot_bf16, rows_dot_bf16(GATHER_ARGUMENTS))
CALL(rows_axpy_bf16, rows_axpy_bf16(GATHER_ARGUMENTS))
CALL(rows_dot_int8, rows_dot_int8(GATHER_ARGUMENTS))
CALL(rows_axpy_int8, rows_axpy_int8(GATHER_ARGUMENTS))
CALL(product_scores, product(Y, QUERIES, d->keys, HALF, 1, d->columns, QUERIES, KEYS, QUERIES, HALF,
                             false))
CALL(product_expert, product(Y, QUERIES, (const float *)d->table + t * EXPERT, WIDTH, 1, d->columns,
                             QUERIES, HIDDEN, QUERIES, WIDTH, false))
CALL(product_stream, product_stream((float *)d->table + t * EXPERT, WIDTH, X, 1, HIDDEN, d->columns,
                                    WIDTH, HIDDEN, WIDTH, QUERIES))
CALL(product_bf16, product_bf16(Y, QUERIES, d->pairs, HALF / 2, d->pairs, QUERIES, KEYS, QUERIES,
                                HALF / 2))
CALL(bf16_pairs, bf16_pairs(Y, (float[2]){0}, X, VALUES))
CALL(screen_columns, screen_columns(FOUND, (int32_t[QUERIES]){0}, X, QUERIES, KEYS, QUERIES, KEPT,
                                    d->margins))
CALL(topk_columns, topk_columns(Y, FOUND, X, QUERIES, KEYS, QUERIES, KEPT))
CALL(topk_columns_many, topk_columns(Y, FOUND, X, QUERIES, KEYS, FEW, MANY))
CALL(transpose, transpose(Y, QUERIES, X, WIDTH, QUERIES, WIDTH))
CALL(act_forward, act_forward(Y, X, VALUES, PEER_ACT_GELU))
CALL(act_slope, act_slope(Y, X, VALUES, PEER_ACT_GELU))
CALL(adamw, adamw(OF(p), OF(m), OF(v), X, VALUES, &adam, NULL))
CALL(adamw_shared, adamw_shared(OF(p), OF(m), 1, X, VALUES, &adam))
CALL(adamw_missed, adamw_missed(OF(p), OF(m), OF(v), VALUES, 1e-8f, d->missed, MISSED))
CALL(bf16_read, bf16_read(Y, OF(narrow), VALUES))
CALL(bf16_round, bf16_round(OF(narrow), X, VALUES, &draws))
/* clang-format on */

static void product_gradient(const struct data *d, int64_t t)
{
    float *weights = (float *)d->table + t * EXPERT;
    for (int64_t row = 0; row < HIDDEN; row += ROWS)
        d->k->product(weights + row * WIDTH, WIDTH, X + row, 1, HIDDEN, d->columns, WIDTH,
                      peer_min(ROWS, HIDDEN - row), WIDTH, QUERIES, true);
}

static void rows_chain(const struct data *d, int64_t t)
{
    for (int64_t q = 0; q < QUERIES; q++)
        d->k->rows_chain(Y + q * SCREENED, d->keys, HALF, d->ids + q * SCREENED, SCREENED,
                         X + q * HALF, HALF);
}

static void topk(const struct data *d, int64_t t)
{
    for (int64_t q = 0; q < QUERIES; q++)
        d->k->topk(Y + q * KEPT, FOUND + q * KEPT, X + q * KEYS, KEYS, KEPT);
}

static void topk_many(const struct data *d, int64_t t)
{
    for (int64_t q = 0; q < FEW; q++)
        d->k->topk(Y + q * MANY, FOUND + q * MANY, X + q * KEYS, KEYS, MANY);
}

/* What works in place gets its argument anew, as a part of the time. */
static void softmax(const struct data *d, int64_t t)
{
    memcpy(Y, X, VALUES * sizeof(float));
    d->k->softmax(Y, 1, VALUES);
}

static void softmax_backward(const struct data *d, int64_t t)
{
    memcpy(Y, X, VALUES * sizeof(float));
    d->k->softmax_backward(Y, OF(v), VALUES);
}

static void cross_entropy(const struct data *d, int64_t t)
{
    float loss;
    memcpy(Y, X, VALUES * sizeof(float));
    d->k->cross_entropy(Y, &loss, VALUES, t, 1);
}

struct kernel {
    const char *name, *sizes, *unit;
    void (*call)(const struct data *d, int64_t tile);
    int64_t repeats;
    double work, flops, bytes; /* per call; FLOPs of fixed number alone */
    int64_t rows;              /* of the table, where ids are drawn among them */
};

/* clang-format off */
#define GATHER(call, bytes)                                                                        \
    {"kernel/" #call, "D=256, rows of 1 GiB", "rows", call, 1, GATHERED, 2.0 * GATHERED * D,       \
     (double)GATHERED * D * (bytes), TABLE_BYTES / D / (bytes)}
#define EACH(call, sizes, bytes)                                                                   \
    {"kernel/" #call, sizes, "values", call, REPEATS, VALUES, 0, (double)VALUES * (bytes), 0}
static const struct kernel kernels[] = {
    GATHER(rows_dot, 4),
    GATHER(rows_axpy, 4),
    GATHER(rows_dot_bf16, 2),
    GATHER(rows_axpy_bf16, 2),
    GATHER(rows_dot_int8, 1),
    GATHER(rows_axpy_int8, 1),
    {"kernel/product", "scores 1024x128x32", "columns", product_scores, REPEATS, QUERIES,
     2.0 * KEYS * HALF * QUERIES, 0, 0},
    {"kernel/product", "experts 1024x512x32, a streamed", "columns", product_expert, 1, QUERIES,
     2.0 * EXPERT * QUERIES, 4.0 * EXPERT, 0},
    {"kernel/product", "gradient 1024x32x512, c streamed", "columns", product_gradient, 1, QUERIES,
     2.0 * EXPERT * QUERIES, 8.0 * EXPERT, 0},
    {"kernel/product_stream", "gradient 1024x32x512", "columns", product_stream, 1, QUERIES,
     2.0 * EXPERT * QUERIES, 4.0 * EXPERT, 0},
    {"kernel/product_bf16", "scores 1024x128x32", "columns", product_bf16, REPEATS, QUERIES,
     2.0 * KEYS * HALF * QUERIES, 0, 0},
    EACH(bf16_pairs, "n=4096", 6),
    {"kernel/screen_columns", "16 of 1024, 32 columns", "columns", screen_columns, REPEATS, QUERIES,
     0, 4.0 * KEYS * QUERIES, 0},
    {"kernel/rows_chain", "24 rows of 1024x128", "rows", rows_chain, REPEATS, QUERIES * SCREENED,
     2.0 * QUERIES * SCREENED * HALF, 0, KEYS},
    {"kernel/topk", "16 of 1024", "rows", topk, REPEATS, QUERIES, 0, 4.0 * KEYS * QUERIES, 0},
    {"kernel/topk_columns", "16 of 1024, 32 columns", "columns", topk_columns, REPEATS, QUERIES, 0,
     4.0 * KEYS * QUERIES, 0},
    {"kernel/topk", "512 of 1024", "rows", topk_many, REPEATS, FEW, 0, 4.0 * KEYS * FEW, 0},
    {"kernel/topk_columns", "512 of 1024, 8 columns", "columns", topk_columns_many, REPEATS, FEW, 0,
     4.0 * KEYS * FEW, 0},
    {"kernel/transpose", "32x512", "values", transpose, REPEATS, QUERIES * WIDTH, 0,
     8.0 * QUERIES * WIDTH, 0},
    EACH(act_forward, "gelu n=4096", 8),
    EACH(act_slope, "gelu n=4096", 8),
    EACH(softmax, "n=4096", 8),
    EACH(softmax_backward, "n=4096", 12),
    EACH(cross_entropy, "n=4096", 8),
    EACH(adamw, "n=4096", 28),
    EACH(adamw_shared, "n=4096", 20),
    EACH(adamw_missed, "n=4096, 16 steps", 16),
    EACH(bf16_read, "n=4096", 6),
    EACH(bf16_round, "n=4096", 6),
};
/* clang-format on */

struct job {
    const struct data *data;
    const struct kernel *kernel;
};

static void call_tile(void *job, int64_t tile, int thread)
{
    (void)thread;
    const struct job *j = job;
    for (int64_t i = 0; i < j->kernel->repeats; i++)
        j->kernel->call(j->data, tile);
}

static void run(void *job)
{
    const struct job *j = job;
    peer_parallel(j->data->ctx, TILES, call_tile, job);
}

static void open_data(struct data *d, struct bench *bench, struct peer_pool *pool)
{
    float squares[2];
    *d = (struct data){.ctx = bench->ctx, .k = peer_kernels(bench->ctx)};
    d->table = peer_pool_alloc(pool, "table", 1, TABLE_BYTES, 1, 1);
    d->ids = peer_pool_ids(pool, "ids", TILES, GATHERED);
    d->keys = peer_pool_floats(pool, "keys", KEYS, HALF);
    d->pairs = peer_pool_floats(pool, "pairs", KEYS, HALF / 2);
    d->columns = peer_pool_floats(pool, "columns", WIDTH, QUERIES);
    d->x = peer_pool_floats(pool, "x", TILES, KEYS * QUERIES);
    d->y = peer_pool_floats(pool, "y", TILES, KEYS * QUERIES);
    d->p = peer_pool_floats(pool, "p", TILES, VALUES);
    d->m = peer_pool_floats(pool, "m", TILES, VALUES);
    d->v = peer_pool_floats(pool, "v", TILES, VALUES);
    d->narrow = peer_pool_alloc(pool, "narrow", sizeof *d->narrow, TILES, VALUES, 1);
    d->margins = peer_pool_floats(pool, "margins", QUERIES, 1);
    d->found = peer_pool_ids(pool, "found", TILES, QUERIES * PEER_SCREEN_MOST);
    bench_check(bench, pool->failed ? PEER_ERR_MEMORY : PEER_OK);
    memset(d->table, 0x3c, TABLE_BYTES); /* about 0.01 in f32 and bf16, and no page of zeros */
    peer_fill_normal(d->keys, KEYS * HALF, 0, 1, 1, 1);
    peer_fill_normal(d->columns, WIDTH * QUERIES, 0, 1, 1, 2);
    peer_fill_normal(d->x, TILES * KEYS * QUERIES, 0, 1, 1, 3);
    peer_fill_normal(d->m, TILES * VALUES, 0, 1, 1, 4);
    peer_fill_uniform(d->v, TILES * VALUES, 0, 1, 1, 5);
    peer_fill_uniform(d->margins, QUERIES, 0.02f, 0.03f, 1, 6);
    d->k->bf16_pairs(d->pairs, squares, d->keys, KEYS * HALF);
    for (int i = 0; i < MISSED; i++)
        d->missed[i] = (struct peer_adam_missed){.shrink = 1, .rate = 1e-4f, .root = 1};
}

static void time_kernel(struct bench *bench, const struct data *d, const struct kernel *kernel)
{
    struct job job = {d, kernel};
    double calls = (double)(TILES * kernel->repeats);
    struct bench_row row = {.name = kernel->name,
                            .unit = kernel->unit,
                            .work = calls * kernel->work,
                            .flops = calls * kernel->flops,
                            .bytes = calls * kernel->bytes};
    snprintf(row.sizes, sizeof row.sizes, "%s", kernel->sizes);
    for (int64_t i = 0; kernel->rows > 0 && i < TILES * GATHERED; i++)
        d->ids[i] = (int32_t)peer_random_below(1, 7, (uint64_t)i, (uint32_t)kernel->rows);
    bench_time(bench, &row, run, &job);
}

void bench_kernels(struct bench *bench)
{
    struct peer_pool pool = {.ctx = bench->ctx};
    struct data d;
    if (bench->filter && strncmp(bench->filter, "kernel", 6))
        return;
    open_data(&d, bench, &pool);
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        if (bench_wants(bench, kernels[i].name))
            time_kernel(bench, &d, &kernels[i]);
    peer_pool_free(&pool);
}
