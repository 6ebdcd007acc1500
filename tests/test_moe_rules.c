/* SPDX-License-Identifier: MIT */
/* What a rule and its options are to a mixture; and one more mixture, in the few lines that it
 * takes. */
#define PEER_REAL_DOUBLE
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "moe/moe_ref.h"
#include "moe/rule.h"
#include "nn/random.h"
#include "tests/support/twin.h"

enum { SEED = 5077, D = 9, E = 4, T = 21 };

/* Experts by token ids, as in hash layers (Roller et al. 2021), with the router's probability. */
extern const struct peer_ffw_type by_id;

static const struct peer_option by_id_options[] = {
    PEER_MOE_OPTIONS_EXPERTS, PEER_MOE_OPTIONS_CAPACITY, PEER_MOE_OPTION_Z, {.name = NULL}};

static void choose_by_id(struct peer_moe_cache *cache, const struct peer_ffw_batch *batch)
{
    const struct peer_moe_routes *r = &cache->routes;
    for (int64_t t = 0; t < r->T; t++) {
        bool padding = r->mask && !r->mask[t];
        r->ids[t] = r->choice[t] = padding ? -1 : batch->ids[t] % (int32_t)r->E;
    }
}

static const struct peer_moe_rule by_id_rule = {.type = &by_id, .kept = 1, .choose = choose_by_id};

static void by_id_default(void *config, int64_t width)
{
    peer_moe_defaults(config, &by_id_rule, width)->experts = E;
}

const struct peer_ffw_type by_id = {
    .name = "by_id", .options = by_id_options, .config_default = by_id_default, PEER_MOE_TYPE};

struct trial {
    struct peer_ctx *ctx;
    struct peer_ffw *ffw;
    struct peer_params list;
    struct peer_moe_f64 twin;
    float x[T * D], dy[T * D], y[T * D], dx[T * D];
    int32_t ids[T], choice[T], routed[T];
    uint8_t mask[T];
    double *x64, *router, *in, *out;
};

static void open_trial(struct trial *t, const struct peer_moe_config *config)
{
    struct peer_ffw_shape shape = {.width = D, .tokens = T};
    memset(t, 0, sizeof *t);
    cr_assert_eq(peer_ctx_create(&t->ctx, NULL), PEER_OK);
    cr_assert_eq(peer_ffw_create(&t->ffw, t->ctx, &by_id, config, &shape), PEER_OK, "%s",
                 peer_ctx_error(t->ctx));
    t->list = peer_params_empty(t->ctx);
    cr_assert_eq(peer_ffw_params(t->ffw, &t->list, ""), PEER_OK);
    peer_params_init(&t->list, SEED);
    peer_fill_normal(t->x, T * D - 1, 0, 1, SEED, 1);
    peer_fill_normal(t->dy, T * D - 1, 0, 1, SEED, 2);
    memset(t->mask, 1, sizeof t->mask);
    t->mask[5] = 0;
    for (uint64_t i = 0; i < T; i++)
        t->ids[i] = (int32_t)peer_random_below(SEED, 3, i, 1000);
    t->x64 = twin_doubles(t->x, T * D);
    t->router = twin_doubles(peer_params_find(&t->list, "router")->data, E * D);
    t->in = twin_doubles(peer_params_find(&t->list, "experts.in")->data, E * D * config->hidden);
    t->out = twin_doubles(peer_params_find(&t->list, "experts.out")->data, E * D * config->hidden);
    struct peer_ffw_batch batch = {.x = t->x, .T = T, .mask = t->mask, .ids = t->ids};
    peer_ffw_cache_forward(peer_ffw_own_cache(t->ffw), t->y, &batch, PEER_MODE_TRAIN);
    for (int i = 0; i < T; i++)
        t->choice[i] = t->mask[i] ? t->ids[i] % E : -1;
    struct peer_routing routing;
    cr_assert(peer_ffw_routing(t->ffw, &routing));
    memcpy(t->routed, routing.ids, sizeof t->routed);
    t->twin = (struct peer_moe_f64){.config = config,
                                    .D = D,
                                    .R = 1,
                                    .router = t->router,
                                    .in = t->in,
                                    .out = t->out,
                                    .choice = t->choice,
                                    .ids = t->routed,
                                    .mask = t->mask};
}

static void close_trial(struct trial *t)
{
    double *const all[] = {t->x64, t->router, t->in, t->out};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    peer_params_free(&t->list);
    peer_ffw_destroy(&t->ffw);
    cr_expect_eq(peer_ctx_bytes(t->ctx), 0);
    peer_ctx_destroy(&t->ctx);
}

static double scalar(void *user)
{
    struct trial *t = user;
    double y[T * D], sum = peer_moe_forward_f64(y, &t->twin, t->x64, T, true);
    for (int i = 0; i < T * D; i++)
        sum += t->dy[i] * y[i];
    return sum;
}

static void expect_slopes(struct trial *t, const char *what, const float *gradient, double *at,
                          int64_t n)
{
    for (int64_t i = 0; i < n; i += 1 + n / 13) {
        double slope = twin_slope(scalar, t, at + i, 1e-3);
        cr_expect_float_eq(gradient[i], slope, 1e-4, "%s[%d]: %.9g, twin %.9g", what, (int)i,
                           (double)gradient[i], slope);
    }
}

/* Output, losses and gradients by the common reference, capacity and z-loss by two options. */
Test(moe_rules, a_mixture_that_reads_ids_is_one_rule_and_one_type)
{
    for (int limited = 0; limited < 2; limited++) {
        static struct trial t;
        struct peer_moe_config config;
        double y[T * D];
        by_id.config_default(&config, D);
        config.capacity = limited ? 0.8f : E;
        config.z_loss = 0.1f;
        open_trial(&t, &config);
        int dropped = 0;
        for (int i = 0; i < T; i++) {
            cr_expect(t.routed[i] == t.choice[i] || t.routed[i] == -1);
            dropped += t.routed[i] != t.choice[i];
        }
        cr_expect_eq(dropped > 0, limited);
        cr_expect_eq(by_id.traits(&config) & PEER_FFW_MIXES_TOKENS_IN_TRAINING,
                     limited ? PEER_FFW_MIXES_TOKENS_IN_TRAINING : 0);
        double loss = peer_moe_forward_f64(y, &t.twin, t.x64, T, true);
        struct peer_ffw_loss losses[PEER_FFW_LOSSES];
        cr_assert_eq(peer_ffw_losses(t.ffw, losses), 1);
        cr_expect_float_eq(losses[0].value, loss, 1e-6);
        cr_expect_leq(twin_distance(t.y, y, T * D), 1e-5 * twin_largest(y, T * D));
        struct peer_ffw_batch batch = {.x = t.x, .T = T, .mask = t.mask, .ids = t.ids};
        peer_ffw_cache_backward(peer_ffw_own_cache(t.ffw), t.dx, t.dy, &batch);
        expect_slopes(&t, "x", t.dx, t.x64, T * D);
        expect_slopes(&t, "router", peer_params_find(&t.list, "router")->grad, t.router, E * D);
        expect_slopes(&t, "out", peer_params_find(&t.list, "experts.out")->grad, t.out,
                      E * D * config.hidden);
        close_trial(&t);
    }
}

static const struct peer_ffw_type *const types[] = {
    &peer_ffw_soft_gate,     &peer_ffw_noisy_topk, &peer_ffw_gshard,   &peer_ffw_switch,
    &peer_ffw_expert_choice, &peer_ffw_mixtral,    &peer_ffw_deepseek, &peer_ffw_dropless};
enum { TYPES = sizeof types / sizeof *types };

struct result {
    float y[T * D], dx[T * D];
    struct peer_cost cost;
    size_t memory;
    unsigned traits;
};

static void run(struct result *ret, const struct peer_ffw_type *type,
                const struct peer_moe_config *config)
{
    struct peer_ctx *ctx = NULL;
    struct peer_ffw *ffw = NULL;
    struct peer_ffw_shape shape = {.width = D, .tokens = T};
    float x[T * D] = {0}, dy[T * D] = {0};
    memset(ret, 0, sizeof *ret);
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    cr_assert_eq(peer_ffw_create(&ffw, ctx, type, config, &shape), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    struct peer_params list = peer_params_empty(ctx);
    cr_assert_eq(peer_ffw_params(ffw, &list, ""), PEER_OK);
    peer_params_init(&list, SEED);
    peer_fill_normal(x, T * D - 1, 0, 1, SEED, 1);
    peer_fill_normal(dy, T * D - 1, 0, 1, SEED, 2);
    for (int pass = 0; pass < 2; pass++) {
        peer_ffw_forward(ffw, ret->y, x, NULL, T, PEER_MODE_TRAIN);
        peer_ffw_backward(ffw, ret->dx, dy, x, T);
        peer_ffw_step(ffw);
    }
    type->cost(&ret->cost, config, D);
    ret->memory = peer_ffw_memory(type, config, &shape);
    ret->traits = type->traits(config);
    peer_params_free(&list);
    peer_ffw_destroy(&ffw);
    peer_ctx_destroy(&ctx);
}

/* Fields that a type has no option for change nothing, whatever they hold. */
Test(moe_rules, fields_without_an_option_are_not_read)
{
    for (int i = 0; i < TYPES; i++) {
        static struct result good, odd;
        struct peer_moe_config config, other;
        types[i]->config_default(&config, D);
        run(&good, types[i], &config);
        memset(&other, 1, sizeof other); /* true, and floats of 2e-38 */
        other.rule = config.rule;
        other.kept = other.shared = other.group = 3;
        other.capacity = other.capacity_eval = 0.3f;
        other.balance_loss = other.z_loss = other.importance_loss = other.load_loss = 7;
        other.jitter = other.second_threshold = other.route_scale = other.bias_rate = 0.9f;
        for (const struct peer_option *o = types[i]->options; o->name; o++) {
            char text[64];
            peer_option_text(text, sizeof text, &config, o);
            cr_assert_eq(peer_option_set(NULL, &other, o, text), PEER_OK);
        }
        run(&odd, types[i], &other);
        cr_expect_arr_eq(odd.y, good.y, sizeof good.y, "%s", types[i]->name);
        cr_expect_arr_eq(odd.dx, good.dx, sizeof good.dx, "%s", types[i]->name);
        cr_expect_eq(odd.memory, good.memory, "%s", types[i]->name);
        cr_expect_eq(odd.traits, good.traits, "%s", types[i]->name);
        cr_expect_eq(odd.cost.params_total, good.cost.params_total, "%s", types[i]->name);
        cr_expect_eq(odd.cost.forward[PEER_PART_EXPERTS], good.cost.forward[PEER_PART_EXPERTS]);
    }
}
