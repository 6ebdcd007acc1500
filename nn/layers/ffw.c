/* SPDX-License-Identifier: MIT */
#include "nn/layers/ffw.h"

#include <assert.h>
#include <string.h>

#include "nn/layers/ffw_object.h"

/* A shape with its defaults. */
static struct peer_ffw_shape whole(const struct peer_ffw_shape *shape)
{
    struct peer_ffw_shape ret = *shape;
    ret.tokens_per_step = peer_ffw_step_tokens(shape);
    return ret;
}

static enum peer_status check(struct peer_ctx *ctx, const struct peer_ffw_type *type,
                              const void *config, const struct peer_ffw_shape *shape)
{
    enum peer_status status = type->check(ctx, config, shape->width);
    if (!status && shape->table_of && !type->table)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "%s: table_of is set, but the type has no table",
                         type->name);
    if (!status && shape->table_of && shape->table)
        return peer_fail(
            ctx, PEER_ERR_ARGUMENT,
            "%s: both table and table_of are set: a table that is another layer's lies "
            "where that layer has it",
            type->name);
    return status ? status : type->check_shape(ctx, config, shape);
}

static void set_up(struct peer_ffw *layer, const struct peer_ffw_type *type,
                   const struct peer_pool *pool, const struct peer_ffw_shape *shape)
{
    layer->type = type;
    layer->pool = *pool;
    layer->shape = *shape;
}

static void set_up_cache(struct peer_ffw_cache *cache, struct peer_ffw *layer,
                         const struct peer_pool *pool, int64_t tokens)
{
    cache->layer = layer;
    cache->pool = *pool;
    cache->tokens = tokens;
    cache->loss_scale = 1;
    cache->mask = peer_pool_alloc(&cache->pool, "ffw mask", 1, tokens, 1, 1);
}

enum peer_status peer_ffw_rows(struct peer_rows **ret, struct peer_pool *pool,
                               const struct peer_rows_config *config)
{
    if (pool->ctx)
        return peer_rows_create(ret, pool->ctx, config);
    pool->bytes = peer_size_add(pool->bytes, peer_rows_memory(config));
    return PEER_OK;
}

size_t peer_ffw_memory(const struct peer_ffw_type *type, const void *config,
                       const struct peer_ffw_shape *shape)
{
    union {
        struct peer_ffw layer;
        unsigned char bytes[PEER_FFW_OBJECT_MOST];
    } object = {.bytes = {0}};
    union {
        struct peer_ffw_cache cache;
        unsigned char bytes[PEER_FFW_OBJECT_MOST];
    } passing = {.bytes = {0}};
    struct peer_ffw_shape needed = whole(shape);
    struct peer_pool measure = {.ctx = NULL};
    peer_pool_alloc(&measure, type->name, type->layer_size, 1, 1, 1);
    peer_pool_alloc(&measure, type->name, type->config_size, 1, 1, 1);
    set_up(&object.layer, type, &measure, &needed);
    object.layer.config = (void *)config; /* only read */
    type->build(&object.layer);
    measure.bytes = 0;
    peer_pool_alloc(&measure, type->name, type->cache_size, 1, 1, 1);
    set_up_cache(&passing.cache, &object.layer, &measure, needed.tokens);
    type->build_cache(&passing.cache);
    return peer_size_add(object.layer.pool.bytes, passing.cache.pool.bytes);
}

static enum peer_status make_cache(struct peer_ffw_cache **ret, struct peer_ctx *ctx,
                                   struct peer_ffw *layer, int64_t tokens)
{
    const struct peer_ffw_type *type = layer->type;
    struct peer_pool pool = {.ctx = ctx};
    struct peer_ffw_cache *cache = peer_pool_alloc(&pool, type->name, type->cache_size, 1, 1, 1);
    if (!cache)
        return PEER_ERR_MEMORY;
    set_up_cache(cache, layer, &pool, tokens);
    enum peer_status status = type->build_cache(cache);
    if (!status && cache->pool.failed)
        status = PEER_ERR_MEMORY;
    if (status)
        peer_ffw_cache_destroy(&cache);
    else
        *ret = cache;
    return status;
}

enum peer_status peer_ffw_create(struct peer_ffw **ret, struct peer_ctx *ctx,
                                 const struct peer_ffw_type *type, const void *config,
                                 const struct peer_ffw_shape *shape)
{
    struct peer_ffw_shape needed = whole(shape);
    enum peer_status status = check(ctx, type, config, &needed);
    if (status)
        return status;
    struct peer_pool pool = {.ctx = ctx};
    struct peer_ffw *layer = peer_pool_alloc(&pool, type->name, type->layer_size, 1, 1, 1);
    if (!layer)
        return PEER_ERR_MEMORY;
    void *copy = peer_pool_alloc(&pool, type->name, type->config_size, 1, 1, 1);
    set_up(layer, type, &pool, &needed);
    if (!copy) {
        peer_ffw_destroy(&layer);
        return PEER_ERR_MEMORY;
    }
    layer->config = memcpy(copy, config, type->config_size);
    status = type->build(layer);
    if (!status && layer->pool.failed)
        status = PEER_ERR_MEMORY;
    if (!status)
        status = make_cache(&layer->own, ctx, layer, needed.tokens);
    if (status)
        peer_ffw_destroy(&layer);
    else
        *ret = layer;
    return status;
}

void peer_ffw_destroy(struct peer_ffw **layer)
{
    if (!layer || !*layer)
        return;
    peer_ffw_cache_destroy(&(*layer)->own);
    if ((*layer)->type->destroy)
        (*layer)->type->destroy(*layer);
    struct peer_pool pool = (*layer)->pool;
    peer_pool_free(&pool);
    *layer = NULL;
}

enum peer_status peer_ffw_cache_create(struct peer_ffw_cache **ret, struct peer_ctx *ctx,
                                       struct peer_ffw *layer, int64_t tokens)
{
    struct peer_ffw_shape shape = layer->shape;
    shape.tokens = tokens;
    enum peer_status status = layer->type->check_shape(ctx, layer->config, &shape);
    return status ? status : make_cache(ret, ctx, layer, tokens);
}

void peer_ffw_cache_destroy(struct peer_ffw_cache **cache)
{
    if (!cache || !*cache)
        return;
    struct peer_pool pool = (*cache)->pool;
    peer_pool_free(&pool);
    *cache = NULL;
}

const struct peer_ffw_type *peer_ffw_type_of(const struct peer_ffw *layer)
{
    return layer->type;
}

struct peer_ffw_cache *peer_ffw_own_cache(const struct peer_ffw *layer)
{
    return layer->own;
}

enum peer_status peer_ffw_params(struct peer_ffw *layer, struct peer_params *list,
                                 const char *prefix)
{
    int64_t before = list->count;
    enum peer_status status = layer->type->params(layer, list, prefix);
    if (status)
        peer_params_truncate(list, before);
    return status;
}

void peer_ffw_cache_forward(struct peer_ffw_cache *cache, float *y,
                            const struct peer_ffw_batch *batch, enum peer_mode mode)
{
    assert(batch->T >= 0 && batch->T <= cache->tokens);
    assert(mode == PEER_MODE_EVAL || !cache->layer->shape.forward_only);
    cache->T = batch->T;
    cache->trained = mode == PEER_MODE_TRAIN;
    cache->masked = batch->mask != NULL;
    if (batch->mask)
        memcpy(cache->mask, batch->mask, (size_t)batch->T);
    cache->layer->type->forward(cache, y, batch, mode);
}

void peer_ffw_cache_backward(struct peer_ffw_cache *cache, float *dx, const float *dy,
                             const struct peer_ffw_batch *batch)
{
    assert(cache->trained && batch->T == cache->T);
    cache->trained = false;
    cache->layer->type->backward(cache, dx, dy, batch);
}

void peer_ffw_step(struct peer_ffw *layer)
{
    if (layer->type->step)
        layer->type->step(layer);
}

bool peer_ffw_cache_routing(const struct peer_ffw_cache *cache, struct peer_routing *ret)
{
    if (cache->layer->type->routing)
        cache->layer->type->routing(cache, ret);
    return cache->layer->type->routing;
}

int peer_ffw_cache_losses(const struct peer_ffw_cache *cache, struct peer_ffw_loss *ret)
{
    return cache->layer->type->losses ? cache->layer->type->losses(cache, ret) : 0;
}

void peer_ffw_cache_loss_scale(struct peer_ffw_cache *cache, float scale)
{
    cache->loss_scale = scale;
}

void peer_ffw_forward(struct peer_ffw *layer, float *y, const float *x, const uint8_t *mask,
                      int64_t T, enum peer_mode mode)
{
    struct peer_ffw_batch batch = {.x = x, .T = T, .mask = mask};
    peer_ffw_cache_forward(layer->own, y, &batch, mode);
}

void peer_ffw_backward(struct peer_ffw *layer, float *dx, const float *dy, const float *x,
                       int64_t T)
{
    struct peer_ffw_batch batch = {.x = x, .T = T, .mask = peer_ffw_cache_mask(layer->own)};
    peer_ffw_cache_backward(layer->own, dx, dy, &batch);
}

bool peer_ffw_routing(const struct peer_ffw *layer, struct peer_routing *ret)
{
    return peer_ffw_cache_routing(layer->own, ret);
}

int peer_ffw_losses(const struct peer_ffw *layer, struct peer_ffw_loss *ret)
{
    return peer_ffw_cache_losses(layer->own, ret);
}

void peer_ffw_loss_scale(struct peer_ffw *layer, float scale)
{
    peer_ffw_cache_loss_scale(layer->own, scale);
}

int64_t peer_ffw_skipped(const struct peer_ffw *layer)
{
    return layer->type->skipped ? layer->type->skipped(layer) : 0;
}
