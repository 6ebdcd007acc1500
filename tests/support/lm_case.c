/* SPDX-License-Identifier: MIT */
#include "tests/support/lm_case.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/random.h"
#include "peer/types.h"
#include "tests/support/twin.h"

enum { SEED = 20261126 };

/* Options that make a layer small, where it has them. */
static const char *const small[][2] = {
    {"hidden", "21"}, {"experts", "49"},    {"memories", "49"},   {"heads", "2"},
    {"kept", "5"},    {"query_width", "6"}, {"query_norm", "rms"}};
enum { SMALL = sizeof small / sizeof *small };

/* Options of mixtures: few experts, room for all tokens, and nothing that is drawn or that the twin
 * of a model does not know. */
static const char *const mixture[][2] = {
    {"experts", "17"},  {"capacity_eval", "17"}, {"jitter", "0"}, {"second_threshold", "0"},
    {"noise", "false"}, {"balance_loss", "0"},   {"z_loss", "0"}, {"importance_loss", "0"},
    {"load_loss", "0"}, {"group", "17"},         {"slots", "2"},  {"bias_rate", "0"},
    {"kept", "3"}};
enum { MIXTURE = sizeof mixture / sizeof *mixture };

static void set(struct lm_case *c, struct peer_ctx *ctx, const char *name, const char *text)
{
    const struct peer_option *option = peer_option_find(c->config.ffw->options, name);
    if (option)
        cr_assert_eq(peer_option_set(ctx, c->ffw_config, option, text), PEER_OK, "%s",
                     peer_ctx_error(ctx));
}

static void configure(struct lm_case *c, const struct peer_ffw_type *type, bool rms)
{
    struct peer_ctx *ctx = lm_case_ctx(1);
    cr_assert_leq(type->config_size, sizeof c->ffw_config);
    c->config = lm_config_default(61, 24, 3);
    c->config.heads = 3;
    c->config.context = 80;
    c->config.dense.hidden = 21;
    c->config.ffw = type;
    c->config.ffw_config = c->ffw_config;
    type->config_default(c->ffw_config, c->config.width);
    for (int i = 0; i < SMALL - !rms; i++)
        set(c, ctx, small[i][0], small[i][1]);
    bool limited = peer_option_find(type->options, "capacity_eval") != NULL;
    c->grouped =
        peer_option_find(type->options, "experts") && peer_option_find(type->options, "hidden");
    for (int i = 0; i < MIXTURE && c->grouped; i++)
        set(c, ctx, mixture[i][0], mixture[i][1]);
    if (limited)
        set(c, ctx, "capacity", "17");
    c->traits = type->traits(c->ffw_config);
    snprintf(c->name, sizeof c->name, "%s%s", type->name, rms ? " with rms" : "");
    peer_ctx_destroy(&ctx);
}

bool lm_case_get(struct lm_case *ret, int i)
{
    for (const struct peer_ffw_type *const *type = peer_ffw_types; *type; type++) {
        int forms = peer_option_find((*type)->options, "query_norm") ? 2 : 1;
        if (i < forms) {
            memset(ret, 0, sizeof *ret);
            configure(ret, *type, i == 1);
            return true;
        }
        i -= forms;
    }
    return false;
}

struct lm_model *lm_case_model(const struct lm_case *lm_case, struct peer_ctx *ctx, int64_t tokens,
                               bool trainable)
{
    struct lm_model *model = NULL;
    enum peer_status status =
        lm_model_create(&model, ctx, &lm_case->config, tokens, SEED, trainable);
    cr_assert_eq(status, PEER_OK, "%s", peer_ctx_error(ctx));
    const struct peer_params *list = lm_model_params(model);
    for (int64_t i = 0; i < list->count; i++) {
        int64_t n = peer_param_size(&list->items[i]);
        float *noise = twin_floats(n, 0, 0.1f, SEED + 1, list->items[i].name);
        bool variance = strstr(list->items[i].name, ".var") != NULL;
        for (int64_t j = 0; j < n; j++)
            list->items[i].data[j] += variance ? fabsf(noise[j]) : noise[j];
        free(noise);
    }
    return model;
}

struct peer_ctx *lm_case_ctx(int threads)
{
    struct peer_ctx *ctx = NULL;
    struct peer_ctx_config config = peer_ctx_config_default();
    config.threads = threads;
    cr_assert_eq(peer_ctx_create(&ctx, &config), PEER_OK);
    return ctx;
}

int32_t *lm_case_ids(int64_t n, int64_t vocab, uint64_t stream)
{
    int32_t *ids = calloc((size_t)n, sizeof *ids);
    cr_assert_not_null(ids);
    for (int64_t i = 0; i < n; i++)
        ids[i] = (int32_t)peer_random_below(SEED, stream, (uint64_t)i, (uint32_t)vocab);
    return ids;
}

float *lm_case_gradient(const struct peer_param *param)
{
    int64_t n = peer_param_size(param), width = param->shape[1];
    float *gradient = calloc((size_t)n, sizeof *gradient);
    cr_assert_not_null(gradient);
    if (param->kind == PEER_PARAM_DENSE)
        memcpy(gradient, param->grad, (size_t)n * sizeof *gradient);
    if (param->kind == PEER_PARAM_ROWS) {
        peer_rows_group(param->rows);
        for (int64_t i = 0; i < param->rows->touched; i++)
            peer_rows_gradient(gradient + param->rows->ids[i] * width, param->rows, i);
    }
    return gradient;
}
