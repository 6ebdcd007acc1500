/* SPDX-License-Identifier: MIT */
#include "moe/layer.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "moe/losses.h"
#include "nn/parallel.h"
#include "nn/products/linear.h"

enum { VALUES = 1 << 14 }; /* of one tile */

struct product {
    float *to;
    const float *a, *b;
    int64_t n;
    bool adds;
};

static void product_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const struct product *p = arg;
    int64_t end = peer_min((tile + 1) * VALUES, p->n);
    for (int64_t i = tile * VALUES; i < end; i++)
        p->to[i] = (p->adds ? p->to[i] : 0) + p->a[i] * p->b[i];
}

/* to = a * b, or to += a * b. */
static void multiply(const struct peer_ctx *ctx, float *to, const float *a, const float *b,
                     int64_t n, bool adds)
{
    struct product job = {to, a, b, n, adds};
    peer_parallel(ctx, peer_tiles(n, VALUES), product_tile, &job);
}

static void draw(struct peer_moe *l, int64_t T)
{
    const struct peer_ctx *ctx = l->pool.ctx;
    uint64_t seed, stream;
    float jitter = l->config.jitter;
    peer_moe_draw(&l->random, &seed, &stream);
    if (l->jitter)
        peer_moe_uniform(ctx, l->jitter, T * l->shape.width, 1 - jitter, 1 + jitter, seed, stream);
    if (l->uniform)
        peer_moe_uniform(ctx, l->uniform, T, 0, 1, seed, stream);
    if (l->noise_router)
        peer_moe_normal(ctx, l->noise.normal, T * l->config.experts, seed, stream);
}

static void write_logits(struct peer_moe *l, const float *x, int64_t T)
{
    const struct peer_ctx *ctx = l->pool.ctx;
    int64_t D = l->shape.width, E = l->config.experts;
    const struct peer_moe_noise *noise = &l->noise;
    bool jittered = l->jitter && l->noisy, noisy = l->noise_router && l->noisy;
    if (jittered)
        multiply(ctx, l->jittered, x, l->jitter, T * D, false);
    peer_linear_forward(ctx, noisy ? noise->clean : l->routes.logits, jittered ? l->jittered : x,
                        l->router, T, D, E);
    if (!noisy)
        return;
    peer_linear_forward(ctx, noise->raw, x, l->noise_router, T, D, E);
    peer_moe_add_noise(l->routes.logits, noise, T * E);
}

static void route(struct peer_moe *l, enum peer_mode mode)
{
    const struct peer_ctx *ctx = l->pool.ctx;
    const struct peer_moe_config *c = &l->config;
    const struct peer_moe_routes *r = &l->routes;
    float capacity = mode == PEER_MODE_TRAIN ? c->capacity : c->capacity_eval;
    peer_moe_score(ctx, r, &l->rule);
    if (c->kind == PEER_MOE_EXPERT_CHOICE)
        peer_moe_choose_tokens(ctx, r, c->capacity, c->group, l->scratch, l->taken);
    else
        peer_moe_choose(ctx, r, l->rule.score == PEER_MOE_SIGMOID ? l->bias : NULL, l->scratch);
    peer_moe_gate(ctx, r, &l->rule);
    if (l->uniform && l->noisy)
        peer_moe_thin(r, c->second_threshold, l->uniform);
    if (peer_moe_limited(c, mode))
        peer_moe_limit(r, capacity, c->group, l->used);
}

static void report(struct peer_moe *l, const char *name, float coefficient, double value)
{
    if (coefficient > 0)
        l->losses[l->loss_count++] = (struct peer_ffw_loss){name, value, coefficient};
}

/* Choices that the balance loss counts: the first, or all. */
static int64_t counted(const struct peer_moe_config *c)
{
    return c->kind == PEER_MOE_GSHARD || c->kind == PEER_MOE_SWITCH ? 1 : c->kept;
}

static bool has_balance(const struct peer_moe_config *c)
{
    return c->balance_loss > 0 && c->kind != PEER_MOE_SOFT_GATE && c->kind != PEER_MOE_NOISY_TOPK &&
           c->kind != PEER_MOE_EXPERT_CHOICE;
}

static double balance(struct peer_moe *l, float *dscores)
{
    const struct peer_moe_config *c = &l->config;
    bool grouped =
        c->kind == PEER_MOE_GSHARD || c->kind == PEER_MOE_SWITCH || c->kind == PEER_MOE_DEEPSEEK;
    return peer_moe_balance_loss(dscores, &l->routes, counted(c), c->loss_free,
                                 grouped ? c->group : 0, c->balance_loss, l->loss_scale, l->work);
}

static bool has_z(const struct peer_moe_config *c)
{
    return c->z_loss > 0 && (c->kind == PEER_MOE_GSHARD || c->kind == PEER_MOE_SWITCH ||
                             c->kind == PEER_MOE_MIXTRAL || c->kind == PEER_MOE_DROPLESS);
}

static double load(struct peer_moe *l, float *dlogits)
{
    return peer_moe_load_loss(l->pool.ctx, dlogits, &l->noise, &l->routes, l->config.load_loss,
                              l->loss_scale, dlogits != NULL, l->work);
}

static void write_losses(struct peer_moe *l)
{
    const struct peer_moe_config *c = &l->config;
    l->loss_count = 0;
    if (has_balance(c))
        report(l, "balance", c->balance_loss, balance(l, NULL));
    if (has_z(c))
        report(l, "z", c->z_loss, peer_moe_z_loss(NULL, &l->routes, c->z_loss, 1));
    if (c->kind != PEER_MOE_NOISY_TOPK)
        return;
    report(l, "importance", c->importance_loss,
           peer_moe_importance_loss(NULL, &l->routes, c->importance_loss, 1, l->work));
    if (l->noisy)
        report(l, "load", c->load_loss, load(l, NULL));
}

/* Tokens whose logits are not finite are to the routing, its losses and its capacity what padding
 * is. Returns whether there are any. */
static bool leave_out_lost(struct peer_moe *l, int64_t T)
{
    bool any = peer_moe_find_lost(l->pool.ctx, l->lost, &l->routes);
    if (!any)
        return false;
    for (int64_t t = 0; t < T; t++)
        l->served[t] = !l->lost[t] && (!l->masked || l->mask[t]);
    l->routes.mask = l->served;
    return true;
}

/* No expert serves them, and what nobody serves would be 0. */
static void write_lost(const struct peer_moe *l, float *y, int64_t T)
{
    int64_t D = l->shape.width;
    for (int64_t t = 0; t < T; t++)
        for (int64_t d = 0; l->lost[t] && d < D; d++)
            y[t * D + d] = NAN;
}

void peer_moe_forward(struct peer_moe *l, float *y, const float *x, const uint8_t *mask, int64_t T,
                      enum peer_mode mode)
{
    const struct peer_ctx *ctx = l->pool.ctx;
    int64_t D = l->shape.width;
    assert(T >= 0 && T <= l->shape.tokens);
    assert(mode == PEER_MODE_EVAL || !l->shape.forward_only);
    if (mask)
        memcpy(l->mask, mask, (size_t)T);
    l->masked = mask != NULL;
    l->routes.mask = mask ? l->mask : NULL;
    l->routes.T = T;
    bool routes_trained = peer_ffw_trains(&l->shape, PEER_ROLE_ROUTER);
    l->noisy = mode == PEER_MODE_TRAIN && routes_trained && peer_moe_draws(&l->config);
    if (l->noisy)
        draw(l, T);
    write_logits(l, x, T);
    bool lost = leave_out_lost(l, T);
    route(l, mode);
    struct peer_dense_weights shared = {l->shared_in, l->shared_gate, l->shared_out};
    if (l->shared.hidden)
        peer_dense_forward(ctx, y, &l->shared_cache, &shared, x, mask, T, D, &l->shared);
    else
        memset(y, 0, (size_t)(T * D) * sizeof *y);
    peer_moe_experts_forward(ctx, &l->experts, y, x, l->routes.ids, l->routes.gates, T,
                             l->routes.R);
    if (lost)
        write_lost(l, y, T);
    l->trained = mode == PEER_MODE_TRAIN ? T : -1;
    if (mode == PEER_MODE_TRAIN)
        write_losses(l);
}

/* From dgates to dlogits, auxiliary losses included. */
static void route_backward(struct peer_moe *l, int64_t T)
{
    const struct peer_moe_config *c = &l->config;
    const struct peer_moe_routes *r = &l->routes;
    memset(l->dscores, 0, (size_t)(T * r->E) * sizeof *l->dscores);
    if (c->kind == PEER_MOE_NOISY_TOPK)
        peer_moe_importance_loss(l->dgates, r, c->importance_loss, l->loss_scale, l->work);
    if (has_balance(c))
        balance(l, l->dscores);
    peer_moe_route_backward(l->pool.ctx, l->dlogits, l->dscores, l->dgates, r, &l->rule);
    if (has_z(c))
        peer_moe_z_loss(l->dlogits, r, c->z_loss, l->loss_scale);
    if (l->noise_router && l->noisy) {
        load(l, l->dlogits);
        peer_moe_noise_backward(&l->noise, l->dlogits, T * r->E);
    }
}

static void logits_backward(struct peer_moe *l, float *dx, const float *x, int64_t T)
{
    const struct peer_ctx *ctx = l->pool.ctx;
    int64_t D = l->shape.width, E = l->config.experts;
    bool jittered = l->jitter && l->noisy, noisy = l->noise_router && l->noisy;
    const float *dlogits = noisy ? l->noise.dclean : l->dlogits;
    peer_linear_backward_w(ctx, l->drouter, dlogits, jittered ? l->jittered : x, T, D, E);
    peer_linear_backward_x(ctx, jittered ? l->jittered : dx, dlogits, l->router, T, D, E,
                           !jittered);
    if (jittered)
        multiply(ctx, dx, l->jittered, l->jitter, T * D, true);
    if (!noisy)
        return;
    peer_linear_backward_w(ctx, l->dnoise_router, l->noise.draw, x, T, D, E);
    peer_linear_backward_x(ctx, dx, l->noise.draw, l->noise_router, T, D, E, true);
}

/* Auxiliary-loss-free balancing (Wang et al. 2024): the bias of an expert with less than the mean
 * load grows by one step, of one with more it falls. */
static void move_bias(struct peer_moe *l)
{
    const struct peer_moe_routes *r = &l->routes;
    int64_t all = 0;
    memset(l->used, 0, (size_t)r->E * sizeof *l->used);
    for (int64_t i = 0; i < r->T * r->R; i++)
        if (r->choice[i] >= 0) {
            l->used[r->choice[i]]++;
            all++;
        }
    for (int64_t e = 0; e < r->E; e++) {
        int64_t surplus = l->used[e] * r->E - all;
        l->bias[e] += l->config.bias_rate * (float)((surplus < 0) - (surplus > 0));
    }
}

void peer_moe_backward(struct peer_moe *l, float *dx, const float *dy, const float *x, int64_t T)
{
    const struct peer_ctx *ctx = l->pool.ctx;
    assert(T == l->trained);
    l->trained = -1;
    struct peer_dense_weights shared = {l->shared_in, l->shared_gate, l->shared_out};
    if (l->shared.hidden)
        peer_dense_backward(ctx, dx, &l->shared_gradients, &l->shared_cache, dy, &shared, x,
                            l->masked ? l->mask : NULL, T, l->shape.width, &l->shared);
    peer_moe_experts_backward(ctx, &l->experts, dx, l->dgates, dy, l->routes.gates, T, l->routes.R);
    route_backward(l, T);
    logits_backward(l, dx, x, T);
    if (l->bias && l->config.loss_free && peer_ffw_trains(&l->shape, PEER_ROLE_ROUTER))
        move_bias(l);
}
