/* SPDX-License-Identifier: MIT */
#include "nn/params/param.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "nn/context_private.h"
#include "nn/parallel.h"
#include "nn/random.h"
#include "nn/tables/table_lookup.h"

enum { FIRST_CAPACITY = 32, INIT_TILE = 1 << 16, CHUNK = 1 << 12 };

const char *const peer_type_names[] = {"F32", "BF16", "I32", NULL};

struct peer_params peer_params_empty(struct peer_ctx *ctx)
{
    return (struct peer_params){.ctx = ctx};
}

static size_t list_bytes(int64_t capacity)
{
    return (size_t)capacity * sizeof(struct peer_param);
}

void peer_params_free(struct peer_params *list)
{
    if (list->items)
        peer_ctx_release(list->ctx, list->items, list_bytes(list->capacity));
    *list = peer_params_empty(list->ctx);
}

static enum peer_status grow(struct peer_params *list)
{
    int64_t capacity = list->capacity ? 2 * list->capacity : FIRST_CAPACITY;
    struct peer_param *items = peer_ctx_alloc(list->ctx, list_bytes(capacity));
    if (!items)
        return peer_fail(list->ctx, PEER_ERR_MEMORY,
                         "peer_params_add: no memory for a list of %lld entries of %zu bytes",
                         (long long)capacity, sizeof *items);
    if (list->items) {
        memcpy(items, list->items, list_bytes(list->count));
        peer_ctx_release(list->ctx, list->items, list_bytes(list->capacity));
    }
    list->items = items;
    list->capacity = capacity;
    return PEER_OK;
}

/* A layer's mistake, not a user's: hence assertions. */
static void assert_whole(const struct peer_param *param)
{
    assert(param->dims >= 1 && param->dims <= PEER_PARAM_DIMS);
    assert(param->data || param->table);
    assert(param->type == PEER_TYPE_F32 || param->kind == PEER_PARAM_BUFFER);
    assert(param->kind != PEER_PARAM_DENSE || param->grad);
    assert(param->kind == PEER_PARAM_DENSE || !param->stale);
    assert(param->kind != PEER_PARAM_ROWS ||
           (param->rows && param->dims == 2 && param->rows->config.rows == param->shape[0] &&
            param->rows->config.width == param->shape[1]));
    (void)param;
}

enum peer_status peer_params_add(struct peer_params *list, const char *prefix,
                                 const struct peer_param *param)
{
    assert_whole(param);
    struct peer_param copy = *param;
    int length = snprintf(copy.name, sizeof copy.name, "%s%s", prefix, param->name);
    if (length >= PEER_PARAM_NAME)
        return peer_fail(list->ctx, PEER_ERR_ARGUMENT,
                         "peer_params_add: the name %s%s has %d characters, the most is %d", prefix,
                         param->name, length, PEER_PARAM_NAME - 1);
    if (peer_params_find(list, copy.name))
        return peer_fail(list->ctx, PEER_ERR_ARGUMENT,
                         "peer_params_add: the name %s is taken by one of %lld entries", copy.name,
                         (long long)list->count);
    if (list->count == list->capacity) {
        enum peer_status status = grow(list);
        if (status)
            return status;
    }
    list->items[list->count++] = copy;
    return PEER_OK;
}

void peer_params_truncate(struct peer_params *list, int64_t count)
{
    assert(count >= 0 && count <= list->count);
    list->count = count;
}

struct peer_param *peer_params_find(const struct peer_params *list, const char *name)
{
    for (int64_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].name, name) == 0)
            return &list->items[i];
    return NULL;
}

int64_t peer_param_size(const struct peer_param *param)
{
    int64_t size = 1;
    for (int i = 0; i < param->dims; i++)
        size *= param->shape[i];
    return size;
}

int64_t peer_params_trained(const struct peer_params *list)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < list->count; i++)
        if (list->items[i].kind != PEER_PARAM_BUFFER)
            sum += peer_param_size(&list->items[i]);
    return sum;
}

void *peer_param_memory(const struct peer_param *param)
{
    if (param->data)
        return param->data;
    return param->table->bf16 ? (void *)param->table->bf16 : param->table->int8;
}

size_t peer_param_bytes(const struct peer_param *param)
{
    size_t bytes = param->data          ? peer_type_bytes(param->type)
                   : param->table->bf16 ? sizeof(uint16_t)
                                        : sizeof(int8_t);
    return (size_t)peer_param_size(param) * bytes;
}

struct init_job {
    const struct peer_param *param;
    uint64_t seed;
};

/* Draws values first ... first+n-1 of the entry. */
static void draw(float *x, const struct init_job *j, int64_t first, int64_t n)
{
    uint64_t stream = peer_stream(j->param->name);
    float scale = j->param->init.scale;
    switch (j->param->init.kind) {
    case PEER_INIT_CONSTANT:
        for (int64_t i = 0; i < n; i++)
            x[i] = scale;
        return;
    case PEER_INIT_UNIFORM:
        peer_fill_uniform_from(x, first, n, -scale, scale, j->seed, stream);
        return;
    case PEER_INIT_NORMAL:
        peer_fill_normal_from(x, first, n, 0, scale, j->seed, stream);
        return;
    }
}

static void init_tile(void *job, int64_t tile, int thread)
{
    (void)thread;
    const struct init_job *j = job;
    const struct peer_param *param = j->param;
    int64_t begin = tile * INIT_TILE, end = peer_min(begin + INIT_TILE, peer_param_size(param));
    if (param->data) {
        draw(param->data + begin, j, begin, end - begin);
        return;
    }
    float chunk[CHUNK];
    for (int64_t at = begin; at < end; at += CHUNK) {
        int64_t n = peer_min(CHUNK, end - at);
        draw(chunk, j, at, n);
        for (int64_t i = 0; i < n; i++)
            param->table->bf16[at + i] = peer_bf16_nearest(chunk[i]);
    }
}

void peer_params_init(const struct peer_params *list, uint64_t seed)
{
    for (int64_t i = 0; i < list->count; i++) {
        struct init_job job = {&list->items[i], seed};
        struct peer_table *table = job.param->table;
        if (table)
            table->seed = seed ^ peer_stream(job.param->name);
        if (table && (table->file || table->type == PEER_TABLE_INT8))
            continue;
        peer_parallel(list->ctx, peer_tiles(peer_param_size(job.param), INIT_TILE), init_tile,
                      &job);
    }
}

static void zero(const struct peer_param *param)
{
    memset(param->grad, 0, (size_t)peer_param_size(param) * sizeof *param->grad);
}

void peer_params_zero_grad(const struct peer_params *list)
{
    for (int64_t i = 0; i < list->count; i++) {
        const struct peer_param *param = &list->items[i];
        if (param->stale)
            *param->stale = true;
        else if (param->kind == PEER_PARAM_DENSE)
            zero(param);
        else if (param->kind == PEER_PARAM_ROWS)
            peer_rows_clear(param->rows);
    }
}

float *peer_param_grad(const struct peer_param *param)
{
    if (param->stale && *param->stale) {
        zero(param);
        *param->stale = false;
    }
    return param->grad;
}
