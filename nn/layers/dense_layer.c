/* SPDX-License-Identifier: MIT */
/* The dense FFW as an object behind the slot. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "nn/layers/dense.h"
#include "nn/parallel.h"
#include "nn/pool.h"

static const int64_t most_hidden = (int64_t)1 << 20;

struct dense_layer {
    struct peer_pool pool;
    struct peer_dense_config config;
    struct peer_ffw_shape shape;
    float *in, *gate, *out;
    struct peer_dense_gradients gradients;
    struct peer_dense_cache cache;
    uint8_t *mask;    /* [tokens]: the last forward pass's */
    bool masked;      /* it had one */
    int64_t cached_T; /* tokens that the cache holds for backward, 0 = none */
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

/* The one place that knows what a layer takes, for create and for memory. */
static void allocate(struct dense_layer *l, struct peer_pool *pool,
                     const struct peer_dense_config *c, const struct peer_ffw_shape *shape)
{
    int64_t D = shape->width, F = c->hidden, T = shape->tokens;
    bool trains = peer_ffw_trains(shape, PEER_ROLE_REST);
    l->in = peer_pool_floats(pool, "dense.in", F, D);
    l->out = peer_pool_floats(pool, "dense.out", D, F);
    if (trains) {
        l->gradients.in = peer_pool_floats(pool, "dense.in gradient", F, D);
        l->gradients.out = peer_pool_floats(pool, "dense.out gradient", D, F);
    }
    l->cache.in = peer_pool_floats(pool, "dense.in cache", T, F);
    l->cache.hidden = peer_pool_floats(pool, "dense.hidden cache", T, F);
    l->mask = peer_pool_alloc(pool, "dense.mask", sizeof *l->mask, T, 1, 1);
    if (!c->gated)
        return;
    l->gate = peer_pool_floats(pool, "dense.gate", F, D);
    if (trains)
        l->gradients.gate = peer_pool_floats(pool, "dense.gate gradient", F, D);
    l->cache.gate = peer_pool_floats(pool, "dense.gate cache", T, F);
}

static size_t dense_memory(const void *config, const struct peer_ffw_shape *shape)
{
    struct peer_pool measure = {.ctx = NULL};
    struct dense_layer unused = {.masked = false};
    peer_pool_alloc(&measure, "dense", sizeof unused, 1, 1, 1);
    allocate(&unused, &measure, config, shape);
    return measure.bytes;
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

static enum peer_status dense_create(void **ret, struct peer_ctx *ctx, const void *config,
                                     const struct peer_ffw_shape *shape)
{
    enum peer_status status = dense_check(ctx, config, shape->width);
    if (!status)
        status = dense_check_shape(ctx, config, shape);
    if (status)
        return status;
    struct peer_pool pool = {.ctx = ctx};
    struct dense_layer *l = peer_pool_alloc(&pool, "dense", sizeof *l, 1, 1, 1);
    if (l)
        allocate(l, &pool, config, shape);
    if (pool.failed) {
        peer_pool_free(&pool);
        return PEER_ERR_MEMORY;
    }
    l->pool = pool;
    l->config = *(const struct peer_dense_config *)config;
    l->shape = *shape;
    *ret = l;
    return PEER_OK;
}

static enum peer_status add_matrix(struct peer_params *list, const char *prefix, const char *name,
                                   float *data, float *grad, int64_t out, int64_t in)
{
    struct peer_param param = {.kind = grad ? PEER_PARAM_DENSE : PEER_PARAM_BUFFER,
                               .dims = 2,
                               .shape = {out, in},
                               .data = data,
                               .grad = grad,
                               .lr_scale = 1,
                               .decay = 1,
                               .init = {PEER_INIT_NORMAL, (float)(1 / sqrt((double)in))}};
    memcpy(param.name, name, strlen(name) + 1);
    return peer_params_add(list, prefix, &param);
}

static enum peer_status dense_params(void *layer, struct peer_params *list, const char *prefix)
{
    struct dense_layer *l = layer;
    int64_t D = l->shape.width, F = l->config.hidden, before = list->count;
    enum peer_status status = add_matrix(list, prefix, "in", l->in, l->gradients.in, F, D);
    if (!status && l->config.gated)
        status = add_matrix(list, prefix, "gate", l->gate, l->gradients.gate, F, D);
    if (!status)
        status = add_matrix(list, prefix, "out", l->out, l->gradients.out, D, F);
    if (status)
        peer_params_truncate(list, before);
    return status;
}

static struct peer_dense_weights weights_of(const struct dense_layer *l)
{
    return (struct peer_dense_weights){l->in, l->gate, l->out};
}

static void dense_forward(void *layer, float *y, const float *x, const uint8_t *mask, int64_t T,
                          enum peer_mode mode)
{
    struct dense_layer *l = layer;
    assert(T >= 0 && T <= l->shape.tokens);
    struct peer_dense_weights weights = weights_of(l);
    l->masked = mask != NULL;
    if (mask)
        memcpy(l->mask, mask, (size_t)T);
    l->cached_T = mode == PEER_MODE_TRAIN ? T : 0;
    peer_dense_forward(l->pool.ctx, y, &l->cache, &weights, x, mask, T, l->shape.width, &l->config);
}

static void dense_backward(void *layer, float *dx, const float *dy, const float *x, int64_t T)
{
    struct dense_layer *l = layer;
    assert(T == l->cached_T);
    struct peer_dense_weights weights = weights_of(l);
    l->cached_T = 0;
    peer_dense_backward(l->pool.ctx, dx, &l->gradients, &l->cache, dy, &weights, x,
                        l->masked ? l->mask : NULL, T, l->shape.width, &l->config);
}

static void dense_destroy(void **layer)
{
    if (!layer || !*layer)
        return;
    struct peer_pool pool = ((struct dense_layer *)*layer)->pool;
    peer_pool_free(&pool);
    *layer = NULL;
}

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
    .memory = dense_memory,
    .create = dense_create,
    .params = dense_params,
    .forward = dense_forward,
    .backward = dense_backward,
    .destroy = dense_destroy,
};
