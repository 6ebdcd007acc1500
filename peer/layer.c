/* SPDX-License-Identifier: MIT */
#include "peer/layer.h"

#include <math.h>

#include "nn/layers/ffw_object.h"
#include "nn/parallel.h"
#include "peer/config.h"
#include "peer/experts_private.h"
#include "pkm/retrieval_private.h"

enum { TILE = 1024 }; /* slots */

struct layer {
    struct peer_ffw base;
    struct pkm_retrieval retrieval;
    struct peer_experts own;      /* unless they are another layer's */
    struct peer_experts *experts; /* those in use */
};

struct cache {
    struct peer_ffw_cache base;
    struct pkm_retrieval_cache retrieval;
    struct peer_experts_cache experts;
    int32_t *table_ids; /* [T, H, k], with tables per head; else NULL */
};

static enum peer_status check_shared(struct peer_ctx *ctx, const struct peer_layer_config *config,
                                     const struct peer_ffw_shape *shape)
{
    const struct peer_ffw *of = shape->table_of;
    if (of->type != &peer_ffw_peer)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "peer: table_of is a layer of type %s",
                         of->type->name);
    const struct peer_experts *has = ((const struct layer *)of)->experts;
    const struct peer_experts_config c = peer_layer_experts(config);
    if (has->D != shape->width || has->config.experts != c.experts ||
        has->config.slots != c.slots || has->config.expert != c.expert ||
        has->config.activation != c.activation || has->config.table != c.table)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "peer: table_of has %lld rows of %lld %s experts of width %lld, expected "
                         "%lld rows of %lld %s experts of width %lld, of the same activation and "
                         "table",
                         (long long)has->config.experts, (long long)has->config.slots,
                         peer_expert_names[has->config.expert], (long long)has->D,
                         (long long)c.experts, (long long)c.slots, peer_expert_names[c.expert],
                         (long long)shape->width);
    bool trains = peer_ffw_trains(shape, PEER_ROLE_EXPERTS);
    if (trains != (has->rows != NULL) || (!shape->forward_only && !trains) != has->scratch)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "peer: the table of table_of is %s, that of the layer is %s",
                         has->rows ? "trained" : "not trained", trains ? "trained" : "not trained");
    return PEER_OK;
}

static enum peer_status check_shape(struct peer_ctx *ctx, const void *config,
                                    const struct peer_ffw_shape *shape)
{
    struct pkm_retrieval_config retrieval = peer_layer_retrieval_for(config, shape);
    struct peer_experts_config experts = peer_layer_experts(config);
    enum peer_status status = pkm_retrieval_check_shape(ctx, "peer", &retrieval, shape);
    if (status)
        return status;
    return shape->table_of ? check_shared(ctx, config, shape)
                           : peer_experts_check(ctx, "peer", &experts, shape);
}

static enum peer_status build(struct peer_ffw *base)
{
    struct layer *layer = (struct layer *)base;
    const struct peer_layer_config *config = base->config;
    struct pkm_retrieval_config retrieval = peer_layer_retrieval_for(config, &base->shape);
    struct peer_experts_config experts = peer_layer_experts(config);
    pkm_retrieval_build(&layer->retrieval, &base->pool, &retrieval);
    if (base->shape.table_of) {
        layer->experts = ((struct layer *)base->shape.table_of)->experts;
        return PEER_OK;
    }
    layer->experts = &layer->own;
    return peer_experts_build(&layer->own, &base->pool, &experts, &base->shape);
}

static void destroy(struct peer_ffw *base)
{
    peer_rows_destroy(&((struct layer *)base)->own.rows);
}

static enum peer_status build_cache(struct peer_ffw_cache *base)
{
    struct cache *cache = (struct cache *)base;
    struct layer *layer = (struct layer *)base->layer;
    const struct peer_layer_config *config = base->layer->config;
    pkm_retrieval_cache_build(&cache->retrieval, &base->pool, &layer->retrieval, base->tokens);
    peer_experts_cache_build(&cache->experts, &base->pool, layer->experts, base->tokens);
    if (config->tables_per_head)
        cache->table_ids = peer_pool_ids(&base->pool, "peer.table_ids", base->tokens,
                                         config->heads * config->kept);
    return PEER_OK;
}

static enum peer_status params(struct peer_ffw *base, struct peer_params *list, const char *prefix)
{
    struct layer *layer = (struct layer *)base;
    enum peer_status status = pkm_retrieval_params(&layer->retrieval, list, prefix);
    if (!status && layer->experts == &layer->own)
        status = peer_experts_params(layer->experts, list, prefix);
    return status;
}

/* With tables per head ids are rows of the table, h*N + i, of H*N in all, which form no grid: usage
 * is counted per trained row. */
static void routing(const struct peer_ffw_cache *base, struct peer_routing *ret)
{
    const struct cache *cache = (const struct cache *)base;
    *ret = pkm_retrieval_result(&cache->retrieval);
    if (!cache->table_ids)
        return;
    ret->ids = cache->table_ids;
    ret->experts = peer_layer_rows(base->layer->config);
    ret->side = 0;
}

static int64_t skipped(const struct peer_ffw *layer)
{
    return ((const struct layer *)layer)->retrieval.skipped;
}

/* With tables per head: rows of the table from the retrieval's ids. */
static void table_ids_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    struct cache *cache = arg;
    const struct peer_layer_config *config = cache->base.layer->config;
    const int32_t *found = cache->retrieval.ids;
    int64_t H = config->heads, k = config->kept, N = config->experts;
    int64_t end = peer_min((tile + 1) * TILE, cache->base.T * H * k);
    for (int64_t s = tile * TILE; s < end; s++)
        cache->table_ids[s] = found[s] < 0 ? -1 : (int32_t)(s / k % H * N + found[s]);
}

static void forward(struct peer_ffw_cache *base, float *y, const struct peer_ffw_batch *batch,
                    enum peer_mode mode)
{
    struct cache *cache = (struct cache *)base;
    struct peer_routing used;
    pkm_retrieval_forward(&cache->retrieval, batch->x, batch->mask, batch->T, mode);
    routing(base, &used);
    if (cache->table_ids)
        peer_parallel(base->pool.ctx, peer_tiles(batch->T * used.heads * used.kept, TILE),
                      table_ids_tile, cache);
    peer_experts_forward(&cache->experts, y, batch->x, used.ids, used.gates, batch->T);
}

static void backward(struct peer_ffw_cache *base, float *dx, const float *dy,
                     const struct peer_ffw_batch *batch)
{
    struct cache *cache = (struct cache *)base;
    struct peer_routing used;
    float *dgates = cache->experts.work;
    routing(base, &used);
    peer_experts_backward(&cache->experts, dx, dgates, dy, batch->x, used.ids, used.gates,
                          batch->T);
    pkm_retrieval_backward(&cache->retrieval, dx, dgates, batch->x, peer_ffw_cache_mask(base),
                           batch->T);
}

_Static_assert(sizeof(struct layer) <= PEER_FFW_OBJECT_MOST, "the layer is too large");
_Static_assert(sizeof(struct cache) <= PEER_FFW_OBJECT_MOST, "the cache is too large");

const struct peer_ffw_type peer_ffw_peer = {
    .name = "peer",
    .summary = "many single-neuron experts, found by product keys",
    .source = "He 2024, Mixture of A Million Experts, arXiv 2407.04153, Algorithm 1",
    .config_size = sizeof(struct peer_layer_config),
    .options = peer_layer_options,
    .config_default = peer_layer_default,
    .check = peer_layer_check,
    .check_shape = check_shape,
    .traits = peer_layer_traits,
    .table = peer_layer_table,
    .cost = peer_layer_cost,
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
