/* SPDX-License-Identifier: MIT */
#include "nn/tables/table.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "nn/tables/table_lookup.h"

const char *const peer_table_names[] = {"f32", "bf16", "int8", NULL};

int64_t peer_table_row_bytes(enum peer_table_type type, int64_t width, int segments)
{
    switch (type) {
    case PEER_TABLE_BF16:
        return width * (int64_t)sizeof(uint16_t);
    case PEER_TABLE_INT8:
        return width + segments * (int64_t)sizeof(float);
    default:
        return width * (int64_t)sizeof(float);
    }
}

static void read_int8(float *values, const int8_t *q, float scale, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        values[i] = scale * q[i];
}

/* Rounding a subnormal scale can leave values of more than 127 of it. */
static int8_t quantised(float value, float scale)
{
    long q = scale > 0 ? lrintf(value / scale) : 0;
    return (int8_t)(q < -127 ? -127 : q > 127 ? 127 : q);
}

static void write_int8(int8_t *q, float *scale, const float *values, int64_t n)
{
    float most = 0;
    for (int64_t i = 0; i < n; i++)
        most = fabsf(values[i]) > most || isnan(values[i]) ? fabsf(values[i]) : most;
    *scale = isfinite(most) ? most / 127 : NAN;
    for (int64_t i = 0; i < n; i++)
        q[i] = quantised(values[i], *scale);
}

void peer_table_read(float *values, const struct peer_table *table, int64_t first, int64_t n)
{
    assert(first >= 0 && n >= 0 && n <= table->rows - first);
    int64_t at = first * table->width, count = n * table->width;
    int64_t parts = n * table->segments, part = table->width / table->segments;
    switch (table->type) {
    case PEER_TABLE_BF16:
        for (int64_t i = 0; i < count; i++)
            values[i] = peer_bf16_value(table->bf16[at + i]);
        return;
    case PEER_TABLE_INT8:
        for (int64_t p = 0; p < parts; p++)
            read_int8(values + p * part, table->int8 + at + p * part,
                      table->scales[first * table->segments + p], part);
        return;
    default:
        memcpy(values, table->f32 + at, (size_t)count * sizeof *values);
    }
}

void peer_table_write(struct peer_table *table, const float *values, int64_t first, int64_t n)
{
    assert(first >= 0 && n >= 0 && n <= table->rows - first);
    int64_t at = first * table->width, count = n * table->width;
    int64_t parts = n * table->segments, part = table->width / table->segments;
    switch (table->type) {
    case PEER_TABLE_BF16:
        for (int64_t i = 0; i < count; i++)
            table->bf16[at + i] = peer_bf16_nearest(values[i]);
        return;
    case PEER_TABLE_INT8:
        for (int64_t p = 0; p < parts; p++)
            write_int8(table->int8 + at + p * part, table->scales + first * table->segments + p,
                       values + p * part, part);
        return;
    default:
        memcpy(table->f32 + at, values, (size_t)count * sizeof *values);
    }
}
