/* SPDX-License-Identifier: MIT */
#include "experiments/fits/law_bootstrap.h"

#include <criterion/criterion.h>
#include <math.h>

#include "tests/support/failing.h"
#include "tests/support/law_case.h"

enum { CONSTANTS = 5 };

static const double desk[] = {2.3, 30, 900, 0.31, 0.42};
static const struct lab_law_point at[] = {{1e13, 1}, {4e13, 1}};

static struct peer_ctx *context(int threads)
{
    struct peer_ctx_config config = peer_ctx_config_default();
    config.threads = threads;
    struct peer_ctx *ctx = NULL;
    cr_assert_eq(peer_ctx_create(&ctx, &config), PEER_OK);
    return ctx;
}

static struct law_case make(int seeds, double noise, uint64_t study)
{
    struct lab_law truth = law_case_of(LAB_LAW_JOINT, desk);
    return law_case_make(&truth, 1e11, 4, 6, seeds, noise, study);
}

static struct lab_law fit_of(struct peer_ctx *ctx, const struct law_case *made)
{
    struct lab_law law;
    cr_assert_eq(lab_law_fit(&law, ctx, LAB_LAW_JOINT, made->run, made->count), PEER_OK);
    cr_assert(law.fitted, "%s", law.reason);
    return law;
}

/* ranges [config->points] */
static struct lab_law_intervals intervals_of(struct lab_law_range *ranges, struct peer_ctx *ctx,
                                             const struct law_case *made, const struct lab_law *law,
                                             const struct lab_law_bootstrap *config)
{
    struct lab_law_intervals ret;
    enum peer_status status =
        lab_law_intervals(&ret, ranges, ctx, law, made->run, made->count, config);
    cr_assert_eq(status, PEER_OK, "%s", peer_ctx_error(ctx));
    cr_expect_eq(peer_ctx_bytes(ctx), 0);
    return ret;
}

static bool covers(struct lab_interval interval, double truth)
{
    return interval.known && interval.low <= truth && truth <= interval.high;
}

/* What 80 studies of one law show: how often intervals cover, how wide they are on average, and how
 * far the estimates really scatter. */
enum { STUDIES = 80 };

struct coverage {
    int value[CONSTANTS], params, loss;
    double width[CONSTANTS], sum[CONSTANTS], squares[CONSTANTS];
};

static struct coverage study(enum lab_law_resample resample, int seeds, double noise)
{
    struct coverage c = {{0}, 0, 0, {0}, {0}, {0}};
    struct peer_ctx *ctx = context(1);
    struct lab_law truth = law_case_of(LAB_LAW_JOINT, desk);
    struct lab_law_optimum best = lab_law_at(&truth, at[0].flops, 1);
    for (uint64_t i = 0; i < STUDIES; i++) {
        struct law_case made = make(seeds, noise, i);
        struct lab_law law = fit_of(ctx, &made);
        struct lab_law_bootstrap config = {resample, 200, i, at, 1, NULL, NULL, NULL};
        struct lab_law_range range;
        struct lab_law_intervals found = intervals_of(&range, ctx, &made, &law, &config);
        cr_expect_eq(found.lost, 0);
        for (int k = 0; k < CONSTANTS; k++) {
            c.value[k] += covers(found.value[k], desk[k]);
            c.width[k] += (found.value[k].high - found.value[k].low) / STUDIES;
            c.sum[k] += law.value[k] / STUDIES;
            c.squares[k] += law.value[k] * law.value[k] / STUDIES;
        }
        c.params += covers(range.params, best.params);
        c.loss += covers(range.loss, best.loss);
    }
    peer_ctx_destroy(&ctx);
    return c;
}

/* The share that cover is binomial: 4 deviations of sqrt(.9 .1 / 80) below 0.9 is 0.766. Intervals
 * that always cover are held by their width: 2 * 1.645 deviations of the estimates, which 80
 * studies know to 8 %; within a fifth and a quarter. */
static void expect_calibrated(const struct coverage *c)
{
    for (int k = 0; k < CONSTANTS; k++) {
        cr_expect_geq(c->value[k], 0.766 * STUDIES, "%s: %d", lab_law_names[k], c->value[k]);
        double scatter = sqrt(c->squares[k] - c->sum[k] * c->sum[k]);
        double ratio = c->width[k] / (2 * 1.645 * scatter);
        cr_expect(ratio > 0.8 && ratio < 1.25, "%s: width %g of what it should be",
                  lab_law_names[k], ratio);
    }
    cr_expect_geq(c->params, 0.766 * STUDIES, "N: %d", c->params);
    cr_expect_geq(c->loss, 0.766 * STUDIES, "loss: %d", c->loss);
}

Test(law_bootstrap, noise_covers_with_seeds)
{
    struct coverage c = study(LAB_LAW_NOISE, 2, 0.003);
    expect_calibrated(&c);
}

Test(law_bootstrap, noise_covers_with_one_seed)
{
    struct coverage c = study(LAB_LAW_NOISE, 1, 0.003);
    expect_calibrated(&c);
}

Test(law_bootstrap, settings_cover)
{
    struct coverage c = study(LAB_LAW_SETTINGS, 2, 0.003);
    expect_calibrated(&c);
}

static void expect_same(struct lab_interval a, struct lab_interval b)
{
    cr_expect(a.known && b.known && a.low == b.low && a.high == b.high);
}

/* Threads do not matter, seeds do. */
Test(law_bootstrap, gives_the_same_bits_for_any_number_of_threads)
{
    struct law_case made = make(2, 0.003, 5);
    for (int resample = LAB_LAW_NOISE; resample <= LAB_LAW_SETTINGS; resample++) {
        struct lab_law_bootstrap config = {
            (enum lab_law_resample)resample, 150, 7, at, 2, NULL, NULL, NULL};
        struct lab_law_range ranges[3][2];
        struct lab_law_intervals found[3];
        for (int i = 0; i < 3; i++) {
            struct peer_ctx *ctx = context(1 + 2 * (i == 1));
            struct lab_law law = fit_of(ctx, &made);
            config.seed = i == 2 ? 8 : 7;
            found[i] = intervals_of(ranges[i], ctx, &made, &law, &config);
            peer_ctx_destroy(&ctx);
        }
        for (int k = 0; k < CONSTANTS; k++)
            expect_same(found[0].value[k], found[1].value[k]);
        expect_same(found[0].exponent, found[1].exponent);
        for (int k = 0; k < 2; k++) {
            expect_same(ranges[0][k].params, ranges[1][k].params);
            expect_same(ranges[0][k].tokens, ranges[1][k].tokens);
            expect_same(ranges[0][k].loss, ranges[1][k].loss);
        }
        cr_expect_neq(ranges[0][0].params.low, ranges[2][0].params.low);
        cr_expect_lt(ranges[0][0].params.high, ranges[0][1].params.high);
        cr_expect_gt(ranges[0][0].loss.low, ranges[0][1].loss.low);
        cr_expect_not(found[0].value[LAB_LAW_GAMMA].known);
    }
}

Test(law_bootstrap, covers_the_granularity_law)
{
    static const double value[] = {0.47, 18.1, 30.8, 0.115, 0.147, 2.1, 0.58};
    struct lab_law truth = law_case_of(LAB_LAW_GRANULARITY, value), law;
    struct law_case made = law_case_make(&truth, 1e18, 4, 6, 1, 0.001, 2);
    struct peer_ctx *ctx = context(1);
    cr_assert_eq(lab_law_fit(&law, ctx, LAB_LAW_GRANULARITY, made.run, made.count), PEER_OK);
    struct lab_law_bootstrap config = {LAB_LAW_NOISE, 100, 1, NULL, 0, NULL, NULL, NULL};
    struct lab_law_intervals found = intervals_of(NULL, ctx, &made, &law, &config);
    for (int k = 0; k < LAB_LAW_CONSTANTS; k++)
        cr_expect(found.value[k].known && found.value[k].low < law.value[k] &&
                      law.value[k] < found.value[k].high,
                  "%s", lab_law_names[k]);
    peer_ctx_destroy(&ctx);
}

Test(law_bootstrap, says_what_the_intervals_rest_on)
{
    struct law_case one = make(1, 0.003, 1), two = make(2, 0.003, 1);
    struct peer_ctx *ctx = context(1);
    struct lab_law law = fit_of(ctx, &one), none = law;
    struct lab_law_bootstrap config = {LAB_LAW_NOISE, 30, 1, at, 1, NULL, NULL, NULL};
    struct lab_law_range range;
    cr_expect_str_eq(intervals_of(&range, ctx, &one, &law, &config).note,
                     "from residuals only: 1 seed per setting, their noise is unknown");
    cr_expect_str_eq(intervals_of(&range, ctx, &two, &law, &config).note,
                     "from residuals and the noise of seeds");
    config.resample = LAB_LAW_SETTINGS;
    cr_expect_str_eq(intervals_of(&range, ctx, &one, &law, &config).note,
                     "from settings drawn with replacement");
    none.fitted = false;
    struct lab_law_intervals found = intervals_of(&range, ctx, &one, &none, &config);
    cr_expect_str_eq(found.note, "no interval: the law is not fitted");
    for (int k = 0; k < LAB_LAW_CONSTANTS; k++)
        cr_expect(!found.value[k].known && isnan(found.value[k].low));
    cr_expect(!range.params.known && !range.loss.known && found.draws == 0);
    peer_ctx_destroy(&ctx);
}

/* Looks at stop before every 64 draws. */
struct watch {
    int64_t done, draws, calls, allowed;
};

static void watch_progress(void *user, int64_t done, int64_t draws)
{
    struct watch *watch = user;
    cr_expect_gt(done, watch->done);
    watch->done = done;
    watch->draws = draws;
}

static bool watch_stop(void *user)
{
    struct watch *watch = user;
    return watch->calls++ == watch->allowed;
}

Test(law_bootstrap, reports_and_stops)
{
    struct law_case made = make(1, 0.003, 1);
    struct peer_ctx *ctx = context(2);
    struct lab_law law = fit_of(ctx, &made);
    for (int64_t allowed = 0; allowed <= 3; allowed++) {
        struct watch watch = {0, 0, 0, allowed};
        struct lab_law_bootstrap config = {LAB_LAW_NOISE,  150,       1, at, 1, &watch,
                                           watch_progress, watch_stop};
        struct lab_law_intervals found = {.lost = -3};
        struct lab_law_range range;
        enum peer_status status =
            lab_law_intervals(&found, &range, ctx, &law, made.run, made.count, &config);
        cr_expect_eq(status, allowed < 3 ? PEER_ERR_STOPPED : PEER_OK);
        cr_expect_eq(found.lost, allowed < 3 ? -3 : 0);
        cr_expect_eq(watch.done, allowed < 3 ? 64 * allowed : 150);
        cr_expect_eq(peer_ctx_bytes(ctx), 0);
    }
    cr_expect_str_eq(peer_ctx_error(ctx), "lab_law_intervals: stopped after 128 of 150 draws");
    struct lab_law_bootstrap config = {.draws = 0};
    struct lab_law_intervals found;
    cr_expect_eq(lab_law_intervals(&found, NULL, ctx, &law, made.run, made.count, &config),
                 PEER_ERR_ARGUMENT);
    peer_ctx_destroy(&ctx);
}

Test(law_bootstrap, leaves_the_result_alone_without_memory)
{
    struct law_case made = make(2, 0.003, 1);
    struct peer_ctx *plain = context(1);
    struct lab_law law = fit_of(plain, &made);
    peer_ctx_destroy(&plain);
    enum peer_status status = PEER_ERR_MEMORY;
    for (int64_t granted = 0; status != PEER_OK; granted++) {
        struct failing failing = {.granted = -1};
        struct peer_ctx *ctx = failing_ctx(&failing, 1);
        int64_t held = failing.held;
        failing.granted = failing.asked + granted;
        struct lab_law_bootstrap config = {LAB_LAW_NOISE, 3, 1, at, 1, NULL, NULL, NULL};
        struct lab_law_intervals found = {.lost = -3};
        struct lab_law_range range;
        status = lab_law_intervals(&found, &range, ctx, &law, made.run, made.count, &config);
        cr_expect_eq(found.lost, status == PEER_OK ? 0 : -3);
        cr_expect_eq(failing.held, held);
        peer_ctx_destroy(&ctx);
        cr_assert_lt(granted, 30);
    }
}
