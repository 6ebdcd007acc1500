/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "experiments/facts/make.h"
#include "experiments/facts/probe.h"
#include "experiments/runs/run.h"
#include "tests/support/tempdir.h"

enum { FACTS = 21, VALUES = 5 };

static struct peer_ctx *ctx;
static struct lab_facts *facts;

static void set_up(void)
{
    const struct lab_facts_config config = {7, 3, VALUES, 6, 4, 3};
    struct peer_ctx_config settings = peer_ctx_config_default();
    settings.threads = 1;
    cr_assert_eq(peer_ctx_create(&ctx, &settings), PEER_OK);
    cr_assert_eq(lab_facts_create(&facts, ctx, &config), PEER_OK);
    cr_assert_eq(facts->count, FACTS);
}

static void tear_down(void)
{
    lab_facts_destroy(&facts);
    peer_ctx_destroy(&ctx);
}

TestSuite(facts_probe, .init = set_up, .fini = tear_down);

/* Knows the table by heart and says as much of it as it is told to. */
struct sage {
    double p[FACTS];  /* that it gives the value of each fact; the other words share the rest */
    int asked[FACTS]; /* times */
    int templates[LAB_FACTS_TEMPLATES];
    const int32_t *inputs;
    int64_t length;
};

static void sage_read(void *user, const int32_t *inputs, int64_t B, int64_t S)
{
    struct sage *sage = user;
    (void)B;
    sage->inputs = inputs;
    sage->length = S;
}

/* The fact that the ids from `at` begin to tell, with `count` of them before the value. */
static int64_t find(const int32_t *at, int64_t count, int *template)
{
    for (int64_t i = 0; i < FACTS * LAB_FACTS_TEMPLATES; i++) {
        uint16_t ids[LAB_FACTS_SENTENCE];
        *template = (int)(i % LAB_FACTS_TEMPLATES);
        int64_t same = 0,
                length = lab_facts_sentence(ids, facts, i / LAB_FACTS_TEMPLATES, *template);
        while (same < count && same < length && ids[same] == at[same])
            same++;
        if (same == count && length == count + 2)
            return i / LAB_FACTS_TEMPLATES;
    }
    return -1;
}

static void sage_logits(void *user, float *logits, int64_t b, int64_t s)
{
    struct sage *sage = user;
    const int32_t *window = sage->inputs + b * sage->length;
    int64_t vocab = lab_facts_vocabulary(&facts->config), start = s;
    int template;
    cr_assert_eq(window[0], LAB_FACTS_STOP);
    while (window[start] != LAB_FACTS_STOP)
        start--;
    int64_t fact = find(window + start + 1, s - start, &template);
    cr_assert(fact >= 0, "no fact is asked for at %lld", (long long)s);
    sage->asked[fact]++;
    sage->templates[template]++;
    for (int64_t i = 0; i < vocab; i++)
        logits[i] = (float)log((1 - sage->p[fact]) / (double)(vocab - 1)) + 7;
    int64_t id = lab_facts_value_id(&facts->config, facts->value[fact]);
    logits[id] = (float)log(sage->p[fact]) + 7;
}

static struct lab_facts_score ask(struct sage *sage, int64_t sample, int64_t length,
                                  int64_t sequences)
{
    const struct lab_facts_model model = {sage, sage_read, sage_logits};
    const struct lab_facts_probe probe = {sample, length, sequences, NULL, NULL};
    struct lab_facts_score score;
    cr_assert_eq(lab_facts_ask(&score, ctx, facts, &model, &probe), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    return score;
}

/* Facts known with p = 1/2, 1/1024 or 1 - 2^-20: log2 5 - 1, - 10 or - 1.4e-6 bits each. */
Test(facts_probe, bits_by_hand)
{
    static const double p[] = {0.5, 1.0 / 1024, 1 - 0x1p-20};
    static const int shapes[][2] = {{12, 1}, {13, 3}, {33, 2}, {128, 7}};
    for (int shape = 0; shape < 4; shape++) {
        struct sage sage = {.length = 0};
        for (int i = 0; i < FACTS; i++)
            sage.p[i] = p[i % 3];
        struct lab_facts_score score = ask(&sage, FACTS, shapes[shape][0], shapes[shape][1]);
        double each = log2(VALUES), loss[] = {1, 10, -log2(1 - 0x1p-20)};
        /* logits are floats of up to 7: relative error 2^-24 of p, 7 facts of a kind */
        double tolerance = FACTS * 16 * 0x1p-24 / log(2);
        cr_expect_float_eq(score.bits, FACTS * each - 7 * (loss[0] + loss[1] + loss[2]), tolerance,
                           "%.9g", score.bits);
        cr_expect_float_eq(score.bits_clipped, 14 * each - 7 * (loss[0] + loss[2]), tolerance);
        cr_expect_float_eq(score.bits_total, FACTS * each, 1e-9);
        cr_expect_eq(score.bits_error, 0);
        cr_expect_float_eq(score.accuracy, 14 / 21.0, 1e-9, "1/1024 is less than the others have");
        cr_expect_eq(score.facts, FACTS);
        cr_expect_eq(score.asked, FACTS);
        for (int i = 0; i < FACTS; i++)
            cr_expect_eq(sage.asked[i], 1, "fact %d: %d times", i, sage.asked[i]);
    }
}

Test(facts_probe, the_same_is_asked_whatever_the_window)
{
    struct sage sages[2] = {{.length = 0}, {.length = 0}};
    for (int i = 0; i < FACTS; i++)
        sages[0].p[i] = sages[1].p[i] = (i + 1) / 33.0;
    struct lab_facts_score a = ask(&sages[0], 9, 12, 1), b = ask(&sages[1], 9, 50, 3);
    cr_expect_eq(a.bits, b.bits);
    cr_expect_eq(a.asked, 9);
    cr_expect_eq(a.facts, FACTS);
    cr_expect_gt(a.bits_error, 0);
    cr_expect_eq(memcmp(sages[0].asked, sages[1].asked, sizeof sages[0].asked), 0);
    cr_expect_eq(memcmp(sages[0].templates, sages[1].templates, sizeof sages[0].templates), 0);
}

/* A tie is no answer. */
Test(facts_probe, who_knows_nothing_has_nothing)
{
    struct sage sage = {.length = 0};
    double vocab = (double)lab_facts_vocabulary(&facts->config);
    for (int i = 0; i < FACTS; i++)
        sage.p[i] = 1 / vocab;
    struct lab_facts_score score = ask(&sage, FACTS, 33, 2);
    cr_expect_float_eq(score.bits, FACTS * (log2(VALUES) - log2(vocab)), 1e-3);
    cr_expect_eq(score.bits_clipped, 0);
    cr_expect_leq(score.accuracy, 1);
}

Test(facts_probe, what_cannot_be_asked_is_refused)
{
    const struct lab_facts_model nobody = {NULL, sage_read, sage_logits};
    const struct {
        int64_t sample, length, sequences;
        const char *says;
    } cases[] = {{1, 11, 1, "windows of 11 tokens"},
                 {0, 12, 1, "sample = 0, sequences = 1"},
                 {1, 12, 0, "sample = 1, sequences = 0"}};
    for (int i = 0; i < 3; i++) {
        const struct lab_facts_probe probe = {cases[i].sample, cases[i].length, cases[i].sequences,
                                              NULL, NULL};
        struct lab_facts_score score;
        cr_expect_eq(lab_facts_ask(&score, ctx, facts, &nobody, &probe), PEER_ERR_ARGUMENT);
        cr_expect(strstr(peer_ctx_error(ctx), cases[i].says), "%s", peer_ctx_error(ctx));
    }
    cr_expect_eq(lab_facts_probe_check(ctx, facts, 40, 33), PEER_ERR_ARGUMENT);
    cr_expect(strstr(peer_ctx_error(ctx), "vocabulary is 29, the model's 40"), "%s",
              peer_ctx_error(ctx));
}

/* Over all 6 samples of 2 of 4 facts the estimate is right on average, and the squared standard
 * error is on average the variance of the estimate. */
Test(facts_score, samples_are_unbiased)
{
    static const double surprise[] = {0.25, 7, 2.5, 1};
    static const double value_bits = 3;
    double truth = 0, mean = 0, variance = 0, claimed = 0, clipped = 0;
    for (int i = 0; i < 4; i++)
        truth += value_bits - surprise[i];
    for (int i = 0; i < 4; i++)
        for (int j = i + 1; j < 4; j++) {
            struct lab_facts_tally tally = {0};
            lab_facts_tally_add(&tally, value_bits, surprise[i], i == 0);
            lab_facts_tally_add(&tally, value_bits, surprise[j], j == 0);
            struct lab_facts_score score = lab_facts_score(&tally, 4, value_bits);
            mean += score.bits / 6;
            clipped += score.bits_clipped / 6;
            variance += (score.bits - truth) * (score.bits - truth) / 6;
            claimed += score.bits_error * score.bits_error / 6;
            cr_expect_eq(score.bits_total, 12);
            cr_expect_eq(score.accuracy, i == 0 ? 0.5 : 0);
        }
    cr_expect_float_eq(mean, truth, 1e-9);
    cr_expect_float_eq(clipped, 2.75 + 0.5 + 2, 1e-9);
    cr_expect_float_eq(claimed, variance, 1e-9);
}

/* A run on a tiny table of `steps` steps. */
static struct lab_facts_score run_on_facts(int64_t steps, double lr)
{
    struct tempdir dir = tempdir_create();
    struct tempfile data = tempdir_file(&dir, "data"), out = tempdir_file(&dir, "run");
    struct lab_facts_options options = lab_facts_options_default();
    const struct lab_work work = {.show = false};
    struct lab_facts_config table;
    struct lab_facts_text text;
    struct lab_run_config config;
    struct lab_result result;
    options.out = data.path;
    options.table = facts->config;
    options.valid = 50;
    cr_assert_eq(lab_facts_make(&table, &text, ctx, &options, &work), PEER_OK);
    lab_run_config_default(&config, 24, 2, NULL);
    strcpy(config.data, data.path);
    config.model.heads = 2;
    config.model.context = config.train.length = 33;
    config.train.sequences = 4;
    config.train.steps = steps;
    config.train.lr = (float)lr;
    cr_assert_eq(lab_run_execute(ctx, &config, out.path, NULL), PEER_OK, "%s", peer_ctx_error(ctx));
    cr_assert_eq(lab_run_result(&result, ctx, out.path), PEER_OK);
    lab_result_free(&result);
    tempdir_remove(&dir);
    return result.facts;
}

Test(facts_run, training_learns_bits_and_no_training_none)
{
    struct lab_facts_score before, after;
    set_up();
    before = run_on_facts(1, 1e-6);
    after = run_on_facts(800, 1e-2);
    cr_expect_eq(before.asked, FACTS);
    cr_expect_float_eq(before.bits_total, FACTS * log2(VALUES), 1e-9);
    cr_expect_lt(before.bits, 0.01 * before.bits_total);
    cr_expect_gt(after.bits, 0.5 * after.bits_total, "%g of %g", after.bits, after.bits_total);
    cr_expect_leq(after.bits, after.bits_total);
    cr_expect_gt(after.accuracy, 0.8, "%g", after.accuracy);
    tear_down();
}

Test(facts_run, too_short_a_window_is_said_before_training)
{
    struct tempdir dir = tempdir_create();
    struct tempfile data = tempdir_file(&dir, "data"), out = tempdir_file(&dir, "run");
    set_up();
    struct lab_facts_options options = lab_facts_options_default();
    const struct lab_work work = {.show = false};
    struct lab_facts_config table;
    struct lab_facts_text text;
    struct lab_run_config config;
    options.out = data.path;
    options.table = facts->config;
    cr_assert_eq(lab_facts_make(&table, &text, ctx, &options, &work), PEER_OK);
    lab_run_config_default(&config, 24, 2, NULL);
    strcpy(config.data, data.path);
    config.model.context = config.train.length = 11;
    cr_expect_eq(lab_run_execute(ctx, &config, out.path, NULL), PEER_ERR_ARGUMENT);
    cr_expect(strstr(peer_ctx_error(ctx), "windows of 11 tokens"), "%s", peer_ctx_error(ctx));
    tear_down();
    tempdir_remove(&dir);
}
