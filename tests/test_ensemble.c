/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "lm/ensemble.h"
#include "peer/types.h"
#include "tests/support/failing.h"
#include "tests/support/run_case.h"

enum { SEED = 11, WINDOWS = 3, TOKENS = WINDOWS * RUN_CASE_CONTEXT, VALID = 101 };

static struct peer_ctx *ctx;
static struct tempdir dir;
static struct lm_dataset data;

static void set_up(void)
{
    struct peer_ctx_config config = peer_ctx_config_default();
    config.threads = 2;
    cr_assert_eq(peer_ctx_create(&ctx, &config), PEER_OK);
    dir = tempdir_create();
    data = run_case_data(ctx, &dir, 400, VALID);
}

static void tear_down(void)
{
    lm_dataset_close(&data);
    tempdir_remove(&dir);
    peer_ctx_destroy(&ctx);
}

TestSuite(ensemble, .init = set_up, .fini = tear_down);

/* p = 1/2 and 1/8: -log(5/16). A model that excludes the token halves the probability; where all do
 * it is excluded. */
Test(ensemble, loss_by_hand)
{
    double losses[] = {log(2), log(8)}, tiny[] = {1000, 1000 + log(3)}, one[] = {0.25};
    double half[] = {log(2), INFINITY}, none[] = {INFINITY, INFINITY}, bad[] = {1, NAN};
    cr_expect_lt(fabs(lm_ensemble_loss(losses, 2) - log(16. / 5)), 1e-15);
    cr_expect_lt(fabs(lm_ensemble_loss(tiny, 2) - (1000 + log(1.5))), 1e-12);
    cr_expect_eq(lm_ensemble_loss(one, 1), 0.25);
    cr_expect_lt(fabs(lm_ensemble_loss(half, 2) - log(4)), 1e-15);
    cr_expect(isinf(lm_ensemble_loss(none, 2)));
    cr_expect(isnan(lm_ensemble_loss(bad, 2)));
    bad[0] = NAN;
    bad[1] = 1;
    cr_expect(isnan(lm_ensemble_loss(bad, 2)));
}

static struct lm_eval_result evaluate(struct lm_eval_result *each, struct lm_model *const *list,
                                      int64_t models, int64_t tokens, int64_t sequences)
{
    struct lm_eval_result result;
    cr_assert_eq(lm_ensemble_evaluate(&result, each, ctx, list, models, data.valid, data.vocabulary,
                                      tokens, RUN_CASE_CONTEXT, sequences, NULL, NULL),
                 PEER_OK, "%s", peer_ctx_error(ctx));
    return result;
}

/* The loss from each model's losses by one plain pass for each window, in probabilities. */
static double by_windows(struct lm_model *const *list, int64_t models, int64_t tokens)
{
    double loss = 0;
    for (int64_t at = 0; at < tokens; at += RUN_CASE_CONTEXT) {
        int32_t inputs[RUN_CASE_CONTEXT], targets[RUN_CASE_CONTEXT];
        double p[RUN_CASE_CONTEXT] = {0};
        int64_t scored, S = tokens - at < RUN_CASE_CONTEXT ? tokens - at : RUN_CASE_CONTEXT;
        for (int64_t s = 0; s < S; s++) {
            inputs[s] = lm_corpus_id(data.valid, at + s);
            targets[s] = lm_corpus_id(data.valid, at + s + 1);
        }
        for (int64_t m = 0; m < models; m++) {
            float losses[RUN_CASE_CONTEXT];
            lm_model_forward(list[m], &scored, losses, inputs, targets, 1, S, PEER_MODE_EVAL);
            for (int64_t s = 0; s < S; s++)
                p[s] += exp(-(double)losses[s]);
        }
        for (int64_t s = 0; s < S; s++)
            loss -= log(p[s] / (double)models);
    }
    return loss / (double)tokens;
}

/* Different types, so that the models differ by more than their draws; a pass's last window is cut.
 * Sums of 100 positive float terms in other orders differ by less than 100 units of the last place,
 * relative. */
Test(ensemble, averages_probabilities_and_keeps_below_the_mean_loss)
{
    struct lm_model *list[8];
    int64_t models = 0;
    for (const struct peer_ffw_type *const *type = peer_ffw_types; *type && models < 4; type++) {
        struct run_case setting;
        run_case_init(&setting, *type);
        if (!run_case_separate(&setting))
            continue;
        list[models] = run_case_model(&setting, ctx, TOKENS, SEED + (uint64_t)models);
        models++;
    }
    cr_assert_geq(models, 3);
    for (int64_t tokens = 99; tokens <= 100; tokens++)
        for (int64_t sequences = 1; sequences <= WINDOWS; sequences++) {
            struct lm_eval_result each[8], got = evaluate(each, list, models, tokens, sequences);
            double mean = 0, expected = by_windows(list, models, tokens);
            cr_expect_eq(got.tokens, tokens);
            cr_expect_eq(got.perplexity, exp(got.nats));
            cr_expect_lt(fabs(got.nats - expected), 100 * 0x1p-23 * expected, "%g, expected %g",
                         got.nats, expected);
            for (int64_t m = 0; m < models; m++) {
                struct lm_eval_result alone;
                cr_assert_eq(lm_evaluate(&alone, ctx, list[m], data.valid, data.vocabulary, tokens,
                                         RUN_CASE_CONTEXT, sequences, NULL, NULL, NULL),
                             PEER_OK);
                cr_expect_eq(each[m].nats, alone.nats);
                cr_expect_eq(each[m].tokens, tokens);
                mean += alone.nats / (double)models;
            }
            cr_expect_lt(got.nats, mean);
        }
    for (int64_t m = 0; m < models; m++)
        lm_model_destroy(&list[m]);
}

Test(ensemble, of_a_model_with_itself_is_the_model)
{
    struct run_case setting;
    run_case_init(&setting, NULL);
    struct lm_model *model = run_case_model(&setting, ctx, TOKENS, SEED);
    struct lm_model *list[] = {model, model, model};
    for (int64_t models = 1; models <= 3; models++) {
        struct lm_eval_result each[3], got = evaluate(each, list, models, 0, WINDOWS);
        cr_expect_eq(got.tokens, VALID - 1);
        cr_expect_lt(fabs(got.nats - each[models - 1].nats), 100 * 0x1p-23 * got.nats, "%g, %g",
                     got.nats, each[models - 1].nats);
    }
    lm_model_destroy(&model);
}

Test(ensemble, refuses_models_that_do_not_go_together)
{
    struct run_case setting;
    run_case_init(&setting, NULL);
    struct lm_model *list[2] = {run_case_model(&setting, ctx, TOKENS, SEED)};
    struct lm_eval_result result = {.tokens = 77}, each[2] = {{.tokens = 78}, {.tokens = 79}};
    setting.config.vocab = RUN_CASE_VOCAB + 2;
    list[1] = run_case_model(&setting, ctx, TOKENS, SEED);
    cr_expect_eq(
        lm_ensemble_evaluate(&result, each, ctx, list, 2, data.valid, NULL, 0, 1, 1, NULL, NULL),
        PEER_ERR_ARGUMENT);
    cr_expect(strstr(peer_ctx_error(ctx), "model 0 = 11, of model 1 = 13"), "%s",
              peer_ctx_error(ctx));
    lm_model_destroy(&list[1]);
    setting.config.vocab = RUN_CASE_VOCAB;
    setting.config.context = 5;
    list[1] = run_case_model(&setting, ctx, TOKENS, SEED);
    cr_expect_eq(
        lm_ensemble_evaluate(&result, each, ctx, list, 2, data.valid, NULL, 0, 6, 1, NULL, NULL),
        PEER_ERR_ARGUMENT);
    cr_expect(strstr(peer_ctx_error(ctx), "length = 6"), "%s", peer_ctx_error(ctx));
    cr_expect(result.tokens == 77 && each[0].tokens == 78 && each[1].tokens == 79);
    lm_model_destroy(&list[0]);
    lm_model_destroy(&list[1]);
}

Test(ensemble, survives_failing_allocations)
{
    struct failing failing = {.granted = -1};
    struct peer_ctx *small = failing_ctx(&failing, 1);
    struct run_case setting;
    run_case_init(&setting, NULL);
    struct lm_model *model = run_case_model(&setting, small, TOKENS, SEED);
    struct lm_eval_result result = {.tokens = 77}, each = {.tokens = 78};
    int64_t held = failing.held;
    for (int granted = 0; granted < 5; granted++) {
        failing.asked = 0;
        failing.granted = granted;
        cr_expect_eq(lm_ensemble_evaluate(&result, &each, small, &model, 1, data.valid, NULL, 0, 1,
                                          1, NULL, NULL),
                     PEER_ERR_MEMORY);
        cr_expect_eq(failing.held, held);
        cr_expect(result.tokens == 77 && each.tokens == 78);
    }
    lm_model_destroy(&model);
    peer_ctx_destroy(&small);
}
