/* SPDX-License-Identifier: MIT */
#include "nn/params/bind.h"

static bool can_be_bound(const struct peer_param *param)
{
    const struct peer_table *table = param->table;
    return table ? table->type != PEER_TABLE_INT8 && !table->file : param->place != NULL;
}

static size_t value_bytes(const struct peer_param *param)
{
    return param->table && param->table->type == PEER_TABLE_BF16 ? sizeof(uint16_t)
                                                                 : peer_type_bytes(param->type);
}

static enum peer_status check(struct peer_ctx *ctx, const struct peer_param *param,
                              const void *memory, size_t bytes)
{
    size_t need = peer_param_bytes(param), align = value_bytes(param);
    if (param->bound)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "peer_params_bind: %s is bound already",
                         param->name);
    if (!can_be_bound(param))
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "peer_params_bind: %s is an int8 or mapped table, or has no place of its "
                         "own: it stays where it lies",
                         param->name);
    if (!memory || bytes < need)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "peer_params_bind: %s takes %zu bytes, the memory has %zu", param->name,
                         need, memory ? bytes : 0);
    if ((uintptr_t)memory % align)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "peer_params_bind: %s has values of %zu bytes, the memory begins %zu past "
                         "a multiple of that",
                         param->name, align, (size_t)((uintptr_t)memory % align));
    return PEER_OK;
}

enum peer_status peer_params_bind(struct peer_params *list, const char *name, void *memory,
                                  size_t bytes)
{
    struct peer_param *param = peer_params_find(list, name);
    if (!param)
        return peer_fail(list->ctx, PEER_ERR_ARGUMENT,
                         "peer_params_bind: there is no %s among the %lld entries", name,
                         (long long)list->count);
    enum peer_status status = check(list->ctx, param, memory, bytes);
    if (status)
        return status;
    param->bound = true;
    if (param->table && param->table->type == PEER_TABLE_BF16)
        param->table->bf16 = memory;
    else if (param->table)
        param->data = param->table->f32 = memory;
    else
        param->data = *param->place = memory;
    return PEER_OK;
}
