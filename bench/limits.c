/* SPDX-License-Identifier: MIT */
#include "bench/limits.h"

#include <string.h>

#include "nn/parallel.h"
#include "nn/random.h"

/* Bytes of one table; rows ahead that are asked for; rows of one tile. */
enum { TABLE = 1 << 30, AHEAD = 8, AHEAD_UPDATE = 3, TILE = 128, LINE = 64 / sizeof(float) };

#if defined(PEER_X86) && defined(__GNUC__) && !defined(__clang__)
#define EACH_WIDTH __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define EACH_WIDTH
#endif

struct probe {
    float *p, *m, *v; /* [rows, width] */
    int32_t *ids;     /* [used] */
    float *sums;      /* [tiles, width] */
    int64_t rows, used, width;
};

/* A cache line. Rows are made of whole ones, and aligned as all memory of a pool. */
typedef float line __attribute__((vector_size(64), may_alias));

static void ask(const line *of)
{
    __builtin_prefetch(of, 0, 2); /* into the second level */
}

/* sum += row, asking for the same line of the row to come. */
EACH_WIDTH static void add_row(float *sum, const float *row, const float *coming, int64_t width)
{
    line *to = (line *)sum;
    const line *from = (const line *)row, *next = (const line *)coming;
    for (int64_t i = 0; i < width / LINE; i++) {
        ask(next + i);
        to[i] += from[i];
    }
}

static void rows_tile(void *job, int64_t tile, int thread)
{
    (void)thread;
    const struct probe *probe = job;
    int64_t end = peer_min((tile + 1) * TILE, probe->used);
    for (int64_t i = tile * TILE; i < end; i++) {
        int64_t coming = probe->ids[peer_min(i + AHEAD, probe->used - 1)];
        add_row(probe->sums + tile * probe->width, probe->p + probe->ids[i] * probe->width,
                probe->p + coming * probe->width, probe->width);
    }
}

/* What Adam moves, without its arithmetic; `coming` is how far the row to come is from this. */
EACH_WIDTH static void update_row(float *weights, float *first, float *second, int64_t coming,
                                  int64_t width)
{
    line *p = (line *)weights, *m = (line *)first, *v = (line *)second;
    coming /= LINE;
    for (int64_t i = 0; i < width / LINE; i++) {
        ask(p + coming + i);
        ask(m + coming + i);
        ask(v + coming + i);
        m[i] = 0.9f * m[i] + 0.1f;
        v[i] = 0.95f * v[i] + 0.05f;
        p[i] -= m[i] * v[i];
    }
}

static void update_tile(void *job, int64_t tile, int thread)
{
    (void)thread;
    const struct probe *probe = job;
    int64_t end = peer_min((tile + 1) * TILE, probe->used);
    for (int64_t i = tile * TILE; i < end; i++) {
        int64_t at = probe->ids[i] * probe->width;
        int64_t next = probe->ids[peer_min(i + AHEAD_UPDATE, probe->used - 1)] * probe->width;
        update_row(probe->p + at, probe->m + at, probe->v + at, next - at, probe->width);
    }
}

struct run {
    struct peer_ctx *ctx;
    struct probe probe;
    peer_tile_fn *tile;
};

static void run_probe(void *job)
{
    struct run *run = job;
    peer_parallel(run->ctx, peer_tiles(run->probe.used, TILE), run->tile, &run->probe);
}

/* One row of every four, ascending; or all, in any order with repetitions. */
static void draw_rows(struct probe *probe, bool ascending)
{
    for (int64_t i = 0; i < probe->used; i++) {
        uint32_t among = ascending ? 4 : (uint32_t)probe->rows;
        probe->ids[i] = (int32_t)((ascending ? 4 * i : 0) +
                                  (int64_t)peer_random_below(1, 1, (uint64_t)i, among));
    }
}

static double bytes_per_second(struct bench *bench, const char *name, int64_t width, bool update)
{
    struct peer_pool pool = {.ctx = bench->ctx};
    struct probe probe = {.width = width, .rows = TABLE / (int64_t)sizeof(float) / width};
    probe.used = probe.rows / 4;
    probe.p = peer_pool_floats(&pool, "weights", probe.rows, width);
    probe.m = update ? peer_pool_floats(&pool, "moments", probe.rows, width) : NULL;
    probe.v = update ? peer_pool_floats(&pool, "moments", probe.rows, width) : NULL;
    probe.ids = peer_pool_ids(&pool, "ids", probe.used, 1);
    probe.sums = peer_pool_floats(&pool, "sums", peer_tiles(probe.used, TILE), width);
    bench_check(bench, pool.failed ? PEER_ERR_MEMORY : PEER_OK);
    memset(probe.p, 1, TABLE); /* pages that were never written are all one page */
    draw_rows(&probe, update);
    double bytes = (double)(probe.used * width) * sizeof(float) * (update ? 6 : 1);
    struct bench_row row = {.name = name, .unit = "rows", .bytes = bytes};
    row.work = (double)probe.used;
    snprintf(row.sizes, sizeof row.sizes, "%lld B", (long long)width * (long long)sizeof(float));
    struct run run = {bench->ctx, probe, update ? update_tile : rows_tile};
    double seconds = bench_time(bench, &row, run_probe, &run);
    peer_pool_free(&pool);
    return bytes / seconds;
}

double bench_limit_rows(struct bench *bench, int64_t width)
{
    return bytes_per_second(bench, "limit/random rows", width, false);
}

double bench_limit_update(struct bench *bench, int64_t width)
{
    return bytes_per_second(bench, "limit/update of rows", width, true);
}

double bench_limit_peer(struct bench *bench, const struct bench_layer *layer, bool train,
                        int64_t touched)
{
    const double *flops = layer->cost.forward;
    double tokens = (double)(layer->T * layer->calls), width = 2 * (double)layer->D;
    /* Only the kept scores have a gradient. */
    double times = train ? 3 : 1;
    double products =
        times * (flops[PEER_PART_QUERY] + flops[PEER_PART_EXPERTS]) + flops[PEER_PART_SCORES];
    double rows = flops[PEER_PART_EXPERTS] / (2 * width); /* 2 FLOPs a value */
    bench_gemm(bench); /* anew: what it was an hour ago is no measure */
    double seconds = tokens * products / bench->gemm_flops;
    seconds += tokens * rows * width * sizeof(float) / bench_limit_rows(bench, (int64_t)width);
    if (train)
        seconds +=
            6 * (double)touched * width * sizeof(float) / bench_limit_update(bench, (int64_t)width);
    return seconds;
}
