/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "moe/layer.h"
#include "moe/rule.h"
#include "moe/training.h"

static_assert(sizeof(struct peer_moe) <= PEER_FFW_OBJECT_MOST, "measured on the stack");
static_assert(sizeof(struct peer_moe_cache) <= PEER_FFW_OBJECT_MOST, "measured on the stack");

static void build_shared(struct peer_moe *l)
{
    struct peer_pool *pool = &l->base.pool;
    const struct peer_ffw_shape *shape = &l->base.shape;
    int64_t F = l->shared.hidden, D = shape->width;
    if (F == 0)
        return;
    l->shared_in = peer_pool_floats(pool, "shared.in", F, D);
    l->shared_out = peer_pool_floats(pool, "shared.out", D, F);
    l->shared_gradients.in =
        peer_moe_gradient(pool, shape, PEER_ROLE_EXPERTS, "shared.in gradient", F, D);
    l->shared_gradients.out =
        peer_moe_gradient(pool, shape, PEER_ROLE_EXPERTS, "shared.out gradient", D, F);
    if (!l->shared.gated)
        return;
    l->shared_gate = peer_pool_floats(pool, "shared.gate", F, D);
    l->shared_gradients.gate =
        peer_moe_gradient(pool, shape, PEER_ROLE_EXPERTS, "shared.gate gradient", F, D);
}

static struct peer_moe_sizes sizes_of(const struct peer_moe *l)
{
    const struct peer_moe_config *c = &l->config;
    return (struct peer_moe_sizes){.E = c->experts,
                                   .D = l->base.shape.width,
                                   .F = c->hidden,
                                   .gated = c->gated,
                                   .trained = peer_ffw_trains(&l->base.shape, PEER_ROLE_EXPERTS),
                                   .activation = c->activation};
}

/* The balance loss of all tokens is that of a step's; a group is balanced for itself. */
static bool counts_steps(const struct peer_moe *l)
{
    return l->config.balance_loss > 0 && !l->config.group && !l->base.shape.forward_only;
}

enum peer_status peer_moe_build(struct peer_ffw *layer)
{
    struct peer_moe *l = peer_moe_of(layer);
    const struct peer_moe_config *c = &l->config;
    const struct peer_ffw_shape *shape = &layer->shape;
    struct peer_pool *pool = &layer->pool;
    l->config = peer_moe_read(layer->config);
    if (c->rule->type->options != layer->type->options && pool->ctx)
        return peer_fail(pool->ctx, PEER_ERR_ARGUMENT, "%s: a config of %s", layer->type->name,
                         c->rule->type->name);
    l->gating = peer_moe_gating_of(c);
    l->shared = peer_moe_shared(c);
    int64_t E = c->experts, D = shape->width;
    struct peer_moe_sizes sizes = sizes_of(l);
    peer_moe_experts_alloc(&l->experts, pool, &sizes);
    l->router = peer_pool_floats(pool, "router", E, D);
    l->drouter = peer_moe_gradient(pool, shape, PEER_ROLE_ROUTER, "router gradient", E, D);
    if (peer_moe_draws(c)) {
        l->random.key = peer_pool_floats(pool, "noise.key", 2, 1);
        l->random.count = peer_pool_floats(pool, "noise.count", 2, 1);
    }
    if (c->noise) {
        l->noise_router = peer_pool_floats(pool, "router_noise", E, D);
        l->dnoise_router =
            peer_moe_gradient(pool, shape, PEER_ROLE_ROUTER, "router_noise gradient", E, D);
    }
    if (peer_moe_has(c, "loss_free"))
        l->bias = peer_pool_floats(pool, "router_bias", E, 1);
    if (c->loss_free && peer_ffw_trains(shape, PEER_ROLE_ROUTER))
        l->load = peer_pool_alloc(pool, "router loads", sizeof *l->load, E, 1, 1);
    if (counts_steps(l))
        l->chosen = peer_pool_alloc(pool, "router loads", sizeof *l->chosen, E, 1, 1);
    build_shared(l);
    return PEER_OK;
}

static void build_routes(struct peer_moe_cache *cache, const struct peer_moe_config *c,
                         const struct peer_ffw_shape *shape)
{
    struct peer_pool *pool = &cache->base.pool;
    int64_t E = c->experts, R = peer_moe_listed(c), T = cache->base.tokens;
    bool by_expert = c->rule->experts_choose;
    cache->routes.E = E;
    cache->routes.R = R;
    cache->routes.logits = peer_pool_floats(pool, "router logits", T, E);
    cache->routes.scores = peer_pool_floats(pool, "router scores", T, E);
    cache->routes.choice = peer_pool_ids(pool, "router choice", T, R);
    cache->routes.ids = peer_pool_ids(pool, "router ids", T, R);
    cache->routes.gates = peer_pool_floats(pool, "router gates", T, R);
    cache->dlogits = peer_moe_training(pool, shape, "router logits gradient", T, E);
    cache->dscores = peer_moe_training(pool, shape, "router scores gradient", T, E);
    cache->dgates = peer_moe_training(pool, shape, "router gates gradient", T, R);
    if (by_expert || c->loss_free)
        cache->scratch = peer_pool_floats(pool, "router scratch", by_expert ? 2 * T : T, E);
    if (by_expert)
        cache->taken = peer_pool_ids(pool, "router taken", E, T);
    cache->used = peer_pool_alloc(pool, "router used", sizeof *cache->used, E, 1, 1);
    cache->work = peer_pool_alloc(pool, "router sums", sizeof *cache->work, E, 2, 1);
    cache->lost = peer_pool_alloc(pool, "lost tokens", 1, T, 1, 1);
    cache->served = peer_pool_alloc(pool, "served tokens", 1, T, 1, 1);
}

/* Of a router that is trained: nothing is drawn for another. */
static void build_draws(struct peer_moe_cache *cache, const struct peer_moe_config *c, int64_t D)
{
    struct peer_pool *pool = &cache->base.pool;
    int64_t E = c->experts, T = cache->base.tokens;
    struct peer_moe_noise *n = &cache->noise;
    float **arrays[] = {&n->clean, &n->raw, &n->normal, &n->dclean, &n->draw};
    if (c->jitter > 0) {
        cache->jitter = peer_pool_floats(pool, "router jitter", T, D);
        cache->jittered = peer_pool_floats(pool, "router inputs", T, D);
    }
    if (c->second_threshold > 0)
        cache->uniform = peer_pool_floats(pool, "second experts", T, 1);
    if (!c->noise)
        return;
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        *arrays[i] = peer_pool_floats(pool, "router noise", T, E);
    n->top = peer_pool_floats(pool, "router thresholds", T, c->kept + 1);
    n->top_ids = peer_pool_ids(pool, "router thresholds", T, c->kept + 1);
}

static void build_shared_cache(struct peer_moe_cache *cache, const struct peer_dense_config *shared)
{
    struct peer_pool *pool = &cache->base.pool;
    int64_t F = shared->hidden, T = cache->base.tokens;
    if (F == 0)
        return;
    cache->shared.in = peer_pool_floats(pool, "shared.in cache", T, F);
    cache->shared.hidden = peer_pool_floats(pool, "shared hidden cache", T, F);
    if (shared->gated)
        cache->shared.gate = peer_pool_floats(pool, "shared.gate cache", T, F);
}

enum peer_status peer_moe_build_cache(struct peer_ffw_cache *base)
{
    struct peer_moe_cache *cache = (struct peer_moe_cache *)(void *)base;
    const struct peer_moe *l = peer_moe_of(base->layer);
    const struct peer_moe_config *c = &l->config;
    const struct peer_ffw_shape *shape = &base->layer->shape;
    struct peer_moe_sizes sizes = sizes_of(l);
    peer_moe_experts_cache_alloc(&cache->experts, &base->pool, &sizes,
                                 peer_moe_entries(c, base->tokens), base->tokens,
                                 peer_moe_listed(c), !shape->forward_only);
    build_routes(cache, c, shape);
    if (counts_steps(l))
        cache->chosen =
            peer_pool_alloc(&base->pool, "router loads", sizeof *cache->chosen, c->experts, 1, 1);
    if (peer_moe_draws(c) && peer_ffw_trains(shape, PEER_ROLE_ROUTER))
        build_draws(cache, c, shape->width);
    build_shared_cache(cache, &l->shared);
    return PEER_OK;
}

/* A list under construction; what comes after a failure is left out. */
struct adding {
    struct peer_params *list;
    const char *prefix;
    enum peer_role role; /* of what is added */
    bool *stale;         /* the same */
    enum peer_status status;
};

/* shape [n0, n1, n2], n0 = 0: a matrix; *place NULL: nothing. */
static void add(struct adding *to, const char *name, float **place, float *grad, int64_t n0,
                int64_t n1, int64_t n2, struct peer_init init)
{
    struct peer_param param = {.kind = grad ? PEER_PARAM_DENSE : PEER_PARAM_BUFFER,
                               .dims = n0 ? 3 : 2,
                               .shape = {n1, n2},
                               .data = *place,
                               .place = place,
                               .grad = grad,
                               .stale = grad ? to->stale : NULL,
                               .lr_scale = 1,
                               .decay = 1,
                               .init = init,
                               .role = to->role};
    if (n0)
        memcpy(param.shape, (int64_t[]){n0, n1, n2}, 3 * sizeof n0);
    memcpy(param.name, name, strlen(name) + 1);
    if (*place && !to->status)
        to->status = peer_params_add(to->list, to->prefix, &param);
}

enum peer_status peer_moe_params(struct peer_ffw *layer, struct peer_params *list,
                                 const char *prefix)
{
    struct peer_moe *l = peer_moe_of(layer);
    int64_t E = l->experts.E, D = l->experts.D, F = l->experts.F, S = l->shared.hidden;
    const struct peer_init by_D = {PEER_INIT_NORMAL, 1 / sqrtf((float)D)};
    const struct peer_init by_F = {PEER_INIT_NORMAL, 1 / sqrtf((float)F)};
    const struct peer_init zero = {PEER_INIT_CONSTANT, 0}, key = {PEER_INIT_UNIFORM, 1};
    struct adding to = {list, prefix, PEER_ROLE_ROUTER, NULL, PEER_OK};
    add(&to, "router", &l->router, l->drouter, 0, E, D, by_D);
    add(&to, "router_noise", &l->noise_router, l->dnoise_router, 0, E, D, zero);
    add(&to, "router_bias", &l->bias, NULL, 0, E, 1, zero);
    add(&to, "noise.key", &l->random.key, NULL, 0, 2, 1, key);
    add(&to, "noise.count", &l->random.count, NULL, 0, 2, 1, zero);
    to.role = PEER_ROLE_EXPERTS;
    to.stale = &l->experts.din_stale;
    add(&to, "experts.in", &l->experts.in, l->experts.din, E, F, D, by_D);
    to.stale = &l->experts.dgate_stale;
    add(&to, "experts.gate", &l->experts.gate, l->experts.dgate, E, F, D, by_D);
    to.stale = &l->experts.dout_stale;
    add(&to, "experts.out", &l->experts.out, l->experts.dout, E, D, F, by_F);
    to.stale = NULL;
    add(&to, "shared.in", &l->shared_in, l->shared_gradients.in, 0, S, D, by_D);
    add(&to, "shared.gate", &l->shared_gate, l->shared_gradients.gate, 0, S, D, by_D);
    add(&to, "shared.out", &l->shared_out, l->shared_gradients.out, 0, D, S, by_F);
    return to.status;
}
