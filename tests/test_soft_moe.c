/* SPDX-License-Identifier: MIT */
/* Soft MoE against its double twin and by hand. */
#define PEER_REAL_DOUBLE
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "moe/soft_moe_ref.h"
#include "nn/random.h"
#include "tests/support/failing.h"
#include "tests/support/twin.h"

enum { SEED = 7, D = 7, F = 11, T = 37, G = 15 };

static const struct peer_ffw_type *const type = &peer_ffw_soft_moe;

/* Groups of 15, 15 and 7 tokens; 3 experts with 2 slots each. */
static struct peer_soft_moe_config config_of(bool gated)
{
    return (struct peer_soft_moe_config){.experts = 3,
                                         .slots = 2,
                                         .hidden = F,
                                         .activation = gated ? PEER_ACT_SILU : PEER_ACT_GELU,
                                         .gated = gated,
                                         .group = G};
}

struct pair {
    struct peer_ctx *ctx;
    struct peer_soft_moe_config config;
    struct peer_ffw *layer;
    struct peer_params list;
    float x[T * D], dy[T * D], y[T * D], dx[T * D];
    uint8_t mask[T];
    double *x64, *values[5];
    struct peer_soft_moe_f64 twin;
};

static const double *value(const struct pair *p, const char *name)
{
    const struct peer_param *param = peer_params_find(&p->list, name);
    return param ? p->values[param - p->list.items] : NULL;
}

/* A layer after one training pass; token 3 and the whole last group are padding. */
static void pair_open(struct pair *p, bool gated, int threads)
{
    struct peer_ctx_config own = peer_ctx_config_default();
    struct peer_ffw_shape shape = {.width = D, .tokens = T, .tokens_per_step = T};
    memset(p, 0, sizeof *p);
    own.threads = threads;
    p->config = config_of(gated);
    cr_assert_eq(peer_ctx_create(&p->ctx, &own), PEER_OK);
    cr_assert_eq(peer_ffw_create(&p->layer, p->ctx, type, &p->config, &shape), PEER_OK);
    p->list = peer_params_empty(p->ctx);
    cr_assert_eq(peer_ffw_params(p->layer, &p->list, ""), PEER_OK);
    peer_params_init(&p->list, SEED);
    peer_params_find(&p->list, "slots.scale")->data[0] = 3; /* softmaxes far from even */
    peer_fill_normal(p->x, T * D - 1, 0, 1, SEED, 1);
    peer_fill_normal(p->dy, T * D - 1, 0, 1, SEED, 2);
    memset(p->mask, 1, sizeof p->mask);
    p->mask[3] = 0;
    memset(p->mask + 2 * G, 0, T - 2 * G);
    p->x64 = twin_doubles(p->x, T * D);
    for (int64_t i = 0; i < p->list.count; i++)
        p->values[i] = twin_doubles(p->list.items[i].data, peer_param_size(&p->list.items[i]));
    peer_ffw_forward(p->layer, p->y, p->x, p->mask, T, PEER_MODE_TRAIN);
    p->twin = (struct peer_soft_moe_f64){.config = &p->config,
                                         .D = D,
                                         .phi = value(p, "slots"),
                                         .scale = value(p, "slots.scale"),
                                         .in = value(p, "experts.in"),
                                         .gate = value(p, "experts.gate"),
                                         .out = value(p, "experts.out"),
                                         .mask = p->mask};
}

static void pair_close(struct pair *p)
{
    for (int64_t i = 0; i < p->list.count; i++)
        free(p->values[i]);
    free(p->x64);
    peer_params_free(&p->list);
    peer_ffw_destroy(&p->layer);
    cr_expect_eq(peer_ctx_bytes(p->ctx), 0);
    peer_ctx_destroy(&p->ctx);
}

/* Sums of D, G, D, F and 6 slots in a chain, in u, with a condition of at most 8. */
static const double chain = 8 * 2 * (D + G + D + F + 6) * (FLT_EPSILON / 2);

static double scalar(void *user)
{
    struct pair *p = user;
    double y[T * D], sum = 0;
    peer_soft_moe_forward_f64(y, &p->twin, p->x64, T);
    for (int i = 0; i < T * D; i++)
        sum += p->dy[i] * y[i];
    return sum;
}

static void expect_slopes(struct pair *p, const char *what, const float *gradient, double *at,
                          int64_t n)
{
    double squares = 0;
    for (int64_t j = 0; j < n; j++)
        squares += (double)gradient[j] * gradient[j];
    cr_expect_gt(squares, 0, "%s has no gradient", what);
    for (int64_t j = 0; j < n; j += 1 + n / 17) {
        double slope = twin_slope(scalar, p, at + j, 1e-3);
        cr_expect_float_eq(gradient[j], slope, chain * sqrt(squares),
                           "%s[%d]: %.9g, twin %.9g, bound %.3g", what, (int)j, (double)gradient[j],
                           slope, chain * sqrt(squares));
    }
}

Test(soft_moe, output_and_gradients_are_the_twins)
{
    for (int gated = 0; gated < 2; gated++) {
        struct pair p;
        double y[T * D];
        pair_open(&p, gated, 2);
        peer_soft_moe_forward_f64(y, &p.twin, p.x64, T);
        for (int i = 0; i < T * D; i++)
            if (!p.mask[i / D])
                cr_expect(p.y[i] == 0);
            else
                cr_expect_float_eq(p.y[i], y[i], chain * twin_largest(y, 2 * G * D));
        peer_ffw_backward(p.layer, p.dx, p.dy, p.x, T);
        expect_slopes(&p, "x", p.dx, p.x64, T * D);
        for (int64_t j = 0; j < p.list.count; j++)
            expect_slopes(&p, p.list.items[j].name, p.list.items[j].grad, p.values[j],
                          peer_param_size(&p.list.items[j]));
        pair_close(&p);
    }
}

/* Of two tokens and one slot of one identity-like expert: y is the mean of the tokens by weights
 * exp(scale cos), the same for both. D = 2, x = (3, 4), (4, 0), phi along (1, 0): cosines 0.6, 1.
 */
Test(soft_moe, two_tokens_in_one_slot_by_hand)
{
    struct peer_ctx *ctx = NULL;
    struct peer_soft_moe_config config = {
        .experts = 1, .slots = 1, .hidden = 2, .activation = PEER_ACT_IDENTITY, .group = 2};
    struct peer_ffw_shape shape = {.width = 2, .tokens = 2, .tokens_per_step = 2};
    struct peer_ffw *layer = NULL;
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    cr_assert_eq(peer_ffw_create(&layer, ctx, type, &config, &shape), PEER_OK);
    struct peer_params list = peer_params_empty(ctx);
    cr_assert_eq(peer_ffw_params(layer, &list, ""), PEER_OK);
    static const float unit[] = {1, 0, 0, 1}, phi[] = {5, 0}, x[] = {3, 4, 4, 0};
    memcpy(peer_params_find(&list, "experts.in")->data, unit, sizeof unit);
    memcpy(peer_params_find(&list, "experts.out")->data, unit, sizeof unit);
    memcpy(peer_params_find(&list, "slots")->data, phi, sizeof phi);
    peer_params_find(&list, "slots.scale")->data[0] = 5 * logf(2);
    float y[4];
    peer_ffw_forward(layer, y, x, NULL, 2, PEER_MODE_EVAL);
    /* exp(5 log 2 (1 - 0.6)) = 4: weights 1/5 and 4/5. */
    static const double expected[] = {(3 + 4 * 4) / 5., 4 / 5., (3 + 4 * 4) / 5., 4 / 5.};
    for (int i = 0; i < 4; i++)
        cr_expect_float_eq(y[i], expected[i], 1e-5, "%g", (double)y[i]);
    peer_params_free(&list);
    peer_ffw_destroy(&layer);
    peer_ctx_destroy(&ctx);
}

/* A later token of the group changes earlier outputs; other groups' do not. */
Test(soft_moe, tokens_see_their_group_later_ones_included)
{
    struct pair p;
    float y[T * D];
    pair_open(&p, false, 1);
    for (int d = 0; d < D; d++)
        p.x[(G - 1) * D + d] += 1;
    peer_ffw_forward(p.layer, y, p.x, p.mask, T, PEER_MODE_EVAL);
    double first = 0;
    for (int i = 0; i < D; i++)
        first = fmax(first, fabs((double)y[i] - p.y[i]));
    cr_expect_gt(first, 1e-3);
    cr_expect_arr_eq(y + G * D, p.y + G * D, (T - G) * D * sizeof(float));
    cr_expect(type->traits(&p.config) & PEER_FFW_NOT_CAUSAL);
    pair_close(&p);
}

Test(soft_moe, same_bits_for_any_number_of_threads)
{
    struct pair p[3];
    for (int n = 0; n < 3; n++) {
        pair_open(&p[n], true, n + 1);
        peer_ffw_backward(p[n].layer, p[n].dx, p[n].dy, p[n].x, T);
        cr_expect_arr_eq(p[n].y, p[0].y, sizeof p[n].y);
        cr_expect_arr_eq(p[n].dx, p[0].dx, sizeof p[n].dx);
        for (int64_t j = 0; j < p[n].list.count; j++)
            cr_expect_arr_eq(p[n].list.items[j].grad, p[0].list.items[j].grad,
                             (size_t)peer_param_size(&p[n].list.items[j]) * sizeof(float));
    }
    for (int n = 0; n < 3; n++)
        pair_close(&p[n]);
}

Test(soft_moe, cost_and_memory_are_what_is_counted_and_held)
{
    for (int gated = 0; gated < 2; gated++) {
        struct pair p;
        struct peer_cost cost;
        struct peer_ffw_shape shape = {.width = D, .tokens = T, .tokens_per_step = T};
        double y[T * D];
        pair_open(&p, gated, 1);
        type->cost(&cost, &p.config, D);
        cr_expect_eq(cost.params_total, peer_params_trained(&p.list));
        memset(peer_counted, 0, PEER_PART_COUNT * sizeof *peer_counted);
        peer_soft_moe_forward_f64(y, &p.twin, p.x64, 2 * G);
        for (int part = 0; part < PEER_PART_COUNT; part++)
            cr_expect_float_eq((double)peer_counted[part], 2 * G * cost.forward[part], 1e-6, "%s",
                               peer_part_names[part]);
        size_t listed = (size_t)p.list.capacity * sizeof *p.list.items;
        double held = (double)(peer_ctx_bytes(p.ctx) - listed);
        cr_expect_float_eq((double)peer_ffw_memory(type, &p.config, &shape), held, 0.05 * held);
        pair_close(&p);
    }
}

static void expect_refused(const struct peer_soft_moe_config *config, const char *words)
{
    struct peer_ctx *ctx = NULL;
    struct peer_ffw_shape shape = {.width = D, .tokens = T, .tokens_per_step = T};
    struct peer_ffw *layer = NULL;
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    cr_expect_eq(peer_ffw_create(&layer, ctx, type, config, &shape), PEER_ERR_ARGUMENT, "%s",
                 words);
    cr_expect_not_null(strstr(peer_ctx_error(ctx), words), "%s", peer_ctx_error(ctx));
    cr_expect_null(layer);
    peer_ctx_destroy(&ctx);
}

Test(soft_moe, refusals_carry_the_numbers)
{
    struct peer_soft_moe_config good = config_of(false), c;
#define REFUSED(change, words) (c = good, change, expect_refused(&c, words))
    REFUSED(c.experts = 0, "experts = 0");
    REFUSED(c.slots = 0, "slots = 0");
    REFUSED(c.group = 0, "group = 0");
    REFUSED(c.hidden = 0, "hidden = 0");
    REFUSED((c.experts = c.slots = 65536), "tokens = 37");
#undef REFUSED
}

static enum peer_status create(void **ret, struct peer_ctx *ctx, const void *config)
{
    struct peer_ffw_shape shape = {.width = D, .tokens = T, .tokens_per_step = T};
    struct peer_ffw *layer;
    enum peer_status status = peer_ffw_create(&layer, ctx, type, config, &shape);
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

Test(soft_moe, every_failed_allocation_is_reported_and_undone)
{
    struct peer_soft_moe_config config = config_of(true);
    cr_expect_gt(failing_every_allocation(create, destroy, &config), 30);
}
