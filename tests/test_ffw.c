/* SPDX-License-Identifier: MIT */
/* What nn/layers/ffw.h promises of every type, whatever it computes. */
#include <criterion/criterion.h>
#include <stdalign.h>
#include <string.h>

#include "nn/random.h"
#include "peer/types.h"

enum { D = 6, T = 5, CONFIG_BYTES = 512 };

struct made {
    const struct peer_ffw_type *type;
    struct peer_ctx *ctx;
    struct peer_ffw *layer;
};

/* A layer of few experts, where it has them: N = 25, H = 2, k = 3. */
static struct made make(const struct peer_ffw_type *type)
{
    static const char *const settings[][2] = {
        {"experts", "25"}, {"memories", "25"}, {"heads", "2"}, {"kept", "3"}, {"hidden", "7"}};
    alignas(max_align_t) unsigned char config[CONFIG_BYTES];
    struct peer_ffw_shape shape = {.width = D, .tokens = T, .tokens_per_step = 2 * T};
    struct made made = {.type = type};
    cr_assert_leq(type->config_size, sizeof config);
    cr_assert_eq(peer_ctx_create(&made.ctx, NULL), PEER_OK);
    type->config_default(config, D);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        const struct peer_option *option = peer_option_find(type->options, settings[i][0]);
        if (option)
            cr_assert_eq(peer_option_set(made.ctx, config, option, settings[i][1]), PEER_OK);
    }
    cr_assert_eq(peer_ffw_create(&made.layer, made.ctx, type, config, &shape), PEER_OK, "%s: %s",
                 type->name, peer_ctx_error(made.ctx));
    return made;
}

static void unmake(struct made *made)
{
    peer_ffw_destroy(&made->layer);
    cr_expect_null(made->layer);
    cr_expect_eq(peer_ctx_bytes(made->ctx), 0, "%s", made->type->name);
    peer_ctx_destroy(&made->ctx);
}

Test(ffw, routing_sizes_are_known_before_the_first_pass)
{
    int routed = 0;
    for (const struct peer_ffw_type *const *type = peer_ffw_types; *type; type++) {
        struct made made = make(*type);
        struct peer_routing before, after;
        struct peer_params params = peer_params_empty(made.ctx);
        bool has = peer_ffw_routing(made.layer, &before);
        if (has) {
            float x[T * D], y[T * D];
            cr_expect_eq(before.experts, 25, "%s", (*type)->name);
            bool heads = peer_option_find((*type)->options, "heads") != NULL;
            bool kept = peer_option_find((*type)->options, "kept") != NULL;
            cr_expect_eq(before.side, heads ? 5 : 0, "%s", (*type)->name);
            cr_expect_eq(before.heads, heads ? 2 : 1, "%s", (*type)->name);
            cr_expect(!kept || before.kept == 3, "%s", (*type)->name);
            cr_assert_eq(peer_ffw_params(made.layer, &params, ""), PEER_OK);
            peer_params_init(&params, 3);
            peer_fill_normal(x, T * D, 0, 1, 4, 5);
            peer_ffw_forward(made.layer, y, x, NULL, T, PEER_MODE_EVAL);
            cr_assert(peer_ffw_routing(made.layer, &after));
            cr_expect_eq(after.experts, before.experts, "%s", (*type)->name);
            cr_expect_eq(after.side, before.side, "%s", (*type)->name);
            cr_expect_eq(after.heads, before.heads, "%s", (*type)->name);
            cr_expect_eq(after.kept, before.kept, "%s", (*type)->name);
            routed++;
        }
        peer_params_free(&params);
        unmake(&made);
    }
    cr_expect_geq(routed, 2);
}

/* Two passes over inputs of their own; gradients come on top of what there is. */
static void two_passes(const struct made *made, uint64_t stream)
{
    float x[T * D], y[T * D], dx[T * D] = {0}, dy[T * D];
    for (uint64_t pass = stream; pass < stream + 2; pass++) {
        peer_fill_normal(x, T * D, 0, 1, 4, 2 * pass);
        peer_fill_normal(dy, T * D, 0, 1, 4, 2 * pass + 1);
        peer_ffw_forward(made->layer, y, x, NULL, T, PEER_MODE_TRAIN);
        peer_ffw_backward(made->layer, dx, dy, x, T);
    }
}

/* Gradients of two passes after two others and zeroing, stale ones holding NaN in between. */
static void gradients_after_others(const struct made *made, const struct peer_params *params)
{
    two_passes(made, 10);
    peer_params_zero_grad(params);
    for (int64_t i = 0; i < params->count; i++)
        if (params->items[i].stale)
            memset(params->items[i].grad, 0xff, peer_param_bytes(&params->items[i]));
    two_passes(made, 20);
}

/* Whether gradients are zeroed or marked is the same to the bit, experts without tokens and second
 * passes included. */
Test(ffw, stale_gradients_are_written)
{
    int marked = 0;
    for (const struct peer_ffw_type *const *type = peer_ffw_types; *type; type++) {
        struct made made[2] = {make(*type), make(*type)};
        struct peer_params params[2];
        for (int i = 0; i < 2; i++) {
            params[i] = peer_params_empty(made[i].ctx);
            cr_assert_eq(peer_ffw_params(made[i].layer, &params[i], ""), PEER_OK);
            peer_params_init(&params[i], 3);
            for (int64_t j = 0; i && j < params[i].count; j++)
                params[i].items[j].stale = NULL;
            gradients_after_others(&made[i], &params[i]);
        }
        for (int64_t j = 0; j < params[0].count; j++) {
            const struct peer_param *param = &params[0].items[j];
            marked += param->stale != NULL;
            if (param->kind == PEER_PARAM_DENSE)
                cr_expect_arr_eq(param->grad, params[1].items[j].grad, peer_param_bytes(param),
                                 "%s: %s", (*type)->name, param->name);
        }
        for (int i = 0; i < 2; i++) {
            peer_params_free(&params[i]);
            unmake(&made[i]);
        }
    }
    cr_expect_geq(marked, 2);
}

/* One name is taken before: each entry in turn. */
Test(ffw, parameters_are_added_all_or_none)
{
    for (const struct peer_ffw_type *const *type = peer_ffw_types; *type; type++) {
        struct made made = make(*type);
        struct peer_params whole = peer_params_empty(made.ctx);
        cr_assert_eq(peer_ffw_params(made.layer, &whole, "ffw."), PEER_OK);
        cr_assert_gt(whole.count, 0);
        for (int64_t i = 0; i < whole.count; i++) {
            struct peer_params list = peer_params_empty(made.ctx);
            cr_assert_eq(peer_params_add(&list, "", &whole.items[i]), PEER_OK);
            cr_expect_eq(peer_ffw_params(made.layer, &list, "ffw."), PEER_ERR_ARGUMENT);
            cr_expect(strstr(peer_ctx_error(made.ctx), whole.items[i].name));
            cr_expect_eq(list.count, 1, "%s, %s: %d entries", (*type)->name, whole.items[i].name,
                         (int)list.count);
            peer_params_free(&list);
        }
        peer_params_free(&whole);
        unmake(&made);
    }
}
