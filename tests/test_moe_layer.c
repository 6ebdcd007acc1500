/* SPDX-License-Identifier: MIT */
/* The mixtures as layers: against their double twin, their central differences, the dense layer. */
#define PEER_REAL_DOUBLE
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "moe/layer.h"
#include "moe/moe_ref.h"
#include "moe/rule.h"
#include "nn/layers/dense.h"
#include "nn/random.h"
#include "tests/support/failing.h"
#include "tests/support/twin.h"

enum { SEED = 20261123, D = 9, F = 13, T = 37, MOST_PARAMS = 8 };

static const struct peer_ffw_type *const types[] = {
    &peer_ffw_soft_gate,     &peer_ffw_noisy_topk, &peer_ffw_gshard,   &peer_ffw_switch,
    &peer_ffw_expert_choice, &peer_ffw_mixtral,    &peer_ffw_deepseek, &peer_ffw_dropless};
enum {
    SOFT_GATE = 0,
    NOISY_TOPK,
    GSHARD,
    SWITCH,
    EXPERT_CHOICE,
    MIXTRAL,
    DEEPSEEK,
    DROPLESS,
    TYPES
};

static bool is(const struct peer_moe_config *config, int type)
{
    return config->rule->type == types[type];
}

/* E = 5, k = 2 or what the type has, and every option on that makes a difference; `form` 1 has the
 * other branch of each. */
static struct peer_moe_config config_of(int type, int form)
{
    struct peer_moe_config c;
    types[type]->config_default(&c, D);
    c.experts = 5;
    c.kept = 2;
    c.hidden = F;
    c.gated = form;
    c.activation = form ? PEER_ACT_SILU : PEER_ACT_GELU;
    c.capacity = 1.25f;
    c.capacity_eval = form ? 5 : 0.8f;
    c.group = form ? 10 : 0;
    c.balance_loss = 0.3f;
    c.z_loss = form ? 0 : 0.02f;
    c.importance_loss = 0.2f;
    c.load_loss = 0.1f;
    c.normalized = form;
    c.loss_free = form;
    c.route_scale = 1.5f;
    c.bias_rate = 0.125f;
    c.shared = form ? 1 : 2;
    c.jitter = 0.1f;
    c.second_threshold = form ? 0 : 0.4f;
    return c;
}

struct pair {
    struct peer_ctx *ctx;
    struct peer_moe_config config;
    struct peer_ffw *ffw;
    struct peer_moe *layer;       /* the same */
    struct peer_moe_cache *cache; /* its own */
    struct peer_params list;
    float *x, *dy, *y, *dx;
    uint8_t mask[T];
    double *x64, *values[MOST_PARAMS], *extra[2]; /* jitter, normal */
    int32_t *choice, *ids;
    struct peer_moe_f64 twin;
};

static struct peer_ctx *context(int threads)
{
    struct peer_ctx *ctx = NULL;
    struct peer_ctx_config config = peer_ctx_config_default();
    config.threads = threads;
    cr_assert_eq(peer_ctx_create(&ctx, &config), PEER_OK);
    return ctx;
}

static void *copy(const void *from, size_t bytes)
{
    void *to = malloc(bytes);
    return from ? memcpy(to, from, bytes) : to;
}

static const double *value(const struct pair *p, const char *name)
{
    const struct peer_param *param = peer_params_find(&p->list, name);
    return param ? p->values[param - p->list.items] : NULL;
}

/* The twin takes over weights, draws and routing of the last pass. */
static void pair_twin(struct pair *p)
{
    const struct peer_moe_cache *l = p->cache;
    int64_t R = l->routes.R, E = p->config.experts;
    p->choice = copy(l->routes.choice, (size_t)(T * R) * sizeof *p->choice);
    p->ids = copy(l->routes.ids, (size_t)(T * R) * sizeof *p->ids);
    p->extra[0] = l->noisy && l->jitter ? twin_doubles(l->jitter, T * D) : NULL;
    p->extra[1] = l->noisy && l->noise.normal ? twin_doubles(l->noise.normal, T * E) : NULL;
    p->twin = (struct peer_moe_f64){.config = &p->config,
                                    .D = D,
                                    .R = R,
                                    .router = value(p, "router"),
                                    .router_noise = value(p, "router_noise"),
                                    .in = value(p, "experts.in"),
                                    .gate = value(p, "experts.gate"),
                                    .out = value(p, "experts.out"),
                                    .shared_in = value(p, "shared.in"),
                                    .shared_gate = value(p, "shared.gate"),
                                    .shared_out = value(p, "shared.out"),
                                    .jitter = p->extra[0],
                                    .normal = p->extra[1],
                                    .choice = p->choice,
                                    .ids = p->ids,
                                    .top = p->extra[1] ? l->noise.top_ids : NULL,
                                    .mask = p->mask};
}

/* A layer after one forward pass; tokens 3 and T - 1 are padding. */
static void pair_open(struct pair *p, const struct peer_moe_config *config, enum peer_mode mode,
                      int threads)
{
    *p = (struct pair){.ctx = context(threads), .config = *config};
    struct peer_ffw_shape shape = {.width = D, .tokens = T, .tokens_per_step = T};
    cr_assert_eq(peer_ffw_create(&p->ffw, p->ctx, config->rule->type, config, &shape), PEER_OK,
                 "%s", peer_ctx_error(p->ctx));
    p->layer = peer_moe_of(p->ffw);
    p->cache = (struct peer_moe_cache *)(void *)peer_ffw_own_cache(p->ffw);
    p->list = peer_params_empty(p->ctx);
    cr_assert_eq(peer_ffw_params(p->ffw, &p->list, "ffw."), PEER_OK);
    cr_assert_leq(p->list.count, MOST_PARAMS);
    peer_params_init(&p->list, SEED);
    p->x = twin_floats(T * D, 0, 1, SEED, "x");
    p->dy = twin_floats(T * D, 0, 1, SEED, "dy");
    p->y = twin_floats(T * D, 0, 1, SEED, "y");
    p->dx = twin_floats(T * D, 0, 0, SEED, "dx");
    p->x64 = twin_doubles(p->x, T * D);
    memset(p->mask, 1, sizeof p->mask);
    p->mask[3] = p->mask[T - 1] = 0;
    for (int64_t i = 0; i < p->list.count; i++) {
        struct peer_param *param = &p->list.items[i];
        int64_t n = peer_param_size(param);
        if (strstr(param->name, "router_")) /* noise and bias start at 0 */
            peer_fill_normal(param->data, n, 0, 0.3f, SEED, 5);
        p->values[i] = twin_doubles(param->data, n);
        memmove(param->name, param->name + 4, strlen(param->name) - 3); /* "ffw." */
    }
    peer_ffw_forward(p->ffw, p->y, p->x, p->mask, T, mode);
    pair_twin(p);
}

static void pair_close(struct pair *p)
{
    for (int64_t i = 0; i < p->list.count; i++)
        free(p->values[i]);
    void *blocks[] = {p->x,      p->dy,  p->y,        p->dx,      p->x64,
                      p->choice, p->ids, p->extra[0], p->extra[1]};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        free(blocks[i]);
    peer_params_free(&p->list);
    peer_ffw_destroy(&p->ffw);
    cr_expect_eq(peer_ctx_bytes(p->ctx), 0);
    peer_ctx_destroy(&p->ctx);
}

static double auxiliary(const struct peer_ffw *ffw)
{
    struct peer_ffw_loss losses[PEER_FFW_LOSSES];
    int count = peer_ffw_losses(ffw, losses);
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += losses[i].value;
    return sum;
}

/* An output is a chain of sums of at most D, F, D, k and (logits, E experts) terms, each with a
 * relative error of its length in u; the sums' condition is taken to be at most 8, and gates double
 * the errors of their logits. */
static const double chain = 8 * 2 * (D + F + D + 2 + 5) * (FLT_EPSILON / 2);

Test(moe_layer, output_and_losses_are_the_twins)
{
    for (int mode = PEER_MODE_EVAL; mode <= PEER_MODE_TRAIN; mode++)
        for (int i = 0; i < 2 * TYPES; i++) {
            struct peer_moe_config config = config_of(i / 2, i % 2);
            struct pair p;
            pair_open(&p, &config, (enum peer_mode)mode, 2);
            double y[T * D];
            double loss = peer_moe_forward_f64(y, &p.twin, p.x64, T, mode == PEER_MODE_TRAIN);
            const char *name = types[i / 2]->name;
            cr_expect_leq(twin_distance(p.y, y, T * D), chain * twin_largest(y, T * D), "%s", name);
            for (int d = 0; d < D; d++)
                cr_expect(p.y[3 * D + d] == 0 && p.y[(T - 1) * D + d] == 0, "%s padding", name);
            if (mode == PEER_MODE_TRAIN)
                cr_expect_float_eq(auxiliary(p.ffw), loss, chain * loss, "%s: %.9g, twin %.9g",
                                   name, auxiliary(p.ffw), loss);
            bool none = is(&config, SOFT_GATE) || is(&config, EXPERT_CHOICE);
            cr_expect(mode == PEER_MODE_EVAL || (loss > 0) != none, "%s", name);
            pair_close(&p);
        }
}

static double scalar(void *user)
{
    struct pair *p = user;
    double y[T * D], sum = peer_moe_forward_f64(y, &p->twin, p->x64, T, true);
    for (int i = 0; i < T * D; i++)
        sum += p->dy[i] * y[i];
    return sum;
}

static void expect_slopes(struct pair *p, const char *name, const char *what, const float *gradient,
                          double *at, int64_t n)
{
    double squares = 0;
    for (int64_t j = 0; j < n; j++)
        squares += (double)gradient[j] * gradient[j];
    cr_expect_gt(squares, 0, "%s %s has no gradient", name, what);
    for (int s = 0; s < 12; s++) {
        int64_t j = peer_random_below(SEED, peer_stream(what), (uint64_t)s, (uint32_t)n);
        double slope = twin_slope(scalar, p, at + j, 1e-3);
        cr_expect_float_eq(gradient[j], slope, chain * sqrt(squares),
                           "%s %s[%d]: %.9g, twin %.9g, bound %.3g", name, what, (int)j,
                           (double)gradient[j], slope, chain * sqrt(squares));
    }
}

/* Of sum dy y + auxiliary losses, with routing held fixed. */
Test(moe_layer, gradients_are_the_twins_central_differences)
{
    for (int i = 0; i < 2 * TYPES; i++) {
        struct peer_moe_config config = config_of(i / 2, i % 2);
        struct pair p;
        pair_open(&p, &config, PEER_MODE_TRAIN, 2);
        const char *name = types[i / 2]->name;
        peer_ffw_backward(p.ffw, p.dx, p.dy, p.x, T);
        expect_slopes(&p, name, "x", p.dx, p.x64, T * D);
        for (int64_t j = 0; j < p.list.count; j++)
            if (p.list.items[j].kind == PEER_PARAM_DENSE)
                expect_slopes(&p, name, p.list.items[j].name, p.list.items[j].grad, p.values[j],
                              peer_param_size(&p.list.items[j]));
        pair_close(&p);
    }
}

/* With dy = 0 only auxiliary losses have a gradient, which `loss_scale` multiplies. */
Test(moe_layer, the_scale_of_auxiliary_losses_reaches_the_router_alone)
{
    for (int i = 0; i < 2 * TYPES; i++) {
        struct peer_moe_config config = config_of(i / 2, i % 2);
        struct pair one;
        pair_open(&one, &config, PEER_MODE_TRAIN, 1);
        struct pair half;
        pair_open(&half, &config, PEER_MODE_TRAIN, 1);
        memset(one.dy, 0, T * D * sizeof *one.dy);
        peer_ffw_loss_scale(half.ffw, 0.5f);
        peer_ffw_backward(one.ffw, one.dx, one.dy, one.x, T);
        peer_ffw_backward(half.ffw, half.dx, one.dy, half.x, T);
        double router = 0, experts = 0, apart = 0;
        for (int j = 0; j < 5 * D; j++) {
            router += fabs(one.layer->drouter[j]);
            apart = fmax(apart, fabs(one.layer->drouter[j] / 2 - half.layer->drouter[j]));
        }
        for (int j = 0; j < 5 * F * D; j++)
            experts += fabs(one.layer->experts.din[j]) + fabs(one.layer->experts.dout[j]);
        cr_expect_eq(router > 0, one.cache->loss_count > 0, "%s", types[i / 2]->name);
        cr_expect_leq(apart, 1e-6 * router, "%s", types[i / 2]->name);
        cr_expect_eq(experts, 0, "%s", types[i / 2]->name);
        pair_close(&one);
        pair_close(&half);
    }
}

/* What the kept gates of a token add up to. */
Test(moe_layer, gates_are_conserved)
{
    for (int i = 0; i < 2 * TYPES; i++) {
        struct peer_moe_config config = config_of(i / 2, i % 2);
        struct pair p;
        pair_open(&p, &config, PEER_MODE_EVAL, 1);
        struct peer_routing routing;
        cr_assert(peer_ffw_routing(p.ffw, &routing));
        const struct peer_moe_gating gating = p.layer->gating;
        bool whole = is(&config, SOFT_GATE) || gating.score == PEER_MOE_KEPT || gating.normalized;
        int64_t load[5] = {0}, room = 0;
        for (int t = 0; t < T; t++) {
            double sum = 0;
            bool complete = p.mask[t];
            for (int64_t j = t * routing.kept; j < (t + 1) * routing.kept; j++) {
                complete = complete && routing.ids[j] >= 0;
                if (routing.ids[j] >= 0) {
                    cr_expect(routing.gates[j] >= 0);
                    sum += routing.gates[j];
                    load[routing.ids[j]]++;
                }
            }
            cr_expect_leq(sum, gating.scale * (1 + 1e-6), "%s", types[i / 2]->name);
            cr_expect(p.mask[t] || sum == 0);
            if (complete && whole)
                cr_expect_float_eq(sum, gating.scale, 1e-6 * gating.scale, "%s",
                                   types[i / 2]->name);
        }
        if (peer_moe_limited(&config, PEER_MODE_EVAL))
            room = peer_moe_room(config.capacity_eval, T - 2, 5);
        for (int e = 0; room && e < 5; e++)
            cr_expect_leq(load[e], room, "%s", types[i / 2]->name);
        pair_close(&p);
    }
}

/* One expert without capacity is the dense layer, bit for bit. */
Test(moe_layer, one_expert_is_the_dense_layer)
{
    for (int i = 0; i < 2 * TYPES; i++) {
        struct peer_moe_config config = config_of(i / 2, i % 2);
        config.experts = config.kept = 1;
        config.capacity = config.capacity_eval = 1;
        config.shared = 0;
        config.route_scale = 1;
        struct pair p;
        pair_open(&p, &config, PEER_MODE_TRAIN, 2);
        struct peer_dense_config dense = {F, config.activation, config.gated};
        struct peer_dense_weights weights = {p.layer->experts.in, p.layer->experts.gate,
                                             p.layer->experts.out};
        float pre[T * F], gate[T * F], hidden[T * F], y[T * D], din[F * D] = {0};
        float dgate[F * D] = {0}, dout[F * D] = {0}, *dx = twin_floats(T * D, 0, 0, 1, "dx");
        struct peer_dense_cache cache = {pre, gate, hidden};
        struct peer_dense_gradients gradients = {din, dgate, dout};
        peer_dense_forward(p.ctx, y, &cache, &weights, p.x, p.mask, T, D, &dense);
        double bound = 8 * (D + F) * FLT_EPSILON * 4;
        bool loss_free = is(&config, DEEPSEEK) && config.loss_free;
        for (int j = 0; j < T * D; j++)
            cr_expect(fabsf(y[j] - p.y[j]) <= bound, "%s: %.9g, dense %.9g", types[i / 2]->name,
                      (double)p.y[j], (double)y[j]);
        config.balance_loss = config.z_loss = 0;
        struct pair q;
        pair_open(&q, &config, PEER_MODE_TRAIN, 2);
        peer_ffw_backward(q.ffw, q.dx, q.dy, q.x, T);
        peer_dense_backward(p.ctx, dx, &gradients, &cache, p.dy, &weights, p.x, p.mask, T, D,
                            &dense);
        for (int j = 0; j < T * D; j++)
            cr_expect(fabsf(dx[j] - q.dx[j]) <= 4 * bound || loss_free, "%s", types[i / 2]->name);
        for (int j = 0; j < F * D; j++)
            cr_expect(fabsf(din[j] - q.layer->experts.din[j]) <= 4 * T * bound, "%s",
                      types[i / 2]->name);
        free(dx);
        pair_close(&p);
        pair_close(&q);
    }
}

Test(moe_layer, same_bits_for_any_number_of_threads)
{
    for (int i = 0; i < 2 * TYPES; i++) {
        struct peer_moe_config config = config_of(i / 2, i % 2);
        struct pair p[3];
        for (int n = 0; n < 3; n++) {
            pair_open(&p[n], &config, PEER_MODE_TRAIN, n + 1);
            peer_ffw_backward(p[n].ffw, p[n].dx, p[n].dy, p[n].x, T);
            cr_expect_arr_eq(p[n].y, p[0].y, T * D * sizeof(float));
            cr_expect_arr_eq(p[n].dx, p[0].dx, T * D * sizeof(float));
            for (int64_t j = 0; j < p[n].list.count; j++) {
                const struct peer_param *a = &p[n].list.items[j], *b = &p[0].list.items[j];
                size_t bytes = (size_t)peer_param_size(a) * sizeof(float);
                cr_expect_arr_eq(a->data, b->data, bytes, "%s", a->name);
                if (a->grad)
                    cr_expect_arr_eq(a->grad, b->grad, bytes, "%s", a->name);
            }
        }
        for (int n = 0; n < 3; n++)
            pair_close(&p[n]);
    }
}

/* Change of the largest output of tokens before and after token 20 when that token changes. */
static void changes(double *before, double *after, const struct peer_moe_config *config)
{
    struct pair p;
    pair_open(&p, config, PEER_MODE_EVAL, 1);
    float y[T * D];
    *before = *after = 0;
    for (int change = 0; change < 8; change++) {
        peer_fill_normal(p.x + 20 * D, D + D % 2, 0, 2, SEED, (uint64_t)change);
        peer_ffw_forward(p.ffw, y, p.x, p.mask, T, PEER_MODE_EVAL);
        for (int i = 0; i < T * D; i++) {
            double *to = i < 20 * D ? before : after;
            if (i / D != 20 && i / D != 21) /* the fill reaches into token 21 */
                *to = fmax(*to, fabs((double)y[i] - p.y[i]));
        }
    }
    pair_close(&p);
}

/* Rounding apart, a token sees others only as the traits say; and where they say it, it does. */
Test(moe_layer, tokens_see_others_as_the_traits_say)
{
    for (int i = 0; i < 2 * TYPES; i++) {
        struct peer_moe_config config = config_of(i / 2, i % 2);
        config.group = 0;
        unsigned traits = types[i / 2]->traits(&config);
        double before, after;
        changes(&before, &after, &config);
        bool leaks = traits & PEER_FFW_NOT_CAUSAL;
        bool shares = traits & (PEER_FFW_SHARES_CAPACITY | PEER_FFW_NOT_CAUSAL);
        cr_expect_eq(before > 1e-3, leaks, "%s: %g", types[i / 2]->name, before);
        cr_expect_eq(after > 1e-3, shares, "%s: %g", types[i / 2]->name, after);
        cr_expect(leaks || before < chain * 8, "%s: %g", types[i / 2]->name, before);
    }
    struct peer_moe_config config = config_of(EXPERT_CHOICE, 0);
    cr_expect(types[EXPERT_CHOICE]->traits(&config) & PEER_FFW_NOT_CAUSAL);
}

/* All tokens alike, so all to one expert: with capacity 5 T / 5 it serves them all, with less the
 * first ones, and the others get nothing. */
Test(moe_layer, all_tokens_can_go_to_one_expert)
{
    for (int i = 0; i < TYPES; i++) {
        struct peer_moe_config config = config_of(i, 0);
        config.shared = 0;
        struct pair p;
        pair_open(&p, &config, PEER_MODE_EVAL, 2);
        for (int t = 1; t < T; t++)
            memcpy(p.x + t * D, p.x, D * sizeof *p.x);
        peer_ffw_forward(p.ffw, p.y, p.x, NULL, T, PEER_MODE_EVAL);
        int64_t room = peer_moe_room(config.capacity_eval, T, 5);
        bool limited = peer_moe_limited(&config, PEER_MODE_EVAL);
        for (int t = 0; t < T; t++) {
            bool served = false;
            for (int d = 0; d < D; d++)
                served = served || p.y[t * D + d] != 0;
            if (!is(&config, EXPERT_CHOICE))
                cr_expect_eq(served, !limited || t < room, "%s token %d", types[i]->name, t);
        }
        pair_close(&p);
    }
}

Test(moe_layer, no_capacity_is_no_output_and_no_gradient_of_experts)
{
    for (int i = 0; i < TYPES; i++) {
        struct peer_moe_config config = config_of(i, 0);
        config.capacity = config.capacity_eval = 0;
        config.balance_loss = config.z_loss = 0;
        bool has = is(&config, SWITCH) || is(&config, GSHARD) || is(&config, EXPERT_CHOICE);
        if (!has)
            continue;
        struct pair p;
        pair_open(&p, &config, PEER_MODE_TRAIN, 2);
        peer_ffw_backward(p.ffw, p.dx, p.dy, p.x, T);
        for (int j = 0; j < T * D; j++)
            cr_expect(p.y[j] == 0 && p.dx[j] == 0, "%s", types[i]->name);
        pair_close(&p);
    }
}

/* NaN in one token is that token's affair (in expert choice: of those that are chosen). */
Test(moe_layer, a_token_of_nan_harms_itself_alone)
{
    for (int i = 0; i < TYPES; i++) {
        struct peer_moe_config config = config_of(i, 1);
        struct pair p;
        pair_open(&p, &config, PEER_MODE_EVAL, 2);
        for (int d = 0; d < D; d++)
            p.x[7 * D + d] = NAN;
        peer_ffw_forward(p.ffw, p.y, p.x, NULL, T, PEER_MODE_EVAL);
        for (int j = 0; j < T * D; j++)
            cr_expect(j / D == 7 || isfinite(p.y[j]), "%s", types[i]->name);
        pair_close(&p);
    }
}

Test(moe_layer, single_tokens_and_none_are_served)
{
    for (int i = 0; i < 2 * TYPES; i++) {
        struct peer_moe_config config = config_of(i / 2, i % 2);
        config.capacity = config.capacity_eval = 1;
        struct pair p;
        pair_open(&p, &config, PEER_MODE_EVAL, 2);
        for (int64_t n = 0; n <= 3; n++) { /* fewer tokens than experts */
            peer_ffw_forward(p.ffw, p.y, p.x, NULL, n, PEER_MODE_TRAIN);
            peer_ffw_backward(p.ffw, p.dx, p.dy, p.x, n);
            for (int64_t j = 0; j < n * D; j++)
                cr_expect(isfinite(p.y[j]) && isfinite(p.dx[j]), "%s", types[i / 2]->name);
            struct peer_routing routing;
            cr_assert(peer_ffw_routing(p.ffw, &routing));
            cr_expect(n == 0 || routing.ids[0] >= 0 || is(&config, EXPERT_CHOICE));
        }
        pair_close(&p);
    }
}

/* The bias of an expert moves one step against its load. */
Test(moe_layer, the_bias_balances)
{
    struct peer_moe_config config = config_of(DEEPSEEK, 1);
    struct pair p;
    pair_open(&p, &config, PEER_MODE_TRAIN, 2);
    float before[5];
    int64_t load[5] = {0};
    memcpy(before, p.layer->bias, sizeof before);
    for (int i = 0; i < 2 * T; i++)
        if (p.ids[i] >= 0)
            load[p.ids[i]]++;
    peer_ffw_backward(p.ffw, p.dx, p.dy, p.x, T);
    cr_expect_arr_eq(p.layer->bias, before, sizeof before, "moved before the step");
    peer_ffw_step(p.ffw);
    for (int e = 0; e < 5; e++) { /* mean 2 * 35 / 5 = 14 */
        float step = load[e] < 14 ? 0.125f : load[e] > 14 ? -0.125f : 0;
        cr_expect_eq(p.layer->bias[e], before[e] + step, "load %d", (int)load[e]);
    }
    /* Under such steps every expert is used in the end as much as others. */
    for (int i = 0; i < 200; i++) {
        p.layer->config.bias_rate = 0.125f / (float)(1 + i);
        peer_ffw_forward(p.ffw, p.y, p.x, p.mask, T, PEER_MODE_TRAIN);
        peer_ffw_backward(p.ffw, p.dx, p.dy, p.x, T);
        peer_ffw_step(p.ffw);
    }
    memset(load, 0, sizeof load);
    for (int i = 0; i < 2 * T; i++)
        if (p.cache->routes.ids[i] >= 0)
            load[p.cache->routes.ids[i]]++;
    for (int e = 0; e < 5; e++)
        cr_expect(load[e] >= 11 && load[e] <= 17, "load %d", (int)load[e]);
    pair_close(&p);
}

/* Four passes of a quarter of the tokens move it as one pass of all does, however their forward and
 * backward passes come; a step without passes moves nothing. */
Test(moe_layer, the_bias_moves_once_a_step)
{
    enum { PASSES = 4, PART = T / PASSES };
    struct peer_moe_config config = config_of(DEEPSEEK, 1);
    struct pair one, cut;
    float before[5], y[PART * D], dx[PART * D] = {0};
    struct peer_ffw_cache *caches[PASSES];
    pair_open(&one, &config, PEER_MODE_TRAIN, 1);
    pair_open(&cut, &config, PEER_MODE_TRAIN, 1);
    memcpy(before, one.layer->bias, sizeof before);
    for (int steps = 0; steps < 3; steps++) {
        peer_ffw_forward(one.ffw, one.y, one.x, NULL, PART * PASSES, PEER_MODE_TRAIN);
        peer_ffw_backward(one.ffw, one.dx, one.dy, one.x, PART * PASSES);
        peer_ffw_step(one.ffw);
        for (int i = 0; i < PASSES; i++) {
            struct peer_ffw_batch batch = {.x = cut.x + i * PART * D, .T = PART};
            cr_assert_eq(peer_ffw_cache_create(&caches[i], cut.ctx, cut.ffw, PART), PEER_OK);
            peer_ffw_cache_forward(caches[i], y, &batch, PEER_MODE_TRAIN);
        }
        for (int i = PASSES - 1; i >= 0; i--) {
            struct peer_ffw_batch batch = {.x = cut.x + i * PART * D, .T = PART};
            peer_ffw_cache_backward(caches[i], dx, cut.dy + i * PART * D, &batch);
            peer_ffw_cache_destroy(&caches[i]);
        }
        peer_ffw_step(cut.ffw);
        peer_ffw_step(cut.ffw);
        cr_expect_arr_neq(one.layer->bias, before, sizeof before);
        cr_expect_arr_eq(one.layer->bias, cut.layer->bias, sizeof before);
    }
    pair_close(&one);
    pair_close(&cut);
}

/* The balance loss of a pass of two tokens that are alike; evaluation counts nothing. */
static void expect_balance(struct peer_ffw *layer, float token, double expected)
{
    const float x[] = {token, token}, dy[] = {0, 0};
    float y[2], dx[2] = {0, 0};
    struct peer_ffw_loss losses[PEER_FFW_LOSSES];
    peer_ffw_forward(layer, y, x, NULL, 2, PEER_MODE_EVAL);
    peer_ffw_forward(layer, y, x, NULL, 2, PEER_MODE_TRAIN);
    cr_assert_eq(peer_ffw_losses(layer, losses), 1);
    cr_expect_float_eq(losses[0].value, expected, 1e-6, "%g", losses[0].value);
    peer_ffw_backward(layer, dx, dy, x, 2);
}

/* Two experts of probabilities (3, 1) / 4 for x = 1 and (1, 3) / 4 for x = -1. */
Test(moe_layer, loads_are_balanced_over_the_passes_of_a_step)
{
    struct peer_ctx *ctx = context(1);
    struct peer_ffw *layer = NULL;
    struct peer_moe_config config;
    struct peer_ffw_shape shape = {.width = 1, .tokens = 2, .tokens_per_step = 4};
    peer_ffw_mixtral.config_default(&config, 1);
    config.experts = 2;
    config.kept = 1;
    config.balance_loss = 1;
    config.z_loss = 0;
    cr_assert_eq(peer_ffw_create(&layer, ctx, &peer_ffw_mixtral, &config, &shape), PEER_OK);
    peer_moe_of(layer)->router[0] = logf(3) / 2;
    peer_moe_of(layer)->router[1] = -logf(3) / 2;
    /* Alone a pass costs E f P = 2 * 3/4; tokens of both sides make f = (1/2, 1/2). */
    expect_balance(layer, 1, 1.5);
    expect_balance(layer, -1, 1);
    peer_ffw_step(layer);
    expect_balance(layer, -1, 1.5);
    /* Where nobody calls it four tokens are a step, and what comes after them begins another. */
    expect_balance(layer, 1, 1);
    expect_balance(layer, 1, 1.5);
    peer_ffw_destroy(&layer);
    peer_ctx_destroy(&ctx);
}

/* Draws of training passes differ, and go on where key and count are restored. */
Test(moe_layer, draws_are_those_of_key_and_count)
{
    static const int drawing[] = {NOISY_TOPK, GSHARD, SWITCH};
    for (int i = 0; i < 3; i++) {
        struct peer_moe_config config = config_of(drawing[i], 0);
        config.second_threshold = 2;
        struct pair p;
        pair_open(&p, &config, PEER_MODE_TRAIN, 2);
        float second[T * D], again[T * D];
        peer_ffw_forward(p.ffw, second, p.x, p.mask, T, PEER_MODE_TRAIN);
        cr_expect_arr_neq(second, p.y, sizeof second, "%s", types[drawing[i]]->name);
        cr_expect_eq(p.layer->random.count[0], 2);
        peer_ffw_forward(p.ffw, again, p.x, p.mask, T, PEER_MODE_EVAL);
        cr_expect_eq(p.layer->random.count[0], 2);
        p.layer->random.count[0] = 1;
        peer_ffw_forward(p.ffw, again, p.x, p.mask, T, PEER_MODE_TRAIN);
        cr_expect_arr_eq(second, again, sizeof second, "%s", types[drawing[i]]->name);
        pair_close(&p);
    }
}

/* Of a forward pass in which every expert takes what the formula says: capacity 5/5 * k drops
 * nothing; 35 tokens times 1.0 divide by 5. */
Test(moe_layer, cost_is_what_is_counted)
{
    for (int i = 0; i < 2 * TYPES; i++) {
        struct peer_moe_config config = config_of(i / 2, i % 2);
        config.capacity = is(&config, EXPERT_CHOICE) ? 1 : 5;
        config.group = 0;
        config.second_threshold = 0;
        struct pair p;
        pair_open(&p, &config, PEER_MODE_TRAIN, 1);
        struct peer_cost cost;
        double y[T * D];
        types[i / 2]->cost(&cost, &config, D);
        cr_expect_eq(cost.params_total, peer_params_trained(&p.list));
        cr_expect(cost.params_active <= cost.params_total);
        memset(peer_counted, 0, PEER_PART_COUNT * sizeof *peer_counted);
        peer_moe_forward_f64(y, &p.twin, p.x64, T, false);
        for (int part = 0; part < PEER_PART_COUNT; part++) {
            int served = part == PEER_PART_EXPERTS ? T - 2 : T; /* padding is multiplied in vain */
            cr_expect_eq((double)peer_counted[part], served * cost.forward[part], "%s %s: %g, %g",
                         types[i / 2]->name, peer_part_names[part], (double)peer_counted[part],
                         served * cost.forward[part]);
            cr_expect_eq(cost.backward[part], 2 * cost.forward[part]);
        }
        pair_close(&p);
    }
}

Test(moe_layer, memory_is_what_is_held)
{
    for (int i = 0; i < 2 * TYPES; i++)
        for (int forward_only = 0; forward_only < 2; forward_only++) {
            struct peer_moe_config config = config_of(i / 2, i % 2);
            struct peer_ffw_shape shape = {
                .width = D, .tokens = T, .tokens_per_step = T, .forward_only = forward_only};
            struct peer_ctx *ctx = context(1);
            struct peer_ffw *layer = NULL;
            cr_assert_eq(peer_ffw_create(&layer, ctx, types[i / 2], &config, &shape), PEER_OK);
            double held = (double)peer_ctx_bytes(ctx);
            cr_expect_float_eq((double)peer_ffw_memory(types[i / 2], &config, &shape), held,
                               0.02 * held);
            peer_ffw_destroy(&layer);
            cr_expect_null(layer);
            peer_ffw_destroy(&layer);
            peer_ffw_destroy(NULL);
            shape.tokens = INT64_MAX / 8;
            cr_expect_eq(peer_ffw_memory(types[i / 2], &config, &shape), SIZE_MAX, "%s",
                         types[i / 2]->name);
            peer_ctx_destroy(&ctx);
        }
}

/* Without gradients the weights are buffers, and the output is the same. */
Test(moe_layer, forward_only_gives_the_same_output)
{
    for (int i = 0; i < 2 * TYPES; i++) {
        struct peer_moe_config config = config_of(i / 2, i % 2);
        struct pair p;
        pair_open(&p, &config, PEER_MODE_EVAL, 1);
        struct peer_ffw_shape shape = {.width = D, .tokens = T, .forward_only = true};
        struct peer_ffw *layer = NULL;
        struct peer_params list = peer_params_empty(p.ctx);
        float y[T * D];
        cr_assert_eq(peer_ffw_create(&layer, p.ctx, types[i / 2], &config, &shape), PEER_OK);
        cr_assert_eq(peer_ffw_params(layer, &list, ""), PEER_OK);
        cr_assert_eq(list.count, p.list.count);
        cr_expect_eq(peer_params_trained(&list), 0);
        for (int64_t j = 0; j < list.count; j++)
            memcpy(list.items[j].data, p.list.items[j].data,
                   (size_t)peer_param_size(&list.items[j]) * sizeof(float));
        peer_ffw_forward(layer, y, p.x, p.mask, T, PEER_MODE_EVAL);
        cr_expect_arr_eq(y, p.y, sizeof y, "%s", types[i / 2]->name);
        peer_params_free(&list);
        peer_ffw_destroy(&layer);
        pair_close(&p);
    }
}

static void expect_refused(int type, struct peer_moe_config config, const char *words)
{
    struct peer_ctx *ctx = context(1);
    struct peer_ffw_shape shape = {.width = D, .tokens = T, .tokens_per_step = T};
    struct peer_ffw *untouched = (struct peer_ffw *)(void *)&ctx, *layer = untouched;
    cr_expect_eq(types[type]->check(ctx, &config, D), PEER_ERR_ARGUMENT, "%s", words);
    cr_expect_eq(peer_ffw_create(&layer, ctx, types[type], &config, &shape), PEER_ERR_ARGUMENT);
    cr_expect_eq(layer, untouched);
    cr_expect_not_null(strstr(peer_ctx_error(ctx), words), "%s", peer_ctx_error(ctx));
    cr_expect_eq(peer_ctx_bytes(ctx), 0);
    peer_ctx_destroy(&ctx);
}

Test(moe_layer, refusals_carry_the_numbers)
{
    struct peer_moe_config c;
#define REFUSED(type, change, words)                                                               \
    (c = config_of(type, 0), change, expect_refused(type, c, words))
    static const int chosen[] = {MIXTRAL, NOISY_TOPK, DEEPSEEK, DROPLESS};
    for (int i = 0; i < 4; i++) {
        REFUSED(chosen[i], c.kept = 6, "kept = 6 of experts = 5");
        REFUSED(chosen[i], c.kept = 0, "kept = 0");
    }
    for (int i = 0; i < TYPES; i++) {
        REFUSED(i, c.experts = 0, "experts = 0");
        REFUSED(i, c.hidden = 0, "hidden = 0");
        REFUSED(i, c.rule = NULL, "config_default");
    }
    REFUSED(SWITCH, c.capacity = -1, "capacity = -1");
    REFUSED(SWITCH, c.capacity_eval = NAN, "capacity_eval = nan");
    REFUSED(SWITCH, c.jitter = 1.5f, "jitter = 1.5");
    REFUSED(MIXTRAL, c.balance_loss = -1, "balance_loss = -1");
    REFUSED(DEEPSEEK, (c.shared = 1024, c.hidden = 1025), "shared = 1024");
#undef REFUSED
    struct peer_ctx *ctx = context(1);
    struct peer_ffw_shape shape = {.width = D, .tokens = 0, .tokens_per_step = T};
    struct peer_ffw *layer = NULL;
    c = config_of(MIXTRAL, 0);
    cr_expect_eq(peer_ffw_create(&layer, ctx, &peer_ffw_mixtral, &c, &shape), PEER_ERR_ARGUMENT);
    shape.tokens = (int64_t)INT32_MAX / 2 + 1;
    cr_expect_eq(peer_ffw_create(&layer, ctx, &peer_ffw_mixtral, &c, &shape), PEER_ERR_ARGUMENT);
    shape.tokens = T;
    cr_expect_eq(peer_ffw_create(&layer, ctx, &peer_ffw_switch, &c, &shape), PEER_ERR_ARGUMENT);
    cr_expect_str_eq(peer_ctx_error(ctx), "switch: a config of mixtral");
    cr_expect_null(layer);
    cr_expect_eq(peer_ctx_bytes(ctx), 0);
    peer_ctx_destroy(&ctx);
}

static enum peer_status create(void **ret, struct peer_ctx *ctx, const void *config)
{
    struct peer_ffw_shape shape = {.width = D, .tokens = T, .tokens_per_step = T};
    const struct peer_moe_config *c = config;
    struct peer_ffw *layer;
    enum peer_status status = peer_ffw_create(&layer, ctx, c->rule->type, config, &shape);
    if (!status)
        *ret = layer;
    return status;
}

static void destroy(void **object)
{
    struct peer_ffw *layer = *object;
    peer_ffw_destroy(&layer);
    *object = layer;
}

Test(moe_layer, every_failed_allocation_is_reported_and_undone)
{
    for (int i = 0; i < 2 * TYPES; i++) {
        struct peer_moe_config config = config_of(i / 2, i % 2);
        cr_expect_gt(failing_every_allocation(create, destroy, &config), 25);
    }
}
