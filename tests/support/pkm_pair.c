/* SPDX-License-Identifier: MIT */
#include "tests/support/pkm_pair.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/random.h"
#include "pkm/config.h"

const char *const pkm_array_names[PKM_ARRAYS] = {"query",  "query_norm.gain", "query_norm.bias",
                                                 "keys",   "values",          "gate",
                                                 "output", "query_norm.mean", "query_norm.var"};

static void *zeroes(int64_t n, size_t elem)
{
    void *memory = calloc((size_t)n + 1, elem);
    cr_assert_not_null(memory);
    return memory;
}

static double *doubles(int64_t n)
{
    return zeroes(n, sizeof(double));
}

static void widen(double *to, const float *from, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = from[i];
}

static void create_object(struct pkm_pair *p)
{
    enum peer_status status;
    p->params = peer_params_empty(p->ctx);
    if (p->alone) {
        struct pkm_retrieval_config config = pkm_layer_retrieval(&p->config, p->D);
        status = pkm_retrieval_create(&p->retrieval, p->ctx, &config);
        cr_assert_eq(status, PEER_OK, "%s", peer_ctx_error(p->ctx));
        status = pkm_retrieval_cache_create(&p->cache_of, p->ctx, p->retrieval, p->T);
        cr_assert_eq(status, PEER_OK, "%s", peer_ctx_error(p->ctx));
        status = pkm_retrieval_params(p->retrieval, &p->params, "");
    } else {
        struct peer_ffw_shape shape = {.width = p->D, .tokens = p->T, .tokens_per_step = 2 * p->T};
        status = pkm_layer_create(&p->layer, p->ctx, &p->config, &shape);
        cr_assert_eq(status, PEER_OK, "%s", peer_ctx_error(p->ctx));
        status = peer_ffw_params(p->layer, &p->params, "");
    }
    cr_assert_eq(status, PEER_OK, "%s", peer_ctx_error(p->ctx));
}

/* Weights as at the start, but for the norm, whose gains, biases and statistics are moved. */
static void draw(struct pkm_pair *p, uint64_t seed)
{
    peer_params_init(&p->params, seed);
    for (int a = 0; a < PKM_ARRAYS; a++) {
        const struct peer_param *param = peer_params_find(&p->params, pkm_array_names[a]);
        if (!param)
            continue;
        p->size[a] = peer_param_size(param);
        p->value[a] = doubles(p->size[a]);
        if (a < PKM_TRAINED)
            p->grad[a] = doubles(p->size[a]);
        if (a == PKM_GAIN || a == PKM_BIAS || a == PKM_MEAN)
            peer_fill_normal(param->data, p->size[a], a == PKM_GAIN, 0.3f, seed, (uint64_t)a);
        if (a == PKM_VAR)
            peer_fill_uniform(param->data, p->size[a], 0.5f, 2, seed, (uint64_t)a);
        widen(p->value[a], param->data, p->size[a]);
    }
    peer_fill_normal(p->x, p->T * p->D, 0, 1, seed, 101);
    peer_fill_normal(p->dout, p->T * p->outs, 0, 1, seed, 102);
    widen(p->twin_x, p->x, p->T * p->D);
    widen(p->twin_dout, p->dout, p->T * p->outs);
}

static void create_cache(struct pkm_pair *p)
{
    int64_t queries = p->T * p->config.heads * p->config.query_width;
    struct pkm_retrieval_cache_f64 *r = &p->cache.retrieval;
    r->q_raw = doubles(queries);
    r->q = doubles(queries);
    r->dq = doubles(queries);
    r->dq_raw = doubles(queries);
    r->mean = doubles(queries);
    r->inv_dev = doubles(queries);
    r->ids = zeroes(p->T * p->slots, sizeof *r->ids);
    r->scores = doubles(p->T * p->slots);
    r->gates = doubles(p->T * p->slots);
    r->sub = doubles(2 * p->config.memories);
    p->cache.memory = doubles(p->T * p->D);
    p->cache.z = doubles(p->T * p->D);
    p->cache.dgates = doubles(p->T * p->slots);
    p->cache.dmemory = doubles(p->T * p->D);
    p->cache.scratch = doubles(p->D);
}

struct pkm_pair *pkm_pair_create(const struct pkm_config *config, bool alone, int64_t D, int64_t T,
                                 int threads, uint64_t seed)
{
    struct pkm_pair *p = zeroes(1, sizeof *p);
    p->config = *config;
    p->alone = alone;
    p->D = D;
    p->T = T;
    p->slots = config->heads * config->kept;
    p->outs = alone ? p->slots : D;
    struct peer_ctx_config ctx_config = peer_ctx_config_default();
    ctx_config.threads = threads;
    cr_assert_eq(peer_ctx_create(&p->ctx, &ctx_config), PEER_OK);
    create_object(p);
    p->x = zeroes(T * D, sizeof(float));
    p->dx = zeroes(T * D, sizeof(float));
    p->out = zeroes(T * p->outs, sizeof(float));
    p->dout = zeroes(T * p->outs, sizeof(float));
    p->twin_x = doubles(T * D);
    p->twin_dx = doubles(T * D);
    p->twin_out = doubles(T * p->outs);
    p->twin_dout = doubles(T * p->outs);
    draw(p, seed);
    create_cache(p);
    return p;
}

void pkm_pair_destroy(struct pkm_pair *p)
{
    struct pkm_retrieval_cache_f64 *r = &p->cache.retrieval;
    void *blocks[] = {
        p->x,       p->dx,           p->out,           p->dout,         p->mask,
        p->twin_x,  p->twin_dx,      p->twin_out,      p->twin_dout,    r->q_raw,
        r->q,       r->dq,           r->dq_raw,        r->mean,         r->inv_dev,
        r->ids,     r->scores,       r->gates,         r->sub,          p->cache.memory,
        p->cache.z, p->cache.dgates, p->cache.dmemory, p->cache.scratch};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        free(blocks[i]);
    for (int a = 0; a < PKM_ARRAYS; a++) {
        free(p->value[a]);
        if (a < PKM_TRAINED)
            free(p->grad[a]);
    }
    peer_params_free(&p->params);
    peer_ffw_destroy(&p->layer);
    pkm_retrieval_cache_destroy(&p->cache_of);
    pkm_retrieval_destroy(&p->retrieval);
    peer_ctx_destroy(&p->ctx);
    free(p);
}

void pkm_pair_mask(struct pkm_pair *p, int64_t period)
{
    p->mask = zeroes(p->T, 1);
    for (int64_t t = 0; t < p->T; t++)
        p->mask[t] = t % period != 1;
}

struct peer_routing pkm_pair_routing(const struct pkm_pair *p)
{
    struct peer_routing routing;
    if (p->alone)
        return pkm_retrieval_result(p->cache_of);
    cr_assert(peer_ffw_routing(p->layer, &routing));
    return routing;
}

void pkm_pair_forward(struct pkm_pair *p, enum peer_mode mode)
{
    if (!p->alone) {
        peer_ffw_forward(p->layer, p->out, p->x, p->mask, p->T, mode);
        return;
    }
    pkm_retrieval_forward(p->cache_of, p->x, p->mask, p->T, mode);
    memcpy(p->out, pkm_retrieval_result(p->cache_of).gates,
           (size_t)(p->T * p->slots) * sizeof *p->out);
}

void pkm_pair_run(struct pkm_pair *p)
{
    peer_params_zero_grad(&p->params);
    memset(p->dx, 0, (size_t)(p->T * p->D) * sizeof *p->dx);
    pkm_pair_forward(p, PEER_MODE_TRAIN);
    if (p->alone)
        pkm_retrieval_backward(p->cache_of, p->dx, p->dout, p->x, p->mask, p->T);
    else
        peer_ffw_backward(p->layer, p->dx, p->dout, p->x, p->T);
}

float *pkm_pair_gradient(const struct pkm_pair *p, enum pkm_array array)
{
    const struct peer_param *param = peer_params_find(&p->params, pkm_array_names[array]);
    float *g = zeroes(p->size[array], sizeof *g);
    if (param->kind == PEER_PARAM_DENSE) {
        memcpy(g, param->grad, (size_t)p->size[array] * sizeof *g);
        return g;
    }
    peer_rows_group(param->rows);
    for (int64_t i = 0; i < param->rows->touched; i++)
        peer_rows_gradient(g + param->rows->ids[i] * p->D, param->rows, i);
    return g;
}

void pkm_pair_fix_routing(struct pkm_pair *p)
{
    memcpy(p->cache.retrieval.ids, pkm_pair_routing(p).ids,
           (size_t)(p->T * p->slots) * sizeof(int32_t));
    p->cache.retrieval.fixed = true;
}

static struct pkm_layer_weights_f64 weights_of(const struct pkm_pair *p)
{
    double *const *v = p->value;
    return (struct pkm_layer_weights_f64){.retrieval = {.query = v[PKM_QUERY],
                                                        .gain = v[PKM_GAIN],
                                                        .bias = v[PKM_BIAS],
                                                        .mean = v[PKM_MEAN],
                                                        .var = v[PKM_VAR],
                                                        .keys = v[PKM_KEYS]},
                                          .values = v[PKM_VALUES],
                                          .w1 = v[PKM_GATE],
                                          .w2 = v[PKM_OUTPUT]};
}

double pkm_pair_twin_loss(struct pkm_pair *p, bool train)
{
    struct pkm_layer_weights_f64 weights = weights_of(p);
    if (p->alone) {
        struct pkm_retrieval_config config = pkm_layer_retrieval(&p->config, p->D);
        pkm_retrieval_forward_f64(&p->cache.retrieval, &weights.retrieval, p->twin_x, p->mask, p->T,
                                  &config, train);
        memcpy(p->twin_out, p->cache.retrieval.gates, (size_t)(p->T * p->slots) * sizeof(double));
    } else {
        pkm_layer_forward_f64(p->twin_out, &p->cache, &weights, p->twin_x, p->mask, p->T, p->D,
                              &p->config, train);
    }
    double loss = 0;
    for (int64_t i = 0; i < p->T * p->outs; i++)
        loss += p->twin_out[i] * p->twin_dout[i];
    return loss;
}

void pkm_pair_twin_backward(struct pkm_pair *p)
{
    struct pkm_layer_weights_f64 weights = weights_of(p);
    for (int a = 0; a < PKM_TRAINED; a++)
        if (p->size[a])
            memset(p->grad[a], 0, (size_t)p->size[a] * sizeof(double));
    memset(p->twin_dx, 0, (size_t)(p->T * p->D) * sizeof(double));
    struct pkm_layer_grads_f64 grads = {.retrieval = {.query = p->grad[PKM_QUERY],
                                                      .gain = p->grad[PKM_GAIN],
                                                      .bias = p->grad[PKM_BIAS],
                                                      .keys = p->grad[PKM_KEYS]},
                                        .values = p->grad[PKM_VALUES],
                                        .w1 = p->grad[PKM_GATE],
                                        .w2 = p->grad[PKM_OUTPUT]};
    if (!p->alone) {
        pkm_layer_backward_f64(p->twin_dx, &grads, &p->cache, &weights, p->twin_dout, p->twin_x,
                               p->mask, p->T, p->D, &p->config);
        return;
    }
    struct pkm_retrieval_config config = pkm_layer_retrieval(&p->config, p->D);
    pkm_retrieval_backward_f64(p->twin_dx, &grads.retrieval, &p->cache.retrieval,
                               &weights.retrieval, p->twin_dout, p->twin_x, p->mask, p->T, &config);
}

static double largest(const double *x, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++)
        most = fmax(most, fabs(x[i]));
    return most;
}

/* Four-point central differences with step h err by h^4/30 of the fifth derivative and by some 10
 * roundings of the loss over h: 1e-12 times a number that norms can drive to 1e4, and 1e-12. */
static void expect_difference(struct pkm_pair *p, const char *what, double *x, const double *dx,
                              int64_t n)
{
    const double h = 1e-3;
    double bound = 1e-7 * fmax(1, largest(dx, n));
    for (int64_t i = 0; i < n; i++) {
        double kept = x[i], loss[4];
        const double steps[] = {-2 * h, -h, h, 2 * h};
        for (int s = 0; s < 4; s++) {
            x[i] = kept + steps[s];
            loss[s] = pkm_pair_twin_loss(p, true);
        }
        x[i] = kept;
        double slope = (loss[0] - 8 * loss[1] + 8 * loss[2] - loss[3]) / (12 * h);
        cr_expect_leq(fabs(slope - dx[i]), bound, "%s[%d]: gradient %.12g, difference %.12g", what,
                      (int)i, dx[i], slope);
    }
}

void pkm_pair_expect_differences(struct pkm_pair *p)
{
    pkm_pair_twin_loss(p, true);
    p->cache.retrieval.fixed = true;
    pkm_pair_twin_backward(p);
    expect_difference(p, "x", p->twin_x, p->twin_dx, p->T * p->D);
    for (int a = 0; a < PKM_TRAINED; a++)
        if (p->size[a])
            expect_difference(p, pkm_array_names[a], p->value[a], p->grad[a], p->size[a]);
}

/* The most by which the norm magnifies what comes in. */
static double norm_scale(const struct pkm_pair *p)
{
    int64_t queries = p->T * p->config.heads * p->config.query_width;
    bool norm = p->config.query_norm != PEER_NORM_NONE;
    return norm ? fmax(1, largest(p->cache.retrieval.inv_dev, queries)) : 1;
}

/* Rounding relative to the largest value of an array. A value passes through some four sums: of D
 * (queries), K (norms, scores), H*k (values, queries' gradients) and T (batch statistics, weights'
 * gradients) terms. Each errs by at most its number of terms times epsilon/2. A softmax turns the
 * error of a score into a relative one, so it counts times the score; a norm divides by the
 * deviation. */
static double tolerance(const struct pkm_pair *p)
{
    double scores = largest(p->cache.retrieval.scores, p->T * p->slots);
    double terms = (double)(p->D + p->config.query_width + p->slots + p->T);
    return 2 * (double)FLT_EPSILON * terms * fmax(1, scores) * norm_scale(p);
}

/* `scale`: a magnitude below the largest value that still rounds like it. */
static void expect_close(const char *what, const float *got, const double *expected, int64_t n,
                         double bound, double scale)
{
    bound *= fmax(scale, largest(expected, n));
    for (int64_t i = 0; i < n; i++)
        cr_expect_leq(fabs(got[i] - expected[i]), bound, "%s[%d] = %.9g, twin %.9g, bound %.2g",
                      what, (int)i, (double)got[i], expected[i], bound);
}

/* The ids that the layer found, scored by the twin, against the best that the twin finds: rank by
 * rank the same score to rounding, though near ties may be other ids. */
static double expect_best_scores(struct pkm_pair *p)
{
    size_t bytes = (size_t)(p->T * p->slots) * sizeof(double);
    double *best = doubles(p->T * p->slots), *found = p->cache.retrieval.scores;
    pkm_pair_twin_loss(p, true);
    memcpy(best, found, bytes);
    pkm_pair_fix_routing(p);
    pkm_pair_twin_loss(p, true);
    double bound = tolerance(p);
    for (int64_t i = 0; i < p->T * p->slots; i++)
        cr_expect_leq(fabs(found[i] - best[i]), bound, "score[%d] = %.9g, best %.9g, bound %.2g",
                      (int)i, found[i], best[i], bound);
    free(best);
    return bound;
}

void pkm_pair_expect_twin(struct pkm_pair *p)
{
    pkm_pair_run(p);
    double bound = expect_best_scores(p);
    pkm_pair_twin_backward(p);
    /* A norm takes parts of the queries' gradients away again; these have rounded before. */
    int64_t queries = p->T * p->config.heads * p->config.query_width;
    double before = largest(p->cache.retrieval.dq, queries) * norm_scale(p);
    expect_close("out", p->out, p->twin_out, p->T * p->outs, bound, 0);
    expect_close("dx", p->dx, p->twin_dx, p->T * p->D, bound, before);
    for (int a = 0; a < PKM_TRAINED; a++) {
        if (!p->size[a])
            continue;
        float *g = pkm_pair_gradient(p, a);
        expect_close(pkm_array_names[a], g, p->grad[a], p->size[a], bound,
                     a == PKM_QUERY ? before : 0);
        free(g);
    }
    p->cache.retrieval.fixed = false;
}

void pkm_pair_expect_cost(struct pkm_pair *p, const struct peer_cost *cost)
{
    for (int part = 0; part < PEER_PART_COUNT; part++)
        peer_counted[part] = 0;
    pkm_pair_twin_loss(p, true);
    for (int part = 0; part < PEER_PART_COUNT; part++) {
        cr_expect_eq((double)peer_counted[part], (double)p->T * cost->forward[part],
                     "forward %s: counted %lld, formula %.0f", peer_part_names[part],
                     (long long)peer_counted[part], (double)p->T * cost->forward[part]);
        peer_counted[part] = 0;
    }
    pkm_pair_twin_backward(p);
    for (int part = 0; part < PEER_PART_COUNT; part++)
        cr_expect_eq((double)peer_counted[part], (double)p->T * cost->backward[part],
                     "backward %s: counted %lld, formula %.0f", peer_part_names[part],
                     (long long)peer_counted[part], (double)p->T * cost->backward[part]);
}
