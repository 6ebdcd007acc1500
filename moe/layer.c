/* SPDX-License-Identifier: MIT */
#include "moe/layer.h"

#include <math.h>
#include <string.h>

#include "moe/losses.h"
#include "moe/rule.h"
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

/* What a pass works on. */
struct pass {
    const struct peer_ctx *ctx;
    const struct peer_moe_config *c;
    struct peer_moe *l;
    struct peer_moe_cache *cache;
    int64_t T, D, E;
};

static struct pass pass_of(struct peer_ffw_cache *cache)
{
    struct peer_moe *l = peer_moe_of(cache->layer);
    return (struct pass){.ctx = cache->pool.ctx,
                         .c = &l->config,
                         .l = l,
                         .cache = (struct peer_moe_cache *)(void *)cache,
                         .T = cache->T,
                         .D = l->experts.D,
                         .E = l->experts.E};
}

static void draw(const struct pass *p)
{
    uint64_t seed, stream;
    float jitter = p->c->jitter;
    peer_moe_draw(&p->l->random, &seed, &stream);
    if (p->cache->jitter)
        peer_moe_uniform(p->ctx, p->cache->jitter, p->T * p->D, 1 - jitter, 1 + jitter, seed,
                         stream);
    if (p->cache->uniform)
        peer_moe_uniform(p->ctx, p->cache->uniform, p->T, 0, 1, seed, stream);
    if (p->cache->noise.normal)
        peer_moe_normal(p->ctx, p->cache->noise.normal, p->T * p->E, seed, stream);
}

static bool jittered(const struct pass *p)
{
    return p->cache->noisy && p->cache->jitter;
}

static bool noisy_logits(const struct pass *p)
{
    return p->cache->noisy && p->cache->noise.normal;
}

static void write_logits(const struct pass *p, const float *x)
{
    const struct peer_moe_cache *cache = p->cache;
    const struct peer_moe_noise *noise = &cache->noise;
    if (jittered(p))
        multiply(p->ctx, cache->jittered, x, cache->jitter, p->T * p->D, false);
    peer_linear_forward(p->ctx, noisy_logits(p) ? noise->clean : cache->routes.logits,
                        jittered(p) ? cache->jittered : x, p->l->router, p->T, p->D, p->E);
    if (!noisy_logits(p))
        return;
    peer_linear_forward(p->ctx, noise->raw, x, p->l->noise_router, p->T, p->D, p->E);
    peer_moe_add_noise(cache->routes.logits, noise, p->T * p->E);
}

static void route(const struct pass *p, const struct peer_ffw_batch *batch, enum peer_mode mode)
{
    const struct peer_moe_config *c = p->c;
    struct peer_moe_cache *cache = p->cache;
    const struct peer_moe_routes *r = &cache->routes;
    float capacity = mode == PEER_MODE_TRAIN ? c->capacity : c->capacity_eval;
    peer_moe_score(p->ctx, r, &p->l->gating);
    if (c->rule->choose)
        c->rule->choose(cache, batch);
    else
        peer_moe_choose(p->ctx, r, c->loss_free ? p->l->bias : NULL, cache->scratch);
    peer_moe_gate(p->ctx, r, &p->l->gating);
    if (cache->uniform && cache->noisy)
        peer_moe_thin(r, c->second_threshold, cache->uniform);
    if (peer_moe_limited(c, mode))
        peer_moe_limit(r, capacity, c->group, cache->used);
}

static void report(struct peer_moe_cache *cache, const char *name, float coefficient, double value)
{
    cache->losses[cache->loss_count++] = (struct peer_ffw_loss){name, value, coefficient};
}

/* Choices that the balance loss counts. */
static int64_t counted(const struct pass *p)
{
    return p->c->rule->counts_first ? 1 : p->cache->routes.R;
}

/* The step's choices up to this pass. Where more tokens come than a step has, nobody calls
 * peer_ffw_step(), and a pass is a step. */
static void count_choices(const struct pass *p)
{
    struct peer_moe *l = p->l;
    size_t bytes = (size_t)p->E * sizeof *l->chosen;
    if (l->chosen_tokens + p->T > l->base.shape.tokens_per_step) {
        memset(l->chosen, 0, bytes);
        l->chosen_tokens = 0;
    }
    l->chosen_tokens += p->T;
    peer_moe_count(l->chosen, &p->cache->routes, counted(p));
    memcpy(p->cache->chosen, l->chosen, bytes);
}

static double balance(const struct pass *p, float *dscores)
{
    const struct peer_moe_balance terms = {.choices = counted(p),
                                           .shares = p->c->loss_free,
                                           .group = p->c->group,
                                           .loads = p->cache->chosen,
                                           .coefficient = p->c->balance_loss};
    return peer_moe_balance_loss(dscores, &p->cache->routes, &terms, p->cache->base.loss_scale,
                                 p->cache->work);
}

static double load(const struct pass *p, float *dlogits)
{
    struct peer_moe_cache *cache = p->cache;
    return peer_moe_load_loss(p->ctx, dlogits, &cache->noise, &cache->routes, p->c->load_loss,
                              cache->base.loss_scale, dlogits != NULL, cache->work);
}

static void write_losses(const struct pass *p)
{
    const struct peer_moe_config *c = p->c;
    struct peer_moe_cache *cache = p->cache;
    const struct peer_moe_routes *r = &cache->routes;
    cache->loss_count = 0;
    if (c->balance_loss > 0)
        report(cache, "balance", c->balance_loss, balance(p, NULL));
    if (c->z_loss > 0)
        report(cache, "z", c->z_loss, peer_moe_z_loss(NULL, r, c->z_loss, 1));
    if (c->importance_loss > 0)
        report(cache, "importance", c->importance_loss,
               peer_moe_importance_loss(NULL, r, c->importance_loss, 1, cache->work));
    if (c->load_loss > 0 && noisy_logits(p))
        report(cache, "load", c->load_loss, load(p, NULL));
}

/* Tokens whose logits are not finite are to the routing, its losses and its capacity what padding
 * is. Returns whether there are any. */
static bool leave_out_lost(struct peer_moe_cache *cache)
{
    const uint8_t *mask = peer_ffw_cache_mask(&cache->base);
    bool any = peer_moe_find_lost(cache->base.pool.ctx, cache->lost, &cache->routes);
    if (!any)
        return false;
    for (int64_t t = 0; t < cache->base.T; t++)
        cache->served[t] = !cache->lost[t] && (!mask || mask[t]);
    cache->routes.mask = cache->served;
    return true;
}

/* No expert serves them, and what nobody serves would be 0. */
static void write_lost(const struct pass *p, float *y)
{
    for (int64_t t = 0; t < p->T; t++)
        for (int64_t d = 0; p->cache->lost[t] && d < p->D; d++)
            y[t * p->D + d] = NAN;
}

static struct peer_dense_weights shared_weights(const struct peer_moe *l)
{
    return (struct peer_dense_weights){l->shared_in, l->shared_gate, l->shared_out};
}

void peer_moe_forward(struct peer_ffw_cache *base, float *y, const struct peer_ffw_batch *batch,
                      enum peer_mode mode)
{
    const struct pass p = pass_of(base);
    struct peer_moe_cache *cache = p.cache;
    const uint8_t *mask = peer_ffw_cache_mask(base);
    cache->routes.mask = mask;
    cache->routes.T = p.T;
    bool routes_trained = peer_ffw_trains(&base->layer->shape, PEER_ROLE_ROUTER);
    cache->noisy = mode == PEER_MODE_TRAIN && routes_trained && peer_moe_draws(p.c);
    if (cache->noisy)
        draw(&p);
    write_logits(&p, batch->x);
    bool lost = leave_out_lost(cache);
    route(&p, batch, mode);
    struct peer_dense_weights shared = shared_weights(p.l);
    if (p.l->shared.hidden)
        peer_dense_forward(p.ctx, y, &cache->shared, &shared, batch->x, mask, p.T, p.D,
                           &p.l->shared);
    else
        memset(y, 0, (size_t)(p.T * p.D) * sizeof *y);
    peer_moe_experts_forward(p.ctx, &p.l->experts, &cache->experts, y, batch->x, cache->routes.ids,
                             cache->routes.gates, p.T, cache->routes.R);
    if (lost)
        write_lost(&p, y);
    if (mode == PEER_MODE_EVAL)
        return;
    if (cache->chosen)
        count_choices(&p);
    write_losses(&p);
}

/* From dgates to dlogits, auxiliary losses included. */
static void route_backward(const struct pass *p)
{
    const struct peer_moe_config *c = p->c;
    struct peer_moe_cache *cache = p->cache;
    const struct peer_moe_routes *r = &cache->routes;
    float scale = cache->base.loss_scale;
    memset(cache->dscores, 0, (size_t)(p->T * p->E) * sizeof *cache->dscores);
    if (c->importance_loss > 0)
        peer_moe_importance_loss(cache->dgates, r, c->importance_loss, scale, cache->work);
    if (c->balance_loss > 0)
        balance(p, cache->dscores);
    peer_moe_route_backward(p->ctx, cache->dlogits, cache->dscores, cache->dgates, r,
                            &p->l->gating);
    if (c->z_loss > 0)
        peer_moe_z_loss(cache->dlogits, r, c->z_loss, scale);
    if (noisy_logits(p)) {
        load(p, cache->dlogits);
        peer_moe_noise_backward(&cache->noise, cache->dlogits, p->T * p->E);
    }
}

static void logits_backward(const struct pass *p, float *dx, const float *x)
{
    const struct peer_moe_cache *cache = p->cache;
    int64_t T = p->T, D = p->D, E = p->E;
    const float *dlogits = noisy_logits(p) ? cache->noise.dclean : cache->dlogits;
    peer_linear_backward_w(p->ctx, p->l->drouter, dlogits, jittered(p) ? cache->jittered : x, T, D,
                           E);
    peer_linear_backward_x(p->ctx, jittered(p) ? cache->jittered : dx, dlogits, p->l->router, T, D,
                           E, !jittered(p));
    if (jittered(p))
        multiply(p->ctx, dx, cache->jittered, cache->jitter, T * D, true);
    if (!noisy_logits(p))
        return;
    peer_linear_backward_w(p->ctx, p->l->dnoise_router, cache->noise.draw, x, T, D, E);
    peer_linear_backward_x(p->ctx, dx, cache->noise.draw, p->l->noise_router, T, D, E, true);
}

void peer_moe_backward(struct peer_ffw_cache *base, float *dx, const float *dy,
                       const struct peer_ffw_batch *batch)
{
    const struct pass p = pass_of(base);
    struct peer_moe *l = p.l;
    struct peer_dense_weights shared = shared_weights(l);
    if (l->shared.hidden)
        peer_dense_backward(p.ctx, dx, &l->shared_gradients, &p.cache->shared, dy, &shared,
                            batch->x, peer_ffw_cache_mask(base), p.T, p.D, &l->shared);
    peer_moe_experts_backward(p.ctx, &l->experts, &p.cache->experts, dx, p.cache->dgates, dy,
                              p.cache->routes.gates, p.T, p.cache->routes.R);
    route_backward(&p);
    logits_backward(&p, dx, batch->x);
    if (l->load)
        peer_moe_count(l->load, &p.cache->routes, p.cache->routes.R);
}

/* Auxiliary-loss-free balancing (Wang et al. 2024): the bias of an expert with less than the mean
 * load grows by one step, of one with more it falls. */
static void move_bias(struct peer_moe *l)
{
    int64_t E = l->experts.E, all = 0;
    for (int64_t e = 0; e < E; e++)
        all += l->load[e];
    for (int64_t e = 0; e < E; e++) {
        int64_t surplus = l->load[e] * E - all;
        l->bias[e] += l->config.bias_rate * (float)((surplus < 0) - (surplus > 0));
        l->load[e] = 0;
    }
}

void peer_moe_step(struct peer_ffw *layer)
{
    struct peer_moe *l = peer_moe_of(layer);
    if (l->load)
        move_bias(l);
    if (l->chosen)
        memset(l->chosen, 0, (size_t)l->experts.E * sizeof *l->chosen);
    l->chosen_tokens = 0;
}

void peer_moe_routing(const struct peer_ffw_cache *base, struct peer_routing *ret)
{
    const struct peer_moe_cache *cache = (const struct peer_moe_cache *)(const void *)base;
    const struct peer_moe_config *c = base->layer->config;
    *ret = (struct peer_routing){.experts = cache->routes.E,
                                 .heads = 1,
                                 .kept = cache->routes.R,
                                 .experts_choose = c->rule->experts_choose,
                                 .ids = cache->routes.ids,
                                 .gates = cache->routes.gates};
}

int peer_moe_losses(const struct peer_ffw_cache *base, struct peer_ffw_loss *ret)
{
    const struct peer_moe_cache *cache = (const struct peer_moe_cache *)(const void *)base;
    memcpy(ret, cache->losses, (size_t)cache->loss_count * sizeof *ret);
    return cache->loss_count;
}
