/* SPDX-License-Identifier: MIT */
/* Weights, gradients and caches are three things, in every variant: several passes in flight,
 * passes made again, caches in threads of their own, weights in the caller's memory. */
#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "nn/option.h"
#include "nn/params/bind.h"
#include "nn/random.h"
#include "peer/layer.h"
#include "peer/types.h"
#include "tests/support/failing.h"

enum { D = 10, T = 23, PASSES = 2, CONFIG_BYTES = 512 };

static struct failing failing = {.granted = -1};

struct made {
    struct peer_ctx *ctx;
    struct peer_ffw *layer;
    struct peer_ffw_cache *cache[PASSES];
    struct peer_params params;
};

/* Few experts, nothing drawn in training, and no loss over the passes of a step: passes are
 * compared. */
static const char *const settings[][2] = {
    {"memories", "25"},        {"experts", "25"},     {"heads", "2"},   {"kept", "3"},
    {"query_width", "6"},      {"slots", "2"},        {"hidden", "14"}, {"noise", "false"},
    {"second_threshold", "0"}, {"balance_loss", "0"}, {"jitter", "0"},  {"group", "5"},
    {"shared", "1"},
};

static void configure(void *config, struct peer_ctx *ctx, const struct peer_ffw_type *type)
{
    cr_assert_leq(type->config_size, CONFIG_BYTES);
    type->config_default(config, D);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        const struct peer_option *option = peer_option_find(type->options, settings[i][0]);
        if (option)
            cr_assert_eq(peer_option_set(ctx, config, option, settings[i][1]), PEER_OK, "%s",
                         peer_ctx_error(ctx));
    }
}

static struct made make(const struct peer_ffw_type *type)
{
    _Alignas(16) unsigned char config[CONFIG_BYTES];
    struct made m = {.ctx = failing_ctx(&failing, 2)};
    struct peer_ffw_shape shape = {.width = D, .tokens = T, .tokens_per_step = PASSES * T};
    configure(config, m.ctx, type);
    cr_assert_eq(peer_ffw_create(&m.layer, m.ctx, type, config, &shape), PEER_OK, "%s",
                 peer_ctx_error(m.ctx));
    for (int i = 0; i < PASSES; i++)
        cr_assert_eq(peer_ffw_cache_create(&m.cache[i], m.ctx, m.layer, T), PEER_OK);
    m.params = peer_params_empty(m.ctx);
    cr_assert_eq(peer_ffw_params(m.layer, &m.params, ""), PEER_OK);
    peer_params_init(&m.params, 77);
    peer_params_zero_grad(&m.params);
    return m;
}

static void unmake(struct made *m)
{
    peer_params_free(&m->params);
    for (int i = 0; i < PASSES; i++)
        peer_ffw_cache_destroy(&m->cache[i]);
    peer_ffw_destroy(&m->layer);
    cr_expect_eq(peer_ctx_bytes(m->ctx), 0);
    peer_ctx_destroy(&m->ctx);
}

struct data {
    float x[PASSES][T * D], dy[PASSES][T * D], y[PASSES][T * D], dx[PASSES][T * D];
    uint8_t mask[T];
};

static struct data *draw(void)
{
    struct data *d = calloc(1, sizeof *d);
    cr_assert(d);
    peer_fill_normal(d->x[0], PASSES * T * D, 0, 1, 4, 5);
    peer_fill_normal(d->dy[0], PASSES * T * D, 0, 1, 4, 6);
    for (int t = 0; t < T; t++)
        d->mask[t] = t % 7 != 3;
    return d;
}

static struct peer_ffw_batch batch(const struct data *d, int i)
{
    return (struct peer_ffw_batch){.x = d->x[i], .T = T, .mask = i ? d->mask : NULL};
}

static void forward(struct made *m, struct data *d, int i)
{
    struct peer_ffw_batch b = batch(d, i);
    peer_ffw_cache_forward(m->cache[i], d->y[i], &b, PEER_MODE_TRAIN);
}

static void backward(struct made *m, struct data *d, int i)
{
    struct peer_ffw_batch b = batch(d, i);
    peer_ffw_cache_backward(m->cache[i], d->dx[i], d->dy[i], &b);
}

/* Gradients are sums over both passes, in the order of the backward passes. */
static void expect_same_gradients(struct made *a, struct made *b, const char *name)
{
    for (int64_t i = 0; i < a->params.count; i++) {
        struct peer_param *p = &a->params.items[i], *q = &b->params.items[i];
        if (p->kind == PEER_PARAM_DENSE)
            cr_expect_arr_eq(peer_param_grad(p), peer_param_grad(q),
                             (size_t)peer_param_size(p) * sizeof(float), "%s: %s", name, p->name);
        if (p->kind != PEER_PARAM_ROWS)
            continue;
        float *g = calloc((size_t)p->shape[1] * 2, sizeof *g), *h = g + p->shape[1];
        peer_rows_group(p->rows);
        peer_rows_group(q->rows);
        cr_assert_eq(p->rows->touched, q->rows->touched);
        for (int64_t r = 0; r < p->rows->touched; r++) {
            peer_rows_gradient(g, p->rows, r);
            peer_rows_gradient(h, q->rows, r);
            cr_expect_eq(p->rows->ids[r], q->rows->ids[r]);
            cr_expect_arr_eq(g, h, (size_t)p->shape[1] * sizeof *g, "%s: %s", name, p->name);
        }
        free(g);
    }
}

static void expect_in_flight(const struct peer_ffw_type *type, int first)
{
    int second = 1 - first;
    struct made apart = make(type), together = make(type);
    struct data *d = draw(), *e = draw();
    forward(&apart, d, first);
    backward(&apart, d, first);
    forward(&apart, d, second);
    backward(&apart, d, second);
    forward(&together, e, 0); /* whichever goes first */
    forward(&together, e, 1);
    backward(&together, e, first);
    backward(&together, e, second);
    cr_expect_arr_eq(d->y, e->y, sizeof d->y, "%s", type->name);
    cr_expect_arr_eq(d->dx, e->dx, sizeof d->dx, "%s", type->name);
    expect_same_gradients(&apart, &together, type->name);
    free(d);
    free(e);
    unmake(&apart);
    unmake(&together);
}

Test(caches, two_passes_in_flight_are_one_after_the_other)
{
    for (const struct peer_ffw_type *const *type = peer_ffw_types; *type; type++)
        for (int first = 0; first < PASSES; first++)
            expect_in_flight(*type, first);
}

/* As checkpointing of activations does it: the second pass makes what the first did not keep. */
Test(caches, a_pass_made_again_gives_the_same_bits)
{
    for (const struct peer_ffw_type *const *type = peer_ffw_types; *type; type++) {
        struct made once = make(*type), again = make(*type);
        struct data *d = draw(), *e = draw();
        forward(&once, d, 0);
        backward(&once, d, 0);
        forward(&again, e, 0);
        memset(e->y, 0, sizeof e->y);
        forward(&again, e, 0);
        backward(&again, e, 0);
        cr_expect_arr_eq(d->y, e->y, sizeof d->y, "%s", (*type)->name);
        cr_expect_arr_eq(d->dx, e->dx, sizeof d->dx, "%s", (*type)->name);
        expect_same_gradients(&once, &again, (*type)->name);
        free(d);
        free(e);
        unmake(&once);
        unmake(&again);
    }
}

struct evaluation {
    struct peer_ffw *layer;
    const struct data *data;
    float y[T * D];
    bool same;
};

static void *evaluate(void *arg)
{
    struct evaluation *e = arg;
    struct peer_ctx_config config = peer_ctx_config_default();
    struct peer_ctx *ctx = NULL;
    struct peer_ffw_cache *cache = NULL;
    struct peer_ffw_batch b = batch(e->data, 1);
    float y[T * D];
    config.threads = 1;
    e->same = peer_ctx_create(&ctx, &config) == PEER_OK &&
              peer_ffw_cache_create(&cache, ctx, e->layer, T) == PEER_OK;
    for (int i = 0; e->same && i < 50; i++) {
        peer_ffw_cache_forward(cache, y, &b, PEER_MODE_EVAL);
        e->same = !memcmp(y, e->y, sizeof y);
    }
    peer_ffw_cache_destroy(&cache);
    peer_ctx_destroy(&ctx);
    return NULL;
}

Test(caches, one_layer_serves_two_threads_in_evaluation)
{
    for (const struct peer_ffw_type *const *type = peer_ffw_types; *type; type++) {
        struct made m = make(*type);
        struct data *d = draw();
        struct evaluation job[2] = {{.layer = m.layer, .data = d}, {.layer = m.layer, .data = d}};
        pthread_t thread[2];
        peer_ffw_forward(m.layer, job[0].y, d->x[1], d->mask, T, PEER_MODE_EVAL);
        memcpy(job[1].y, job[0].y, sizeof job[0].y);
        for (int i = 0; i < 2; i++)
            cr_assert_eq(pthread_create(&thread[i], NULL, evaluate, &job[i]), 0);
        for (int i = 0; i < 2; i++) {
            cr_assert_eq(pthread_join(thread[i], NULL), 0);
            cr_expect(job[i].same, "%s", (*type)->name);
        }
        free(d);
        unmake(&m);
    }
}

Test(caches, too_many_tokens_are_refused)
{
    for (const struct peer_ffw_type *const *type = peer_ffw_types; *type; type++) {
        struct made m = make(*type);
        struct peer_ffw_cache *cache = NULL;
        cr_expect_eq(peer_ffw_cache_create(&cache, m.ctx, m.layer, 0), PEER_ERR_ARGUMENT);
        cr_expect_eq(peer_ffw_cache_create(&cache, m.ctx, m.layer, INT64_MAX), PEER_ERR_ARGUMENT);
        cr_expect_null(cache);
        unmake(&m);
    }
}

/* Values [n] that begin 4 bytes past a multiple of 64. */
static float *misaligned(int64_t n)
{
    float *memory = aligned_alloc(64, ((size_t)n * sizeof *memory / 64 + 2) * 64);
    cr_assert(memory);
    return memory + 1;
}

/* Bound, drawn and trained in place: the bits of a layer that owns its weights. */
static void expect_bound(const struct peer_ffw_type *type)
{
    struct made own = make(type), bound = make(type);
    struct data *d = draw(), *e = draw();
    int64_t entries = bound.params.count;
    float **memory = calloc((size_t)entries, sizeof *memory);
    for (int64_t i = 0; i < entries; i++) {
        struct peer_param *p = &bound.params.items[i];
        memory[i] = misaligned(peer_param_size(p));
        memcpy(memory[i], own.params.items[i].data, peer_param_bytes(p));
        memset(p->data, 0xff, peer_param_bytes(p)); /* NaN, should anybody still look */
        cr_assert_eq(peer_params_bind(&bound.params, p->name, memory[i], peer_param_bytes(p)),
                     PEER_OK, "%s: %s", type->name, peer_ctx_error(bound.ctx));
        cr_expect_eq(p->data, memory[i]);
    }
    for (int i = 0; i < PASSES; i++) {
        forward(&own, d, i);
        backward(&own, d, i);
        forward(&bound, e, i);
        backward(&bound, e, i);
    }
    cr_expect_arr_eq(d->y, e->y, sizeof d->y, "%s", type->name);
    cr_expect_arr_eq(d->dx, e->dx, sizeof d->dx, "%s", type->name);
    expect_same_gradients(&own, &bound, type->name);
    for (int64_t i = 0; i < entries; i++) { /* running statistics and biases moved there */
        cr_expect_arr_eq(memory[i], own.params.items[i].data,
                         peer_param_bytes(&own.params.items[i]), "%s: %s", type->name,
                         own.params.items[i].name);
        free(memory[i] - 1);
    }
    free(memory);
    free(d);
    free(e);
    unmake(&own);
    unmake(&bound);
}

Test(caches, weights_lie_in_the_callers_memory)
{
    for (const struct peer_ffw_type *const *type = peer_ffw_types; *type; type++)
        expect_bound(*type);
}

static void expect_unbound(struct made *m, const char *name, void *memory, size_t bytes,
                           const char *words)
{
    cr_expect_eq(peer_params_bind(&m->params, name, memory, bytes), PEER_ERR_ARGUMENT);
    cr_expect(strstr(peer_ctx_error(m->ctx), words), "%s", peer_ctx_error(m->ctx));
}

Test(caches, bad_bindings_are_refused_and_change_nothing)
{
    struct made m = make(&peer_ffw_peer);
    struct peer_param *keys = peer_params_find(&m.params, "keys");
    size_t bytes = peer_param_bytes(keys);
    float *before = keys->data;
    float *memory = misaligned(peer_param_size(keys) + 1);
    expect_unbound(&m, "key", memory, bytes, "no key");
    expect_unbound(&m, "keys", memory, bytes - 1, "the memory has");
    expect_unbound(&m, "keys", NULL, bytes, "has 0");
    expect_unbound(&m, "keys", (char *)memory + 2, bytes, "2 past");
    cr_expect_eq(keys->data, before);
    cr_expect_eq(peer_params_bind(&m.params, "keys", memory, bytes), PEER_OK);
    expect_unbound(&m, "keys", memory, bytes, "bound already");
    free(memory - 1);
    unmake(&m);
}
