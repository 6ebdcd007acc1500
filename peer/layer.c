/* SPDX-License-Identifier: MIT */
#include "peer/layer.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "nn/kernels/kernels.h"
#include "nn/parallel.h"
#include "nn/pool.h"
#include "nn/tables/table_lookup.h"
#include "peer/config.h"

enum {
    TILE = 16,     /* tokens */
    CHUNK = 8,     /* slots worked on at a time, while the rows of as many more are fetched */
    SHORT = 512,   /* bytes of a vector up to which each is asked for in the pass that reads it:
                      after a longer one the hardware's streams go on to the next */
    SOURCE_X = 0,  /* what multiplies gradients of g and u */
    SOURCE_DY = 1, /* what multiplies gradients of v */
};

struct peer_layer {
    struct peer_layer_config config;
    struct peer_ffw_shape shape;
    struct peer_pool pool;
    const struct peer_kernels *kernels;
    struct pkm_retrieval *retrieval;
    struct peer_rows *rows;    /* gradient of the table; NULL where it is not trained */
    int64_t D, slots;          /* slots = H*k experts per token */
    int64_t vector_bytes;      /* of u or v, as the table holds them */
    int64_t trained;           /* T of the last training forward pass, -1 after any other */
    struct peer_table experts; /* [N or H*N, 2 D or 3 D] */
    int32_t *table_ids;        /* [T, H, k], with tables per head; else NULL */
    struct peer_routing routing;

    /* Cache [T, H, k]. */
    float *pre;                      /* a = u.x, or g.x for GLU */
    float *linear;                   /* b = u.x for GLU, else NULL */
    float *hidden;                   /* act(a), or act(a) b */
    float *work;                     /* forward: gate * hidden; backward: dgates */
    float *coef[PEER_ROWS_SEGMENTS]; /* without rows: what backward needs of their block */
};

struct peer_routing peer_layer_routing(const struct peer_layer *layer)
{
    return layer->routing;
}

int64_t peer_layer_skipped(const struct peer_layer *layer)
{
    return pkm_retrieval_skipped(layer->retrieval);
}

static struct peer_rows_config rows_config(const struct peer_layer_config *config,
                                           const struct peer_ffw_shape *shape)
{
    int64_t D = shape->width, vectors = peer_layer_vectors(config);
    struct peer_rows_config rows = {
        .rows = peer_layer_rows(config),
        .width = vectors * D,
        .tokens = shape->tokens_per_step,
        .entries = shape->tokens_per_step * config->heads * config->kept,
        .segments = (int)vectors,
    };
    for (int s = 0; s < rows.segments; s++)
        rows.segment[s] = (struct peer_rows_segment){
            .offset = s * D, .width = D, .source = s == rows.segments - 1 ? SOURCE_DY : SOURCE_X};
    return rows;
}

static struct peer_table table_of(const struct peer_layer_config *config, int64_t D)
{
    int64_t vectors = peer_layer_vectors(config);
    return (struct peer_table){.type = config->table,
                               .rows = peer_layer_rows(config),
                               .width = vectors * D,
                               .segments = (int)vectors};
}

static void allocate(struct peer_layer *layer, struct peer_pool *pool,
                     const struct peer_layer_config *config, const struct peer_ffw_shape *shape)
{
    int64_t T = shape->tokens, slots = config->heads * config->kept;
    layer->experts = table_of(config, shape->width);
    peer_table_alloc(&layer->experts, pool, "peer.experts", shape->table);
    if (config->tables_per_head)
        layer->table_ids = peer_pool_ids(pool, "peer.table_ids", T, slots);
    layer->pre = peer_pool_floats(pool, "peer.pre", T, slots);
    if (config->expert == PEER_EXPERT_GLU)
        layer->linear = peer_pool_floats(pool, "peer.linear", T, slots);
    layer->hidden = peer_pool_floats(pool, "peer.hidden", T, slots);
    layer->work = peer_pool_floats(pool, "peer.work", T, slots);
    bool scratch = !shape->forward_only && !peer_ffw_trains(shape, PEER_ROLE_EXPERTS);
    for (int64_t i = 0; scratch && i < peer_layer_vectors(config); i++)
        layer->coef[i] = peer_pool_floats(pool, "peer.coef", T, slots);
}

size_t peer_layer_memory(const struct peer_layer_config *config, const struct peer_ffw_shape *shape)
{
    struct pkm_retrieval_config retrieval = peer_layer_retrieval_for(config, shape);
    if (shape->tokens_per_step > pkm_retrieval_tokens_max(&retrieval))
        return SIZE_MAX;
    struct peer_pool measure = {.ctx = NULL};
    struct peer_layer unused;
    peer_pool_alloc(&measure, "peer", sizeof unused, 1, 1, 1);
    allocate(&unused, &measure, config, shape);
    struct peer_rows_config rows = rows_config(config, shape);
    size_t gradient = peer_ffw_trains(shape, PEER_ROLE_EXPERTS) ? peer_rows_memory(&rows) : 0;
    return peer_size_add(measure.bytes,
                         peer_size_add(gradient, pkm_retrieval_memory(&retrieval, shape->tokens)));
}

static void set_sizes(struct peer_layer *layer, const struct peer_layer_config *config,
                      const struct peer_ffw_shape *shape)
{
    layer->config = *config;
    layer->shape = *shape;
    layer->D = shape->width;
    layer->slots = config->heads * config->kept;
    layer->vector_bytes = peer_table_row_bytes(config->table, shape->width, 1);
    layer->trained = -1;
}

/* The arrays stay where they are, so that sizes are known before the first forward pass. */
static void set_routing(struct peer_layer *layer)
{
    layer->routing = pkm_retrieval_result(layer->retrieval);
    if (layer->table_ids) {
        layer->routing.ids = layer->table_ids;
        layer->routing.experts = peer_layer_rows(&layer->config);
        layer->routing.side = 0;
    }
}

enum peer_status peer_layer_check_shape(struct peer_ctx *ctx,
                                        const struct peer_layer_config *config,
                                        const struct peer_ffw_shape *shape)
{
    struct pkm_retrieval_config retrieval = peer_layer_retrieval_for(config, shape);
    struct peer_table table = table_of(config, shape->width);
    enum peer_status status = pkm_retrieval_check_shape(ctx, "peer", &retrieval, shape);
    if (status)
        return status;
    return peer_table_check(ctx, "peer", &table, shape->table,
                            peer_ffw_trains(shape, PEER_ROLE_EXPERTS));
}

enum peer_status peer_layer_create(struct peer_layer **ret, struct peer_ctx *ctx,
                                   const struct peer_layer_config *config,
                                   const struct peer_ffw_shape *shape)
{
    struct pkm_retrieval_config retrieval = peer_layer_retrieval_for(config, shape);
    enum peer_status status = peer_layer_check(ctx, config, shape->width);
    if (!status)
        status = peer_layer_check_shape(ctx, config, shape);
    if (status)
        return status;
    struct peer_pool pool = {.ctx = ctx};
    struct peer_layer *layer = peer_pool_alloc(&pool, "peer", sizeof *layer, 1, 1, 1);
    if (!layer)
        return PEER_ERR_MEMORY;
    set_sizes(layer, config, shape);
    layer->kernels = peer_kernels(ctx);
    allocate(layer, &pool, config, shape);
    layer->pool = pool;
    status = pool.failed ? PEER_ERR_MEMORY : PEER_OK;
    if (!status)
        status = pkm_retrieval_create(&layer->retrieval, ctx, &retrieval, shape->tokens);
    struct peer_rows_config rows = rows_config(config, shape);
    if (!status && peer_ffw_trains(shape, PEER_ROLE_EXPERTS))
        status = peer_rows_create(&layer->rows, ctx, &rows);
    if (status) {
        peer_layer_destroy(&layer);
        return status;
    }
    set_routing(layer);
    *ret = layer;
    return PEER_OK;
}

void peer_layer_destroy(struct peer_layer **layer)
{
    if (!layer || !*layer)
        return;
    pkm_retrieval_destroy(&(*layer)->retrieval);
    peer_rows_destroy(&(*layer)->rows);
    struct peer_pool pool = (*layer)->pool;
    peer_pool_free(&pool);
    *layer = NULL;
}

enum peer_status peer_layer_params(struct peer_layer *layer, struct peer_params *list,
                                   const char *prefix)
{
    int64_t before = list->count;
    enum peer_status status = pkm_retrieval_params(layer->retrieval, list, prefix);
    if (status)
        return status;
    struct peer_table_file_config table;
    const char *name = peer_layer_table(&table, &layer->config, layer->D);
    struct peer_param experts = {.kind = layer->rows ? PEER_PARAM_ROWS : PEER_PARAM_BUFFER,
                                 .dims = 2,
                                 .shape = {layer->experts.rows, layer->experts.width},
                                 .data = layer->experts.f32,
                                 .table = &layer->experts,
                                 .rows = layer->rows,
                                 .lr_scale = layer->config.table_lr_scale,
                                 .decay = 1,
                                 .init = {PEER_INIT_NORMAL, table.deviation},
                                 .role = PEER_ROLE_EXPERTS};
    snprintf(experts.name, sizeof experts.name, "%s", name);
    status = peer_params_add(list, prefix, &experts);
    if (status)
        peer_params_truncate(list, before);
    return status;
}

struct forward_job {
    struct peer_layer *layer;
    float *y;
    const float *x;
    int64_t T;
};

/* Slots at ... at+m-1, all of one token: y += sum of gate * e(x). The `ahead` slots that follow
 * are prefetched. */
static void forward_chunk(struct peer_layer *layer, float *y, const float *x, int64_t at, int64_t m,
                          int64_t ahead)
{
    const struct peer_kernels *kernels = layer->kernels;
    const struct peer_table *experts = &layer->experts;
    const int32_t *ids = layer->routing.ids + at;
    const float *gates = layer->routing.gates + at;
    float *pre = layer->pre + at, *hidden = layer->hidden + at, *work = layer->work + at;
    int64_t then = layer->vector_bytes > SHORT ? 0 : ahead;
    peer_table_dot(pre, experts, kernels, 0, ids, m, ahead, x);
    kernels->act_forward(hidden, pre, m, layer->config.activation);
    if (layer->linear) {
        float *linear = layer->linear + at;
        peer_table_dot(linear, experts, kernels, 1, ids, m, then, x);
        for (int64_t j = 0; j < m; j++)
            hidden[j] *= linear[j];
    }
    for (int64_t j = 0; j < m; j++)
        work[j] = gates[j] * hidden[j];
    peer_table_axpy(y, experts, kernels, experts->segments - 1, ids, m, then, work);
}

/* With tables per head: rows of the table from the retrieval's ids. */
static void table_ids_tile(void *job, int64_t tile, int thread)
{
    (void)thread;
    const struct forward_job *j = job;
    struct peer_layer *layer = j->layer;
    const int32_t *found = pkm_retrieval_result(layer->retrieval).ids;
    int64_t H = layer->config.heads, k = layer->config.kept, N = layer->config.experts;
    int64_t tokens = peer_min(TILE, j->T - tile * TILE), begin = tile * TILE * layer->slots;
    for (int64_t s = begin; s < begin + tokens * layer->slots; s++)
        layer->table_ids[s] = found[s] < 0 ? -1 : (int32_t)(s / k % H * N + found[s]);
}

static void forward_tile(void *job, int64_t tile, int thread)
{
    (void)thread;
    const struct forward_job *j = job;
    struct peer_layer *layer = j->layer;
    int64_t D = layer->D, slots = layer->slots;
    int64_t begin = tile * TILE, end = peer_min(begin + TILE, j->T);
    memset(j->y + begin * D, 0, (size_t)((end - begin) * D) * sizeof(float));
    for (int64_t t = begin; t < end; t++) {
        for (int64_t s = 0; s < slots; s += CHUNK) {
            int64_t m = peer_min(CHUNK, slots - s), at = t * slots + s;
            int64_t ahead = peer_min(CHUNK, end * slots - at - m);
            forward_chunk(layer, j->y + t * D, j->x + t * D, at, m, ahead);
        }
    }
}

void peer_layer_forward(struct peer_layer *layer, float *y, const float *x, const uint8_t *mask,
                        int64_t T, enum peer_mode mode)
{
    assert(T >= 0 && T <= layer->shape.tokens);
    pkm_retrieval_forward(layer->retrieval, x, mask, T, mode);
    struct forward_job job = {layer, y, x, T};
    if (layer->table_ids)
        peer_parallel(layer->pool.ctx, peer_tiles(T, TILE), table_ids_tile, &job);
    peer_table_prepare(&layer->experts, layer->routing.ids, T * layer->slots);
    peer_rows_catch_up(layer->rows, layer->routing.ids, T * layer->slots);
    peer_parallel(layer->pool.ctx, peer_tiles(T, TILE), forward_tile, &job);
    layer->trained = mode == PEER_MODE_TRAIN ? T : -1;
}

struct backward_job {
    struct peer_layer *layer;
    float *dx;
    const float *dy, *x;
    int64_t T;
    struct peer_rows_block block;
};

/* The slots' coefficients: see peer/layer_ref.c. On entry work = z = v.dy. */
static void backward_coefficients(struct peer_layer *layer, const struct peer_rows_block *block,
                                  int64_t at, int64_t m)
{
    const struct peer_kernels *kernels = layer->kernels;
    enum peer_act act = layer->config.activation;
    const float *gates = layer->routing.gates + at, *hidden = layer->hidden + at;
    float *z = layer->work + at, *da = block->coef[0] + at, *db = block->coef[1] + at;
    float *dv = block->coef[layer->linear ? 2 : 1] + at;
    kernels->act_slope(da, layer->pre + at, m, act);
    if (layer->linear) {
        const float *linear = layer->linear + at;
        kernels->act_forward(db, layer->pre + at, m, act);
        for (int64_t j = 0; j < m; j++) {
            da[j] *= linear[j];
            db[j] *= gates[j] * z[j];
        }
    }
    for (int64_t j = 0; j < m; j++) {
        da[j] *= gates[j] * z[j];
        dv[j] = gates[j] * hidden[j];
        z[j] *= hidden[j];
    }
}

/* As forward_chunk, but v of a row is read first. What is fetched for the next slots is what the
 * same pass will read then: the first lines of v, then those of u. */
static void backward_chunk(struct peer_layer *layer, const struct peer_rows_block *block, float *dx,
                           const float *dy, int64_t at, int64_t m, int64_t ahead)
{
    const struct peer_kernels *kernels = layer->kernels;
    const struct peer_table *experts = &layer->experts;
    const int32_t *ids = layer->routing.ids + at;
    int last = experts->segments - 1;
    peer_table_dot(layer->work + at, experts, kernels, last, ids, m, ahead, dy);
    backward_coefficients(layer, block, at, m);
    peer_table_axpy(dx, experts, kernels, 0, ids, m, ahead, block->coef[0] + at);
    if (layer->linear)
        peer_table_axpy(dx, experts, kernels, 1, ids, m, 0, block->coef[1] + at);
}

/* What the table's gradient needs of tokens begin ... end-1, beside the coefficients. */
static void fill_block(const struct backward_job *j, int64_t begin, int64_t end)
{
    int64_t D = j->layer->D, slots = j->layer->slots;
    size_t values = (size_t)((end - begin) * D) * sizeof(float);
    memcpy(j->block.source[SOURCE_X] + begin * D, j->x + begin * D, values);
    memcpy(j->block.source[SOURCE_DY] + begin * D, j->dy + begin * D, values);
    memcpy(j->block.row + begin * slots, j->layer->routing.ids + begin * slots,
           (size_t)((end - begin) * slots) * sizeof(int32_t));
}

static void backward_tile(void *job, int64_t tile, int thread)
{
    (void)thread;
    const struct backward_job *j = job;
    struct peer_layer *layer = j->layer;
    int64_t D = layer->D, slots = layer->slots;
    int64_t begin = tile * TILE, end = peer_min(begin + TILE, j->T);
    if (layer->rows)
        fill_block(j, begin, end);
    for (int64_t t = begin; t < end; t++) {
        for (int64_t s = 0; s < slots; s += CHUNK) {
            int64_t m = peer_min(CHUNK, slots - s), at = t * slots + s;
            int64_t ahead = peer_min(CHUNK, end * slots - at - m);
            backward_chunk(layer, &j->block, j->dx + t * D, j->dy + t * D, at, m, ahead);
        }
    }
}

void peer_layer_backward(struct peer_layer *layer, float *dx, const float *dy, const float *x,
                         int64_t T)
{
    assert(layer->trained == T);
    struct backward_job job = {.layer = layer, .dx = dx, .dy = dy, .x = x, .T = T};
    if (layer->rows)
        job.block = peer_rows_reserve(layer->rows, T, layer->slots);
    else
        memcpy(job.block.coef, layer->coef, sizeof layer->coef);
    peer_parallel(layer->pool.ctx, peer_tiles(T, TILE), backward_tile, &job);
    pkm_retrieval_backward(layer->retrieval, dx, layer->work, x, T);
    layer->trained = -1;
}
