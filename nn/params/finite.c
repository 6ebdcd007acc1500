/* SPDX-License-Identifier: MIT */
#include "nn/params/finite.h"

#include <math.h>

#include "nn/parallel.h"

enum { TILE = 1 << 16, CHUNK = 1 << 10 };

struct job {
    const float *x;
    const uint16_t *bf16; /* instead of x */
    int64_t n, first;     /* first: the least index found, n = none */
};

/* Whether all are finite: 0 times a value is 0, or NaN. */
static bool chunk_is_finite(const float *x, int64_t n)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += 0 * x[i];
    return sum == 0;
}

static bool value_is_finite(const struct job *job, int64_t i)
{
    return job->bf16 ? (job->bf16[i] & 0x7f80) != 0x7f80 : isfinite(job->x[i]) != 0;
}

static void found(struct job *job, int64_t i)
{
    int64_t old = __atomic_load_n(&job->first, __ATOMIC_RELAXED);
    while (i < old && !__atomic_compare_exchange_n(&job->first, &old, i, true, __ATOMIC_RELAXED,
                                                   __ATOMIC_RELAXED))
        ;
}

static void tile(void *arg, int64_t number, int thread)
{
    (void)thread;
    struct job *job = arg;
    int64_t end = peer_min((number + 1) * TILE, job->n);
    for (int64_t at = number * TILE; at < end; at += CHUNK) {
        int64_t stop = peer_min(at + CHUNK, end);
        if (job->x && chunk_is_finite(job->x + at, stop - at))
            continue;
        for (int64_t i = at; i < stop; i++)
            if (!value_is_finite(job, i)) {
                found(job, i);
                return;
            }
    }
}

static int64_t first_of(const struct peer_ctx *ctx, struct job job)
{
    job.first = job.n;
    peer_parallel(ctx, peer_tiles(job.n, TILE), tile, &job);
    return job.first < job.n ? job.first : -1;
}

int64_t peer_first_nonfinite(const struct peer_ctx *ctx, const float *x, int64_t n)
{
    return first_of(ctx, (struct job){.x = x, .n = n});
}

static int64_t first_value(const struct peer_ctx *ctx, const struct peer_param *param)
{
    struct job job = {.n = peer_param_size(param)};
    const struct peer_table *table = param->table;
    if (param->type == PEER_TYPE_I32 || (table && (table->file || table->int8)))
        return -1;
    if (table && !param->data)
        job.bf16 = table->bf16;
    else if (param->type == PEER_TYPE_BF16)
        job.bf16 = (const uint16_t *)(const void *)param->data;
    else
        job.x = param->data;
    return first_of(ctx, job);
}

/* A value of a row's gradient, as peer_rows_gradient() forms it. */
static float row_value(const struct peer_rows *rows, int64_t i, int64_t column)
{
    const struct peer_rows_config *c = &rows->config;
    float sum = 0;
    for (int s = 0; s < c->segments; s++) {
        const struct peer_rows_segment *segment = &c->segment[s];
        int64_t at = column - segment->offset;
        for (int64_t e = rows->first[i]; at >= 0 && at < segment->width && e < rows->first[i + 1];
             e++) {
            int32_t entry = rows->order[e];
            sum += rows->coef[s][entry] *
                   rows->source[segment->source][rows->token[entry] * segment->width + at];
        }
    }
    return sum;
}

static int64_t first_row_gradient(struct peer_rows *rows)
{
    int64_t width = rows->config.width;
    peer_rows_group(rows);
    for (int64_t i = 0; i < rows->touched; i++)
        for (int64_t column = 0; column < width; column++)
            if (!isfinite(row_value(rows, i, column)))
                return rows->ids[i] * width + column;
    return -1;
}

static int64_t first_gradient(const struct peer_ctx *ctx, const struct peer_param *param)
{
    if (param->kind == PEER_PARAM_ROWS)
        return first_row_gradient(param->rows);
    return param->kind == PEER_PARAM_DENSE
               ? peer_first_nonfinite(ctx, peer_param_grad(param), peer_param_size(param))
               : -1;
}

struct peer_nonfinite peer_params_nonfinite(const struct peer_params *list)
{
    struct peer_nonfinite ret = {NULL, -1};
    for (int64_t i = 0; i < list->count && ret.index < 0; i++) {
        ret.index = first_value(list->ctx, &list->items[i]);
        ret.param = ret.index < 0 ? NULL : &list->items[i];
    }
    return ret;
}

struct peer_nonfinite peer_params_nonfinite_grad(const struct peer_params *list)
{
    struct peer_nonfinite ret = {NULL, -1};
    for (int64_t i = 0; i < list->count && ret.index < 0; i++) {
        ret.index = first_gradient(list->ctx, &list->items[i]);
        ret.param = ret.index < 0 ? NULL : &list->items[i];
    }
    return ret;
}
