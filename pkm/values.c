/* SPDX-License-Identifier: MIT */
#include "pkm/values.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "nn/kernels/kernels.h"
#include "nn/layers/ffw_object.h"
#include "nn/parallel.h"
#include "nn/tables/table_lookup.h"
#include "pkm/values_private.h"

enum {
    TILE = 16,  /* tokens */
    AHEAD = 16, /* values of the next token to prefetch */
};

static struct peer_rows_config rows_config(const struct pkm_values *v)
{
    return (struct peer_rows_config){.rows = v->config.memories,
                                     .width = v->D,
                                     .tokens = v->tokens_per_step,
                                     .entries = v->tokens_per_step * v->config.slots,
                                     .segments = 1,
                                     .segment = {{0, v->D, 0}}};
}

static struct peer_table table_of(const struct pkm_values_config *config, int64_t D)
{
    return (struct peer_table){
        .type = config->table, .rows = config->memories, .width = D, .segments = 1};
}

enum peer_status pkm_values_check(struct peer_ctx *ctx, const char *who,
                                  const struct pkm_values_config *config,
                                  const struct peer_ffw_shape *shape)
{
    int64_t step = peer_ffw_step_tokens(shape);
    if (shape->width < 1 || shape->width > INT32_MAX)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "%s: width D = %lld, expected 1 to %d", who,
                         (long long)shape->width, INT32_MAX);
    if (config->memories < 1 || config->memories > INT32_MAX || config->slots < 1 ||
        config->slots > INT32_MAX)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: N = %lld memories, S = %lld slots, expected 1 to %d of each", who,
                         (long long)config->memories, (long long)config->slots, INT32_MAX);
    if ((int)config->table < 0 || config->table >= PEER_TABLE_COUNT)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "%s: table %d is unknown", who,
                         (int)config->table);
    if (shape->tokens < 1 || step < 1 || step > INT32_MAX / config->slots)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: tokens = %lld, tokens_per_step = %lld of %lld slots each, expected 1 "
                         "to %lld",
                         who, (long long)shape->tokens, (long long)step, (long long)config->slots,
                         (long long)(INT32_MAX / config->slots));
    struct peer_table table = table_of(config, shape->width);
    return peer_table_check(ctx, who, &table, shape->table,
                            peer_ffw_trains(shape, PEER_ROLE_EXPERTS));
}

enum peer_status pkm_values_build(struct pkm_values *values, struct peer_pool *pool,
                                  const struct pkm_values_config *config,
                                  const struct peer_ffw_shape *shape)
{
    values->config = *config;
    values->D = shape->width;
    values->tokens_per_step = peer_ffw_step_tokens(shape);
    values->table = table_of(config, shape->width);
    peer_table_alloc(&values->table, pool, "pkm.values", shape->table);
    if (values->tokens_per_step > INT32_MAX / config->slots) { /* no check has seen it: measured */
        pool->bytes = SIZE_MAX;
        return PEER_OK;
    }
    struct peer_rows_config rows = rows_config(values);
    bool trains = peer_ffw_trains(shape, PEER_ROLE_EXPERTS);
    return trains && !pool->failed ? peer_ffw_rows(&values->rows, pool, &rows) : PEER_OK;
}

enum peer_status pkm_values_create(struct pkm_values **ret, struct peer_ctx *ctx,
                                   const struct pkm_values_config *config,
                                   const struct peer_ffw_shape *shape)
{
    enum peer_status status = pkm_values_check(ctx, "pkm_values_create", config, shape);
    if (status)
        return status;
    struct peer_pool pool = {.ctx = ctx};
    struct pkm_values *values = peer_pool_alloc(&pool, "pkm_values", sizeof *values, 1, 1, 1);
    if (!values)
        return PEER_ERR_MEMORY;
    status = pkm_values_build(values, &pool, config, shape);
    values->pool = pool;
    if (!status && pool.failed)
        status = PEER_ERR_MEMORY;
    if (status)
        pkm_values_destroy(&values);
    else
        *ret = values;
    return status;
}

void pkm_values_destroy(struct pkm_values **values)
{
    if (!values || !*values)
        return;
    peer_rows_destroy(&(*values)->rows);
    struct peer_pool pool = (*values)->pool;
    peer_pool_free(&pool);
    *values = NULL;
}

enum peer_status pkm_values_params(struct pkm_values *values, struct peer_params *list,
                                   const char *prefix)
{
    struct peer_param entry = {.name = "values",
                               .kind = values->rows ? PEER_PARAM_ROWS : PEER_PARAM_BUFFER,
                               .dims = 2,
                               .shape = {values->table.rows, values->table.width},
                               .data = values->table.f32,
                               .table = &values->table,
                               .rows = values->rows,
                               .lr_scale = values->config.table_lr_scale,
                               .decay = 1,
                               .init = {PEER_INIT_NORMAL, 1 / sqrtf((float)values->D)},
                               .role = PEER_ROLE_EXPERTS};
    return peer_params_add(list, prefix, &entry);
}

struct job {
    const struct pkm_values *values;
    const struct peer_kernels *kernels;
    float *y, *dgates;
    const int32_t *ids;
    const float *gates;
    int64_t T;
    const struct pkm_values_room *room;
};

static void forward_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const struct job *j = arg;
    int64_t D = j->values->D, slots = j->values->config.slots;
    int64_t begin = tile * TILE, end = peer_min(begin + TILE, j->T);
    memset(j->y + begin * D, 0, (size_t)((end - begin) * D) * sizeof *j->y);
    for (int64_t t = begin; t < end; t++)
        peer_table_axpy(j->y + t * D, &j->values->table, j->kernels, 0, j->ids + t * slots, slots,
                        peer_min(AHEAD, (end - t - 1) * slots), j->gates + t * slots);
}

void pkm_values_forward(struct peer_ctx *ctx, struct pkm_values *values, float *y,
                        const int32_t *ids, const float *gates, int64_t T)
{
    struct job job = {
        .values = values, .kernels = peer_kernels(ctx), .y = y, .ids = ids, .gates = gates, .T = T};
    peer_table_prepare(&values->table, ids, T * values->config.slots);
    peer_rows_catch_up(values->rows, ids, T * values->config.slots);
    peer_parallel(ctx, peer_tiles(T, TILE), forward_tile, &job);
}

/* dgates = values . dy, and the entries of the values' gradient. */
static void backward_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const struct job *j = arg;
    int64_t D = j->values->D, slots = j->values->config.slots;
    int64_t begin = tile * TILE, end = peer_min(begin + TILE, j->T), at = begin * slots;
    size_t entries = (size_t)((end - begin) * slots);
    if (j->values->rows) {
        memcpy(j->room->block.row + at, j->ids + at, entries * sizeof *j->ids);
        memcpy(j->room->block.coef[0] + at, j->gates + at, entries * sizeof *j->gates);
    }
    if (j->room->from)
        memcpy(j->room->dy + begin * D, j->room->from + begin * D,
               (size_t)((end - begin) * D) * sizeof *j->room->from);
    for (int64_t t = begin; t < end; t++)
        peer_table_dot(j->dgates + t * slots, &j->values->table, j->kernels, 0, j->ids + t * slots,
                       slots, peer_min(AHEAD, (end - t - 1) * slots), j->room->dy + t * D);
}

struct pkm_values_room pkm_values_reserve(struct pkm_values *values, int64_t T)
{
    struct pkm_values_room room = {.dy = NULL};
    if (!values->rows)
        return room;
    room.block = peer_rows_reserve(values->rows, T, values->config.slots);
    room.dy = room.block.source[0];
    return room;
}

void pkm_values_backward_at(struct peer_ctx *ctx, struct pkm_values *values, float *dgates,
                            const struct pkm_values_room *room, const int32_t *ids,
                            const float *gates, int64_t T)
{
    struct job job = {.values = values,
                      .kernels = peer_kernels(ctx),
                      .dgates = dgates,
                      .ids = ids,
                      .gates = gates,
                      .T = T,
                      .room = room};
    peer_parallel(ctx, peer_tiles(T, TILE), backward_tile, &job);
}

void pkm_values_backward(struct peer_ctx *ctx, struct pkm_values *values, float *dgates,
                         const float *dy, const int32_t *ids, const float *gates, int64_t T)
{
    struct pkm_values_room room = pkm_values_reserve(values, T);
    if (room.dy)
        room.from = dy;
    else
        room.dy = (float *)dy; /* only read */
    pkm_values_backward_at(ctx, values, dgates, &room, ids, gates, T);
}
