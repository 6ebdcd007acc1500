/* SPDX-License-Identifier: MIT */
/* The PEER layer around its passes: memory, cost, refusals, slot. */
#include "tests/support/peer_pair.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "peer/config.h"
#include "tests/support/failing.h"

/* What is not the table grows no faster than the side of the grid. */
Test(peer_slot, memory_beside_the_table_follows_the_side)
{
    struct peer_ffw_shape shape = {.width = 64, .tokens = 8, .tokens_per_step = 8};
    struct peer_layer_config config = pair_config(64);
    double beside[2];
    for (int i = 0; i < 2; i++) {
        config.experts = i ? 1024 * 1024 : 64 * 64;
        beside[i] = (double)peer_ffw_memory(&peer_ffw_peer, &config, &shape) -
                    (double)config.experts * 2 * 64 * sizeof(float);
    }
    cr_expect_leq(beside[1], beside[0] * 1024 / 64, "%g and %g bytes", beside[0], beside[1]);
}

Test(peer_slot, memory_is_what_create_takes)
{
    for (int glu = 0; glu < 2; glu++) {
        struct peer_layer_config config = pair_config(5);
        config.expert = glu ? PEER_EXPERT_GLU : PEER_EXPERT_SINGLE;
        config.tables_per_head = glu;
        struct peer_ffw_shape shape = {.width = 5, .tokens = 21, .tokens_per_step = 40};
        struct pkm_retrieval_config retrieval = peer_layer_retrieval(&config, 5);
        for (int threads = 1; threads <= 3; threads += 2) {
            struct failing failing = {.granted = -1};
            struct peer_ctx *ctx = failing_ctx(&failing, threads);
            size_t before = peer_ctx_bytes(ctx);
            struct peer_ffw *layer = NULL;
            cr_assert_eq(peer_layer_create(&layer, ctx, &config, &shape), PEER_OK);
            size_t taken = peer_ctx_bytes(ctx) - before;
            size_t one = peer_ffw_memory(&peer_ffw_peer, &config, &shape);
            size_t more = (size_t)(threads - 1) * pkm_retrieval_thread_memory(&retrieval);
            if (threads == 1)
                cr_expect_eq(taken, one);
            cr_expect(taken >= one && taken <= one + more, "%zu bytes: %zu and %zu", taken, one,
                      more);
            peer_ffw_destroy(&layer);
            cr_expect_null(layer);
            cr_expect_eq(peer_ctx_bytes(ctx), before);
            peer_ctx_destroy(&ctx);
        }
    }
}

Test(peer_slot, memory_tells_what_no_machine_has)
{
    struct peer_layer_config config = pair_config(5);
    struct peer_ffw_shape shape = {.width = 5, .tokens = INT64_MAX, .tokens_per_step = 1};
    cr_expect_eq(peer_ffw_memory(&peer_ffw_peer, &config, &shape), SIZE_MAX);
    shape = (struct peer_ffw_shape){.width = 5, .tokens = 1, .tokens_per_step = INT64_MAX};
    cr_expect_eq(peer_ffw_memory(&peer_ffw_peer, &config, &shape), SIZE_MAX);
}

static enum peer_status create(void **ret, struct peer_ctx *ctx, const void *config)
{
    struct peer_ffw_shape shape = {.width = 5, .tokens = 4, .tokens_per_step = 4};
    return peer_ffw_create((struct peer_ffw **)ret, ctx, &peer_ffw_peer, config, &shape);
}

static void destroy(void **layer)
{
    struct peer_ffw *whole = *layer;
    peer_ffw_destroy(&whole);
    *layer = whole;
}

Test(peer_slot, every_allocation_may_fail)
{
    struct peer_layer_config config = pair_config(5);
    config.expert = PEER_EXPERT_GLU;
    config.tables_per_head = true;
    cr_expect_gt(failing_every_allocation(create, destroy, &config), 10);
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

Test(peer_slot, cost_is_what_the_reference_counts)
{
    for (int number = 0; number < 8; number++) {
        struct peer_layer_config config = pair_config(7);
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

/* A token cannot use more rows than there are. */
Test(peer_slot, active_parameters_are_at_most_the_table)
{
    for (int own = 0; own < 2; own++) {
        struct peer_layer_config config = pair_config(7);
        struct peer_cost cost;
        config.experts = 4;
        config.kept = 3;
        config.tables_per_head = own;
        peer_ffw_peer.cost(&cost, &config, 7);
        /* H = 3 heads: 9 slots, in one table of 4 rows or three of them. */
        cr_expect_eq(cost.params_total - cost.params_active, own ? (12 - 9) * 2 * 7 : 0);
    }
}

/* The largest sizes that are not refused: nothing wraps. */
Test(peer_slot, cost_of_the_largest_layer)
{
    struct peer_ctx *ctx = NULL;
    struct peer_layer_config config = pair_config(7);
    struct peer_cost cost;
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    config.experts = config.kept = 46340 * (int64_t)46340;
    config.heads = PKM_HEADS_MAX;
    config.query_width = PKM_QUERY_WIDTH_MAX;
    config.expert = PEER_EXPERT_GLU;
    cr_assert_eq(peer_ffw_peer.check(ctx, &config, PKM_WIDTH_MAX), PEER_OK);
    cr_expect_eq(peer_ffw_peer.check(ctx, &config, PKM_WIDTH_MAX + 1), PEER_ERR_ARGUMENT);
    peer_ffw_peer.cost(&cost, &config, PKM_WIDTH_MAX);
    cr_expect_gt(cost.params_active, config.experts * 3 * PKM_WIDTH_MAX);
    cr_expect_eq(cost.params_active, cost.params_total);
    cr_expect_eq(cost.forward[PEER_PART_EXPERTS],
                 2.0 * 1024 * (double)config.experts * 3 * PKM_WIDTH_MAX);
    peer_ctx_destroy(&ctx);
}

static void expect_refused(struct peer_layer_config config, int64_t tokens_per_step,
                           const char *reason)
{
    struct peer_ctx *ctx = NULL;
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    struct peer_ffw_shape shape = {.width = 4, .tokens = 3, .tokens_per_step = tokens_per_step};
    struct peer_ffw *layer = NULL;
    cr_expect_eq(peer_layer_create(&layer, ctx, &config, &shape), PEER_ERR_ARGUMENT, "%s", reason);
    cr_expect_null(layer);
    cr_expect(strstr(peer_ctx_error(ctx), reason), "'%s' lacks '%s'", peer_ctx_error(ctx), reason);
    peer_ctx_destroy(&ctx);
}

Test(peer_slot, refusals_give_the_numbers)
{
    struct peer_layer_config config = pair_config(4);
    config.experts = 1000;
    expect_refused(config, 3, "31^2 = 961");
    config = pair_config(4);
    config.kept = 50;
    expect_refused(config, 3, "50");
    config = pair_config(4);
    config.query_width = 7;
    expect_refused(config, 3, "7");
    config = pair_config(4);
    config.heads = 0;
    expect_refused(config, 3, "heads = 0");
    config = pair_config(4);
    config.table_lr_scale = NAN;
    expect_refused(config, 3, "table_lr_scale = nan");
    config = pair_config(4);
    config.experts = 40000 * (int64_t)40000;
    config.heads = 2;
    config.tables_per_head = true;
    expect_refused(config, 3, "3200000000 rows");
    expect_refused(pair_config(4), 143165577, "143165576");
    expect_refused(pair_config(4), -1, "tokens_per_step = -1");
    expect_refused(pair_config(4), INT64_MAX, "tokens_per_step = 9223372036854775807");
}

/* Through the slot, every option set by name: the same bits as by direct calls. */
Test(peer_slot, the_slot_is_the_layer)
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
    struct peer_layer_config direct = pair_config(6), named;
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
    struct peer_ffw *layer = NULL;
    cr_assert_eq(peer_ffw_create(&layer, pair->ctx, &peer_ffw_peer, &named, &shape), PEER_OK);
    struct peer_params params = peer_params_empty(pair->ctx);
    cr_assert_eq(peer_ffw_params(layer, &params, "ffw."), PEER_OK);
    cr_expect_eq(peer_params_find(&params, "ffw.experts")->lr_scale, 2.5f);
    cr_assert_eq(params.count, pair->params.count);
    for (int64_t i = 0; i < params.count; i++) {
        cr_assert_str_eq(params.items[i].name + 4, pair->params.items[i].name);
        memcpy(params.items[i].data, pair->params.items[i].data,
               (size_t)peer_param_size(&params.items[i]) * sizeof(float));
    }
    float y[19 * 6], dx[19 * 6] = {0};
    pair_run(pair);
    peer_ffw_forward(layer, y, pair->x, NULL, 19, PEER_MODE_TRAIN);
    peer_ffw_backward(layer, dx, pair->dy, pair->x, 19);
    cr_expect_arr_eq(y, pair->y, sizeof y);
    cr_expect_arr_eq(dx, pair->dx, sizeof dx);
    struct peer_routing routing;
    cr_expect(peer_ffw_routing(layer, &routing));
    cr_expect_eq(routing.experts, 3 * 49);
    peer_params_free(&params);
    peer_ffw_destroy(&layer);
    cr_expect_null(layer);
    pair_destroy(pair);
}
