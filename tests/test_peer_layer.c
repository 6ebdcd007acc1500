/* SPDX-License-Identifier: MIT */
/* The PEER layer's passes: threads, padding, statistics, gradients over passes, learning. */
#include "tests/support/peer_pair.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "nn/optim/optim.h"
#include "nn/random.h"

static void expect_same_bits(const struct peer_pair *a, const struct peer_pair *b)
{
    size_t values = (size_t)(a->T * a->D) * sizeof(float);
    cr_expect_arr_eq(a->y, b->y, values, "y");
    cr_expect_arr_eq(a->dx, b->dx, values, "dx");
    for (int i = 0; i < PAIR_TRAINED; i++) {
        if (!a->size[i])
            continue;
        float *da = pair_gradient(a, (enum pair_array)i),
              *db = pair_gradient(b, (enum pair_array)i);
        cr_expect_arr_eq(da, db, (size_t)a->size[i] * sizeof(float), "d%s", pair_names[i]);
        free(da);
        free(db);
    }
}

Test(peer_layer, same_bits_for_any_number_of_threads)
{
    for (int glu = 0; glu < 2; glu++) {
        struct peer_layer_config config = pair_config(17);
        config.expert = glu ? PEER_EXPERT_GLU : PEER_EXPERT_SINGLE;
        config.keys_per_head = config.tables_per_head = glu;
        struct peer_pair *one = pair_create(&config, 17, 333, 1, 41);
        pair_run(one);
        for (int threads = 2; threads <= 3; threads++) {
            struct peer_pair *many = pair_create(&config, 17, 333, threads, 41);
            pair_run(many);
            expect_same_bits(one, many);
            pair_destroy(many);
        }
        pair_destroy(one);
    }
}

/* A table of 8 MiB, which asks for huge pages where the system has them. */
static struct peer_pair *run_large(void)
{
    struct peer_layer_config config = pair_config(64);
    config.experts = 128 * 128;
    struct peer_pair *pair = pair_create(&config, 64, 33, 1, 43);
    pair_run(pair);
    return pair;
}

/* The system may refuse huge pages: nothing but speed depends on them. */
Test(peer_layer, same_bits_without_huge_pages)
{
    struct peer_pair *with = run_large();
    cr_assert_eq(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
    struct peer_pair *without = run_large();
    expect_same_bits(with, without);
    pair_destroy(without);
    pair_destroy(with);
}

/* 2^20 experts of width 64 are 512 MiB. */
Test(peer_layer, without_address_space_is_refused)
{
    struct peer_ctx *ctx = NULL;
    struct peer_ffw *layer = NULL;
    struct peer_layer_config config = pair_config(64);
    const struct peer_ffw_shape shape = {.width = 64, .tokens = 8, .tokens_per_step = 8};
    struct rlimit limit, small = {1 << 28, RLIM_INFINITY};
    config.experts = 1 << 20;
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    cr_assert_eq(getrlimit(RLIMIT_AS, &limit), 0);
    small.rlim_max = limit.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_AS, &small), 0);
    cr_expect_eq(peer_layer_create(&layer, ctx, &config, &shape), PEER_ERR_MEMORY);
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
    cr_expect(strstr(peer_ctx_error(ctx), "bytes"), "%s", peer_ctx_error(ctx));
    cr_expect_null(layer);
    cr_assert_eq(peer_layer_create(&layer, ctx, &config, &shape), PEER_OK, "and nothing is lost");
    peer_ffw_destroy(&layer);
    peer_ctx_destroy(&ctx);
}

/* `whole` has padding; `packed` has the same weights and the unmasked tokens alone. */
static struct peer_pair *pack(struct peer_pair *whole, uint64_t seed)
{
    int64_t D = whole->D, T = 0;
    for (int64_t t = 0; t < whole->T; t++)
        T += whole->mask[t];
    struct peer_pair *packed = pair_create(&whole->config, D, T, 1, seed);
    for (int64_t t = 0, to = 0; t < whole->T; t++) {
        if (!whole->mask[t])
            continue;
        memcpy(packed->x + to * D, whole->x + t * D, (size_t)D * sizeof(float));
        memcpy(packed->dy + to++ * D, whole->dy + t * D, (size_t)D * sizeof(float));
    }
    pair_load(packed);
    return packed;
}

static void expect_nothing_for_padding(const struct peer_pair *pair)
{
    struct peer_routing routing = pair_routing(pair);
    for (int64_t t = 0; t < pair->T; t++) {
        for (int64_t d = 0; d < pair->D && !pair->mask[t]; d++) {
            cr_expect_eq(pair->y[t * pair->D + d], 0);
            cr_expect_eq(pair->dx[t * pair->D + d], 0);
        }
        for (int64_t s = t * pair->slots; s < (t + 1) * pair->slots && !pair->mask[t]; s++) {
            cr_expect_eq(routing.ids[s], -1);
            cr_expect_eq(routing.gates[s], 0);
        }
    }
}

static void expect_same_as_packed(struct peer_pair *whole, struct peer_pair *packed)
{
    int64_t D = whole->D;
    double tolerance = pair_tolerance(packed), query_scale, x_scale;
    pair_query_scales(packed, &query_scale, &x_scale);
    for (int64_t t = 0, to = 0; t < whole->T; t++) {
        if (!whole->mask[t])
            continue;
        pair_expect_close("y", whole->y + t * D, packed->twin_y + to * D, D, tolerance, 0);
        pair_expect_close("dx", whole->dx + t * D, packed->twin_dx + to++ * D, D, tolerance,
                          x_scale);
    }
    for (int a = 0; a < PAIR_TRAINED; a++) {
        float *grad = pair_gradient(whole, (enum pair_array)a);
        pair_expect_close(pair_names[a], grad, packed->grad[a], packed->size[a], tolerance,
                          a == PAIR_QUERY ? query_scale : 0);
        free(grad);
    }
}

Test(peer_layer, padding_changes_nothing)
{
    struct peer_layer_config config = pair_config(8);
    struct peer_pair *whole = pair_create(&config, 8, 50, 2, 48);
    pair_mask(whole, 3);
    for (int64_t i = 0; i < 50 * 8; i++) {
        if (whole->mask[i / 8])
            continue;
        whole->x[i] *= 1000;
        whole->dy[i] = -7;
    }
    struct peer_pair *packed = pack(whole, 48);
    pair_run(whole);
    expect_nothing_for_padding(whole);
    pair_twin_loss(packed, true);
    cr_assert_gt(packed->cache.retrieval.margin, 1e-4);
    pair_twin_backward(packed);
    expect_same_as_packed(whole, packed);
    pair_run(packed);
    for (int a = PAIR_MEAN; a < PAIR_ARRAYS; a++) {
        const float *of_whole = peer_params_find(&whole->params, pair_names[a])->data;
        const float *of_packed = peer_params_find(&packed->params, pair_names[a])->data;
        for (int64_t i = 0; i < packed->size[a]; i++)
            cr_expect_float_eq(of_whole[i], of_packed[i], 1e-5f, "%s[%lld]", pair_names[a],
                               (long long)i);
    }
    pair_destroy(whole);
    pair_destroy(packed);
}

Test(peer_layer, padding_alone_is_no_input)
{
    struct peer_layer_config config = pair_config(8);
    struct peer_pair *pair = pair_create(&config, 8, 20, 2, 47);
    pair->mask = calloc(20, 1);
    pair_run(pair);
    expect_nothing_for_padding(pair);
    for (int a = 0; a < PAIR_TRAINED; a++) {
        float *grad = pair_gradient(pair, (enum pair_array)a);
        for (int64_t i = 0; i < pair->size[a]; i++)
            cr_expect_eq(grad[i], 0);
        free(grad);
    }
    pair_destroy(pair);
}

Test(peer_layer, no_tokens_are_no_work)
{
    struct peer_layer_config config = pair_config(8);
    struct peer_pair *pair = pair_create(&config, 8, 20, 2, 53);
    pair->T = 0;
    pair_run(pair);
    struct peer_rows *rows = peer_params_find(&pair->params, "experts")->rows;
    peer_rows_group(rows);
    cr_expect_eq(rows->touched, 0);
    pair_destroy(pair);
}

/* Evaluation after training: by the running statistics, which it leaves alone. */
Test(peer_layer, evaluation_uses_running_statistics)
{
    struct peer_layer_config config = pair_config(7);
    struct peer_pair *pair = pair_create(&config, 7, 30, 2, 59);
    int64_t n = pair->size[PAIR_MEAN];
    double *before = malloc((size_t)n * sizeof *before);
    memcpy(before, pair->value[PAIR_MEAN], (size_t)n * sizeof *before);
    pair_run(pair);
    pair_load(pair);
    for (int64_t i = 0; i < n; i++)
        cr_expect_neq(before[i], pair->value[PAIR_MEAN][i]);
    memcpy(before, pair->value[PAIR_MEAN], (size_t)n * sizeof *before);
    peer_ffw_forward(pair->layer, pair->y, pair->x, NULL, pair->T, PEER_MODE_EVAL);
    pair_twin_loss(pair, false);
    cr_assert_gt(pair->cache.retrieval.margin, 1e-5);
    pair_expect_close("y", pair->y, pair->twin_y, pair->T * pair->D, pair_tolerance(pair), 0);
    pair_load(pair);
    cr_expect_arr_eq(before, pair->value[PAIR_MEAN], (size_t)n * sizeof *before);
    free(before);
    pair_destroy(pair);
}

/* Whether token 20's output has other bits once all other tokens are changed. */
static bool sees_others(enum peer_norm norm, enum peer_mode mode)
{
    struct peer_layer_config config = pair_config(7);
    config.query_norm = norm;
    struct peer_pair *pair = pair_create(&config, 7, 40, 1, 61);
    float before[7];
    peer_ffw_forward(pair->layer, pair->y, pair->x, NULL, 40, mode);
    memcpy(before, pair->y + 20 * 7, sizeof before);
    for (int64_t i = 0; i < 40 * 7; i++)
        if (i / 7 != 20)
            pair->x[i] = 1 - 2 * pair->x[i];
    peer_ffw_forward(pair->layer, pair->y, pair->x, NULL, 40, mode);
    bool differs = memcmp(before, pair->y + 20 * 7, sizeof before) != 0;
    pair_destroy(pair);
    return differs;
}

Test(peer_layer, a_token_sees_others_only_as_its_traits_say)
{
    for (int norm = 0; norm < PEER_NORM_COUNT; norm++) {
        struct peer_layer_config config = pair_config(7);
        config.query_norm = (enum peer_norm)norm;
        unsigned traits = peer_ffw_peer.traits(&config);
        cr_expect_not(sees_others(config.query_norm, PEER_MODE_EVAL), "%s", peer_norm_names[norm]);
        cr_expect_eq(sees_others(config.query_norm, PEER_MODE_TRAIN),
                     (traits & PEER_FFW_MIXES_TOKENS_IN_TRAINING) != 0, "%s",
                     peer_norm_names[norm]);
        cr_expect_not(traits & PEER_FFW_NOT_CAUSAL);
    }
}

/* Gradients of two passes before a step are the sum of each alone. */
Test(peer_layer, gradients_add_up_over_passes)
{
    struct peer_layer_config config = pair_config(9);
    struct peer_pair *pair = pair_create(&config, 9, 37, 2, 67);
    float *first[PAIR_TRAINED], *second[PAIR_TRAINED];
    int64_t values = 37 * 9;
    float *x2 = malloc((size_t)values * sizeof *x2), *x1 = pair->x;
    for (int64_t i = 0; i < values; i++)
        x2[i] = 0.3f - x1[values - 1 - i];
    pair_run(pair);
    for (int a = 0; a < PAIR_TRAINED; a++)
        first[a] = pair_gradient(pair, (enum pair_array)a);
    pair->x = x2;
    pair_run(pair);
    for (int a = 0; a < PAIR_TRAINED; a++)
        second[a] = pair_gradient(pair, (enum pair_array)a);
    peer_ffw_forward(pair->layer, pair->y, x1, NULL, 37, PEER_MODE_TRAIN);
    peer_ffw_backward(pair->layer, pair->dx, pair->dy, x1, 37);
    for (int a = 0; a < PAIR_TRAINED; a++) {
        float *both = pair_gradient(pair, (enum pair_array)a);
        for (int64_t i = 0; i < pair->size[a]; i++)
            pair->grad[a][i] = (double)first[a][i] + (double)second[a][i];
        pair_expect_close(pair_names[a], both, pair->grad[a], pair->size[a], 1e-5, 0);
        free(both);
        free(first[a]);
        free(second[a]);
    }
    pair->x = x1;
    free(x2);
    pair_destroy(pair);
}

Test(peer_layer, rows_touched_follow_the_tokens)
{
    struct peer_layer_config config = pair_config(4);
    config.experts = 512 * 512;
    struct peer_pair *pair = pair_create(&config, 4, 3, 2, 71);
    pair_run(pair);
    struct peer_rows *rows = peer_params_find(&pair->params, "experts")->rows;
    peer_rows_group(rows);
    cr_expect_geq(rows->touched, config.kept);
    cr_expect_leq(rows->touched, 3 * pair->slots);
    pair_destroy(pair);
}

/* y_d = sin(2 x_d) + x_d x_(d+1), learnt in batches of 64. */
Test(peer_layer, a_regression_is_learnt)
{
    enum { D = 6, T = 64, STEPS = 200 };
    struct peer_layer_config config = peer_layer_config_default(D);
    config.experts = 256;
    config.heads = 4;
    config.kept = 8;
    config.query_width = 8;
    struct peer_pair *pair = pair_create(&config, D, T, 1, 83);
    peer_params_init(&pair->params, 5);
    struct peer_optim_config optim_config = peer_optim_config_default();
    optim_config.weight_decay = 0;
    struct peer_optim *optim = NULL;
    cr_assert_eq(peer_optim_create(&optim, pair->ctx, &pair->params, &optim_config), PEER_OK);
    double first = 0, loss = 0;
    for (uint64_t step = 0; step < STEPS; step++) {
        peer_fill_normal(pair->x, T * D, 0, 1, 89, step);
        peer_ffw_forward(pair->layer, pair->y, pair->x, NULL, T, PEER_MODE_TRAIN);
        loss = 0;
        for (int i = 0; i < T * D; i++) {
            float next = pair->x[i / D * D + (i + 1) % D];
            float error = pair->y[i] - (sinf(2 * pair->x[i]) + pair->x[i] * next);
            pair->dy[i] = 2 * error / (T * D);
            loss += (double)(error * error) / (T * D);
        }
        if (step == 0)
            first = loss;
        peer_ffw_backward(pair->layer, pair->dx, pair->dy, pair->x, T);
        peer_optim_step(optim, 0.01f);
    }
    cr_expect_lt(loss, 0.3 * first, "%g to %g", first, loss);
    peer_optim_destroy(&optim);
    pair_destroy(pair);
}
