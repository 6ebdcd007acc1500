/* SPDX-License-Identifier: MIT */
/* Soft MoE as a type of the slot. */
#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "moe/soft_moe.h"
#include "moe/training.h"
#include "nn/parallel.h"

enum { EXPERTS_MAX = 65536, SLOTS_MAX = 65536, HIDDEN_MAX = 1 << 20 };

struct soft_layer {
    struct peer_pool pool;
    struct peer_soft_moe_config config;
    struct peer_ffw_shape shape;
    int64_t trained; /* T of the last training forward pass, -1 after any other */
    struct peer_soft_moe soft;
    struct peer_moe_experts experts;
    float *phi, *scale; /* weights */
    uint8_t *mask;      /* [T] */
};

#define AT(field) offsetof(struct peer_soft_moe_config, field)

static const struct peer_option options[] = {
    {"experts", PEER_OPTION_INT, AT(experts), 1, EXPERTS_MAX, NULL, "number of experts E"},
    {"slots", PEER_OPTION_INT, AT(slots), 1, SLOTS_MAX, NULL, "slots of one expert in a group"},
    {"hidden", PEER_OPTION_INT, AT(hidden), 1, HIDDEN_MAX, NULL,
     "hidden width F of one expert, values per slot"},
    {"activation", PEER_OPTION_CHOICE, AT(activation), 0, 0, peer_act_names,
     "activation of the experts, or of their gates"},
    {"gated", PEER_OPTION_BOOL, AT(gated), 0, 1, NULL,
     "experts with a gated linear unit; with silu SwiGLU"},
    {"group", PEER_OPTION_INT, AT(group), 1, INT32_MAX, NULL,
     "tokens whose mixtures fill the slots, such as those of a sequence"},
    {.name = NULL},
};

static void soft_default(void *config, int64_t width)
{
    *(struct peer_soft_moe_config *)config =
        (struct peer_soft_moe_config){.experts = 16,
                                      .slots = 16,
                                      .hidden = width > HIDDEN_MAX / 4 ? HIDDEN_MAX : 4 * width,
                                      .activation = PEER_ACT_GELU_TANH,
                                      .group = 256};
}

static enum peer_status soft_check(struct peer_ctx *ctx, const void *config, int64_t width)
{
    if (width < 1 || width > INT32_MAX)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "soft_moe: width = %lld, expected 1 to %d",
                         (long long)width, INT32_MAX);
    return peer_options_check(ctx, "soft_moe", config, options);
}

static unsigned soft_traits(const void *config)
{
    (void)config;
    return PEER_FFW_NOT_CAUSAL | PEER_FFW_MIXES_TOKENS_IN_TRAINING;
}

/* Of a full group. Logits, slots and the tokens' sums of them take one product of [D, S] each. */
static void soft_cost(struct peer_cost *ret, const void *config, int64_t D)
{
    const struct peer_soft_moe_config *c = config;
    int64_t S = c->experts * c->slots, expert = (c->gated ? 3 : 2) * c->hidden * D;
    double experts = (double)S / (double)c->group * (double)expert, slots = (double)(S * D);
    *ret = (struct peer_cost){.params_total = S * D + 1 + c->experts * expert,
                              .params_router = S * D + 1,
                              .params_experts = c->experts * expert,
                              .params_active = S * D + 1 + c->experts * expert};
    ret->forward[PEER_PART_QUERY] = 2 * slots;
    ret->forward[PEER_PART_EXPERTS] = 2 * experts;
    ret->forward[PEER_PART_OUTPUT] = 4 * slots;
    for (int part = 0; part < PEER_PART_COUNT; part++)
        ret->backward[part] = 2 * ret->forward[part];
    ret->bytes_forward = (double)ret->params_total * sizeof(float);
    ret->bytes_train = 11 * (double)ret->params_total * sizeof(float);
}

/* The one place that knows what a layer takes, for create and for memory. */
static void allocate(struct soft_layer *l, struct peer_pool *pool,
                     const struct peer_soft_moe_config *c, const struct peer_ffw_shape *shape)
{
    int64_t S = c->experts * c->slots, T = shape->tokens, D = shape->width;
    int64_t groups = peer_tiles(T, c->group), all = groups * S;
    struct peer_soft_moe *m = &l->soft;
    struct peer_moe_sizes sizes = {.E = c->experts,
                                   .D = D,
                                   .F = c->hidden,
                                   .entries = all,
                                   .T = all,
                                   .R = 1,
                                   .gated = c->gated,
                                   .forward_only = shape->forward_only,
                                   .frozen = !peer_ffw_trains(shape, PEER_ROLE_EXPERTS),
                                   .activation = c->activation};
    peer_moe_experts_alloc(&l->experts, pool, &sizes);
    l->phi = peer_pool_floats(pool, "slots", S, D);
    l->scale = peer_pool_floats(pool, "slots.scale", 1, 1);
    m->dphi = peer_moe_gradient(pool, shape, PEER_ROLE_ROUTER, "slots gradient", S, D);
    m->dscale = peer_moe_gradient(pool, shape, PEER_ROLE_ROUTER, "slots.scale gradient", 1, 1);
    m->x_unit = peer_pool_floats(pool, "unit inputs", T, D);
    m->x_inverse = peer_pool_floats(pool, "lengths", T, 1);
    m->phi_unit = peer_pool_floats(pool, "unit slots", S, D);
    m->phi_inverse = peer_pool_floats(pool, "lengths", S, 1);
    m->cosine = peer_pool_floats(pool, "slots' cosines", T, S);
    m->dispatch = peer_pool_floats(pool, "dispatch weights", T, S);
    m->combine = peer_pool_floats(pool, "combine weights", T, S);
    m->dweight = peer_moe_training(pool, shape, "weights gradient", T, S);
    m->dunit = peer_moe_training(pool, shape, "unit gradient", T > S ? T : S, D);
    m->in = peer_pool_floats(pool, "slots' inputs", all, D);
    m->out = peer_pool_floats(pool, "slots' outputs", all, D);
    m->dout = peer_moe_training(pool, shape, "slots' outputs gradient", all, D);
    m->expert = peer_pool_ids(pool, "experts of slots", all, 1);
    m->ones = peer_pool_floats(pool, "gates of slots", all, 1);
    m->dones = peer_pool_floats(pool, "gates of slots", all, 2);
    l->mask = peer_pool_alloc(pool, "mask", 1, T, 1, 1);
    m->lost = peer_pool_alloc(pool, "mask", 1, T, 1, 1);
}

static size_t soft_memory(const void *config, const struct peer_ffw_shape *shape)
{
    struct peer_pool measure = {.ctx = NULL};
    struct soft_layer unused = {.trained = 0};
    peer_pool_alloc(&measure, "soft_moe", sizeof unused, 1, 1, 1);
    allocate(&unused, &measure, config, shape);
    return measure.bytes;
}

static void set_up(struct soft_layer *l)
{
    const struct peer_soft_moe_config *c = &l->config;
    struct peer_soft_moe *m = &l->soft;
    m->D = l->shape.width;
    m->S = c->experts * c->slots;
    m->G = c->group;
    m->phi = l->phi;
    m->scale = l->scale;
    for (int64_t i = 0; i < peer_tiles(l->shape.tokens, c->group) * m->S; i++) {
        m->expert[i] = (int32_t)(i % m->S / c->slots);
        m->ones[i] = 1;
    }
}

static enum peer_status soft_check_shape(struct peer_ctx *ctx, const void *config,
                                         const struct peer_ffw_shape *shape)
{
    const struct peer_soft_moe_config *c = config;
    int64_t S = c->experts * c->slots;
    if (shape->tokens < 1 || shape->tokens > INT32_MAX ||
        peer_tiles(shape->tokens, c->group) > INT32_MAX / S)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "soft_moe: tokens = %lld in groups of %lld with %lld slots each, expected "
                         "1 to %d tokens and slots",
                         (long long)shape->tokens, (long long)c->group, (long long)S, INT32_MAX);
    return PEER_OK;
}

static enum peer_status soft_create(void **ret, struct peer_ctx *ctx, const void *config,
                                    const struct peer_ffw_shape *shape)
{
    const struct peer_soft_moe_config *c = config;
    enum peer_status status = soft_check(ctx, config, shape->width);
    if (!status)
        status = soft_check_shape(ctx, config, shape);
    if (status)
        return status;
    struct peer_pool pool = {.ctx = ctx};
    struct soft_layer *l = peer_pool_alloc(&pool, "soft_moe", sizeof *l, 1, 1, 1);
    if (l)
        allocate(l, &pool, c, shape);
    if (pool.failed) {
        peer_pool_free(&pool);
        return PEER_ERR_MEMORY;
    }
    l->pool = pool;
    l->config = *c;
    l->shape = *shape;
    l->trained = -1;
    set_up(l);
    *ret = l;
    return PEER_OK;
}

static enum peer_status soft_params(void *layer, struct peer_params *list, const char *prefix)
{
    struct soft_layer *l = layer;
    int64_t E = l->config.experts, F = l->config.hidden, D = l->shape.width, before = list->count;
    const struct peer_init by_D = {PEER_INIT_NORMAL, 1 / sqrtf((float)D)};
    const struct peer_init by_F = {PEER_INIT_NORMAL, 1 / sqrtf((float)F)};
    const struct peer_init one = {PEER_INIT_CONSTANT, 1};
    struct peer_moe_experts *ex = &l->experts;
    const struct {
        const char *name;
        float *data, *grad;
        bool *stale;
        int dims;
        int64_t shape[3];
        struct peer_init init;
        enum peer_role role;
    } entries[] = {
        {"slots", l->phi, l->soft.dphi, NULL, 2, {l->soft.S, D}, by_D, PEER_ROLE_ROUTER},
        {"slots.scale", l->scale, l->soft.dscale, NULL, 2, {1, 1}, one, PEER_ROLE_ROUTER},
        {"experts.in", ex->in, ex->din, &ex->din_stale, 3, {E, F, D}, by_D, PEER_ROLE_EXPERTS},
        {"experts.gate",
         ex->gate,
         ex->dgate,
         &ex->dgate_stale,
         3,
         {E, F, D},
         by_D,
         PEER_ROLE_EXPERTS},
        {"experts.out", ex->out, ex->dout, &ex->dout_stale, 3, {E, D, F}, by_F, PEER_ROLE_EXPERTS},
    };
    enum peer_status status = PEER_OK;
    for (size_t i = 0; !status && i < sizeof entries / sizeof *entries; i++) {
        struct peer_param param = {.kind = entries[i].grad ? PEER_PARAM_DENSE : PEER_PARAM_BUFFER,
                                   .dims = entries[i].dims,
                                   .data = entries[i].data,
                                   .grad = entries[i].grad,
                                   .stale = entries[i].grad ? entries[i].stale : NULL,
                                   .lr_scale = 1,
                                   .decay = entries[i].data != l->scale,
                                   .init = entries[i].init,
                                   .role = entries[i].role};
        memcpy(param.name, entries[i].name, strlen(entries[i].name) + 1);
        memcpy(param.shape, entries[i].shape, sizeof entries[i].shape);
        if (param.data)
            status = peer_params_add(list, prefix, &param);
    }
    if (status)
        peer_params_truncate(list, before);
    return status;
}

static void soft_forward(void *layer, float *y, const float *x, const uint8_t *mask, int64_t T,
                         enum peer_mode mode)
{
    struct soft_layer *l = layer;
    assert(T >= 0 && T <= l->shape.tokens);
    assert(mode == PEER_MODE_EVAL || !l->shape.forward_only);
    if (mask)
        memcpy(l->mask, mask, (size_t)T);
    l->soft.mask = mask ? l->mask : NULL;
    l->soft.T = T;
    peer_soft_moe_forward(l->pool.ctx, &l->soft, &l->experts, y, x);
    l->trained = mode == PEER_MODE_TRAIN ? T : -1;
}

static void soft_backward(void *layer, float *dx, const float *dy, const float *x, int64_t T)
{
    struct soft_layer *l = layer;
    assert(T == l->trained);
    (void)T;
    l->trained = -1;
    peer_soft_moe_backward(l->pool.ctx, &l->soft, &l->experts, dx, dy, x);
}

static void soft_destroy(void **layer)
{
    if (!layer || !*layer)
        return;
    struct peer_pool pool = ((struct soft_layer *)*layer)->pool;
    peer_pool_free(&pool);
    *layer = NULL;
}

const struct peer_ffw_type peer_ffw_soft_moe = {
    .name = "soft_moe",
    .summary = "experts of slots, each slot a weighted mean of all tokens, later ones included",
    .source = "Puigcerver et al. 2024, arXiv 2308.00951, Sec. 2",
    .config_size = sizeof(struct peer_soft_moe_config),
    .options = options,
    .config_default = soft_default,
    .check = soft_check,
    .check_shape = soft_check_shape,
    .traits = soft_traits,
    .cost = soft_cost,
    .memory = soft_memory,
    .create = soft_create,
    .params = soft_params,
    .forward = soft_forward,
    .backward = soft_backward,
    .destroy = soft_destroy,
};
