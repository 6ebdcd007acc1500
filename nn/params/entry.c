/* SPDX-License-Identifier: MIT */
#include "nn/params/entry.h"

#include <assert.h>
#include <string.h>

#include "nn/parallel.h"
#include "nn/tables/table_lookup.h"

enum { IDS = 1024 };

int64_t peer_entry_width(const struct peer_param *param)
{
    int64_t width = 1;
    for (int i = 1; i < param->dims; i++)
        width *= param->shape[i];
    return width;
}

void peer_entry_settle(const struct peer_param *param, int64_t first, int64_t n)
{
    bool behind = param->rows && param->rows->catch_up, mapped = param->table && param->table->file;
    if (!behind && !mapped)
        return;
    int32_t ids[IDS];
    for (int64_t at = 0; at < n; at += IDS) {
        int64_t count = peer_min(IDS, n - at);
        for (int64_t i = 0; i < count; i++)
            ids[i] = (int32_t)(first + at + i);
        if (mapped)
            peer_table_prepare(param->table, ids, count);
        peer_rows_catch_up(param->rows, ids, count);
    }
}

void peer_entry_read(float *values, const struct peer_param *param, int64_t first, int64_t n)
{
    assert(param->type != PEER_TYPE_I32);
    int64_t width = peer_entry_width(param);
    const uint16_t *narrow = (const uint16_t *)param->data;
    peer_entry_settle(param, first, n);
    if (param->table)
        peer_table_read(values, param->table, first, n);
    else if (param->type == PEER_TYPE_BF16)
        for (int64_t i = 0; i < n * width; i++)
            values[i] = peer_bf16_value(narrow[first * width + i]);
    else
        memcpy(values, param->data + first * width, (size_t)(n * width) * sizeof *values);
}

void peer_entry_write(const struct peer_param *param, const float *values, int64_t first, int64_t n)
{
    assert(param->type != PEER_TYPE_I32);
    int64_t width = peer_entry_width(param);
    uint16_t *narrow = (uint16_t *)param->data;
    peer_entry_settle(param, first, n);
    if (param->table)
        peer_table_write(param->table, values, first, n);
    else if (param->type == PEER_TYPE_BF16)
        for (int64_t i = 0; i < n * width; i++)
            narrow[first * width + i] = peer_bf16_nearest(values[i]);
    else
        memcpy(param->data + first * width, values, (size_t)(n * width) * sizeof *values);
}

enum peer_status peer_entry_writable(struct peer_ctx *ctx, const char *who,
                                     const struct peer_param *param)
{
    const struct peer_table_file *file = param->table ? param->table->file : NULL;
    if (file && peer_table_file_access(file) != PEER_TABLE_READ_WRITE)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: %s is mapped for reading, expected memory or a file open for writing",
                         who, param->name);
    return PEER_OK;
}
