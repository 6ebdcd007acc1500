/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "moe/layer.h"
#include "moe/training.h"

static void allocate_routes(struct peer_moe *l, struct peer_pool *pool,
                            const struct peer_moe_config *c, const struct peer_ffw_shape *shape)
{
    int64_t E = c->experts, R = peer_moe_listed(c), T = shape->tokens, D = shape->width;
    bool by_expert = c->kind == PEER_MOE_EXPERT_CHOICE;
    l->router = peer_pool_floats(pool, "router", E, D);
    l->drouter = peer_moe_gradient(pool, shape, PEER_ROLE_ROUTER, "router gradient", E, D);
    l->routes.logits = peer_pool_floats(pool, "router logits", T, E);
    l->routes.scores = peer_pool_floats(pool, "router scores", T, E);
    l->routes.choice = peer_pool_ids(pool, "router choice", T, R);
    l->routes.ids = peer_pool_ids(pool, "router ids", T, R);
    l->routes.gates = peer_pool_floats(pool, "router gates", T, R);
    l->dlogits = peer_moe_training(pool, shape, "router logits gradient", T, E);
    l->dscores = peer_moe_training(pool, shape, "router scores gradient", T, E);
    l->dgates = peer_moe_training(pool, shape, "router gates gradient", T, R);
    if (by_expert || c->kind == PEER_MOE_DEEPSEEK)
        l->scratch = peer_pool_floats(pool, "router scratch", by_expert ? 2 * T : T, E);
    if (by_expert)
        l->taken = peer_pool_ids(pool, "router taken", E, T);
    l->used = peer_pool_alloc(pool, "router used", sizeof *l->used, E, 1, 1);
    l->work = peer_pool_alloc(pool, "router sums", sizeof *l->work, E, 2, 1);
    l->mask = peer_pool_alloc(pool, "mask", 1, T, 1, 1);
    l->lost = peer_pool_alloc(pool, "mask", 1, T, 1, 1);
    l->served = peer_pool_alloc(pool, "mask", 1, T, 1, 1);
}

static void allocate_noise(struct peer_moe *l, struct peer_pool *pool,
                           const struct peer_moe_config *c, const struct peer_ffw_shape *shape)
{
    int64_t E = c->experts, T = shape->tokens, D = shape->width;
    struct peer_moe_noise *n = &l->noise;
    float **arrays[] = {&n->clean, &n->raw, &n->normal, &n->dclean, &n->draw};
    l->noise_router = peer_pool_floats(pool, "router_noise", E, D);
    l->dnoise_router =
        peer_moe_gradient(pool, shape, PEER_ROLE_ROUTER, "router_noise gradient", E, D);
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        *arrays[i] = peer_moe_gradient(pool, shape, PEER_ROLE_ROUTER, "router noise", T, E);
    n->top = peer_moe_gradient(pool, shape, PEER_ROLE_ROUTER, "router thresholds", T, c->kept + 1);
    n->top_ids = peer_pool_ids(pool, "router thresholds", T, c->kept + 1);
}

static void allocate_shared(struct peer_moe *l, struct peer_pool *pool,
                            const struct peer_moe_config *c, const struct peer_ffw_shape *shape)
{
    int64_t F = peer_moe_shared(c).hidden, T = shape->tokens, D = shape->width;
    if (F == 0)
        return;
    l->shared_in = peer_pool_floats(pool, "shared.in", F, D);
    l->shared_out = peer_pool_floats(pool, "shared.out", D, F);
    l->shared_gradients.in =
        peer_moe_gradient(pool, shape, PEER_ROLE_EXPERTS, "shared.in gradient", F, D);
    l->shared_gradients.out =
        peer_moe_gradient(pool, shape, PEER_ROLE_EXPERTS, "shared.out gradient", D, F);
    l->shared_cache.in = peer_pool_floats(pool, "shared.in cache", T, F);
    l->shared_cache.hidden = peer_pool_floats(pool, "shared hidden cache", T, F);
    if (!c->gated)
        return;
    l->shared_gate = peer_pool_floats(pool, "shared.gate", F, D);
    l->shared_gradients.gate =
        peer_moe_gradient(pool, shape, PEER_ROLE_EXPERTS, "shared.gate gradient", F, D);
    l->shared_cache.gate = peer_pool_floats(pool, "shared.gate cache", T, F);
}

/* What only some kinds have. */
static void allocate_extras(struct peer_moe *l, struct peer_pool *pool,
                            const struct peer_moe_config *c, const struct peer_ffw_shape *shape)
{
    int64_t T = shape->tokens, D = shape->width;
    if (peer_moe_draws(c)) {
        l->random.key = peer_pool_floats(pool, "noise.key", 2, 1);
        l->random.count = peer_pool_floats(pool, "noise.count", 2, 1);
    }
    if (c->kind == PEER_MOE_NOISY_TOPK && peer_moe_draws(c))
        allocate_noise(l, pool, c, shape);
    if (c->kind == PEER_MOE_SWITCH && peer_moe_draws(c)) {
        l->jitter = peer_moe_gradient(pool, shape, PEER_ROLE_ROUTER, "router jitter", T, D);
        l->jittered = peer_moe_gradient(pool, shape, PEER_ROLE_ROUTER, "router inputs", T, D);
    }
    if (c->kind == PEER_MOE_GSHARD && peer_moe_draws(c))
        l->uniform = peer_moe_gradient(pool, shape, PEER_ROLE_ROUTER, "second experts", T, 1);
    if (c->kind == PEER_MOE_DEEPSEEK)
        l->bias = peer_pool_floats(pool, "router_bias", c->experts, 1);
    allocate_shared(l, pool, c, shape);
}

/* The one place that knows what a layer takes, for create and for memory. */
static void allocate(struct peer_moe *l, struct peer_pool *pool, const struct peer_moe_config *c,
                     const struct peer_ffw_shape *shape)
{
    struct peer_moe_sizes sizes = {.E = c->experts,
                                   .D = shape->width,
                                   .F = c->hidden,
                                   .entries = peer_moe_entries(c, shape->tokens),
                                   .T = shape->tokens,
                                   .R = peer_moe_listed(c),
                                   .gated = c->gated,
                                   .forward_only = shape->forward_only,
                                   .frozen = !peer_ffw_trains(shape, PEER_ROLE_EXPERTS),
                                   .activation = c->activation};
    peer_moe_experts_alloc(&l->experts, pool, &sizes);
    allocate_routes(l, pool, c, shape);
    allocate_extras(l, pool, c, shape);
}

size_t peer_moe_memory(const struct peer_moe_config *config, const struct peer_ffw_shape *shape)
{
    struct peer_pool measure = {.ctx = NULL};
    struct peer_moe unused = {.trained = 0};
    peer_pool_alloc(&measure, "moe", sizeof unused, 1, 1, 1);
    allocate(&unused, &measure, config, shape);
    return measure.bytes;
}

enum peer_status peer_moe_check_shape(struct peer_ctx *ctx, const struct peer_moe_config *config,
                                      const struct peer_ffw_shape *shape)
{
    int64_t most = INT32_MAX / peer_moe_listed(config);
    if (shape->tokens < 1 || shape->tokens > most)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: tokens = %lld with up to %lld experts each, expected 1 to %lld",
                         peer_moe_names[config->kind], (long long)shape->tokens,
                         (long long)peer_moe_listed(config), (long long)most);
    return PEER_OK;
}

enum peer_status peer_moe_create(struct peer_moe **ret, struct peer_ctx *ctx,
                                 const struct peer_moe_config *config,
                                 const struct peer_ffw_shape *shape)
{
    enum peer_status status = peer_moe_check(ctx, config, shape->width);
    if (!status)
        status = peer_moe_check_shape(ctx, config, shape);
    if (status)
        return status;
    struct peer_pool pool = {.ctx = ctx};
    struct peer_moe *l = peer_pool_alloc(&pool, "moe", sizeof *l, 1, 1, 1);
    if (l)
        allocate(l, &pool, config, shape);
    if (pool.failed) {
        peer_pool_free(&pool);
        return PEER_ERR_MEMORY;
    }
    l->pool = pool;
    l->config = *config;
    l->shape = *shape;
    l->rule = peer_moe_rule_of(config);
    l->shared = peer_moe_shared(config);
    l->trained = -1;
    l->loss_scale = 1;
    l->routes.E = config->experts;
    l->routes.R = peer_moe_listed(config);
    *ret = l;
    return PEER_OK;
}

void peer_moe_destroy(struct peer_moe **layer)
{
    if (!layer || !*layer)
        return;
    struct peer_pool pool = (*layer)->pool;
    peer_pool_free(&pool);
    *layer = NULL;
}

/* A list under construction; what comes after a failure is left out. */
struct adding {
    struct peer_params *list;
    const char *prefix;
    enum peer_role role; /* of what is added */
    bool *stale;         /* the same */
    enum peer_status status;
};

/* shape [n0, n1, n2], n0 = 0: a matrix; data NULL: nothing. */
static void add(struct adding *to, const char *name, float *data, float *grad, int64_t n0,
                int64_t n1, int64_t n2, struct peer_init init)
{
    struct peer_param param = {.kind = grad ? PEER_PARAM_DENSE : PEER_PARAM_BUFFER,
                               .dims = n0 ? 3 : 2,
                               .shape = {n1, n2},
                               .data = data,
                               .grad = grad,
                               .stale = grad ? to->stale : NULL,
                               .lr_scale = 1,
                               .decay = 1,
                               .init = init,
                               .role = to->role};
    if (n0)
        memcpy(param.shape, (int64_t[]){n0, n1, n2}, 3 * sizeof n0);
    memcpy(param.name, name, strlen(name) + 1);
    if (data && !to->status)
        to->status = peer_params_add(to->list, to->prefix, &param);
}

enum peer_status peer_moe_params(struct peer_moe *l, struct peer_params *list, const char *prefix)
{
    int64_t E = l->config.experts, D = l->shape.width, F = l->config.hidden, S = l->shared.hidden;
    const struct peer_init by_D = {PEER_INIT_NORMAL, 1 / sqrtf((float)D)};
    const struct peer_init by_F = {PEER_INIT_NORMAL, 1 / sqrtf((float)F)};
    const struct peer_init zero = {PEER_INIT_CONSTANT, 0}, key = {PEER_INIT_UNIFORM, 1};
    struct adding to = {list, prefix, PEER_ROLE_ROUTER, NULL, PEER_OK};
    int64_t before = list->count;
    add(&to, "router", l->router, l->drouter, 0, E, D, by_D);
    add(&to, "router_noise", l->noise_router, l->dnoise_router, 0, E, D, zero);
    add(&to, "router_bias", l->bias, NULL, 0, E, 1, zero);
    add(&to, "noise.key", l->random.key, NULL, 0, 2, 1, key);
    add(&to, "noise.count", l->random.count, NULL, 0, 2, 1, zero);
    to.role = PEER_ROLE_EXPERTS;
    to.stale = &l->experts.din_stale;
    add(&to, "experts.in", l->experts.in, l->experts.din, E, F, D, by_D);
    to.stale = &l->experts.dgate_stale;
    add(&to, "experts.gate", l->experts.gate, l->experts.dgate, E, F, D, by_D);
    to.stale = &l->experts.dout_stale;
    add(&to, "experts.out", l->experts.out, l->experts.dout, E, D, F, by_F);
    to.stale = NULL;
    add(&to, "shared.in", l->shared_in, l->shared_gradients.in, 0, S, D, by_D);
    add(&to, "shared.gate", l->shared_gate, l->shared_gradients.gate, 0, S, D, by_D);
    add(&to, "shared.out", l->shared_out, l->shared_gradients.out, 0, D, S, by_F);
    if (to.status)
        peer_params_truncate(list, before);
    return to.status;
}
