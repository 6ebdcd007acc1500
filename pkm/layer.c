/* SPDX-License-Identifier: MIT */
#include "pkm/layer.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "nn/kernels/kernels.h"
#include "nn/parallel.h"
#include "nn/pool.h"
#include "nn/products/linear.h"
#include "nn/tables/table_lookup.h"
#include "pkm/config.h"

enum {
    TILE = 16,  /* tokens */
    AHEAD = 16, /* values of the next token to prefetch */
};

struct pkm_layer {
    struct peer_pool pool;
    struct pkm_config config;
    struct peer_ffw_shape shape;
    int64_t D, slots; /* slots = H*k values per token */
    int64_t trained;  /* T of the last training forward pass, -1 after any other */
    struct pkm_retrieval *retrieval;
    struct peer_rows *rows; /* gradient of the values; NULL where they are not trained */
    struct peer_routing routing;
    struct peer_table values; /* [N, D] */
    float *dgates;            /* [T, H, k] */
    float *dmemory;           /* [T, D], where there are no rows to hold it */

    /* The gated form only. */
    float *w1, *dw1, *w2, *dw2; /* [D, D] */
    float *memory;              /* [T, D], sum of gates * values */
    float *z;                   /* [T, D] = x W1^T; backward leaves silu(z) here */
    float *mixed;               /* [T, D] = memory * silu(z); backward leaves dz here */
};

struct peer_routing pkm_layer_routing(const struct pkm_layer *layer)
{
    return layer->routing;
}

int64_t pkm_layer_skipped(const struct pkm_layer *layer)
{
    return pkm_retrieval_skipped(layer->retrieval);
}

static struct peer_rows_config rows_config(const struct pkm_config *config,
                                           const struct peer_ffw_shape *shape)
{
    return (struct peer_rows_config){.rows = config->memories,
                                     .width = shape->width,
                                     .tokens = shape->tokens_per_step,
                                     .entries =
                                         shape->tokens_per_step * config->heads * config->kept,
                                     .segments = 1,
                                     .segment = {{0, shape->width, 0}}};
}

static struct peer_table table_of(const struct pkm_config *config, int64_t D)
{
    return (struct peer_table){
        .type = config->table, .rows = config->memories, .width = D, .segments = 1};
}

/* Everything but the object itself, the retrieval and the rows. */
static void allocate(struct pkm_layer *layer, struct peer_pool *pool,
                     const struct pkm_config *config, const struct peer_ffw_shape *shape)
{
    int64_t T = shape->tokens, D = shape->width;
    layer->values = table_of(config, D);
    peer_table_alloc(&layer->values, pool, "pkm.values", shape->table);
    layer->dgates = peer_pool_floats(pool, "pkm.dgates", T, config->heads * config->kept);
    bool trains = peer_ffw_trains(shape, PEER_ROLE_EXPERTS);
    if (!trains && !shape->forward_only)
        layer->dmemory = peer_pool_floats(pool, "pkm.dmemory", T, D);
    if (!config->gated)
        return;
    layer->w1 = peer_pool_floats(pool, "pkm.gate", D, D);
    layer->w2 = peer_pool_floats(pool, "pkm.output", D, D);
    if (trains) {
        layer->dw1 = peer_pool_floats(pool, "pkm.gate", D, D);
        layer->dw2 = peer_pool_floats(pool, "pkm.output", D, D);
    }
    layer->memory = peer_pool_floats(pool, "pkm.memory", T, D);
    layer->z = peer_pool_floats(pool, "pkm.z", T, D);
    layer->mixed = peer_pool_floats(pool, "pkm.mixed", T, D);
}

size_t pkm_layer_memory(const struct pkm_config *config, const struct peer_ffw_shape *shape)
{
    struct pkm_retrieval_config retrieval = pkm_layer_retrieval_for(config, shape);
    if (shape->tokens_per_step > pkm_retrieval_tokens_max(&retrieval))
        return SIZE_MAX;
    struct peer_pool measure = {.ctx = NULL};
    struct pkm_layer unused;
    peer_pool_alloc(&measure, "pkm", sizeof unused, 1, 1, 1);
    allocate(&unused, &measure, config, shape);
    struct peer_rows_config rows = rows_config(config, shape);
    size_t gradient = peer_ffw_trains(shape, PEER_ROLE_EXPERTS) ? peer_rows_memory(&rows) : 0;
    return peer_size_add(measure.bytes,
                         peer_size_add(gradient, pkm_retrieval_memory(&retrieval, shape->tokens)));
}

enum peer_status pkm_layer_check_shape(struct peer_ctx *ctx, const struct pkm_config *config,
                                       const struct peer_ffw_shape *shape)
{
    struct pkm_retrieval_config retrieval = pkm_layer_retrieval_for(config, shape);
    struct peer_table table = table_of(config, shape->width);
    enum peer_status status = pkm_retrieval_check_shape(ctx, "pkm", &retrieval, shape);
    if (status)
        return status;
    return peer_table_check(ctx, "pkm", &table, shape->table,
                            peer_ffw_trains(shape, PEER_ROLE_EXPERTS));
}

enum peer_status pkm_layer_create(struct pkm_layer **ret, struct peer_ctx *ctx,
                                  const struct pkm_config *config,
                                  const struct peer_ffw_shape *shape)
{
    struct pkm_retrieval_config retrieval = pkm_layer_retrieval_for(config, shape);
    enum peer_status status = pkm_layer_check(ctx, config, shape->width);
    if (!status)
        status = pkm_layer_check_shape(ctx, config, shape);
    if (status)
        return status;
    struct peer_pool pool = {.ctx = ctx};
    struct pkm_layer *layer = peer_pool_alloc(&pool, "pkm", sizeof *layer, 1, 1, 1);
    if (!layer)
        return PEER_ERR_MEMORY;
    *layer = (struct pkm_layer){.config = *config,
                                .shape = *shape,
                                .D = shape->width,
                                .slots = config->heads * config->kept,
                                .trained = -1};
    allocate(layer, &pool, config, shape);
    layer->pool = pool;
    status = pool.failed ? PEER_ERR_MEMORY : PEER_OK;
    if (!status)
        status = pkm_retrieval_create(&layer->retrieval, ctx, &retrieval, shape->tokens);
    struct peer_rows_config rows = rows_config(config, shape);
    if (!status && peer_ffw_trains(shape, PEER_ROLE_EXPERTS))
        status = peer_rows_create(&layer->rows, ctx, &rows);
    if (status) {
        pkm_layer_destroy(&layer);
        return status;
    }
    layer->routing = pkm_retrieval_result(layer->retrieval);
    *ret = layer;
    return PEER_OK;
}

void pkm_layer_destroy(struct pkm_layer **layer)
{
    if (!layer || !*layer)
        return;
    pkm_retrieval_destroy(&(*layer)->retrieval);
    peer_rows_destroy(&(*layer)->rows);
    struct peer_pool pool = (*layer)->pool;
    peer_pool_free(&pool);
    *layer = NULL;
}

enum peer_status pkm_layer_params(struct pkm_layer *layer, struct peer_params *list,
                                  const char *prefix)
{
    int64_t D = layer->D, before = list->count;
    struct peer_table_file_config table;
    const char *name = pkm_layer_table(&table, &layer->config, D);
    struct peer_init init = {PEER_INIT_NORMAL, table.deviation};
    struct peer_param values = {.kind = layer->rows ? PEER_PARAM_ROWS : PEER_PARAM_BUFFER,
                                .dims = 2,
                                .shape = {layer->config.memories, D},
                                .data = layer->values.f32,
                                .table = &layer->values,
                                .rows = layer->rows,
                                .lr_scale = layer->config.table_lr_scale,
                                .decay = 1,
                                .init = init,
                                .role = PEER_ROLE_EXPERTS};
    struct peer_param matrix = {.kind = layer->rows ? PEER_PARAM_DENSE : PEER_PARAM_BUFFER,
                                .dims = 2,
                                .shape = {D, D},
                                .lr_scale = 1,
                                .decay = 1,
                                .init = init,
                                .role = PEER_ROLE_EXPERTS};
    snprintf(values.name, sizeof values.name, "%s", name);
    enum peer_status status = pkm_retrieval_params(layer->retrieval, list, prefix);
    if (!status)
        status = peer_params_add(list, prefix, &values);
    for (int i = 0; i < 2 && layer->config.gated && !status; i++) {
        strcpy(matrix.name, i ? "output" : "gate");
        matrix.data = i ? layer->w2 : layer->w1;
        matrix.grad = i ? layer->dw2 : layer->dw1;
        status = peer_params_add(list, prefix, &matrix);
    }
    if (status)
        peer_params_truncate(list, before);
    return status;
}

struct job {
    struct pkm_layer *layer;
    float *y;        /* forward */
    const float *dy; /* backward: of the memory's output */
    float *dmemory;  /* [T, D] */
    struct peer_rows_block block;
    int64_t T;
};

/* The memory's output of a run of tokens and, in the gated form, its product with silu(z). */
static void forward_tile(void *job, int64_t tile, int thread)
{
    (void)thread;
    const struct job *j = job;
    struct pkm_layer *layer = j->layer;
    const struct peer_kernels *kernels = peer_kernels(layer->pool.ctx);
    int64_t D = layer->D, slots = layer->slots;
    int64_t begin = tile * TILE, end = peer_min(begin + TILE, j->T), values = (end - begin) * D;
    float *memory = (layer->config.gated ? layer->memory : j->y) + begin * D;
    memset(memory, 0, (size_t)values * sizeof *memory);
    for (int64_t t = begin; t < end; t++)
        peer_table_axpy(memory + (t - begin) * D, &layer->values, kernels, 0,
                        layer->routing.ids + t * slots, slots,
                        peer_min(AHEAD, (end - t - 1) * slots), layer->routing.gates + t * slots);
    if (!layer->config.gated)
        return;
    float *mixed = layer->mixed + begin * D;
    kernels->act_forward(mixed, layer->z + begin * D, values, PEER_ACT_SILU);
    for (int64_t i = 0; i < values; i++)
        mixed[i] *= memory[i];
}

void pkm_layer_forward(struct pkm_layer *layer, float *y, const float *x, const uint8_t *mask,
                       int64_t T, enum peer_mode mode)
{
    struct peer_ctx *ctx = layer->pool.ctx;
    int64_t D = layer->D;
    bool gated = layer->config.gated;
    assert(T >= 0 && T <= layer->shape.tokens);
    pkm_retrieval_forward(layer->retrieval, x, mask, T, mode);
    layer->routing = pkm_retrieval_result(layer->retrieval);
    peer_table_prepare(&layer->values, layer->routing.ids, T * layer->slots);
    if (gated)
        peer_linear_forward(ctx, layer->z, x, layer->w1, T, D, D);
    peer_rows_catch_up(layer->rows, layer->routing.ids, T * layer->slots);
    struct job job = {.layer = layer, .y = y, .T = T};
    peer_parallel(ctx, peer_tiles(T, TILE), forward_tile, &job);
    if (gated)
        peer_linear_forward(ctx, y, layer->mixed, layer->w2, T, D, D);
    layer->trained = mode == PEER_MODE_TRAIN ? T : -1;
}

/* On entry `dmemory` holds dmixed. dmemory = dmixed * silu(z), dz = dmixed * memory * silu'(z). */
static void gate_backward(struct pkm_layer *layer, float *dmemory, int64_t at, int64_t values)
{
    const struct peer_kernels *kernels = peer_kernels(layer->pool.ctx);
    float *z = layer->z + at, *dz = layer->mixed + at;
    const float *memory = layer->memory + at;
    kernels->act_slope(dz, z, values, PEER_ACT_SILU);
    kernels->act_forward(z, z, values, PEER_ACT_SILU);
    for (int64_t i = 0; i < values; i++) {
        dz[i] *= dmemory[i] * memory[i];
        dmemory[i] *= z[i];
    }
}

/* What the values' gradient needs of a run of slots, beside dmemory. */
static void fill_block(const struct job *j, int64_t at, int64_t slots)
{
    const struct peer_routing *routing = &j->layer->routing;
    memcpy(j->block.row + at, routing->ids + at, (size_t)slots * sizeof *routing->ids);
    memcpy(j->block.coef[0] + at, routing->gates + at, (size_t)slots * sizeof *routing->gates);
}

/* dgates = values . dmemory, and the entries of the values' gradient. */
static void backward_tile(void *job, int64_t tile, int thread)
{
    (void)thread;
    const struct job *j = job;
    struct pkm_layer *layer = j->layer;
    const struct peer_kernels *kernels = peer_kernels(layer->pool.ctx);
    int64_t D = layer->D, slots = layer->slots;
    int64_t begin = tile * TILE, end = peer_min(begin + TILE, j->T), values = (end - begin) * D;
    float *dmemory = j->dmemory + begin * D;
    const int32_t *ids = layer->routing.ids;
    if (layer->config.gated)
        gate_backward(layer, dmemory, begin * D, values);
    else
        memcpy(dmemory, j->dy + begin * D, (size_t)values * sizeof *dmemory);
    if (layer->rows)
        fill_block(j, begin * slots, (end - begin) * slots);
    for (int64_t t = begin; t < end; t++)
        peer_table_dot(layer->dgates + t * slots, &layer->values, kernels, 0, ids + t * slots,
                       slots, peer_min(AHEAD, (end - t - 1) * slots), dmemory + (t - begin) * D);
}

void pkm_layer_backward(struct pkm_layer *layer, float *dx, const float *dy, const float *x,
                        int64_t T)
{
    struct peer_ctx *ctx = layer->pool.ctx;
    int64_t D = layer->D;
    bool gated = layer->config.gated;
    assert(layer->trained == T);
    struct job job = {.layer = layer, .dy = dy, .dmemory = layer->dmemory, .T = T};
    if (layer->rows) {
        job.block = peer_rows_reserve(layer->rows, T, layer->slots);
        job.dmemory = job.block.source[0];
    }
    if (gated) {
        peer_linear_backward_x(ctx, job.dmemory, dy, layer->w2, T, D, D, false);
        peer_linear_backward_w(ctx, layer->dw2, dy, layer->mixed, T, D, D);
    }
    peer_parallel(ctx, peer_tiles(T, TILE), backward_tile, &job);
    if (gated) {
        peer_linear_backward_w(ctx, layer->dw1, layer->mixed, x, T, D, D);
        peer_linear_backward_x(ctx, dx, layer->mixed, layer->w1, T, D, D, true);
    }
    pkm_retrieval_backward(layer->retrieval, dx, layer->dgates, x, T);
    layer->trained = -1;
}
