/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pkm/config.h"
#include "tests/support/failing.h"
#include "tests/support/pkm_pair.h"

static struct pkm_config config_of(int64_t n, int64_t H, int64_t k, int64_t K)
{
    return (struct pkm_config){.memories = n * n,
                               .heads = H,
                               .kept = k,
                               .query_width = K,
                               .keys_per_head = true,
                               .query_norm = PEER_NORM_NONE,
                               .table_lr_scale = 1};
}

/* Every gate, kind of keys and form; the norms go round. */
enum { VARIANTS = PEER_GATE_COUNT * 4 };

static void set_variant(struct pkm_config *config, int variant)
{
    config->gated = variant % 2;
    config->keys_per_head = variant / 2 % 2;
    config->gate = variant / 4;
    config->query_norm = variant % PEER_NORM_COUNT;
}

Test(pkm_layer, gradients_are_central_differences)
{
    for (int variant = 0; variant < VARIANTS; variant++) {
        struct pkm_config config = config_of(3, 2, 3, 4);
        set_variant(&config, variant);
        struct pkm_pair *pair = pkm_pair_create(&config, false, 5, 6, 1, 20);
        if (variant % 3 == 0)
            pkm_pair_mask(pair, 3);
        pkm_pair_expect_differences(pair);
        pkm_pair_destroy(pair);
    }
}

Test(pkm_layer, agrees_with_its_twin)
{
    static const struct {
        int64_t n, H, k, K, D, T;
    } sizes[] = {
        {3, 2, 4, 6, 5, 7}, {7, 3, 9, 10, 17, 33}, {17, 1, 16, 34, 33, 17}, {2, 3, 4, 2, 1, 3}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int variant = 0; variant < VARIANTS; variant++) {
            struct pkm_config config = config_of(sizes[i].n, sizes[i].H, sizes[i].k, sizes[i].K);
            set_variant(&config, variant);
            struct pkm_pair *pair =
                pkm_pair_create(&config, false, sizes[i].D, sizes[i].T, 2, 200 + i);
            if (variant % 3 == 1)
                pkm_pair_mask(pair, 4);
            pkm_pair_expect_twin(pair);
            pkm_pair_destroy(pair);
        }
}

/* One head that keeps every memory is attention over all keys: y = sum_i softmax(q.k_i) v_i. The
 * tolerance is some 200 roundings of values near 1. */
Test(pkm_layer, keeping_all_memories_is_a_dense_softmax)
{
    enum { n = 7, N = n * n, D = 17, K = 6, T = 5 };
    struct pkm_config config = config_of(n, 1, N, K);
    struct pkm_pair *pair = pkm_pair_create(&config, false, D, T, 2, 17);
    const double *query = pair->value[PKM_QUERY], *keys = pair->value[PKM_KEYS];
    const double *values = pair->value[PKM_VALUES];
    pkm_pair_forward(pair, PEER_MODE_EVAL);
    for (int t = 0; t < T; t++) {
        double q[K] = {0}, weight[N], sum = 0;
        for (int a = 0; a < K; a++)
            for (int i = 0; i < D; i++)
                q[a] += query[a * D + i] * pair->twin_x[t * D + i];
        for (int id = 0; id < N; id++) {
            double score = 0;
            for (int a = 0; a < K / 2; a++)
                score += q[a] * keys[id / n * (K / 2) + a] +
                         q[K / 2 + a] * keys[(n + id % n) * (K / 2) + a];
            sum += weight[id] = exp(score);
        }
        for (int i = 0; i < D; i++) {
            double y = 0;
            for (int id = 0; id < N; id++)
                y += weight[id] / sum * values[id * D + i];
            cr_expect_float_eq(pair->out[t * D + i], y, 200 * (double)FLT_EPSILON);
        }
    }
    pkm_pair_destroy(pair);
}

/* n = 1: each of three heads brings the one value with gate 1. */
Test(pkm_layer, one_memory_is_returned_by_every_head)
{
    struct pkm_config config = config_of(1, 3, 1, 2);
    struct pkm_pair *pair = pkm_pair_create(&config, false, 7, 5, 2, 18);
    pkm_pair_forward(pair, PEER_MODE_EVAL);
    for (int64_t i = 0; i < 5 * 7; i++)
        cr_expect_float_eq(pair->out[i], 3 * pair->value[PKM_VALUES][i % 7], 1e-6);
    pkm_pair_destroy(pair);
}

Test(pkm_layer, padding_gives_zero)
{
    for (int gated = 0; gated < 2; gated++) {
        struct pkm_config config = config_of(7, 2, 5, 6);
        config.gated = gated;
        struct pkm_pair *pair = pkm_pair_create(&config, false, 17, 33, 2, 19);
        pkm_pair_mask(pair, 3);
        pkm_pair_run(pair);
        for (int64_t t = 0; t < pair->T; t++)
            for (int64_t i = t * pair->D; i < (t + 1) * pair->D; i++) {
                cr_expect_eq(pair->out[i] == 0, !pair->mask[t]);
                cr_expect_eq(pair->dx[i] == 0, !pair->mask[t]);
            }
        pkm_pair_destroy(pair);
    }
}

Test(pkm_layer, same_bits_for_any_number_of_threads)
{
    struct pkm_config config = config_of(17, 3, 7, 34);
    config.query_norm = PEER_NORM_BATCH;
    config.gated = true;
    struct pkm_pair *pairs[3];
    for (int i = 0; i < 3; i++) {
        struct pkm_pair *p = pairs[i] = pkm_pair_create(&config, false, 33, 500, i + 1, 9);
        pkm_pair_run(p);
        cr_expect_arr_eq(p->out, pairs[0]->out, (size_t)(p->T * p->outs) * sizeof(float));
        cr_expect_arr_eq(p->dx, pairs[0]->dx, (size_t)(p->T * p->D) * sizeof(float));
        for (int a = 0; a < PKM_TRAINED; a++) {
            float *g = pkm_pair_gradient(p, a), *first = pkm_pair_gradient(pairs[0], a);
            cr_expect_arr_eq(g, first, (size_t)p->size[a] * sizeof *g, "%s, %d threads",
                             pkm_array_names[a], i + 1);
            free(g);
            free(first);
        }
    }
    for (int i = 0; i < 3; i++)
        pkm_pair_destroy(pairs[i]);
}

/* Two passes over the same tokens before a step: twice the gradient, exactly. */
Test(pkm_layer, passes_before_a_step_add_up)
{
    struct pkm_config config = config_of(7, 2, 5, 6);
    config.gated = true;
    struct pkm_pair *pair = pkm_pair_create(&config, false, 17, 33, 2, 21);
    float *once[PKM_TRAINED] = {NULL};
    pkm_pair_run(pair);
    for (int a = 0; a < PKM_TRAINED; a++)
        once[a] = pair->size[a] ? pkm_pair_gradient(pair, a) : NULL;
    pkm_pair_forward(pair, PEER_MODE_TRAIN);
    peer_ffw_backward(pair->layer, pair->dx, pair->dout, pair->x, pair->T);
    for (int a = 0; a < PKM_TRAINED; a++) {
        float *twice = pair->size[a] ? pkm_pair_gradient(pair, a) : NULL;
        for (int64_t i = 0; i < pair->size[a]; i++)
            cr_expect_float_eq(twice[i], 2 * once[a][i], 1e-4 * fmax(1, fabsf(once[a][i])));
        free(once[a]);
        free(twice);
    }
    pkm_pair_destroy(pair);
}

Test(pkm_layer, cost_is_what_the_twin_counts)
{
    for (int gated = 0; gated < 2; gated++) {
        struct pkm_config config = config_of(5, 3, 10, 6);
        config.gated = gated;
        config.query_norm = PEER_NORM_BATCH;
        struct pkm_pair *pair = pkm_pair_create(&config, false, 7, 3, 1, 8);
        struct peer_cost cost;
        peer_ffw_pkm.cost(&cost, &config, 7);
        pkm_pair_expect_cost(pair, &cost);
        cr_expect_eq(cost.params_total, peer_params_trained(&pair->params));
        cr_expect_leq(cost.params_active, cost.params_total);
        pkm_pair_destroy(pair);
    }
}

Test(pkm_layer, memory_is_what_create_takes)
{
    for (int variant = 0; variant < VARIANTS; variant++) {
        struct failing failing = {.granted = -1};
        struct peer_ctx *ctx = failing_ctx(&failing, 1);
        struct pkm_config config = config_of(17, 3, 20, 6);
        set_variant(&config, variant);
        struct peer_ffw_shape shape = {.width = 5, .tokens = 33, .tokens_per_step = 99};
        struct peer_ffw *layer = NULL;
        cr_assert_eq(peer_ffw_create(&layer, ctx, &peer_ffw_pkm, &config, &shape), PEER_OK);
        cr_expect_eq(peer_ctx_bytes(ctx), peer_ffw_memory(&peer_ffw_pkm, &config, &shape));
        peer_ffw_destroy(&layer);
        cr_expect_eq(peer_ctx_bytes(ctx), 0);
        peer_ctx_destroy(&ctx);
    }
}

Test(pkm_layer, memory_tells_what_no_machine_has)
{
    struct pkm_config config = config_of(17, 3, 20, 6);
    struct peer_ffw_shape shape = {.width = 5, .tokens = INT64_MAX, .tokens_per_step = 1};
    cr_expect_eq(peer_ffw_memory(&peer_ffw_pkm, &config, &shape), SIZE_MAX);
    shape = (struct peer_ffw_shape){.width = 5, .tokens = 1, .tokens_per_step = INT64_MAX};
    cr_expect_eq(peer_ffw_memory(&peer_ffw_pkm, &config, &shape), SIZE_MAX);
}

Test(pkm_layer, active_parameters_are_at_most_the_table)
{
    struct pkm_config config = config_of(2, 3, 3, 6);
    struct peer_cost cost;
    peer_ffw_pkm.cost(&cost, &config, 7);
    cr_expect_eq(cost.params_active, cost.params_total, "9 slots in 4 rows");
    config.memories = 16;
    peer_ffw_pkm.cost(&cost, &config, 7);
    cr_expect_eq(cost.params_total - cost.params_active, (16 - 9) * 7);
}

Test(pkm_layer, no_tokens_do_nothing)
{
    struct pkm_config config = config_of(3, 2, 4, 6);
    config.gated = true;
    struct pkm_pair *pair = pkm_pair_create(&config, false, 5, 7, 2, 1);
    peer_ffw_forward(pair->layer, NULL, NULL, NULL, 0, PEER_MODE_TRAIN);
    peer_ffw_backward(pair->layer, NULL, NULL, NULL, 0);
    for (int a = 0; a < PKM_TRAINED; a++) {
        float *g = pair->size[a] ? pkm_pair_gradient(pair, a) : NULL;
        for (int64_t i = 0; i < pair->size[a]; i++)
            cr_expect_eq(g[i], 0);
        free(g);
    }
    pkm_pair_destroy(pair);
}

Test(pkm_layer, defaults_hold_for_any_width)
{
    static const int64_t widths[] = {1, 2, 3, 64, 255, 100001};
    struct failing failing = {.granted = -1};
    struct peer_ctx *ctx = failing_ctx(&failing, 1);
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        struct pkm_config config;
        peer_ffw_pkm.config_default(&config, widths[i]);
        cr_expect_eq(peer_ffw_pkm.check(ctx, &config, widths[i]), PEER_OK, "%s",
                     peer_ctx_error(ctx));
        cr_expect_eq(peer_ffw_pkm.traits(&config), PEER_FFW_MIXES_TOKENS_IN_TRAINING);
        config.query_norm = PEER_NORM_LAYER;
        cr_expect_eq(peer_ffw_pkm.traits(&config), 0);
    }
    peer_ctx_destroy(&ctx);
}

Test(pkm_layer, bad_configs_are_named)
{
    static const struct {
        int64_t N, H, k, K;
        float lr;
        int64_t tokens, per_step;
        const char *text;
    } cases[] = {
        {0, 2, 3, 4, 1, 5, 5, "memories = 0"},
        {10, 2, 3, 4, 1, 5, 5, "N = 10 is not a square"},
        {9, 0, 3, 4, 1, 5, 5, "heads = 0"},
        {9, 2, 10, 4, 1, 5, 5, "k = 10 kept of N = 9"},
        {9, 2, 3, 5, 1, 5, 5, "K = 5"},
        {9, 2, 3, 4, 0, 5, 5, "table_lr_scale = 0"},
        {9, 2, 3, 4, 1, 0, 5, "tokens = 0"},
        {9, 2, 3, 4, 1, 5, -1, "tokens_per_step = -1"},
        {9, 2, 3, 4, 1, 5, 400000000, "tokens_per_step = 400000000"},
    };
    struct failing failing = {.granted = -1};
    struct peer_ctx *ctx = failing_ctx(&failing, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pkm_config config = config_of(1, cases[i].H, cases[i].k, cases[i].K);
        config.memories = cases[i].N;
        config.table_lr_scale = cases[i].lr;
        struct peer_ffw_shape shape = {5, cases[i].tokens, cases[i].per_step, false, 0, NULL, NULL};
        struct peer_ffw *layer = NULL;
        cr_expect_eq(peer_ffw_create(&layer, ctx, &peer_ffw_pkm, &config, &shape),
                     PEER_ERR_ARGUMENT);
        cr_expect_null(layer);
        cr_expect(strstr(peer_ctx_error(ctx), cases[i].text), "case %zu: %s", i,
                  peer_ctx_error(ctx));
    }
    peer_ctx_destroy(&ctx);
}

static enum peer_status create(void **ret, struct peer_ctx *ctx, const void *config)
{
    return peer_ffw_create((struct peer_ffw **)ret, ctx, &peer_ffw_pkm, config,
                           &(struct peer_ffw_shape){5, 3, 6, false, 0, NULL, NULL});
}

static void destroy(void **layer)
{
    struct peer_ffw *whole = *layer;
    peer_ffw_destroy(&whole);
    *layer = whole;
}

Test(pkm_layer, every_failing_allocation_is_survived)
{
    struct pkm_config config = config_of(3, 2, 4, 6);
    config.gated = true;
    config.query_norm = PEER_NORM_BATCH;
    cr_expect_geq(failing_every_allocation(create, destroy, &config), 30);
    peer_ffw_destroy(NULL);
}
