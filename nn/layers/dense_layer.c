/* SPDX-License-Identifier: MIT */
/* The dense FFW as an object behind the slot. */
#include <math.h>
#include <string.h>

#include "nn/layers/dense.h"
#include "nn/layers/ffw_object.h"

static const int64_t most_hidden = (int64_t)1 << 20;

struct dense_layer {
    struct peer_ffw base;
    float *in, *gate, *out; /* the weights */
    struct peer_dense_gradients gradients;
};

struct dense_cache {
    struct peer_ffw_cache base;
    struct peer_dense_cache cache;
};

static const struct peer_option dense_options[] = {
    {.name = "hidden",
     .kind = PEER_OPTION_INT,
     .offset = offsetof(struct peer_dense_config, hidden),
     .min = 1,
     .max = 1 << 20,
     .unit_and_meaning = "hidden width F, values per token; default 4 D"},
    {.name = "activation",
     .kind = PEER_OPTION_CHOICE,
     .offset = offsetof(struct peer_dense_config, activation),
     .choices = peer_act_names,
     .unit_and_meaning = "activation of the hidden layer, or of the gate"},
    {.name = "gated",
     .kind = PEER_OPTION_BOOL,
     .offset = offsetof(struct peer_dense_config, gated),
     .unit_and_meaning = "gated linear unit: two input matrices; with silu SwiGLU"},
    {.name = NULL},
};

static void dense_default(void *config, int64_t width)
{
    *(struct peer_dense_config *)config =
        (struct peer_dense_config){.hidden = width > most_hidden / 4 ? most_hidden : 4 * width,
                                   .activation = PEER_ACT_GELU_TANH};
}

static enum peer_status dense_check(struct peer_ctx *ctx, const void *config, int64_t width)
{
    if (width < 1 || width > INT32_MAX)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "dense: width = %lld, expected 1 to %d",
                         (long long)width, INT32_MAX);
    return peer_options_check(ctx, "dense", config, dense_options);
}

static unsigned dense_traits(const void *config)
{
    (void)config;
    return 0;
}

static void dense_cost(struct peer_cost *ret, const void *config, int64_t width)
{
    const struct peer_dense_config *c = config;
    int64_t matrices = c->gated ? 3 : 2, values = matrices * c->hidden * width;
    *ret = (struct peer_cost){.params_total = values, .params_active = values};
    ret->forward[PEER_PART_DENSE] = 2.0 * (double)values;
    ret->backward[PEER_PART_DENSE] = 4.0 * (double)values;
    ret->bytes_forward = (double)values * sizeof(float);
    ret->bytes_train = PEER_STEP_PASSES_DENSE * ret->bytes_forward;
}

static enum peer_status dense_build(struct peer_ffw *layer)
{
    struct dense_layer *l = (struct dense_layer *)layer;
    const struct peer_dense_config *c = layer->config;
    struct peer_pool *pool = &layer->pool;
    int64_t D = layer->shape.width, F = c->hidden;
    bool trains = peer_ffw_trains(&layer->shape, PEER_ROLE_REST);
    l->in = peer_pool_floats(pool, "dense.in", F, D);
    l->out = peer_pool_floats(pool, "dense.out", D, F);
    if (c->gated)
        l->gate = peer_pool_floats(pool, "dense.gate", F, D);
    if (!trains)
        return PEER_OK;
    l->gradients.in = peer_pool_floats(pool, "dense.in gradient", F, D);
    l->gradients.out = peer_pool_floats(pool, "dense.out gradient", D, F);
    if (c->gated)
        l->gradients.gate = peer_pool_floats(pool, "dense.gate gradient", F, D);
    return PEER_OK;
}

static enum peer_status dense_build_cache(struct peer_ffw_cache *cache)
{
    struct peer_dense_cache *c = &((struct dense_cache *)cache)->cache;
    const struct peer_dense_config *config = cache->layer->config;
    int64_t T = cache->tokens, F = config->hidden;
    c->in = peer_pool_floats(&cache->pool, "dense.in cache", T, F);
    c->hidden = peer_pool_floats(&cache->pool, "dense.hidden cache", T, F);
    if (config->gated)
        c->gate = peer_pool_floats(&cache->pool, "dense.gate cache", T, F);
    return PEER_OK;
}

static enum peer_status dense_check_shape(struct peer_ctx *ctx, const void *config,
                                          const struct peer_ffw_shape *shape)
{
    (void)config;
    if (shape->tokens < 1 || shape->tokens > INT32_MAX)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "dense: tokens = %lld, expected 1 to %d",
                         (long long)shape->tokens, INT32_MAX);
    return PEER_OK;
}

static enum peer_status add_matrix(struct peer_params *list, const char *prefix, const char *name,
                                   float **place, float *grad, int64_t out, int64_t in)
{
    struct peer_param param = {.kind = grad ? PEER_PARAM_DENSE : PEER_PARAM_BUFFER,
                               .dims = 2,
                               .shape = {out, in},
                               .data = *place,
                               .place = place,
                               .grad = grad,
                               .lr_scale = 1,
                               .decay = 1,
                               .init = {PEER_INIT_NORMAL, (float)(1 / sqrt((double)in))}};
    memcpy(param.name, name, strlen(name) + 1);
    return peer_params_add(list, prefix, &param);
}

static enum peer_status dense_params(struct peer_ffw *layer, struct peer_params *list,
                                     const char *prefix)
{
    struct dense_layer *l = (struct dense_layer *)layer;
    const struct peer_dense_config *c = layer->config;
    int64_t D = layer->shape.width, F = c->hidden;
    enum peer_status status = add_matrix(list, prefix, "in", &l->in, l->gradients.in, F, D);
    if (!status && c->gated)
        status = add_matrix(list, prefix, "gate", &l->gate, l->gradients.gate, F, D);
    return status ? status : add_matrix(list, prefix, "out", &l->out, l->gradients.out, D, F);
}

static void dense_forward(struct peer_ffw_cache *cache, float *y,
                          const struct peer_ffw_batch *batch, enum peer_mode mode)
{
    const struct dense_layer *l = (const struct dense_layer *)cache->layer;
    struct peer_dense_weights weights = {l->in, l->gate, l->out};
    (void)mode;
    peer_dense_forward(cache->pool.ctx, y, &((struct dense_cache *)cache)->cache, &weights,
                       batch->x, batch->mask, batch->T, l->base.shape.width, l->base.config);
}

static void dense_backward(struct peer_ffw_cache *cache, float *dx, const float *dy,
                           const struct peer_ffw_batch *batch)
{
    const struct dense_layer *l = (const struct dense_layer *)cache->layer;
    struct peer_dense_weights weights = {l->in, l->gate, l->out};
    peer_dense_backward(cache->pool.ctx, dx, &l->gradients, &((struct dense_cache *)cache)->cache,
                        dy, &weights, batch->x, peer_ffw_cache_mask(cache), batch->T,
                        l->base.shape.width, l->base.config);
}

_Static_assert(sizeof(struct dense_layer) <= PEER_FFW_OBJECT_MOST, "the layer is too large");
_Static_assert(sizeof(struct dense_cache) <= PEER_FFW_OBJECT_MOST, "the cache is too large");

const struct peer_ffw_type peer_ffw_dense = {
    .name = "dense",
    .summary = "two matrices around an activation, or three with a gate",
    .source = "Vaswani et al. 2017, eq. 2; gated: Shazeer 2020, eq. 5 and 6",
    .config_size = sizeof(struct peer_dense_config),
    .options = dense_options,
    .config_default = dense_default,
    .check = dense_check,
    .check_shape = dense_check_shape,
    .traits = dense_traits,
    .cost = dense_cost,
    .layer_size = sizeof(struct dense_layer),
    .cache_size = sizeof(struct dense_cache),
    .build = dense_build,
    .build_cache = dense_build_cache,
    .params = dense_params,
    .forward = dense_forward,
    .backward = dense_backward,
};
