/* SPDX-License-Identifier: MIT */
/* Frozen parts of a model: what stands still, what does not, what it saves, in every variant. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lm/train.h"
#include "peer/types.h"
#include "pkm/retrieval.h"
#include "tests/support/lm_case.h"
#include "tests/support/run_case.h"

enum { SEED = 5, SEQUENCES = 4, TOKENS = SEQUENCES * RUN_CASE_CONTEXT };

/* Spelt out once more, against lm/freeze.c. */
static bool is_frozen(const struct peer_param *param, enum lm_freeze freeze)
{
    switch (freeze) {
    case LM_FREEZE_ROUTER:
        return param->role == PEER_ROLE_ROUTER;
    case LM_FREEZE_EXPERTS:
        return param->role == PEER_ROLE_EXPERTS;
    case LM_FREEZE_MIXTURE:
        return param->role != PEER_ROLE_REST;
    case LM_FREEZE_REST:
        return param->role == PEER_ROLE_REST;
    default:
        return false;
    }
}

static size_t bytes_of(const struct peer_param *param)
{
    return (size_t)peer_param_size(param) * sizeof(float);
}

/* The type at *at, or, of the one that is no mixture, the next. */
static const struct peer_ffw_type *mixture(const struct peer_ffw_type *const **at)
{
    if (**at == &peer_ffw_dense)
        (*at)++;
    return **at;
}

/* After a few steps, with weight decay and clipping as they are by default. */
static struct lm_model *trained(struct peer_ctx *ctx, const struct lm_dataset *data,
                                const struct run_case *setting, int64_t steps)
{
    struct lm_model *model = run_case_model(setting, ctx, TOKENS, SEED);
    struct lm_train_config config = lm_train_config_default();
    struct lm_train_result result;
    config.steps = steps;
    config.sequences = SEQUENCES;
    config.length = RUN_CASE_CONTEXT;
    config.lr = 0.01f;
    config.warmup = 0;
    cr_assert_eq(lm_train(&result, ctx, model, data, &config, NULL, NULL), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    return model;
}

static void expect_frozen(struct peer_ctx *ctx, const struct lm_dataset *data,
                          const struct run_case *setting)
{
    const char *ffw = setting->config.ffw->name, *freeze = lm_freeze_names[setting->config.freeze];
    struct lm_model *before = run_case_model(setting, ctx, TOKENS, SEED);
    struct lm_model *after = trained(ctx, data, setting, 3);
    const struct peer_params *a = lm_model_params(before), *b = lm_model_params(after);
    for (int64_t i = 0; i < a->count; i++) {
        const struct peer_param *old = &a->items[i], *new = &b->items[i];
        bool same = !memcmp(old->data, new->data, bytes_of(old));
        /* The key of random numbers is drawn once; without loss_free no bias moves. */
        bool may_stay = strstr(old->name, "noise.key") || strstr(old->name, "router_bias");
        if (is_frozen(old, setting->config.freeze))
            cr_expect(same && new->kind == PEER_PARAM_BUFFER, "%s, %s: %s moved", ffw, freeze,
                      old->name);
        else
            cr_expect(!same || may_stay, "%s, %s: %s did not move", ffw, freeze, old->name);
    }
    lm_model_destroy(&before);
    lm_model_destroy(&after);
}

Test(freeze, frozen_bits_stay_and_all_others_move)
{
    struct peer_ctx *ctx = lm_case_ctx(2);
    struct tempdir dir = tempdir_create();
    struct lm_dataset data = run_case_data(ctx, &dir, 400, 61);
    for (const struct peer_ffw_type *const *at = peer_ffw_types; mixture(&at); at++)
        for (int freeze = 0; freeze < LM_FREEZE_COUNT; freeze++) {
            struct run_case setting;
            run_case_init(&setting, *at);
            setting.config.freeze = (enum lm_freeze)freeze;
            expect_frozen(ctx, &data, &setting);
        }
    lm_dataset_close(&data);
    tempdir_remove(&dir);
    peer_ctx_destroy(&ctx);
}

/* The loss-free bias moves in a step of the layer, not of the optimizer. */
Test(freeze, a_bias_that_moves_by_loads_stands_still)
{
    struct peer_ctx *ctx = lm_case_ctx(1);
    struct tempdir dir = tempdir_create();
    struct lm_dataset data = run_case_data(ctx, &dir, 400, 0);
    for (int freeze = 0; freeze < LM_FREEZE_COUNT; freeze++) {
        struct run_case setting;
        run_case_init(&setting, peer_ffw_find("deepseek"));
        cr_assert(run_case_set(&setting, "loss_free", "true"));
        setting.config.freeze = (enum lm_freeze)freeze;
        struct lm_model *model = trained(ctx, &data, &setting, 3);
        const struct peer_param *bias =
            peer_params_find(lm_model_params(model), "blocks.1.ffw.router_bias");
        float sum = 0;
        for (int64_t i = 0; i < peer_param_size(bias); i++)
            sum += fabsf(bias->data[i]);
        bool still = freeze == LM_FREEZE_ROUTER || freeze == LM_FREEZE_MIXTURE;
        cr_expect(still == (sum == 0), "%s: %g", lm_freeze_names[freeze], sum);
        lm_model_destroy(&model);
    }
    lm_dataset_close(&data);
    tempdir_remove(&dir);
    peer_ctx_destroy(&ctx);
}

/* Gradients of one pass over two sequences of that length; returns the loss. */
static double pass(struct lm_model *model, int64_t length)
{
    int64_t scored, V = lm_model_config(model)->vocab;
    int32_t *inputs = lm_case_ids(2 * length, V, 1), *targets = lm_case_ids(2 * length, V, 2);
    double loss =
        lm_model_forward(model, &scored, NULL, inputs, targets, 2, length, PEER_MODE_TRAIN);
    lm_model_backward(model, 1);
    free(inputs);
    free(targets);
    return loss;
}

static double squares(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sum;
}

/* What is trained has the gradient that it has in the whole model, bit for bit, and the norm that
 * clips is of that alone: of n squares rounded in float, 1e-5 of it is a wide bound. */
static void expect_gradients(struct peer_ctx *ctx, const struct lm_case *lm_case,
                             struct lm_model *whole)
{
    struct lm_model *model = lm_case_model(lm_case, ctx, 34, true);
    struct peer_optim_config config = peer_optim_config_default();
    struct peer_optim *optim = NULL;
    const struct peer_params *list = lm_model_params(model);
    const char *freeze = lm_freeze_names[lm_case->config.freeze];
    double sum = 0;
    pass(model, 17);
    for (int64_t i = 0; i < list->count; i++) {
        const struct peer_param *param = &list->items[i];
        if (param->kind == PEER_PARAM_BUFFER)
            continue;
        float *mine = lm_case_gradient(param);
        float *theirs = lm_case_gradient(&lm_model_params(whole)->items[i]);
        cr_expect(!memcmp(mine, theirs, bytes_of(param)), "%s, %s: gradient of %s", lm_case->name,
                  freeze, param->name);
        sum += squares(mine, peer_param_size(param));
        free(mine);
        free(theirs);
    }
    cr_assert_eq(peer_optim_create(&optim, ctx, list, &config), PEER_OK);
    double norm = peer_optim_step(optim, 1e-3f);
    cr_expect_float_eq(norm, sqrt(sum), 1e-5 * norm, "%s, %s: %g, %g", lm_case->name, freeze, norm,
                       sqrt(sum));
    peer_optim_destroy(&optim);
    lm_model_destroy(&model);
}

Test(freeze, what_is_trained_has_the_same_gradient_and_the_norm_is_of_that_alone)
{
    struct peer_ctx *ctx = lm_case_ctx(2);
    struct lm_case lm_case;
    for (int i = 0; lm_case_get(&lm_case, i); i++) {
        bool batch = lm_case.traits & PEER_FFW_MIXES_TOKENS_IN_TRAINING;
        if (lm_case.config.ffw == &peer_ffw_dense)
            continue;
        struct lm_model *whole = lm_case_model(&lm_case, ctx, 34, true);
        pass(whole, 17);
        for (int freeze = 1; freeze < LM_FREEZE_COUNT; freeze++) {
            bool router = freeze == LM_FREEZE_ROUTER || freeze == LM_FREEZE_MIXTURE;
            lm_case.config.freeze = (enum lm_freeze)freeze;
            /* A frozen router has other statistics, where they were the batch's. */
            if (!router || !batch || !peer_option_find(lm_case.config.ffw->options, "query_norm"))
                expect_gradients(ctx, &lm_case, whole);
        }
        lm_model_destroy(&whole);
    }
    peer_ctx_destroy(&ctx);
}

/* Running statistics, no noise, no jitter, no second experts by lot. */
Test(freeze, a_frozen_router_decides_in_training_as_at_evaluation)
{
    struct peer_ctx *ctx = lm_case_ctx(2);
    for (const struct peer_ffw_type *const *at = peer_ffw_types; mixture(&at); at++) {
        struct run_case setting;
        int64_t scored;
        run_case_init(&setting, *at);
        run_case_set(&setting, "capacity", "8"); /* room is no matter of the router */
        run_case_set(&setting, "capacity_eval", "8");
        setting.config.freeze = LM_FREEZE_ROUTER;
        struct lm_model *model = run_case_model(&setting, ctx, TOKENS, SEED);
        int32_t *ids = lm_case_ids(TOKENS, RUN_CASE_VOCAB, 3);
        double losses[2];
        for (int mode = 0; mode < 2; mode++)
            losses[mode] =
                lm_model_forward(model, &scored, NULL, ids, ids, SEQUENCES, RUN_CASE_CONTEXT,
                                 mode ? PEER_MODE_TRAIN : PEER_MODE_EVAL);
        cr_expect_eq(losses[0], losses[1], "%s: %.9g, %.9g", (*at)->name, losses[0], losses[1]);
        free(ids);
        lm_model_destroy(&model);
    }
    peer_ctx_destroy(&ctx);
}

/* A model of `type` whose router is frozen, with that norm of queries; weights by name. */
static struct lm_model *frozen_router(struct peer_ctx *ctx, const struct peer_ffw_type *type,
                                      const char *norm)
{
    struct run_case setting;
    run_case_init(&setting, type);
    cr_assert(run_case_set(&setting, "query_norm", norm));
    setting.config.freeze = LM_FREEZE_ROUTER;
    return run_case_model(&setting, ctx, TOKENS, SEED);
}

/* With a mean of 0 and a variance of 4, gain 1 and bias 0 a batch norm that stands still halves the
 * queries, as a query network of half the weights does: no rounding tells the two apart. */
Test(freeze, a_batch_norm_that_stands_still_is_a_scale_of_the_queries)
{
    static const char *const names[] = {"pkm", "peer"};
    struct peer_ctx *ctx = lm_case_ctx(2);
    float var = 4 - PKM_NORM_EPSILON;
    while (var + PKM_NORM_EPSILON < 4)
        var = nextafterf(var, 5);
    for (int i = 0; i < 2; i++) {
        const struct peer_ffw_type *type = peer_ffw_find(names[i]);
        struct lm_model *normed = frozen_router(ctx, type, "batch");
        struct lm_model *halved = frozen_router(ctx, type, "none");
        const struct peer_params *a = lm_model_params(normed), *b = lm_model_params(halved);
        struct peer_param *vars = peer_params_find(a, "blocks.1.ffw.query_norm.var");
        struct peer_param *query = peer_params_find(b, "blocks.1.ffw.query");
        for (int64_t j = 0; j < peer_param_size(vars); j++)
            vars->data[j] = var;
        for (int64_t j = 0; j < peer_param_size(query); j++)
            query->data[j] *= 0.5f;
        cr_expect_eq(pass(normed, RUN_CASE_CONTEXT), pass(halved, RUN_CASE_CONTEXT));
        for (int64_t j = 0; j < b->count; j++) {
            const struct peer_param *theirs = &b->items[j];
            if (theirs->kind == PEER_PARAM_BUFFER)
                continue;
            float *left = lm_case_gradient(peer_params_find(a, theirs->name));
            float *right = lm_case_gradient(theirs);
            cr_expect(!memcmp(left, right, bytes_of(theirs)), "%s: %s", names[i], theirs->name);
            free(left);
            free(right);
        }
        lm_model_destroy(&normed);
        lm_model_destroy(&halved);
    }
    peer_ctx_destroy(&ctx);
}

Test(freeze, memory_is_estimated_and_parameters_are_counted)
{
    struct peer_ctx *ctx = lm_case_ctx(1);
    for (const struct peer_ffw_type *const *at = peer_ffw_types; mixture(&at); at++) {
        size_t all = 0;
        for (int freeze = 0; freeze < LM_FREEZE_COUNT; freeze++) {
            struct run_case setting;
            struct peer_cost cost;
            run_case_init(&setting, *at);
            setting.config.freeze = (enum lm_freeze)freeze;
            struct lm_model *model = run_case_model(&setting, ctx, TOKENS, SEED);
            const struct peer_params *list = lm_model_params(model);
            size_t list_bytes = (size_t)list->capacity * sizeof *list->items;
            size_t bytes = peer_ctx_bytes(ctx) - list_bytes;
            const char *names[] = {(*at)->name, lm_freeze_names[freeze]};
            lm_config_cost(&cost, &setting.config, RUN_CASE_CONTEXT);
            cr_expect_eq(bytes, lm_config_memory(&setting.config, TOKENS), "%s, %s: %zu, %zu",
                         names[0], names[1], bytes, lm_config_memory(&setting.config, TOKENS));
            cr_expect_eq(peer_params_trained(list),
                         cost.params_total - lm_config_frozen(&setting.config), "%s, %s", names[0],
                         names[1]);
            struct peer_optim_config optim = peer_optim_config_default();
            cr_expect_eq(lm_config_optim_memory(&setting.config, &optim),
                         (size_t)peer_params_trained(list) * 2 * sizeof(float));
            all = freeze == 0 ? bytes : all;
            cr_expect(freeze == 0 || bytes < all, "%s, %s: %zu of %zu", names[0], names[1], bytes,
                      all);
            lm_model_destroy(&model);
        }
    }
    peer_ctx_destroy(&ctx);
}

/* The mixture's entries by hand: names stand for the roles that the docs give them. */
Test(freeze, a_layer_says_which_of_its_entries_are_router_and_experts)
{
    static const char *const routers[] = {"router", "noise.", "query", "keys", "slots", NULL};
    static const char *const experts[] = {"experts", "shared.", "values", "gate", "output", NULL};
    struct peer_ctx *ctx = lm_case_ctx(1);
    for (const struct peer_ffw_type *const *at = peer_ffw_types; mixture(&at); at++) {
        struct run_case setting;
        run_case_init(&setting, *at);
        run_case_set(&setting, "gated", "true");
        struct lm_model *model = run_case_model(&setting, ctx, TOKENS, SEED);
        const struct peer_params *list = lm_model_params(model);
        static const char prefix[] = "blocks.1.ffw.";
        for (int64_t i = 0; i < list->count; i++) {
            const char *name = list->items[i].name + sizeof prefix - 1;
            enum peer_role role = PEER_ROLE_REST;
            bool inside = !strncmp(list->items[i].name, prefix, sizeof prefix - 1) &&
                          strncmp(name, "norm.", 5) != 0;
            for (int j = 0; inside && routers[j]; j++)
                if (!strncmp(name, routers[j], strlen(routers[j])))
                    role = PEER_ROLE_ROUTER;
            for (int j = 0; inside && experts[j]; j++)
                if (!strncmp(name, experts[j], strlen(experts[j])))
                    role = PEER_ROLE_EXPERTS;
            cr_expect_eq(list->items[i].role, role, "%s: %s", (*at)->name, list->items[i].name);
        }
        lm_model_destroy(&model);
    }
    peer_ctx_destroy(&ctx);
}

Test(freeze, without_a_mixture_there_is_nothing_to_freeze)
{
    struct peer_ctx *ctx = lm_case_ctx(1);
    for (int freeze = 1; freeze < LM_FREEZE_COUNT; freeze++)
        for (int named = 0; named < 2; named++) {
            struct run_case setting;
            char text[64];
            run_case_init(&setting, named ? &peer_ffw_dense : NULL);
            setting.config.freeze = (enum lm_freeze)freeze;
            snprintf(text, sizeof text, "freeze = %s, but ffw = dense is no mixture",
                     lm_freeze_names[freeze]);
            cr_expect_eq(lm_config_check(ctx, &setting.config), PEER_ERR_ARGUMENT);
            cr_expect(strstr(peer_ctx_error(ctx), text), "%s", peer_ctx_error(ctx));
            cr_expect_eq(strstr(peer_ctx_error(ctx), "nothing would be trained") != NULL,
                         freeze == LM_FREEZE_REST);
        }
    struct run_case setting;
    run_case_init(&setting, peer_ffw_find("peer"));
    setting.config.freeze = LM_FREEZE_COUNT;
    cr_expect_eq(lm_config_check(ctx, &setting.config), PEER_ERR_ARGUMENT);
    cr_expect(strstr(peer_ctx_error(ctx), "freeze = 5, expected 0 to 4"), "%s",
              peer_ctx_error(ctx));
    peer_ctx_destroy(&ctx);
}
