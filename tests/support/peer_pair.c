/* SPDX-License-Identifier: MIT */
#include "tests/support/peer_pair.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/random.h"

const char *const pair_names[PAIR_ARRAYS] = {"query",         "query_norm.gain", "query_norm.bias",
                                             "keys",          "experts",         "query_norm.mean",
                                             "query_norm.var"};

static void *zeros(int64_t count, size_t size)
{
    void *memory = calloc(count ? (size_t)count : 1, size);
    cr_assert_not_null(memory);
    return memory;
}

static double *doubles(int64_t count)
{
    return zeros(count, sizeof(double));
}

static float *floats(int64_t count)
{
    return zeros(count, sizeof(float));
}

struct peer_layer_config pair_config(int64_t D)
{
    struct peer_layer_config config = peer_layer_config_default(D);
    config.experts = 49;
    config.heads = 3;
    config.kept = 5;
    config.query_width = 6;
    return config;
}

/* Every value random: gains and variances around 1, the rest around 0. */
static void randomize(struct peer_pair *pair, uint64_t seed)
{
    const float width = 1 / sqrtf((float)pair->D);
    const float scale[PAIR_ARRAYS] = {width, 0, 0.3f, 0.7f, width, 0.2f, 0};
    for (int a = 0; a < PAIR_ARRAYS; a++) {
        struct peer_param *param = peer_params_find(&pair->params, pair_names[a]);
        if (!param)
            continue;
        pair->size[a] = peer_param_size(param);
        if (scale[a] > 0)
            peer_fill_normal(param->data, pair->size[a], 0, scale[a], seed, (uint64_t)a);
        else
            peer_fill_uniform(param->data, pair->size[a], 0.5f, 1.5f, seed, (uint64_t)a);
    }
    peer_fill_normal(pair->x, pair->T * pair->D, 0, 1, seed, 100);
    peer_fill_normal(pair->dy, pair->T * pair->D, 0, 1, seed, 101);
}

/* The doubles of the twin's cache, by where their pointers live and how many they are. */
enum { CACHE_ARRAYS = 12 };

struct cache_array {
    double **data;
    int64_t size;
};

static void list_cache(struct cache_array list[CACHE_ARRAYS], struct peer_pair *pair)
{
    int64_t queries = pair->T * pair->config.heads * pair->config.query_width;
    int64_t slots = pair->T * pair->slots;
    struct pkm_retrieval_cache_f64 *r = &pair->cache.retrieval;
    const struct cache_array all[CACHE_ARRAYS] = {
        {&r->q_raw, queries},
        {&r->q, queries},
        {&r->mean, queries},
        {&r->inv_dev, queries},
        {&r->dq, queries},
        {&r->dq_raw, queries},
        {&r->sub, 2 * pair->config.experts},
        {&r->scores, slots},
        {&r->gates, slots},
        {&pair->cache.pre, slots},
        {&pair->cache.linear, slots},
        {&pair->cache.dgates, slots},
    };
    memcpy(list, all, sizeof all);
}

struct peer_pair *pair_create(const struct peer_layer_config *config, int64_t D, int64_t T,
                              int threads, uint64_t seed)
{
    struct peer_pair *pair = zeros(1, sizeof *pair);
    pair->config = *config;
    pair->D = D;
    pair->T = T;
    pair->slots = config->heads * config->kept;
    struct peer_ctx_config ctx_config = peer_ctx_config_default();
    ctx_config.threads = threads;
    cr_assert_eq(peer_ctx_create(&pair->ctx, &ctx_config), PEER_OK);
    struct peer_ffw_shape shape = {.width = D, .tokens = T, .tokens_per_step = 2 * T};
    cr_assert_eq(peer_layer_create(&pair->layer, pair->ctx, config, &shape), PEER_OK, "%s",
                 peer_ctx_error(pair->ctx));
    pair->params = peer_params_empty(pair->ctx);
    cr_assert_eq(peer_ffw_params(pair->layer, &pair->params, ""), PEER_OK, "%s",
                 peer_ctx_error(pair->ctx));
    float **arrays[] = {&pair->x, &pair->dy, &pair->y, &pair->dx};
    double **twins[] = {&pair->twin_x, &pair->twin_dy, &pair->twin_y, &pair->twin_dx};
    for (int i = 0; i < 4; i++) {
        *arrays[i] = floats(T * D);
        *twins[i] = doubles(T * D);
    }
    struct cache_array cache[CACHE_ARRAYS];
    list_cache(cache, pair);
    for (int i = 0; i < CACHE_ARRAYS; i++)
        *cache[i].data = doubles(cache[i].size);
    pair->cache.retrieval.ids = zeros(T * pair->slots, sizeof(int32_t));
    randomize(pair, seed);
    for (int a = 0; a < PAIR_ARRAYS; a++)
        pair->value[a] = pair->size[a] ? doubles(pair->size[a]) : NULL;
    for (int a = 0; a < PAIR_TRAINED; a++)
        pair->grad[a] = pair->size[a] ? doubles(pair->size[a]) : NULL;
    pair_load(pair);
    return pair;
}

void pair_destroy(struct peer_pair *pair)
{
    void *const blocks[] = {
        pair->x,      pair->dy,      pair->y,      pair->dx,      pair->mask,
        pair->twin_x, pair->twin_dy, pair->twin_y, pair->twin_dx, pair->cache.retrieval.ids};
    struct cache_array cache[CACHE_ARRAYS];
    list_cache(cache, pair);
    for (int i = 0; i < CACHE_ARRAYS; i++)
        free(*cache[i].data);
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        free(blocks[i]);
    for (int a = 0; a < PAIR_ARRAYS; a++)
        free(pair->value[a]);
    for (int a = 0; a < PAIR_TRAINED; a++)
        free(pair->grad[a]);
    peer_params_free(&pair->params);
    peer_ffw_destroy(&pair->layer);
    peer_ctx_destroy(&pair->ctx);
    free(pair);
}

void pair_mask(struct peer_pair *pair, int64_t period)
{
    pair->mask = zeros(pair->T, 1);
    for (int64_t t = 0; t < pair->T; t++)
        pair->mask[t] = t % period != 1;
}

static void widen(double *to, const float *from, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = from[i];
}

void pair_load(struct peer_pair *pair)
{
    for (int a = 0; a < PAIR_ARRAYS; a++)
        if (pair->size[a])
            widen(pair->value[a], peer_params_find(&pair->params, pair_names[a])->data,
                  pair->size[a]);
    widen(pair->twin_x, pair->x, pair->T * pair->D);
    widen(pair->twin_dy, pair->dy, pair->T * pair->D);
}

void pair_run(struct peer_pair *pair)
{
    peer_params_zero_grad(&pair->params);
    memset(pair->dx, 0, (size_t)(pair->T * pair->D) * sizeof *pair->dx);
    peer_ffw_forward(pair->layer, pair->y, pair->x, pair->mask, pair->T, PEER_MODE_TRAIN);
    peer_ffw_backward(pair->layer, pair->dx, pair->dy, pair->x, pair->T);
}

struct peer_routing pair_routing(const struct peer_pair *pair)
{
    struct peer_routing routing;
    cr_assert(peer_ffw_routing(pair->layer, &routing));
    return routing;
}

float *pair_gradient(const struct peer_pair *pair, enum pair_array array)
{
    const struct peer_param *param = peer_params_find(&pair->params, pair_names[array]);
    float *grad = floats(pair->size[array]);
    if (param->kind == PEER_PARAM_DENSE) {
        memcpy(grad, param->grad, (size_t)pair->size[array] * sizeof *grad);
        return grad;
    }
    peer_rows_group(param->rows);
    for (int64_t i = 0; i < param->rows->touched; i++)
        peer_rows_gradient(grad + param->rows->ids[i] * param->shape[1], param->rows, i);
    return grad;
}

void pair_fix_routing(struct peer_pair *pair)
{
    struct peer_routing routing = pair_routing(pair);
    int64_t k = pair->config.kept, H = pair->config.heads;
    for (int64_t s = 0; s < pair->T * pair->slots; s++) {
        int32_t id = routing.ids[s];
        if (id >= 0 && pair->config.tables_per_head)
            id -= (int32_t)(s / k % H * pair->config.experts);
        pair->cache.retrieval.ids[s] = id;
    }
    pair->cache.retrieval.fixed = true;
}

static struct peer_layer_weights_f64 weights_of(const struct peer_pair *pair)
{
    double *const *value = pair->value;
    return (struct peer_layer_weights_f64){.retrieval = {.query = value[PAIR_QUERY],
                                                         .gain = value[PAIR_GAIN],
                                                         .bias = value[PAIR_BIAS],
                                                         .mean = value[PAIR_MEAN],
                                                         .var = value[PAIR_VAR],
                                                         .keys = value[PAIR_KEYS]},
                                           .experts = value[PAIR_EXPERTS]};
}

double pair_twin_loss(struct peer_pair *pair, bool train)
{
    struct peer_layer_weights_f64 weights = weights_of(pair);
    peer_layer_forward_f64(pair->twin_y, &pair->cache, &weights, pair->twin_x, pair->mask, pair->T,
                           pair->D, &pair->config, train);
    double sum = 0;
    for (int64_t i = 0; i < pair->T * pair->D; i++)
        sum += pair->twin_y[i] * pair->twin_dy[i];
    return sum;
}

void pair_twin_backward(struct peer_pair *pair)
{
    struct peer_layer_weights_f64 weights = weights_of(pair);
    struct peer_layer_grads_f64 grads = {.retrieval = {.query = pair->grad[PAIR_QUERY],
                                                       .gain = pair->grad[PAIR_GAIN],
                                                       .bias = pair->grad[PAIR_BIAS],
                                                       .keys = pair->grad[PAIR_KEYS]},
                                         .experts = pair->grad[PAIR_EXPERTS]};
    for (int a = 0; a < PAIR_TRAINED; a++)
        if (pair->size[a])
            memset(pair->grad[a], 0, (size_t)pair->size[a] * sizeof(double));
    memset(pair->twin_dx, 0, (size_t)(pair->T * pair->D) * sizeof(double));
    peer_layer_backward_f64(pair->twin_dx, &grads, &pair->cache, &weights, pair->twin_dy,
                            pair->twin_x, pair->mask, pair->T, pair->D, &pair->config);
}

void pair_expect_close(const char *what, const float *got, const double *expected, int64_t n,
                       double tolerance, double scale)
{
    double worst = 0;
    int64_t where = 0;
    for (int64_t i = 0; i < n; i++) {
        double error = fabs(got[i] - expected[i]);
        scale = fmax(scale, fabs(expected[i]));
        if (!(error <= worst)) {
            worst = error;
            where = i;
        }
    }
    cr_expect(worst <= tolerance * scale, "%s: [%lld] is %.9g, expected %.9g +- %.3g", what,
              (long long)where, got[where], expected[where], tolerance * scale);
}

/* What the norm multiplies feature o of token t by, without the gain. */
static double inv_dev(const struct peer_pair *pair, int64_t t, int64_t o)
{
    const struct peer_layer_config *c = &pair->config;
    switch (c->query_norm) {
    case PEER_NORM_BATCH:
        return pair->cache.retrieval.inv_dev[o];
    case PEER_NORM_NONE:
        return 1;
    default:
        return pair->cache.retrieval.inv_dev[t * c->heads + o / c->query_width];
    }
}

double pair_tolerance(const struct peer_pair *pair)
{
    const struct peer_layer_config *c = &pair->config;
    int64_t terms = pair->D + pair->T + c->query_width + pair->slots;
    int64_t queries = c->heads * c->query_width;
    double magnified = 1;
    for (int64_t i = 0; i < pair->T * queries && c->query_norm != PEER_NORM_NONE; i++)
        magnified = fmax(magnified, fabs(pair->cache.retrieval.q_raw[i]) *
                                        inv_dev(pair, i / queries, i % queries));
    return 8 * magnified * (double)terms * FLT_EPSILON;
}

void pair_query_scales(const struct peer_pair *pair, double *dquery, double *dx)
{
    const struct peer_layer_config *c = &pair->config;
    int64_t queries = c->heads * c->query_width, D = pair->D, T = pair->T;
    double *to_query = doubles(queries * D), *to_x = doubles(T * D);
    *dquery = *dx = 0;
    for (int64_t i = 0; i < T * queries * D; i++) {
        int64_t t = i / D / queries, o = i / D % queries, d = i % D;
        double gain = pair->size[PAIR_GAIN] ? pair->value[PAIR_GAIN][o] : 1;
        double dq = fabs(pair->cache.retrieval.dq[t * queries + o] * gain) * inv_dev(pair, t, o);
        to_query[o * D + d] += dq * fabs(pair->twin_x[t * D + d]);
        to_x[t * D + d] += dq * fabs(pair->value[PAIR_QUERY][o * D + d]);
        *dquery = fmax(*dquery, to_query[o * D + d]);
        *dx = fmax(*dx, to_x[t * D + d]);
    }
    free(to_query);
    free(to_x);
}
