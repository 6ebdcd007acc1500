/* SPDX-License-Identifier: MIT */
#include "pkm/layer.h"

#include <math.h>
#include <string.h>

#include "nn/kernels/kernels.h"
#include "nn/layers/ffw_object.h"
#include "nn/parallel.h"
#include "nn/products/linear.h"
#include "pkm/config.h"
#include "pkm/retrieval_private.h"
#include "pkm/values_private.h"

enum { VALUES = 1 << 12 }; /* of one tile */

struct layer {
    struct peer_ffw base;
    struct pkm_retrieval retrieval;
    struct pkm_values own;      /* unless they are another layer's */
    struct pkm_values *values;  /* those in use */
    float *w1, *dw1, *w2, *dw2; /* [D, D], "gate" and "output" of the gated form */
};

struct cache {
    struct peer_ffw_cache base;
    struct pkm_retrieval_cache retrieval;
    float *dgates;  /* [T, H, k] */
    float *dmemory; /* [T, D], where the table's gradient does not hold it */

    /* The gated form only. */
    float *memory; /* [T, D], sum of gates * values */
    float *z;      /* [T, D] = x W1^T; backward leaves silu(z) here */
    float *mixed;  /* [T, D] = memory * silu(z); backward leaves dz here */
};

static enum peer_status check_shared(struct peer_ctx *ctx, const struct pkm_config *config,
                                     const struct peer_ffw_shape *shape)
{
    const struct peer_ffw *of = shape->table_of;
    if (of->type != &peer_ffw_pkm)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "pkm: table_of is a layer of type %s",
                         of->type->name);
    const struct pkm_values *has = ((const struct layer *)of)->values;
    const struct pkm_values_config c = pkm_layer_values(config);
    bool trains = peer_ffw_trains(shape, PEER_ROLE_EXPERTS);
    if (has->D != shape->width || has->config.memories != c.memories ||
        has->config.slots != c.slots || has->config.table != c.table)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "pkm: table_of has %lld memories of width %lld, %lld for each token, "
                         "expected %lld of width %lld, %lld for each token, in a table of the same "
                         "type",
                         (long long)has->config.memories, (long long)has->D,
                         (long long)has->config.slots, (long long)c.memories,
                         (long long)shape->width, (long long)c.slots);
    if (trains != (has->rows != NULL))
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "pkm: the table of table_of is %s, that of the layer is %s",
                         has->rows ? "trained" : "not trained", trains ? "trained" : "not trained");
    return PEER_OK;
}

static enum peer_status check_shape(struct peer_ctx *ctx, const void *config,
                                    const struct peer_ffw_shape *shape)
{
    struct pkm_retrieval_config retrieval = pkm_layer_retrieval_for(config, shape);
    struct pkm_values_config values = pkm_layer_values(config);
    enum peer_status status = pkm_retrieval_check_shape(ctx, "pkm", &retrieval, shape);
    if (status)
        return status;
    return shape->table_of ? check_shared(ctx, config, shape)
                           : pkm_values_check(ctx, "pkm", &values, shape);
}

static void build_matrices(struct layer *layer)
{
    struct peer_pool *pool = &layer->base.pool;
    int64_t D = layer->base.shape.width;
    layer->w1 = peer_pool_floats(pool, "pkm.gate", D, D);
    layer->w2 = peer_pool_floats(pool, "pkm.output", D, D);
    if (!peer_ffw_trains(&layer->base.shape, PEER_ROLE_EXPERTS))
        return;
    layer->dw1 = peer_pool_floats(pool, "pkm.gate", D, D);
    layer->dw2 = peer_pool_floats(pool, "pkm.output", D, D);
}

static enum peer_status build(struct peer_ffw *base)
{
    struct layer *layer = (struct layer *)base;
    const struct pkm_config *config = base->config;
    struct pkm_retrieval_config retrieval = pkm_layer_retrieval_for(config, &base->shape);
    struct pkm_values_config values = pkm_layer_values(config);
    pkm_retrieval_build(&layer->retrieval, &base->pool, &retrieval);
    if (config->gated)
        build_matrices(layer);
    layer->values = &layer->own;
    if (!base->shape.table_of)
        return pkm_values_build(&layer->own, &base->pool, &values, &base->shape);
    layer->values = ((struct layer *)base->shape.table_of)->values;
    return PEER_OK;
}

static void destroy(struct peer_ffw *base)
{
    peer_rows_destroy(&((struct layer *)base)->own.rows);
}

static enum peer_status build_cache(struct peer_ffw_cache *base)
{
    struct cache *cache = (struct cache *)base;
    struct layer *layer = (struct layer *)base->layer;
    const struct peer_ffw_shape *shape = &base->layer->shape;
    const struct pkm_config *config = base->layer->config;
    struct peer_pool *pool = &base->pool;
    int64_t T = base->tokens, D = shape->width;
    pkm_retrieval_cache_build(&cache->retrieval, pool, &layer->retrieval, T);
    cache->dgates = peer_pool_floats(pool, "pkm.dgates", T, config->heads * config->kept);
    if (!shape->forward_only && !peer_ffw_trains(shape, PEER_ROLE_EXPERTS))
        cache->dmemory = peer_pool_floats(pool, "pkm.dmemory", T, D);
    if (!config->gated)
        return PEER_OK;
    cache->memory = peer_pool_floats(pool, "pkm.memory", T, D);
    cache->z = peer_pool_floats(pool, "pkm.z", T, D);
    cache->mixed = peer_pool_floats(pool, "pkm.mixed", T, D);
    return PEER_OK;
}

static enum peer_status add_matrix(struct layer *layer, struct peer_params *list,
                                   const char *prefix, const char *name, float **place, float *grad)
{
    int64_t D = layer->base.shape.width;
    struct peer_param matrix = {.kind = grad ? PEER_PARAM_DENSE : PEER_PARAM_BUFFER,
                                .dims = 2,
                                .shape = {D, D},
                                .data = *place,
                                .place = place,
                                .grad = grad,
                                .lr_scale = 1,
                                .decay = 1,
                                .init = {PEER_INIT_NORMAL, 1 / sqrtf((float)D)},
                                .role = PEER_ROLE_EXPERTS};
    strcpy(matrix.name, name);
    return peer_params_add(list, prefix, &matrix);
}

static enum peer_status params(struct peer_ffw *base, struct peer_params *list, const char *prefix)
{
    struct layer *layer = (struct layer *)base;
    bool gated = ((const struct pkm_config *)base->config)->gated;
    enum peer_status status = pkm_retrieval_params(&layer->retrieval, list, prefix);
    if (!status && layer->values == &layer->own)
        status = pkm_values_params(layer->values, list, prefix);
    if (!status && gated)
        status = add_matrix(layer, list, prefix, "gate", &layer->w1, layer->dw1);
    if (!status && gated)
        status = add_matrix(layer, list, prefix, "output", &layer->w2, layer->dw2);
    return status;
}

static void routing(const struct peer_ffw_cache *base, struct peer_routing *ret)
{
    *ret = pkm_retrieval_result(&((const struct cache *)base)->retrieval);
}

static int64_t skipped(const struct peer_ffw *layer)
{
    return ((const struct layer *)layer)->retrieval.skipped;
}

struct job {
    struct cache *cache;
    float *dmemory; /* backward: [T, D] */
    int64_t n;      /* T D */
};

/* mixed = memory * silu(z). */
static void mix_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const struct job *j = arg;
    int64_t begin = tile * VALUES, n = peer_min(VALUES, j->n - begin);
    float *mixed = j->cache->mixed + begin;
    const float *memory = j->cache->memory + begin;
    j->cache->retrieval.kernels->act_forward(mixed, j->cache->z + begin, n, PEER_ACT_SILU);
    for (int64_t i = 0; i < n; i++)
        mixed[i] *= memory[i];
}

static void forward(struct peer_ffw_cache *base, float *y, const struct peer_ffw_batch *batch,
                    enum peer_mode mode)
{
    struct cache *cache = (struct cache *)base;
    struct layer *layer = (struct layer *)base->layer;
    struct peer_ctx *ctx = base->pool.ctx;
    int64_t D = base->layer->shape.width, T = batch->T;
    pkm_retrieval_forward(&cache->retrieval, batch->x, batch->mask, T, mode);
    pkm_values_forward(ctx, layer->values, cache->memory ? cache->memory : y, cache->retrieval.ids,
                       cache->retrieval.gates, T);
    if (!cache->memory)
        return;
    struct job job = {.cache = cache, .n = T * D};
    peer_linear_forward(ctx, cache->z, batch->x, layer->w1, T, D, D);
    peer_parallel(ctx, peer_tiles(job.n, VALUES), mix_tile, &job);
    peer_linear_forward(ctx, y, cache->mixed, layer->w2, T, D, D);
}

/* On entry `dmemory` holds dmixed. dmemory = dmixed * silu(z), dz = dmixed * memory * silu'(z). */
static void unmix_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const struct job *j = arg;
    const struct peer_kernels *kernels = j->cache->retrieval.kernels;
    int64_t begin = tile * VALUES, n = peer_min(VALUES, j->n - begin);
    float *z = j->cache->z + begin, *dz = j->cache->mixed + begin, *dmemory = j->dmemory + begin;
    const float *memory = j->cache->memory + begin;
    kernels->act_slope(dz, z, n, PEER_ACT_SILU);
    kernels->act_forward(z, z, n, PEER_ACT_SILU);
    for (int64_t i = 0; i < n; i++) {
        dz[i] *= dmemory[i] * memory[i];
        dmemory[i] *= z[i];
    }
}

/* From dy to dmemory, and the gradients of the gate's matrices and input. */
static void gate_backward(struct cache *cache, float *dx, float *dmemory, const float *dy,
                          const float *x)
{
    struct layer *layer = (struct layer *)cache->base.layer;
    struct peer_ctx *ctx = cache->base.pool.ctx;
    int64_t T = cache->base.T, D = layer->base.shape.width;
    struct job job = {.cache = cache, .dmemory = dmemory, .n = T * D};
    peer_linear_backward_x(ctx, dmemory, dy, layer->w2, T, D, D, false);
    peer_linear_backward_w(ctx, layer->dw2, dy, cache->mixed, T, D, D);
    peer_parallel(ctx, peer_tiles(job.n, VALUES), unmix_tile, &job);
    peer_linear_backward_w(ctx, layer->dw1, cache->mixed, x, T, D, D);
    peer_linear_backward_x(ctx, dx, cache->mixed, layer->w1, T, D, D, true);
}

static void backward(struct peer_ffw_cache *base, float *dx, const float *dy,
                     const struct peer_ffw_batch *batch)
{
    struct cache *cache = (struct cache *)base;
    struct layer *layer = (struct layer *)base->layer;
    struct peer_ctx *ctx = base->pool.ctx;
    int64_t T = batch->T;
    struct pkm_values_room room = pkm_values_reserve(layer->values, T);
    if (!room.dy)
        room.dy = cache->dmemory;
    if (cache->memory)
        gate_backward(cache, dx, room.dy, dy, batch->x);
    else
        room.from = dy;
    pkm_values_backward_at(ctx, layer->values, cache->dgates, &room, cache->retrieval.ids,
                           cache->retrieval.gates, T);
    pkm_retrieval_backward(&cache->retrieval, dx, cache->dgates, batch->x,
                           peer_ffw_cache_mask(base), T);
}

_Static_assert(sizeof(struct layer) <= PEER_FFW_OBJECT_MOST, "the layer is too large");
_Static_assert(sizeof(struct cache) <= PEER_FFW_OBJECT_MOST, "the cache is too large");

const struct peer_ffw_type peer_ffw_pkm = {
    .name = "pkm",
    .summary = "a large table of values, found by product keys",
    .source = "Lample et al. 2019, Large Memory Layers with Product Keys, arXiv 1907.05242, "
              "Sec. 3; gated: Berges et al. 2024, Memory Layers at Scale, arXiv 2412.09764",
    .config_size = sizeof(struct pkm_config),
    .options = pkm_layer_options,
    .config_default = pkm_layer_default,
    .check = pkm_layer_check,
    .check_shape = check_shape,
    .traits = pkm_layer_traits,
    .table = pkm_layer_table,
    .cost = pkm_layer_cost,
    .layer_size = sizeof(struct layer),
    .cache_size = sizeof(struct cache),
    .build = build,
    .destroy = destroy,
    .build_cache = build_cache,
    .params = params,
    .forward = forward,
    .backward = backward,
    .routing = routing,
    .skipped = skipped,
};
