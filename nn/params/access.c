/* SPDX-License-Identifier: MIT */
#include "nn/params/access.h"

#include "nn/kernels/bf16.h"
#include "nn/parallel.h"
#include "nn/params/entry.h"
#include "nn/tables/table_lookup.h"

enum { CHUNK = 1 << 12 };

/* The entry, if it has such rows. */
static enum peer_status find(const struct peer_param **ret, const struct peer_params *list,
                             const char *who, const char *name, int64_t first, int64_t n)
{
    const struct peer_param *param = peer_params_find(list, name);
    *ret = param;
    if (!param)
        return peer_fail(list->ctx, PEER_ERR_ARGUMENT, "%s: none of %lld entries is called %.80s",
                         who, (long long)list->count, name);
    if (param->type == PEER_TYPE_I32)
        return peer_fail(list->ctx, PEER_ERR_ARGUMENT, "%s: %s holds integers, expected floats",
                         who, name);
    if (first < 0 || n < 0 || first > param->shape[0] || n > param->shape[0] - first)
        return peer_fail(list->ctx, PEER_ERR_ARGUMENT,
                         "%s: %s: %lld rows from row %lld on, but it has %lld rows of %lld values",
                         who, name, (long long)n, (long long)first, (long long)param->shape[0],
                         (long long)peer_entry_width(param));
    return PEER_OK;
}

enum peer_status peer_param_get(float *values, const struct peer_params *list, const char *name,
                                int64_t first, int64_t n)
{
    const struct peer_param *param;
    enum peer_status status = find(&param, list, "peer_param_get", name, first, n);
    if (!status)
        peer_entry_read(values, param, first, n);
    return status;
}

enum peer_status peer_param_set(const struct peer_params *list, const char *name,
                                const float *values, int64_t first, int64_t n)
{
    const struct peer_param *param;
    enum peer_status status = find(&param, list, "peer_param_set", name, first, n);
    if (!status)
        status = peer_entry_writable(list->ctx, "peer_param_set", param);
    if (!status)
        peer_entry_write(param, values, first, n);
    return status;
}

/* Values of bf16 at `narrow`, a piece at a time. */
static void init_narrow(const struct peer_param *param, uint16_t *narrow,
                        peer_init_function *callback, void *user)
{
    float chunk[CHUNK];
    int64_t size = peer_param_size(param);
    for (int64_t at = 0; at < size; at += CHUNK) {
        int64_t n = peer_min(CHUNK, size - at);
        for (int64_t i = 0; i < n; i++)
            chunk[i] = peer_bf16_value(narrow[at + i]);
        callback(user, chunk, param, at, n);
        for (int64_t i = 0; i < n; i++)
            narrow[at + i] = peer_bf16_nearest(chunk[i]);
    }
}

void peer_params_init_with(const struct peer_params *list, peer_init_function *callback, void *user)
{
    for (int64_t i = 0; i < list->count; i++) {
        const struct peer_param *param = &list->items[i];
        const struct peer_table *table = param->table;
        if (param->type == PEER_TYPE_I32 ||
            (table && (table->file || table->type == PEER_TABLE_INT8)))
            continue;
        peer_entry_settle(param, 0, param->shape[0]);
        if (table && table->bf16)
            init_narrow(param, table->bf16, callback, user);
        else if (param->type == PEER_TYPE_BF16)
            init_narrow(param, (uint16_t *)param->data, callback, user);
        else
            callback(user, param->data, param, 0, peer_param_size(param));
    }
}
