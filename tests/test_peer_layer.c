/* SPDX-License-Identifier: MIT */
/* The PEER layer's contract: threads, padding, statistics, gradients over passes, cost, memory,
 * refusals, slot. */
#include "tests/support/peer_pair.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/optim.h"
#include "nn/random.h"
#include "tests/support/failing.h"

static struct peer_layer_config small(int64_t D)
{
    struct peer_layer_config config = peer_layer_config_default(D);
    config.experts = 49;
    config.heads = 3;
    config.kept = 5;
    config.query_width = 6;
    return config;
}

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
        struct peer_layer_config config = small(17);
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
    struct peer_routing routing = peer_layer_routing(pair->layer);
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
    struct peer_layer_config config = small(8);
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
    struct peer_layer_config config = small(8);
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
    struct peer_layer_config config = small(8);
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
    struct peer_layer_config config = small(7);
    struct peer_pair *pair = pair_create(&config, 7, 30, 2, 59);
    int64_t n = pair->size[PAIR_MEAN];
    double *before = malloc((size_t)n * sizeof *before);
    memcpy(before, pair->value[PAIR_MEAN], (size_t)n * sizeof *before);
    pair_run(pair);
    pair_load(pair);
    for (int64_t i = 0; i < n; i++)
        cr_expect_neq(before[i], pair->value[PAIR_MEAN][i]);
    memcpy(before, pair->value[PAIR_MEAN], (size_t)n * sizeof *before);
    peer_layer_forward(pair->layer, pair->y, pair->x, NULL, pair->T, PEER_MODE_EVAL);
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
    struct peer_layer_config config = small(7);
    config.query_norm = norm;
    struct peer_pair *pair = pair_create(&config, 7, 40, 1, 61);
    float before[7];
    peer_layer_forward(pair->layer, pair->y, pair->x, NULL, 40, mode);
    memcpy(before, pair->y + 20 * 7, sizeof before);
    for (int64_t i = 0; i < 40 * 7; i++)
        if (i / 7 != 20)
            pair->x[i] = 1 - 2 * pair->x[i];
    peer_layer_forward(pair->layer, pair->y, pair->x, NULL, 40, mode);
    bool differs = memcmp(before, pair->y + 20 * 7, sizeof before) != 0;
    pair_destroy(pair);
    return differs;
}

Test(peer_layer, a_token_sees_others_only_as_its_traits_say)
{
    for (int norm = 0; norm < PEER_NORM_COUNT; norm++) {
        struct peer_layer_config config = small(7);
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
    struct peer_layer_config config = small(9);
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
    peer_layer_forward(pair->layer, pair->y, x1, NULL, 37, PEER_MODE_TRAIN);
    peer_layer_backward(pair->layer, pair->dx, pair->dy, x1, 37);
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
    struct peer_layer_config config = small(4);
    config.experts = 512 * 512;
    struct peer_pair *pair = pair_create(&config, 4, 3, 2, 71);
    pair_run(pair);
    struct peer_rows *rows = peer_params_find(&pair->params, "experts")->rows;
    peer_rows_group(rows);
    cr_expect_geq(rows->touched, config.kept);
    cr_expect_leq(rows->touched, 3 * pair->slots);
    pair_destroy(pair);
}

/* What is not the table grows no faster than the side of the grid. */
Test(peer_layer, memory_beside_the_table_follows_the_side)
{
    struct peer_ffw_shape shape = {.width = 64, .tokens = 8, .tokens_per_step = 8};
    struct peer_layer_config config = small(64);
    double beside[2];
    for (int i = 0; i < 2; i++) {
        config.experts = i ? 1024 * 1024 : 64 * 64;
        beside[i] = (double)peer_ffw_peer.memory(&config, &shape) -
                    (double)config.experts * 2 * 64 * sizeof(float);
    }
    cr_expect_leq(beside[1], beside[0] * 1024 / 64, "%g and %g bytes", beside[0], beside[1]);
}

Test(peer_layer, memory_is_what_create_takes)
{
    for (int glu = 0; glu < 2; glu++) {
        struct peer_layer_config config = small(5);
        config.expert = glu ? PEER_EXPERT_GLU : PEER_EXPERT_SINGLE;
        config.tables_per_head = glu;
        struct peer_ffw_shape shape = {.width = 5, .tokens = 21, .tokens_per_step = 40};
        struct pkm_retrieval_config retrieval = peer_layer_retrieval(&config, 5);
        for (int threads = 1; threads <= 3; threads += 2) {
            struct failing failing = {.granted = -1};
            struct peer_ctx *ctx = failing_ctx(&failing, threads);
            size_t before = peer_ctx_bytes(ctx);
            struct peer_layer *layer = NULL;
            cr_assert_eq(peer_layer_create(&layer, ctx, &config, &shape), PEER_OK);
            size_t taken = peer_ctx_bytes(ctx) - before;
            size_t one = peer_ffw_peer.memory(&config, &shape);
            size_t more = (size_t)(threads - 1) * pkm_retrieval_thread_memory(&retrieval);
            if (threads == 1)
                cr_expect_eq(taken, one);
            cr_expect(taken >= one && taken <= one + more, "%zu bytes: %zu and %zu", taken, one,
                      more);
            peer_layer_destroy(&layer);
            cr_expect_null(layer);
            cr_expect_eq(peer_ctx_bytes(ctx), before);
            peer_ctx_destroy(&ctx);
        }
    }
}

Test(peer_layer, memory_tells_what_no_machine_has)
{
    struct peer_layer_config config = small(5);
    struct peer_ffw_shape shape = {.width = 5, .tokens = INT64_MAX, .tokens_per_step = 1};
    cr_expect_eq(peer_ffw_peer.memory(&config, &shape), SIZE_MAX);
    shape = (struct peer_ffw_shape){.width = 5, .tokens = 1, .tokens_per_step = INT64_MAX};
    cr_expect_eq(peer_ffw_peer.memory(&config, &shape), SIZE_MAX);
}

static enum peer_status create(void **ret, struct peer_ctx *ctx, const void *config)
{
    struct peer_ffw_shape shape = {.width = 5, .tokens = 4, .tokens_per_step = 4};
    return peer_ffw_peer.create(ret, ctx, config, &shape);
}

Test(peer_layer, every_allocation_may_fail)
{
    struct peer_layer_config config = small(5);
    config.expert = PEER_EXPERT_GLU;
    config.tables_per_head = true;
    cr_expect_gt(failing_every_allocation(create, peer_ffw_peer.destroy, &config), 10);
}

/* Costs are whole numbers of FLOPs per token: the double twin's counts over T tokens, divided. */
static void expect_counts(const double *per_token, int64_t T, const char *pass)
{
    for (int part = 0; part < PEER_PART_COUNT; part++) {
        cr_expect_eq(per_token[part] * (double)T, (double)peer_counted[part], "%s, %s: %g, %lld",
                     pass, peer_part_names[part], per_token[part] * (double)T,
                     (long long)peer_counted[part]);
        peer_counted[part] = 0;
    }
}

Test(peer_layer, cost_is_what_the_reference_counts)
{
    for (int number = 0; number < 8; number++) {
        struct peer_layer_config config = small(7);
        config.expert = number % 2 ? PEER_EXPERT_GLU : PEER_EXPERT_SINGLE;
        config.keys_per_head = number / 2 % 2;
        config.tables_per_head = number / 4;
        struct peer_pair *pair = pair_create(&config, 7, 6, 1, 73);
        struct peer_cost cost = {0};
        peer_ffw_peer.cost(&cost, &config, 7);
        memset(peer_counted, 0, PEER_PART_COUNT * sizeof *peer_counted);
        pair_twin_loss(pair, true);
        expect_counts(cost.forward, 6, "forward");
        pair_twin_backward(pair);
        expect_counts(cost.backward, 6, "backward");
        const struct peer_param *experts = peer_params_find(&pair->params, "experts");
        cr_expect_eq(cost.params_total, peer_params_trained(&pair->params));
        cr_expect_eq(cost.params_total - cost.params_active,
                     (experts->shape[0] - pair->slots) * experts->shape[1]);
        pair_destroy(pair);
    }
}

static void expect_refused(struct peer_layer_config config, int64_t tokens_per_step,
                           const char *reason)
{
    struct peer_ctx *ctx = NULL;
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    struct peer_ffw_shape shape = {.width = 4, .tokens = 3, .tokens_per_step = tokens_per_step};
    struct peer_layer *layer = NULL;
    cr_expect_eq(peer_layer_create(&layer, ctx, &config, &shape), PEER_ERR_ARGUMENT, "%s", reason);
    cr_expect_null(layer);
    cr_expect(strstr(peer_ctx_error(ctx), reason), "'%s' lacks '%s'", peer_ctx_error(ctx), reason);
    peer_ctx_destroy(&ctx);
}

Test(peer_layer, refusals_give_the_numbers)
{
    struct peer_layer_config config = small(4);
    config.experts = 1000;
    expect_refused(config, 3, "31^2 = 961");
    config = small(4);
    config.kept = 50;
    expect_refused(config, 3, "50");
    config = small(4);
    config.query_width = 7;
    expect_refused(config, 3, "7");
    config = small(4);
    config.heads = 0;
    expect_refused(config, 3, "heads = 0");
    config = small(4);
    config.table_lr_scale = NAN;
    expect_refused(config, 3, "table_lr_scale = nan");
    config = small(4);
    config.experts = 40000 * (int64_t)40000;
    config.heads = 2;
    config.tables_per_head = true;
    expect_refused(config, 3, "3200000000 rows");
    expect_refused(small(4), 143165577, "143165576");
    expect_refused(small(4), 0, "tokens_per_step = 0");
}

/* Through the slot, every option set by name: the same bits as by direct calls. */
Test(peer_layer, the_slot_is_the_layer)
{
    static const char *const settings[][2] = {
        {"experts", "49"},
        {"heads", "3"},
        {"kept", "5"},
        {"query_width", "6"},
        {"gate", "sigmoid"},
        {"query_norm", "layer"},
        {"keys_per_head", "true"},
        {"expert", "glu"},
        {"activation", "silu"},
        {"tables_per_head", "true"},
        {"table_lr_scale", "2.5"},
    };
    struct peer_layer_config direct = small(6), named;
    direct.gate = PEER_GATE_SIGMOID;
    direct.query_norm = PEER_NORM_LAYER;
    direct.keys_per_head = direct.tables_per_head = true;
    direct.expert = PEER_EXPERT_GLU;
    direct.activation = PEER_ACT_SILU;
    direct.table_lr_scale = 2.5f;
    struct peer_pair *pair = pair_create(&direct, 6, 19, 1, 79);
    cr_assert_eq(peer_ffw_peer.config_size, sizeof named);
    peer_ffw_peer.config_default(&named, 6);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        cr_assert_eq(peer_option_set(pair->ctx, &named,
                                     peer_option_find(peer_ffw_peer.options, settings[i][0]),
                                     settings[i][1]),
                     PEER_OK, "%s", peer_ctx_error(pair->ctx));
    cr_assert_eq(peer_ffw_peer.check(pair->ctx, &named, 6), PEER_OK);
    struct peer_ffw_shape shape = {.width = 6, .tokens = 19, .tokens_per_step = 38};
    void *layer = NULL;
    cr_assert_eq(peer_ffw_peer.create(&layer, pair->ctx, &named, &shape), PEER_OK);
    struct peer_params params = peer_params_empty(pair->ctx);
    cr_assert_eq(peer_ffw_peer.params(layer, &params, "ffw."), PEER_OK);
    cr_expect_eq(peer_params_find(&params, "ffw.experts")->lr_scale, 2.5f);
    cr_assert_eq(params.count, pair->params.count);
    for (int64_t i = 0; i < params.count; i++) {
        cr_assert_str_eq(params.items[i].name + 4, pair->params.items[i].name);
        memcpy(params.items[i].data, pair->params.items[i].data,
               (size_t)peer_param_size(&params.items[i]) * sizeof(float));
    }
    float y[19 * 6], dx[19 * 6] = {0};
    pair_run(pair);
    peer_ffw_peer.forward(layer, y, pair->x, NULL, 19, PEER_MODE_TRAIN);
    peer_ffw_peer.backward(layer, dx, pair->dy, pair->x, 19);
    cr_expect_arr_eq(y, pair->y, sizeof y);
    cr_expect_arr_eq(dx, pair->dx, sizeof dx);
    struct peer_routing routing;
    cr_expect(peer_ffw_peer.routing(layer, &routing));
    cr_expect_eq(routing.experts, 3 * 49);
    peer_params_free(&params);
    peer_ffw_peer.destroy(&layer);
    cr_expect_null(layer);
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
        peer_layer_forward(pair->layer, pair->y, pair->x, NULL, T, PEER_MODE_TRAIN);
        loss = 0;
        for (int i = 0; i < T * D; i++) {
            float next = pair->x[i / D * D + (i + 1) % D];
            float error = pair->y[i] - (sinf(2 * pair->x[i]) + pair->x[i] * next);
            pair->dy[i] = 2 * error / (T * D);
            loss += (double)(error * error) / (T * D);
        }
        if (step == 0)
            first = loss;
        peer_layer_backward(pair->layer, pair->dx, pair->dy, pair->x, T);
        peer_optim_step(optim, 0.01f);
    }
    cr_expect_lt(loss, 0.3 * first, "%g to %g", first, loss);
    peer_optim_destroy(&optim);
    pair_destroy(pair);
}
