/* SPDX-License-Identifier: MIT */
/* The whole model in float against its double twin, with the routing that the float model found. */
#define PEER_REAL_DOUBLE
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lm/model_ref.h"
#include "nn/random.h"
#include "tests/support/lm_case.h"
#include "tests/support/twin.h"

enum { SEED = 20261127, B = 2, S = 17, T = B * S, SPOTS = 3 };

struct pair {
    struct lm_case lm_case;
    struct peer_ctx *ctx;
    struct lm_model *model;
    const struct peer_params *list;
    int32_t *inputs, *targets;
    int32_t *ids[3];    /* routing of each block */
    double *values[64]; /* weights before the pass, which moves running statistics */
    double *direction[64];
    double reach; /* how far along it the twin stands */
    struct lm_pass_f64 pass;
    float losses[T];
    double loss; /* mean, float */
};

/* Takes over the routing of the float model's last pass. */
static void pair_route(struct pair *p)
{
    for (int64_t i = 0; i < p->lm_case.config.blocks; i++) {
        struct peer_routing routing;
        if (!lm_model_routing(p->model, i, &routing))
            continue;
        size_t bytes = (size_t)(T * routing.heads * routing.kept) * sizeof(int32_t);
        p->ids[i] = realloc(p->ids[i], bytes);
        memcpy(p->ids[i], routing.ids, bytes);
    }
}

/* A model after one pass of the float side; the last two tokens are padding. */
static bool pair_open(struct pair *p, int number, enum peer_mode mode)
{
    memset(p, 0, sizeof *p);
    if (!lm_case_get(&p->lm_case, number))
        return false;
    p->ctx = lm_case_ctx(2);
    p->model = lm_case_model(&p->lm_case, p->ctx, T, true);
    p->list = lm_model_params(p->model);
    p->inputs = lm_case_ids(T, 61, 3);
    p->targets = lm_case_ids(T, 61, 4);
    p->inputs[T - 1] = p->inputs[T - 2] = -1;
    p->targets[5] = -1;
    for (int64_t i = 0; i < p->list->count; i++)
        p->values[i] = twin_doubles(p->list->items[i].data, peer_param_size(&p->list->items[i]));
    int64_t scored;
    p->loss = lm_model_forward(p->model, &scored, p->losses, p->inputs, p->targets, B, S, mode);
    p->loss /= (double)scored;
    cr_assert_eq(scored, T - 3);
    pair_route(p);
    p->pass = (struct lm_pass_f64){.config = &p->lm_case.config,
                                   .list = p->list,
                                   .values = p->values,
                                   .inputs = p->inputs,
                                   .targets = p->targets,
                                   .B = B,
                                   .S = S,
                                   .mode = mode,
                                   .ids = p->ids,
                                   .fixed = true};
    return true;
}

static void pair_close(struct pair *p)
{
    for (int64_t i = 0; i < p->list->count; i++) {
        free(p->values[i]);
        free(p->direction[i]);
    }
    for (int i = 0; i < 3; i++)
        free(p->ids[i]);
    free(p->inputs);
    free(p->targets);
    lm_model_destroy(&p->model);
    peer_ctx_destroy(&p->ctx);
}

static double mean_loss(void *user)
{
    struct pair *p = user;
    int64_t scored;
    double losses[T];
    return lm_model_loss_f64(&p->pass, &scored, losses) / (double)scored;
}

/* The mean loss at values + reach * direction. */
static double mean_loss_along(void *user)
{
    struct pair *p = user;
    double *at[64];
    for (int64_t i = 0; i < p->list->count; i++) {
        int64_t n = peer_param_size(&p->list->items[i]);
        at[i] = twin_zeros(n);
        for (int64_t j = 0; j < n; j++)
            at[i][j] = p->values[i][j] + p->reach * (p->direction[i] ? p->direction[i][j] : 0);
    }
    p->pass.values = at;
    double loss = mean_loss(p);
    p->pass.values = p->values;
    for (int64_t i = 0; i < p->list->count; i++)
        free(at[i]);
    return loss;
}

/* Every branch of the 3 blocks is about five sums of at most D, S, F or V = 61 terms, each with a
 * relative error of 61 u, forward and again backward; the errors of chained sums add up. This takes
 * the sums' condition to be at most 1, which the random values here stay below. */
static const double chain = 2 * 3 * 2 * 5 * 61 * (FLT_EPSILON / 2);

Test(model_twin, losses_are_the_twins)
{
    struct pair p;
    for (int mode = PEER_MODE_EVAL; mode <= PEER_MODE_TRAIN; mode++)
        for (int i = 0; pair_open(&p, i, (enum peer_mode)mode); i++) {
            double losses[T], sum;
            int64_t scored;
            sum = lm_model_loss_f64(&p.pass, &scored, losses);
            cr_expect_float_eq(p.loss, sum / (double)scored, chain * p.loss, "%s: %.9g, twin %.9g",
                               p.lm_case.name, p.loss, sum / (double)scored);
            cr_expect_leq(twin_distance(p.losses, losses, T), chain * twin_largest(losses, T), "%s",
                          p.lm_case.name);
            pair_close(&p);
        }
}

/* Along a random direction r of length 1, |g . r - slope| <= chain |g|. */
static void expect_slope_along(struct pair *p)
{
    double product = 0, squares = 0, length = 0;
    for (int64_t i = 0; i < p->list->count; i++) {
        const struct peer_param *param = &p->list->items[i];
        if (param->kind == PEER_PARAM_BUFFER)
            continue;
        int64_t n = peer_param_size(param);
        float *gradient = lm_case_gradient(param), *r = twin_floats(n, 0, 1, SEED, param->name);
        p->direction[i] = twin_doubles(r, n);
        for (int64_t j = 0; j < n; j++) {
            product += (double)gradient[j] * r[j];
            squares += (double)gradient[j] * gradient[j];
            length += (double)r[j] * r[j];
        }
        free(gradient);
        free(r);
    }
    /* The function's step is in units of the direction. */
    double slope = twin_slope(mean_loss_along, p, &p->reach, 1e-3 / sqrt(length)) / sqrt(length);
    product /= sqrt(length);
    cr_expect_float_eq(product, slope, chain * sqrt(squares), "%s: %.9g, twin %.9g, bound %.3g",
                       p->lm_case.name, product, slope, chain * sqrt(squares));
}

/* A few entries of each parameter that the batch touched, the largest one included. */
static void expect_slopes(struct pair *p, int64_t i)
{
    const struct peer_param *param = &p->list->items[i];
    int64_t n = peer_param_size(param), places[SPOTS] = {0};
    float *gradient = lm_case_gradient(param);
    double squares = 0;
    for (int64_t j = 0; j < n; j++) {
        squares += (double)gradient[j] * gradient[j];
        if (fabsf(gradient[j]) > fabsf(gradient[places[0]]))
            places[0] = j;
    }
    cr_expect_gt(squares, 0, "%s %s has no gradient", p->lm_case.name, param->name);
    for (int s = 1; s < SPOTS; s++)
        places[s] = peer_random_below(SEED, peer_stream(param->name), (uint64_t)s, (uint32_t)n);
    for (int s = 0; s < SPOTS; s++) {
        double slope = twin_slope(mean_loss, p, &p->values[i][places[s]], 1e-3);
        cr_expect_float_eq(gradient[places[s]], slope, chain * sqrt(squares),
                           "%s %s[%lld]: %.9g, twin %.9g, bound %.3g", p->lm_case.name, param->name,
                           (long long)places[s], (double)gradient[places[s]], slope,
                           chain * sqrt(squares));
    }
    free(gradient);
}

Test(model_twin, gradients_are_the_twins_central_differences)
{
    struct pair p;
    for (int i = 0; pair_open(&p, i, PEER_MODE_TRAIN); i++) {
        cr_assert_leq(p.list->count, 64);
        lm_model_backward(p.model, 1);
        expect_slope_along(&p);
        for (int64_t j = 0; j < p.list->count; j++)
            if (p.list->items[j].kind != PEER_PARAM_BUFFER)
                expect_slopes(&p, j);
        pair_close(&p);
    }
}

/* `scale` multiplies every gradient; a power of two exactly. */
Test(model_twin, scale_reaches_every_gradient)
{
    struct pair one, half;
    for (int i = 0; pair_open(&one, i, PEER_MODE_TRAIN); i++) {
        pair_open(&half, i, PEER_MODE_TRAIN);
        lm_model_backward(one.model, 1);
        lm_model_backward(half.model, 0.5f);
        for (int64_t j = 0; j < one.list->count; j++) {
            int64_t n = peer_param_size(&one.list->items[j]), wrong = 0;
            float *whole = lm_case_gradient(&one.list->items[j]);
            float *scaled = lm_case_gradient(&half.list->items[j]);
            for (int64_t e = 0; e < n; e++)
                wrong += fabsf(scaled[e] - whole[e] / 2) > 1e-6f * fabsf(whole[e]);
            cr_expect_eq(wrong, 0, "%s %s: %lld values", one.lm_case.name, one.list->items[j].name,
                         (long long)wrong);
            free(whole);
            free(scaled);
        }
        pair_close(&one);
        pair_close(&half);
    }
}

/* What the twin counts, of a pass without padding, is the cost per token. Selection is left to the
 * layers' own tests: the twin's search is exhaustive. */
Test(model_twin, cost_is_what_is_counted)
{
    struct pair p;
    for (int i = 0; pair_open(&p, i, PEER_MODE_EVAL); i++) {
        struct peer_cost cost;
        double losses[T];
        int64_t scored;
        lm_config_cost(&cost, &p.lm_case.config, S);
        p.inputs[T - 1] = p.inputs[T - 2] = p.inputs[0];
        lm_model_forward(p.model, &scored, NULL, p.inputs, p.targets, B, S, PEER_MODE_EVAL);
        pair_route(&p);
        memset(peer_counted, 0, PEER_PART_COUNT * sizeof *peer_counted);
        lm_model_loss_f64(&p.pass, &scored, losses);
        for (int part = 0; part < PEER_PART_COUNT; part++)
            if (part != PEER_PART_SELECTION && part != PEER_PART_SCORES)
                cr_expect_float_eq((double)peer_counted[part], T * cost.forward[part], 0.01,
                                   "%s %s: %lld counted, %g by the formula", p.lm_case.name,
                                   peer_part_names[part], (long long)peer_counted[part],
                                   T * cost.forward[part]);
        pair_close(&p);
    }
}
