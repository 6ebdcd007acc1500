/* SPDX-License-Identifier: MIT */
/* What is not finite: in a token, for every type of layer; in running statistics; and finding it.
 */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "nn/params/finite.h"
#include "nn/random.h"
#include "peer/peer.h"
#include "peer/types.h"

enum { D = 16, T = 45, BAD = 7, CONFIG_BYTES = 512, N = 1 << 20 };

static struct peer_ctx *ctx;

static void set_up(void)
{
    struct peer_ctx_config config = peer_ctx_config_default();
    config.threads = 2;
    cr_assert_eq(peer_ctx_create(&ctx, &config), PEER_OK);
}

static void tear_down(void)
{
    cr_expect_eq(peer_ctx_bytes(ctx), 0);
    peer_ctx_destroy(&ctx);
}

TestSuite(finite, .init = set_up, .fini = tear_down);

/* An option's value, where a type has it; each layer is tried with each. */
struct setting {
    const char *name, *value;
};

static const struct setting settings[] = {{"", ""},
                                          {"query_norm", "none"},
                                          {"query_norm", "layer"},
                                          {"query_norm", "rms"},
                                          {"gate", "sigmoid"},
                                          {"gate", "relu"},
                                          {"gated", "true"},
                                          {"expert", "glu"},
                                          {"activation", "relu"},
                                          {"capacity_eval", "0.5"},
                                          {"group", "15"},
                                          {"loss_free", "true"},
                                          {"normalized", "true"}};
enum { SETTINGS = sizeof settings / sizeof *settings };

struct layer {
    const struct peer_ffw_type *type;
    struct peer_params params;
    struct peer_ffw *layer;
    bool mixes; /* a token's y depends on what other tokens hold, at evaluation too */
};

/* False where the type has no such option, or not that value. */
static bool open_layer(struct layer *ret, const struct peer_ffw_type *type,
                       const struct setting *setting)
{
    static const struct setting small[] = {
        {"experts", "16"}, {"memories", "16"}, {"heads", "2"}, {"kept", "3"}, {"hidden", "7"}};
    alignas(max_align_t) unsigned char config[CONFIG_BYTES];
    struct peer_ffw_shape shape = {.width = D, .tokens = T, .tokens_per_step = T};
    cr_assert_leq(type->config_size, sizeof config);
    type->config_default(config, D);
    for (size_t i = 0; i < sizeof small / sizeof *small; i++) {
        const struct peer_option *option = peer_option_find(type->options, small[i].name);
        if (option)
            cr_assert_eq(peer_option_set(ctx, config, option, small[i].value), PEER_OK);
    }
    if (*setting->name) {
        const struct peer_option *option = peer_option_find(type->options, setting->name);
        if (!option || peer_option_set(ctx, config, option, setting->value))
            return false;
    }
    ret->type = type;
    ret->mixes = type->traits(config) & (PEER_FFW_NOT_CAUSAL | PEER_FFW_SHARES_CAPACITY);
    ret->params = peer_params_empty(ctx);
    cr_assert_eq(peer_ffw_create(&ret->layer, ctx, type, config, &shape), PEER_OK, "%s: %s",
                 type->name, peer_ctx_error(ctx));
    cr_assert_eq(peer_ffw_params(ret->layer, &ret->params, ""), PEER_OK);
    peer_params_init(&ret->params, 3);
    return true;
}

static void close_layer(struct layer *layer)
{
    peer_params_free(&layer->params);
    peer_ffw_destroy(&layer->layer);
}

/* A token of `value`, in all features or in one, has no finite y if it is not finite, and is to the
 * others what padding is: they are served, and what it costs them is rounding. A finite one that
 * only overflows on its way may have taken part in what tokens share. */
static void poison(const struct layer *l, const float *x, float value, bool whole,
                   const char *setting)
{
    float bad[T * D], y[T * D], expected[T * D];
    uint8_t mask[T];
    bool finite = true;
    memset(mask, 1, sizeof mask);
    mask[BAD] = 0;
    memcpy(bad, x, sizeof bad);
    for (int i = 0; i < D; i++)
        bad[BAD * D + i] = whole || i == 3 ? value : x[BAD * D + i];
    peer_ffw_forward(l->layer, y, bad, NULL, T, PEER_MODE_EVAL);
    for (int i = 0; i < D; i++)
        finite &= isfinite(y[BAD * D + i]) != 0;
    cr_expect(!finite || isfinite(value), "%s %s: a token of %g has a finite y", l->type->name,
              setting, value);
    peer_ffw_forward(l->layer, expected, x, mask, T, PEER_MODE_EVAL);
    for (int i = 0; i < T * D; i++) {
        float apart = fabsf(y[i] - expected[i]), most = 1e-5f * (1 + fabsf(expected[i]));
        bool good = l->mixes && isfinite(value) ? isfinite(y[i]) : apart <= most;
        cr_assert(i / D == BAD || good, "%s %s: a token of %g changes token %d from %g to %g",
                  l->type->name, setting, value, i / D, expected[i], y[i]);
    }
}

Test(finite, a_token_that_is_not_harms_itself_alone)
{
    static const float values[] = {NAN, INFINITY, -INFINITY, 1e20f, -1e20f, 1e30f, FLT_MAX};
    float x[T * D];
    int tried = 0;
    peer_fill_normal(x, T * D, 0, 1, 4, 5);
    for (const struct peer_ffw_type *const *type = peer_ffw_types; *type; type++)
        for (int s = 0; s < SETTINGS; s++) {
            struct layer layer;
            if (!open_layer(&layer, *type, &settings[s]))
                continue;
            for (size_t v = 0; v < sizeof values / sizeof *values; v++)
                for (int whole = 0; whole < 2; whole++)
                    poison(&layer, x, values[v], whole, settings[s].name);
            close_layer(&layer);
            tried++;
        }
    cr_expect_gt(tried, 30);
}

/* Where squares overflow, a finite token is no constant, whose y would be 0 or a bias. */
Test(finite, an_overflowing_norm_is_not_hidden)
{
    static const struct setting norms[] = {{"query_norm", "layer"}, {"query_norm", "rms"}};
    float x[T * D], y[T * D];
    peer_fill_normal(x, T * D, 0, 1, 4, 5);
    for (int i = 0; i < D; i++)
        x[BAD * D + i] *= 1e25f;
    for (const struct peer_ffw_type *const *type = peer_ffw_types; *type; type++)
        for (int s = 0; s < 2; s++) {
            struct layer layer;
            bool soft = strcmp((*type)->name, "soft_moe") == 0;
            if (!open_layer(&layer, *type, soft ? settings : &norms[s]))
                continue;
            peer_ffw_forward(layer.layer, y, x, NULL, T, PEER_MODE_EVAL);
            for (int i = 0; i < T * D; i++)
                cr_expect_eq(isnan(y[i]) != 0, i / D == BAD, "%s %s: %d %g", (*type)->name,
                             norms[s].value, i / D, y[i]);
            close_layer(&layer);
        }
}

/* A bad batch among good ones: by the last, running statistics are what they are without. */
static void expect_healed(const struct peer_ffw_type *type, float value)
{
    float x[T * D], y[T * D], expected[2][2 * 256] = {{0}};
    for (int bad = 0; bad < 2; bad++) {
        struct layer layer;
        cr_assert(open_layer(&layer, type, settings));
        const struct peer_param *var = peer_params_find(&layer.params, "query_norm.var");
        const struct peer_param *mean = peer_params_find(&layer.params, "query_norm.mean");
        for (int batch = 0; batch < 200; batch++) {
            peer_fill_normal_from(x, batch * T * D, T * D, 0, 1, 1, peer_stream("x"));
            if (bad && batch == 5)
                x[BAD * D] = value;
            peer_ffw_forward(layer.layer, y, x, NULL, T, PEER_MODE_TRAIN);
            for (int i = 0; bad && batch == 5 && !isfinite(value) && i < T * D; i++)
                cr_assert(isnan(y[i]), "%s: batch statistics are of all", type->name);
            cr_assert(batch == 5 || isfinite(y[0]), "%s: after %g", type->name, value);
        }
        cr_expect_eq(peer_ffw_skipped(layer.layer), bad, "%s %g", type->name, value);
        int64_t n = peer_param_size(var);
        cr_assert_leq(n, 256);
        for (int64_t f = 0; f < n; f++) {
            float deviation = sqrtf(bad ? expected[0][f] : var->data[f]);
            if (!bad) {
                expected[0][f] = var->data[f];
                expected[1][f] = mean->data[f];
                continue;
            }
            cr_expect_float_eq(var->data[f], expected[0][f], 1e-3f * deviation * deviation,
                               "%s %g: variance %g, not %g", type->name, value, var->data[f],
                               expected[0][f]);
            cr_expect_float_eq(mean->data[f], expected[1][f], 1e-3f * deviation,
                               "%s %g: mean %g, not %g", type->name, value, mean->data[f],
                               expected[1][f]);
        }
        close_layer(&layer);
    }
}

Test(finite, no_batch_poisons_running_statistics)
{
    static const float values[] = {NAN, INFINITY, -INFINITY, 1e20f, 1e18f, 1e12f, FLT_MAX};
    static const struct peer_ffw_type *const types[] = {&peer_ffw_pkm, &peer_ffw_peer};
    for (int i = 0; i < 2; i++)
        for (size_t v = 0; v < sizeof values / sizeof *values; v++)
            expect_healed(types[i], values[v]);
}

/* As an older program may have saved them. */
Test(finite, running_statistics_that_are_not_finite_are_replaced)
{
    float x[T * D], y[T * D];
    struct layer layer;
    cr_assert(open_layer(&layer, &peer_ffw_peer, settings));
    peer_fill_normal(x, T * D, 0, 1, 4, 5);
    struct peer_param *mean = peer_params_find(&layer.params, "query_norm.mean");
    struct peer_param *var = peer_params_find(&layer.params, "query_norm.var");
    mean->data[0] = NAN;
    var->data[0] = INFINITY;
    peer_ffw_forward(layer.layer, y, x, NULL, T, PEER_MODE_EVAL);
    cr_expect(isnan(y[0]));
    peer_ffw_forward(layer.layer, y, x, NULL, T, PEER_MODE_TRAIN);
    cr_expect(isfinite(mean->data[0]) && isfinite(var->data[0]) && var->data[0] > 0);
    peer_ffw_forward(layer.layer, y, x, NULL, T, PEER_MODE_EVAL);
    cr_expect(isfinite(y[0]));
    close_layer(&layer);
}

Test(finite, the_first_value_is_found_wherever_it_is)
{
    static const int64_t places[] = {0, 1, 1023, 1024, 65535, 65536, N - 1};
    float *x = calloc(N, sizeof *x);
    x[5] = FLT_MAX;
    x[6] = -FLT_MAX;
    cr_expect_eq(peer_first_nonfinite(ctx, x, N), -1);
    cr_expect_eq(peer_first_nonfinite(ctx, x, 0), -1);
    for (size_t i = sizeof places / sizeof *places; i-- > 0;) {
        x[places[i]] = i % 3 == 0 ? NAN : i % 3 == 1 ? INFINITY : -INFINITY;
        cr_expect_eq(peer_first_nonfinite(ctx, x, N), places[i]);
    }
    free(x);
}

/* By name, in values of either type and in gradients, those of a table's rows included. */
Test(finite, entries_are_named)
{
    float x[T * D], y[T * D], dx[T * D] = {0}, dy[T * D];
    struct layer layer;
    cr_assert(open_layer(&layer, &peer_ffw_peer, settings));
    peer_fill_normal(x, T * D, 0, 1, 4, 5);
    peer_fill_normal(dy, T * D, 0, 1, 4, 6);
    peer_ffw_forward(layer.layer, y, x, NULL, T, PEER_MODE_TRAIN);
    peer_ffw_backward(layer.layer, dx, dy, x, T);
    cr_expect_null(peer_params_nonfinite(&layer.params).param);
    cr_expect_null(peer_params_nonfinite_grad(&layer.params).param);

    struct peer_param *experts = peer_params_find(&layer.params, "experts");
    struct peer_rows *rows = experts->rows;
    rows->source[1][BAD * D + 4] = INFINITY; /* of v, whose columns follow u's */
    struct peer_nonfinite found = peer_params_nonfinite_grad(&layer.params);
    cr_assert_eq(found.param, experts);
    cr_expect_eq(found.index % (2 * D), D + 4);
    bool touched = false;
    for (int64_t e = 0; e < rows->entries; e++)
        touched |= rows->token[e] == BAD && rows->row[e] == found.index / (2 * D);
    cr_expect(touched, "row %ld", (long)(found.index / (2 * D)));

    struct peer_param *keys = peer_params_find(&layer.params, "keys");
    keys->grad[9] = NAN;
    found = peer_params_nonfinite_grad(&layer.params);
    cr_expect_eq(found.param, keys, "keys come first");
    cr_expect_eq(found.index, 9);

    experts->data[17] = NAN;
    found = peer_params_nonfinite(&layer.params);
    cr_expect_eq(found.param, experts);
    cr_expect_eq(found.index, 17);
    close_layer(&layer);
}

Test(finite, bf16_and_integers)
{
    uint16_t bf16[8] = {0, 0x7f7f, 0xff7f, 0x8000, 0x0001, 0, 0, 0};
    int32_t integers[4] = {-1, 0x7f800000, 0x7fc00000, 0};
    struct peer_params list = peer_params_empty(ctx);
    struct peer_param param = {.name = "i",
                               .kind = PEER_PARAM_BUFFER,
                               .dims = 1,
                               .shape = {4},
                               .type = PEER_TYPE_I32,
                               .data = (float *)(void *)integers};
    cr_assert_eq(peer_params_add(&list, "", &param), PEER_OK);
    param = (struct peer_param){.name = "b",
                                .kind = PEER_PARAM_BUFFER,
                                .dims = 1,
                                .shape = {8},
                                .type = PEER_TYPE_BF16,
                                .data = (float *)(void *)bf16};
    cr_assert_eq(peer_params_add(&list, "", &param), PEER_OK);
    cr_expect_null(peer_params_nonfinite(&list).param);
    bf16[6] = 0xff80; /* -infinity */
    cr_expect_eq(peer_params_nonfinite(&list).index, 6);
    bf16[5] = 0x7fc1; /* NaN */
    cr_expect_eq(peer_params_nonfinite(&list).index, 5);
    peer_params_free(&list);
}
