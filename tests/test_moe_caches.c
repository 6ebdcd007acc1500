/* SPDX-License-Identifier: MIT */
/* Mixtures with several passes in flight: what belongs to a pass lies in its cache. */
#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "moe/layer.h"
#include "nn/layers/ffw_object.h"
#include "nn/random.h"

enum { SEED = 733, D = 9, T = 43, THREADS = 3, LONG = 90 };

static const struct peer_ffw_type *const types[] = {
    &peer_ffw_soft_gate, &peer_ffw_noisy_topk,    &peer_ffw_gshard,
    &peer_ffw_switch,    &peer_ffw_mixtral,       &peer_ffw_deepseek,
    &peer_ffw_dropless,  &peer_ffw_expert_choice, &peer_ffw_soft_moe};
enum { TYPES = sizeof types / sizeof *types };

struct layer {
    struct peer_ctx *ctx;
    struct peer_ffw *ffw;
    struct peer_ffw_cache *other; /* beside its own */
    struct peer_params list;
    float x[2][T * D], y[2][T * D], dy[2][T * D], dx[2][T * D];
};

static void open_layer(struct layer *l, const struct peer_ffw_type *type)
{
    struct peer_ctx_config threads = peer_ctx_config_default();
    struct peer_ffw_shape shape = {.width = D, .tokens = T, .tokens_per_step = 2 * T};
    union {
        struct peer_moe_config moe;
        struct peer_soft_moe_config soft;
    } config;
    memset(l, 0, sizeof *l);
    threads.threads = 2;
    type->config_default(&config, D);
    if (type != &peer_ffw_soft_moe) {
        config.moe.experts = 7;
        config.moe.loss_free = true;
        config.moe.bias_rate = 0.125f;
    }
    cr_assert_eq(peer_ctx_create(&l->ctx, &threads), PEER_OK);
    cr_assert_eq(peer_ffw_create(&l->ffw, l->ctx, type, &config, &shape), PEER_OK, "%s",
                 peer_ctx_error(l->ctx));
    cr_assert_eq(peer_ffw_cache_create(&l->other, l->ctx, l->ffw, T), PEER_OK);
    l->list = peer_params_empty(l->ctx);
    cr_assert_eq(peer_ffw_params(l->ffw, &l->list, "ffw."), PEER_OK);
    peer_params_init(&l->list, SEED);
    for (uint64_t i = 0; i < 2; i++) {
        peer_fill_normal(l->x[i], T * D - 1, 0, 1, SEED, i);
        peer_fill_normal(l->dy[i], T * D - 1, 0, 1, SEED, 2 + i);
    }
}

static void close_layer(struct layer *l)
{
    peer_params_free(&l->list);
    peer_ffw_cache_destroy(&l->other);
    peer_ffw_destroy(&l->ffw);
    cr_expect_eq(peer_ctx_bytes(l->ctx), 0);
    peer_ctx_destroy(&l->ctx);
}

/* Pass i, forward or backward, on a cache; the second has padding. */
static struct peer_ffw_batch batch_of(const struct layer *l, int i)
{
    static const uint8_t mask[T] = {1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    return (struct peer_ffw_batch){.x = l->x[i], .T = i ? T - 2 : T, .mask = i ? mask : NULL};
}

static void forward(struct layer *l, struct peer_ffw_cache *cache, int i)
{
    struct peer_ffw_batch batch = batch_of(l, i);
    peer_ffw_cache_forward(cache, l->y[i], &batch, PEER_MODE_TRAIN);
}

static void backward(struct layer *l, struct peer_ffw_cache *cache, int i)
{
    struct peer_ffw_batch batch = batch_of(l, i);
    peer_ffw_cache_backward(cache, l->dx[i], l->dy[i], &batch);
}

static void expect_same_weights(const struct layer *a, const struct layer *b, const char *what)
{
    for (int64_t i = 0; i < a->list.count; i++)
        cr_expect_arr_eq(a->list.items[i].data, b->list.items[i].data,
                         peer_param_bytes(&a->list.items[i]), "%s %s", what, a->list.items[i].name);
}

/* Gradients added in another order differ by rounding. */
static void expect_near_gradients(const struct layer *a, const struct layer *b, double tolerance,
                                  const char *what)
{
    for (int64_t i = 0; i < a->list.count; i++) {
        const struct peer_param *one = &a->list.items[i], *two = &b->list.items[i];
        double largest = 0, apart = 0;
        for (int64_t j = 0; one->grad && j < peer_param_size(one); j++) {
            largest = fmax(largest, fabs((double)one->grad[j]));
            apart = fmax(apart, fabs((double)one->grad[j] - two->grad[j]));
        }
        cr_expect(apart <= tolerance * largest, "%s %s: %g of %g", what, one->name, apart, largest);
        cr_expect(!one->grad || largest > 0, "%s %s", what, one->name);
    }
}

/* Two forward passes, then the backward passes in either order, are the passes one by one. */
Test(moe_caches, two_passes_in_flight_are_two_passes)
{
    for (int i = 0; i < 2 * TYPES; i++) {
        const char *name = types[i / 2]->name;
        bool reversed = i % 2;
        static struct layer one, both;
        open_layer(&one, types[i / 2]);
        open_layer(&both, types[i / 2]);
        for (int step = 0; step < 2; step++) {
            for (int pass = 0; pass < 2; pass++) {
                forward(&one, peer_ffw_own_cache(one.ffw), pass);
                backward(&one, peer_ffw_own_cache(one.ffw), pass);
            }
            peer_ffw_step(one.ffw);
            struct peer_ffw_cache *caches[] = {both.other, peer_ffw_own_cache(both.ffw)};
            for (int pass = 0; pass < 2; pass++)
                forward(&both, caches[pass], pass);
            for (int pass = 0; pass < 2; pass++)
                backward(&both, caches[pass != reversed], pass != reversed);
            peer_ffw_step(both.ffw);
            cr_expect_arr_eq(one.y, both.y, sizeof one.y, "%s", name);
            cr_expect_arr_eq(one.dx, both.dx, sizeof one.dx, "%s", name);
            expect_same_weights(&one, &both, name);
            expect_near_gradients(&one, &both, reversed ? 1e-5 : 0, name);
        }
        close_layer(&one);
        close_layer(&both);
    }
}

/* An evaluation between the forward and the backward pass of another cache changes nothing. */
Test(moe_caches, evaluation_leaves_passes_in_flight_alone)
{
    for (int i = 0; i < TYPES; i++) {
        static struct layer one, both;
        open_layer(&one, types[i]);
        open_layer(&both, types[i]);
        float y[T * D];
        struct peer_ffw_batch batch = batch_of(&both, 1);
        forward(&one, peer_ffw_own_cache(one.ffw), 0);
        forward(&both, peer_ffw_own_cache(both.ffw), 0);
        peer_ffw_cache_forward(both.other, y, &batch, PEER_MODE_EVAL);
        backward(&one, peer_ffw_own_cache(one.ffw), 0);
        backward(&both, peer_ffw_own_cache(both.ffw), 0);
        cr_expect_arr_eq(one.dx, both.dx, sizeof one.dx, "%s", types[i]->name);
        expect_same_weights(&one, &both, types[i]->name);
        expect_near_gradients(&one, &both, 0, types[i]->name);
        close_layer(&one);
        close_layer(&both);
    }
}

struct reader {
    struct peer_ffw *ffw;
    const float *x;
    float y[LONG][T * D];
    pthread_t thread;
    bool failed;
};

static void *read_layer(void *arg)
{
    struct reader *r = arg;
    struct peer_ctx *ctx = NULL;
    struct peer_ffw_cache *cache = NULL;
    struct peer_ctx_config config = peer_ctx_config_default();
    config.threads = 1;
    r->failed = peer_ctx_create(&ctx, &config) || peer_ffw_cache_create(&cache, ctx, r->ffw, T);
    for (int64_t n = 0; !r->failed && n < LONG; n++) {
        struct peer_ffw_batch batch = {.x = r->x, .T = 1 + n % T};
        peer_ffw_cache_forward(cache, r->y[n], &batch, PEER_MODE_EVAL);
    }
    peer_ffw_cache_destroy(&cache);
    peer_ctx_destroy(&ctx);
    return NULL;
}

/* Threads that evaluate one layer, each with a cache of its own, get what one gets alone. */
Test(moe_caches, threads_evaluate_on_one_layer)
{
    static struct reader readers[THREADS], alone;
    for (int i = 0; i < TYPES; i++) {
        static struct layer l;
        static unsigned char before[PEER_FFW_OBJECT_MOST];
        open_layer(&l, types[i]);
        memcpy(before, l.ffw, types[i]->layer_size);
        alone = (struct reader){.ffw = l.ffw, .x = l.x[0]};
        read_layer(&alone);
        for (int t = 0; t < THREADS; t++) {
            readers[t] = (struct reader){.ffw = l.ffw, .x = l.x[0]};
            cr_assert_eq(pthread_create(&readers[t].thread, NULL, read_layer, &readers[t]), 0);
        }
        for (int t = 0; t < THREADS; t++) {
            cr_assert_eq(pthread_join(readers[t].thread, NULL), 0);
            cr_assert(!readers[t].failed && !alone.failed);
            for (int n = 0; n < LONG; n++)
                cr_expect_arr_eq(readers[t].y[n], alone.y[n],
                                 (size_t)(1 + n % T) * D * sizeof(float), "%s", types[i]->name);
        }
        cr_expect_arr_eq(l.ffw, before, types[i]->layer_size, "%s", types[i]->name);
        close_layer(&l);
    }
}
