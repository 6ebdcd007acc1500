/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lm/eval.h"
#include "peer/types.h"
#include "tests/support/failing.h"
#include "tests/support/run_case.h"

enum { SEED = 5, WINDOWS = 3, TOKENS = WINDOWS * RUN_CASE_CONTEXT, VALID = 101 };

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

TestSuite(eval, .init = set_up, .fini = tear_down);

static struct lm_eval_result evaluate(struct lm_model *model, int64_t tokens, int64_t length,
                                      int64_t sequences, struct lm_usage *const *usage)
{
    struct lm_eval_result result;
    cr_assert_eq(lm_evaluate(&result, ctx, model, data.valid, data.vocabulary, tokens, length,
                             sequences, usage, NULL, NULL),
                 PEER_OK, "%s", peer_ctx_error(ctx));
    return result;
}

/* The loss by one plain pass for each window, with no padding. */
static double by_windows(struct lm_model *model, int64_t tokens, int64_t length)
{
    double loss = 0;
    for (int64_t at = 0; at < tokens; at += length) {
        int32_t inputs[RUN_CASE_CONTEXT], targets[RUN_CASE_CONTEXT];
        int64_t scored, S = tokens - at < length ? tokens - at : length;
        for (int64_t s = 0; s < S; s++) {
            inputs[s] = lm_corpus_id(data.valid, at + s);
            targets[s] = lm_corpus_id(data.valid, at + s + 1);
        }
        loss += lm_model_forward(model, &scored, NULL, inputs, targets, 1, S, PEER_MODE_EVAL);
        cr_assert_eq(scored, S);
    }
    return loss;
}

/* However windows are grouped, each token but the first is scored once, in its own window. Sums of
 * 100 positive terms in other orders differ by less than 100 units in the last place of float. */
Test(eval, scores_every_token_but_the_first_once)
{
    for (const struct peer_ffw_type *const *type = peer_ffw_types; *type; type++) {
        struct run_case setting;
        run_case_init(&setting, *type);
        if (!run_case_separate(&setting))
            continue;
        struct lm_model *model = run_case_model(&setting, ctx, TOKENS, SEED);
        for (int64_t length = 1; length <= RUN_CASE_CONTEXT; length += 4)
            for (int64_t tokens = 99; tokens <= 102; tokens++) {
                int64_t scored = tokens < VALID - 1 ? tokens : VALID - 1;
                double expected = by_windows(model, scored, length) / (double)scored;
                for (int64_t sequences = 1; sequences <= WINDOWS; sequences++) {
                    struct lm_eval_result got = evaluate(model, tokens, length, sequences, NULL);
                    cr_expect_eq(got.tokens, scored);
                    cr_expect_lt(fabs(got.nats - expected), 100 * 0x1p-23 * expected,
                                 "%s: %g, expected %g", (*type)->name, got.nats, expected);
                }
            }
        struct lm_eval_result all = evaluate(model, 0, RUN_CASE_CONTEXT, WINDOWS, NULL);
        cr_expect_eq(all.tokens, VALID - 1);
        cr_expect_eq(all.perplexity, exp(all.nats));
        cr_expect_eq(all.bytes, 0);
        cr_expect(isnan(all.bits_per_byte));
        lm_model_destroy(&model);
    }
}

/* With all weights at 0 every id has probability 1/V. Pieces of id + 1 bytes are counted for the
 * targets alone. */
Test(eval, bits_per_byte_by_hand)
{
    char lines[512];
    int used = 0;
    for (int i = 0; i < RUN_CASE_VOCAB; i++)
        used += snprintf(lines + used, sizeof lines - (size_t)used, "%.*s\t0\n", i + 1,
                         "abcdefghijklmno");
    struct tempfile file = tempdir_file(&dir, "tokenizer.vocab");
    tempfile_write(&file, lines, strlen(lines));
    cr_assert_eq(lm_vocabulary_open(&data.vocabulary, ctx, file.path), PEER_OK);
    struct run_case setting;
    run_case_init(&setting, NULL);
    struct lm_model *model = run_case_model(&setting, ctx, TOKENS, SEED);
    for (int64_t i = 0; i < lm_model_params(model)->count; i++) {
        const struct peer_param *param = &lm_model_params(model)->items[i];
        memset(param->data, 0, (size_t)peer_param_size(param) * sizeof(float));
    }
    int64_t bytes = 0;
    for (int i = 1; i < VALID; i++)
        bytes += lm_corpus_id(data.valid, i) + 1;
    struct lm_eval_result got = evaluate(model, 0, RUN_CASE_CONTEXT, WINDOWS, NULL);
    cr_expect_eq(got.bytes, bytes);
    cr_expect_lt(fabs(got.nats - log(RUN_CASE_VOCAB)), 1e-6);
    double expected = (VALID - 1) * log2(RUN_CASE_VOCAB) / (double)bytes;
    cr_expect_lt(fabs(got.bits_per_byte - expected), 1e-6, "%g", got.bits_per_byte);
    lm_model_destroy(&model);
}

Test(eval, counts_the_routing_of_scored_tokens)
{
    for (const struct peer_ffw_type *const *type = peer_ffw_types; *type; type++) {
        if (!(*type)->routing)
            continue;
        struct run_case setting;
        run_case_init(&setting, *type);
        if (!run_case_separate(&setting))
            continue;
        struct lm_model *model = run_case_model(&setting, ctx, TOKENS, SEED);
        struct peer_routing routing;
        evaluate(model, 0, RUN_CASE_CONTEXT, WINDOWS, NULL);
        cr_assert(lm_model_routing(model, 1, &routing), "%s", (*type)->name);
        struct lm_usage *usage[3] = {NULL};
        cr_assert_eq(lm_usage_create(&usage[1], ctx, &routing), PEER_OK);
        evaluate(model, 0, RUN_CASE_CONTEXT, WINDOWS, usage);
        int64_t count = 0, first = 0;
        for (int64_t i = 0; i < usage[1]->experts; i++) {
            count += usage[1]->count[i];
            first += usage[1]->top1[i];
        }
        cr_expect_eq(usage[1]->tokens, VALID - 1);
        cr_expect_eq(usage[1]->present, VALID - 1, "padding of the last window is no token");
        cr_expect_eq(usage[1]->offered, (VALID - 1) * routing.heads * routing.kept);
        cr_expect_eq(count, (VALID - 1) * routing.heads * routing.kept);
        cr_expect_eq(first, (VALID - 1) * routing.heads);
        lm_usage_destroy(&usage[1]);
        lm_model_destroy(&model);
    }
}

/* Each of 3 experts has room for ceil(capacity n / 3) of a call's n tokens: 0 drops all; 0.5, in
 * three calls of 27 and a last one of 19 beside padding, at least 3 (27 - 15) + 19 - 12 = 43. */
Test(eval, counts_what_a_capacity_drops)
{
    static const char *const capacities[] = {"0", "0.5"};
    for (int i = 0; i < 2; i++) {
        struct run_case setting;
        run_case_init(&setting, peer_ffw_find("switch"));
        run_case_set(&setting, "experts", "3");
        run_case_set(&setting, "capacity_eval", capacities[i]);
        struct lm_model *model = run_case_model(&setting, ctx, TOKENS, SEED);
        struct peer_routing routing;
        struct lm_usage *usage[3] = {NULL};
        struct lm_usage_report report;
        cr_assert(lm_model_routing(model, 1, &routing));
        cr_assert_eq(lm_usage_create(&usage[1], ctx, &routing), PEER_OK);
        evaluate(model, 0, RUN_CASE_CONTEXT, WINDOWS, usage);
        cr_assert_eq(lm_usage_summarize(&report, ctx, usage[1]), PEER_OK);
        cr_expect_eq(usage[1]->present, VALID - 1);
        cr_expect_eq(usage[1]->offered, VALID - 1);
        if (i == 0)
            cr_expect_eq(report.load.dropped, 1);
        else
            cr_expect(report.load.dropped > 0.4299 && report.load.dropped < 1, "%g",
                      report.load.dropped);
        cr_expect_eq(report.load.dropped, report.load.unserved, "one choice per token");
        lm_usage_destroy(&usage[1]);
        lm_model_destroy(&model);
    }
}

static bool stop_at_two(void *user)
{
    int *asked = user;
    return ++*asked == 2;
}

Test(eval, stops_and_refuses)
{
    struct run_case setting;
    run_case_init(&setting, NULL);
    struct lm_model *model = run_case_model(&setting, ctx, TOKENS, SEED);
    struct lm_eval_result result = {.tokens = 77};
    int asked = 0;
    cr_expect_eq(lm_evaluate(&result, ctx, model, data.valid, NULL, 0, RUN_CASE_CONTEXT, WINDOWS,
                             NULL, stop_at_two, &asked),
                 PEER_ERR_STOPPED);
    cr_expect(strstr(peer_ctx_error(ctx), "27 of 100"), "%s", peer_ctx_error(ctx));
    static const int64_t cases[][3] = {
        {-1, 1, 1}, {0, 0, 1}, {0, RUN_CASE_CONTEXT + 1, 1}, {0, 1, 0}};
    for (int i = 0; i < 4; i++)
        cr_expect_eq(lm_evaluate(&result, ctx, model, data.valid, NULL, cases[i][0], cases[i][1],
                                 cases[i][2], NULL, NULL, NULL),
                     PEER_ERR_ARGUMENT);
    cr_expect_eq(result.tokens, 77);
    lm_model_destroy(&model);
}

Test(eval, survives_failing_allocations)
{
    struct failing failing = {.granted = -1};
    struct peer_ctx *small = failing_ctx(&failing, 1);
    struct run_case setting;
    run_case_init(&setting, NULL);
    struct lm_model *model = run_case_model(&setting, small, TOKENS, SEED);
    struct lm_eval_result result = {.tokens = 77};
    int64_t held = failing.held;
    for (int granted = 0; granted < 2; granted++) {
        failing.asked = 0;
        failing.granted = granted;
        cr_expect_eq(
            lm_evaluate(&result, small, model, data.valid, NULL, 0, 1, 1, NULL, NULL, NULL),
            PEER_ERR_MEMORY);
        cr_expect_eq(failing.held, held);
        cr_expect_eq(result.tokens, 77);
    }
    lm_model_destroy(&model);
    peer_ctx_destroy(&small);
}
