/* SPDX-License-Identifier: MIT */
/* The layers against vectors of an independent implementation, golden/generate.py. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "peer/peer.h"
#include "tests/golden/dense_gelu.h"
#include "tests/golden/dense_swiglu.h"
#include "tests/golden/peer_glu.h"
#include "tests/golden/peer_paper.h"
#include "tests/golden/pkm_gated.h"
#include "tests/golden/pkm_plain.h"

struct checked {
    const struct golden *golden;
    const struct peer_ffw_type *type;
    struct peer_ffw *layer;
    struct peer_params params;
    double tolerance;
};

/* |got - expected| <= tolerance * largest |expected|. */
static void expect_close(const struct checked *c, const char *what, const float *got,
                         const double *expected, int64_t n)
{
    double largest = 0;
    for (int64_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(expected[i]));
    for (int64_t i = 0; i < n; i++)
        cr_expect(fabs((double)got[i] - expected[i]) <= c->tolerance * largest,
                  "%s, %s[%lld]: %.9g, expected %.9g within %.2g", c->golden->name, what,
                  (long long)i, (double)got[i], expected[i], c->tolerance * largest);
}

static void load_weights(const struct checked *c)
{
    cr_assert_eq(c->params.count, c->golden->count, "%s", c->golden->name);
    for (int i = 0; i < c->golden->count; i++) {
        const struct golden_array *array = &c->golden->arrays[i];
        struct peer_param *param = peer_params_find(&c->params, array->name);
        cr_assert_not_null(param, "%s: no %s", c->golden->name, array->name);
        cr_assert_eq(peer_param_size(param), array->size, "%s", array->name);
        memcpy(param->data, array->weights, (size_t)array->size * sizeof *param->data);
    }
}

static void check_routing(const struct checked *c)
{
    struct peer_routing routing;
    bool sparse = peer_ffw_routing(c->layer, &routing);
    cr_assert_eq(sparse, c->golden->ids != NULL);
    if (!sparse)
        return;
    int64_t slots = c->golden->T * routing.heads * routing.kept;
    for (int64_t i = 0; i < slots; i++)
        cr_expect_eq(routing.ids[i], c->golden->ids[i], "%s, id %lld", c->golden->name,
                     (long long)i);
    expect_close(c, "gates", routing.gates, c->golden->gates, slots);
}

static void check_gradient(const struct checked *c, const struct golden_array *array)
{
    const struct peer_param *param = peer_params_find(&c->params, array->name);
    if (!array->gradient) {
        expect_close(c, array->name, param->data, array->after, array->size);
        return;
    }
    if (!param->rows) {
        expect_close(c, array->name, param->grad, array->gradient, array->size);
        return;
    }
    float *gradient = calloc((size_t)array->size, sizeof *gradient);
    cr_assert_not_null(gradient);
    peer_rows_group(param->rows);
    for (int64_t i = 0; i < param->rows->touched; i++)
        peer_rows_gradient(&gradient[param->rows->ids[i] * param->shape[1]], param->rows, i);
    expect_close(c, array->name, gradient, array->gradient, array->size);
    free(gradient);
}

static void check_layer(const struct checked *c)
{
    const struct golden *g = c->golden;
    float *y = calloc((size_t)(g->T * g->D), sizeof *y);
    float *dx = calloc((size_t)(g->T * g->D), sizeof *dx);
    cr_assert(y && dx);
    load_weights(c);
    peer_params_zero_grad(&c->params);
    peer_ffw_forward(c->layer, y, g->x, g->mask, g->T, PEER_MODE_TRAIN);
    expect_close(c, "y", y, g->y, g->T * g->D);
    check_routing(c);
    peer_ffw_backward(c->layer, dx, g->dy, g->x, g->T);
    expect_close(c, "dx", dx, g->dx, g->T * g->D);
    for (int i = 0; i < g->count; i++)
        check_gradient(c, &g->arrays[i]);
    peer_ffw_forward(c->layer, y, g->x, g->mask, g->T, PEER_MODE_EVAL);
    expect_close(c, "y at evaluation", y, g->y_eval, g->T * g->D);
    free(y);
    free(dx);
}

/* `terms`: what a value sums over on its longest way through the layer. A sum of n terms rounds by
 * at most n epsilon relative to the sum of their magnitudes; a norm divides what was there by a
 * deviation and so magnifies it; the factor 8 is for the slopes of activations and gates and for
 * sums whose terms cancel. Every kernel level is held to it. */
static void check(const struct golden *golden, const struct peer_ffw_type *type, const void *config,
                  int64_t terms)
{
    for (int cpu = PEER_CPU_REF; cpu <= (int)peer_cpu_detect(); cpu++) {
        struct peer_ctx_config ctx_config = peer_ctx_config_default();
        ctx_config.threads = 2;
        ctx_config.cpu_max = (enum peer_cpu)cpu;
        struct peer_ctx *ctx = NULL;
        cr_assert_eq(peer_ctx_create(&ctx, &ctx_config), PEER_OK);
        struct checked c = {
            .golden = golden,
            .type = type,
            .params = peer_params_empty(ctx),
            .tolerance = 8 * golden->magnified * (double)(terms + golden->T) * FLT_EPSILON,
        };
        struct peer_ffw_shape shape = {golden->D, golden->T, golden->T, false, 0, NULL, NULL};
        cr_assert_eq(peer_ffw_create(&c.layer, ctx, type, config, &shape), PEER_OK, "%s",
                     peer_ctx_error(ctx));
        cr_assert_eq(peer_ffw_params(c.layer, &c.params, ""), PEER_OK);
        check_layer(&c);
        peer_params_free(&c.params);
        peer_ffw_destroy(&c.layer);
        peer_ctx_destroy(&ctx);
    }
}

static void check_peer(const struct golden *golden, const struct peer_layer_config *config)
{
    check(golden, &peer_ffw_peer, config,
          golden->D + config->query_width + config->heads * config->kept);
}

static void check_pkm(const struct golden *golden, const struct pkm_config *config)
{
    check(golden, &peer_ffw_pkm, config,
          golden->D + config->query_width + config->heads * config->kept);
}

/* Softmax, batch norm of queries, shared keys are the defaults. */
Test(golden, peer_of_the_paper)
{
    struct peer_layer_config config = peer_layer_config_default(peer_paper.D);
    config.experts = 16;
    config.heads = 3;
    config.kept = 3;
    config.query_width = 6;
    config.activation = PEER_ACT_GELU;
    check_peer(&peer_paper, &config);
}

Test(golden, peer_with_glu_sigmoid_layer_norm_and_keys_per_head)
{
    struct peer_layer_config config = peer_layer_config_default(peer_glu.D);
    config.experts = 16;
    config.heads = 3;
    config.kept = 3;
    config.query_width = 6;
    config.gate = PEER_GATE_SIGMOID;
    config.query_norm = PEER_NORM_LAYER;
    config.keys_per_head = true;
    config.expert = PEER_EXPERT_GLU;
    config.activation = PEER_ACT_SILU;
    check_peer(&peer_glu, &config);
}

/* Padding, softmax, batch norm of queries, keys per head. */
Test(golden, pkm)
{
    struct pkm_config config = pkm_config_default(pkm_plain.D);
    config.memories = 25;
    config.heads = 2;
    config.kept = 4;
    config.query_width = 4;
    check_pkm(&pkm_plain, &config);
}

Test(golden, pkm_gated_with_rms_norm_and_shared_keys)
{
    struct pkm_config config = pkm_config_default(pkm_gated.D);
    config.memories = 25;
    config.heads = 2;
    config.kept = 4;
    config.query_width = 4;
    config.query_norm = PEER_NORM_RMS;
    config.keys_per_head = false;
    config.gated = true;
    check_pkm(&pkm_gated, &config);
}

Test(golden, dense_gelu)
{
    struct peer_dense_config config = {9, PEER_ACT_GELU_TANH, false};
    check(&dense_gelu, &peer_ffw_dense, &config, dense_gelu.D + config.hidden);
}

/* With padding. */
Test(golden, dense_swiglu)
{
    struct peer_dense_config config = {7, PEER_ACT_SILU, true};
    check(&dense_swiglu, &peer_ffw_dense, &config, dense_swiglu.D + config.hidden);
}
