/* SPDX-License-Identifier: MIT */
#include "nn/tables/table_lookup.h"

#include "nn/parallel.h"

enum { CHUNK = 64 }; /* rows whose coefficients are scaled at a time */

void peer_table_alloc(struct peer_table *table, struct peer_pool *pool, const char *what,
                      const struct peer_table_file *file)
{
    int64_t rows = table->rows, width = table->width;
    if (file) {
        int segments = table->segments;
        *table = *peer_table_file_table(file);
        table->segments = segments;
        return;
    }
    switch (table->type) {
    case PEER_TABLE_BF16:
        table->bf16 = peer_pool_alloc(pool, what, sizeof *table->bf16, rows, width, 1);
        return;
    case PEER_TABLE_INT8:
        table->int8 = peer_pool_alloc(pool, what, sizeof *table->int8, rows, width, 1);
        table->scales = peer_pool_floats(pool, what, rows, table->segments);
        return;
    default:
        table->f32 = peer_pool_floats(pool, what, rows, width);
    }
}

static enum peer_status check_file(struct peer_ctx *ctx, const char *who,
                                   const struct peer_table *table,
                                   const struct peer_table_file *file, bool trains)
{
    const struct peer_table *has = peer_table_file_table(file);
    if (has->type != table->type || has->rows != table->rows || has->width != table->width)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: the table file has %s [%lld, %lld], expected %s [%lld, %lld]", who,
                         peer_table_names[has->type], (long long)has->rows, (long long)has->width,
                         peer_table_names[table->type], (long long)table->rows,
                         (long long)table->width);
    if (trains && peer_table_file_access(file) != PEER_TABLE_READ_WRITE)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: the table file is open for reading only, but the table trains", who);
    return PEER_OK;
}

enum peer_status peer_table_check(struct peer_ctx *ctx, const char *who,
                                  const struct peer_table *table,
                                  const struct peer_table_file *file, bool trains)
{
    if (table->type == PEER_TABLE_INT8 && trains)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: table = int8 where the table trains, expected f32 or bf16: int8 is "
                         "made from trained values",
                         who);
    return file ? check_file(ctx, who, table, file, trains) : PEER_OK;
}

void peer_table_round(struct peer_table *table, const struct peer_kernels *kernels,
                      const float *values, int64_t row, int64_t step)
{
    struct peer_rounding draws = {
        .key = {(uint32_t)table->seed, (uint32_t)(table->seed >> 32)},
        .counter = {(uint32_t)row, (uint32_t)step, (uint32_t)((uint64_t)step >> 32)}};
    kernels->bf16_round(table->bf16 + row * table->width, values, table->width, &draws);
}

static const float *scale_of(const struct peer_table *table, int segment, int32_t row)
{
    return table->scales + (int64_t)row * table->segments + segment;
}

static void prefetch_scales(const struct peer_table *table, const int32_t *ids, int64_t m,
                            int64_t ahead)
{
    for (int64_t j = m; j < m + ahead; j++)
        if (ids[j] >= 0)
            __builtin_prefetch(scale_of(table, 0, ids[j]), 0, 2);
}

static void dot_int8(float *out, const struct peer_table *table, const struct peer_kernels *kernels,
                     int segment, const int32_t *ids, int64_t m, int64_t ahead, const float *x)
{
    int64_t D = table->width / table->segments;
    prefetch_scales(table, ids, m, ahead);
    kernels->rows_dot_int8(out, table->int8 + segment * D, table->width, ids, m, ahead, x, D);
    for (int64_t j = 0; j < m; j++)
        if (ids[j] >= 0)
            out[j] *= *scale_of(table, segment, ids[j]);
}

void peer_table_dot(float *out, const struct peer_table *table, const struct peer_kernels *kernels,
                    int segment, const int32_t *ids, int64_t m, int64_t ahead, const float *x)
{
    int64_t stride = table->width, D = stride / table->segments, column = segment * D;
    switch (table->type) {
    case PEER_TABLE_BF16:
        kernels->rows_dot_bf16(out, table->bf16 + column, stride, ids, m, ahead, x, D);
        return;
    case PEER_TABLE_INT8:
        dot_int8(out, table, kernels, segment, ids, m, ahead, x);
        return;
    default:
        kernels->rows_dot(out, table->f32 + column, stride, ids, m, ahead, x, D);
    }
}

static void axpy_int8(float *y, const struct peer_table *table, const struct peer_kernels *kernels,
                      int segment, const int32_t *ids, int64_t m, int64_t ahead, const float *coef)
{
    int64_t D = table->width / table->segments;
    prefetch_scales(table, ids, m, ahead);
    for (int64_t at = 0; at < m; at += CHUNK) {
        int64_t n = peer_min(CHUNK, m - at);
        float scaled[CHUNK];
        for (int64_t j = 0; j < n; j++)
            scaled[j] = ids[at + j] < 0 ? 0 : coef[at + j] * *scale_of(table, segment, ids[at + j]);
        kernels->rows_axpy_int8(y, table->int8 + segment * D, table->width, ids + at, n,
                                m - at - n + ahead, scaled, D);
    }
}

void peer_table_axpy(float *y, const struct peer_table *table, const struct peer_kernels *kernels,
                     int segment, const int32_t *ids, int64_t m, int64_t ahead, const float *coef)
{
    int64_t stride = table->width, D = stride / table->segments, column = segment * D;
    switch (table->type) {
    case PEER_TABLE_BF16:
        kernels->rows_axpy_bf16(y, table->bf16 + column, stride, ids, m, ahead, coef, D);
        return;
    case PEER_TABLE_INT8:
        axpy_int8(y, table, kernels, segment, ids, m, ahead, coef);
        return;
    default:
        kernels->rows_axpy(y, table->f32 + column, stride, ids, m, ahead, coef, D);
    }
}
