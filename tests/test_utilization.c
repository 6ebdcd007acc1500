/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "lm/utilization.h"
#include "nn/random.h"
#include "tests/support/failing.h"

enum { SEED = 31 };

static struct peer_ctx *ctx;

static void set_up(void)
{
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
}

static void tear_down(void)
{
    peer_ctx_destroy(&ctx);
}

TestSuite(utilization, .init = set_up, .fini = tear_down);

static void near(double got, double expected, const char *what)
{
    cr_expect_lt(fabs(got - expected), 1e-12, "%s = %.17g, expected %.17g", what, got, expected);
}

static struct lm_usage *usage_of(int64_t experts, int64_t side)
{
    struct peer_routing routing = {.experts = experts, .side = side};
    struct lm_usage *usage = NULL;
    cr_assert_eq(lm_usage_create(&usage, ctx, &routing), PEER_OK, "%s", peer_ctx_error(ctx));
    return usage;
}

static struct lm_usage_report report_of(const struct lm_usage *usage)
{
    struct lm_usage_report report;
    cr_assert_eq(lm_usage_summarize(&report, ctx, usage), PEER_OK);
    return report;
}

/* z = (1/2, 1/4, 1/4, 0) by hand: two tokens, one head, k = 2; the third token is padding. */
Test(utilization, four_experts_by_hand)
{
    static const int32_t ids[] = {0, 1, 2, 0, -1, -1};
    static const float gates[] = {0.75f, 0.5f, 0.5f, 0.25f, 0, 0};
    struct peer_routing routing = {
        .experts = 4, .side = 2, .heads = 1, .kept = 2, .ids = ids, .gates = gates};
    struct lm_usage *usage = usage_of(4, 2);
    static const int32_t inputs[] = {7, 0, -1};
    lm_usage_add(usage, &routing, inputs, 3);
    cr_expect_eq(usage->experts, 4);
    cr_expect_eq(usage->side, 2);
    cr_expect_eq(usage->tokens, 2);
    static const int64_t count[] = {2, 1, 1, 0}, top1[] = {1, 0, 1, 0};
    static const double score[] = {1, 0.5, 0.5, 0};
    cr_expect_arr_eq(usage->count, count, sizeof count);
    cr_expect_arr_eq(usage->top1, top1, sizeof top1);
    cr_expect_arr_eq(usage->score, score, sizeof score);
    struct lm_usage_report report = report_of(usage);
    const struct lm_usage_stats *both[] = {&report.score, &report.count};
    for (int i = 0; i < 2; i++) {
        near(both[i]->used, 0.75, "used");
        near(both[i]->unevenness, log(4) - 1.5 * log(2), "unevenness");
        near(both[i]->gini, 0.375, "gini"); /* (2 (2/4 + 3/4 + 4/2) - 5) / 4 */
        near(both[i]->hold50, 0.25, "hold50");
        near(both[i]->hold90, 0.75, "hold90");
        near(both[i]->hold99, 0.75, "hold99");
    }
    near(report.load.entropy, 1.5 * log(2), "entropy");
    near(report.load.entropy_share, 0.75, "entropy_share");
    near(report.load.cv, sqrt(0.5), "cv"); /* squares of 1, 0, 0, -1 have mean 1/2 */
    near(report.load.peak, 2, "peak");
    near(report.load.dropped, 0, "dropped");
    near(report.load.unserved, 0, "unserved");
    near(report.top1_used, 0.5, "top1_used");
    near(report.expected_used, 1 - pow(0.75, 4), "expected_used");
    lm_usage_destroy(&usage);
    cr_expect_null(usage);
    lm_usage_destroy(&usage);
    lm_usage_destroy(NULL);
}

Test(utilization, heads_each_have_a_first)
{
    static const int32_t ids[] = {4, 1, 0, 4, 1, 2};
    static const float gates[] = {0.5f, 0.25f, 0.25f, 1, 0, 0};
    struct peer_routing routing = {.experts = 5, .heads = 2, .kept = 3, .ids = ids, .gates = gates};
    struct lm_usage *usage = usage_of(5, 0);
    lm_usage_add(usage, &routing, NULL, 1);
    lm_usage_add(usage, &routing, NULL, 1);
    static const int64_t count[] = {2, 4, 2, 0, 4}, top1[] = {0, 0, 0, 0, 4};
    cr_expect_arr_eq(usage->count, count, sizeof count);
    cr_expect_arr_eq(usage->top1, top1, sizeof top1);
    cr_expect_eq(usage->tokens, 2);
    /* A gate of 0, as relu gives, is a retrieval without mass. */
    struct lm_usage_report report = report_of(usage);
    near(report.count.used, 0.8, "used by count");
    near(report.score.used, 0.6, "used by score");
    near(report.head_overlap, 0.5, "head_overlap"); /* 1 and 4 of 0, 1, 2, 4 */
    lm_usage_clear(usage);
    lm_usage_add(usage, &routing, NULL, 1);
    cr_expect_eq(usage->tokens, 1);
    cr_expect_eq(usage->count[4], 2);
    near(report_of(usage).head_overlap, 0.5, "head_overlap");
    lm_usage_destroy(&usage);
}

/* Shares 1/1 (one expert of three heads), 0, 1/3 (two choices found no room); the token without any
 * does not count, and a head alone shares nothing. */
Test(utilization, overlap_is_of_different_heads)
{
    static const int32_t ids[] = {3, -1, 3, -1, 3, -1, 0,  1,  2,  3,  4,  5,
                                  6, 2,  2, -1, 4, -1, -1, -1, -1, -1, -1, -1};
    static const float gates[24] = {0};
    struct peer_routing routing = {.experts = 7, .heads = 3, .kept = 2, .ids = ids, .gates = gates};
    struct lm_usage *usage = usage_of(7, 0);
    lm_usage_add(usage, &routing, NULL, 4);
    near(report_of(usage).head_overlap, (1 + 1.0 / 3) / 3, "head_overlap");
    lm_usage_clear(usage);
    routing.heads = 1;
    routing.kept = 6;
    lm_usage_add(usage, &routing, NULL, 4);
    near(report_of(usage).head_overlap, 0, "head_overlap");
    lm_usage_clear(usage);
    cr_expect(isnan(report_of(usage).head_overlap));
    lm_usage_destroy(&usage);
}

/* Against all pairs of choices, on draws that collide within and across heads and tokens. */
Test(utilization, overlap_is_that_of_all_pairs)
{
    enum { T = 33, H = 7, K = 3, N = 37 };
    int32_t ids[T * H * K];
    static const float gates[T * H * K] = {0};
    double sum = 0;
    for (int i = 0; i < T * H * K; i++) /* a head's own choices are distinct */
        ids[i] = (int32_t)peer_random_below(SEED, 3, (uint64_t)i, N / K) * K + i % K;
    for (int t = 0; t < T; t++) {
        int distinct = 0, shared = 0;
        for (int expert = 0; expert < N; expert++) {
            int found = 0;
            for (int i = 0; i < H * K; i++)
                found += ids[t * H * K + i] == expert;
            distinct += found > 0;
            shared += found > 1;
        }
        sum += (double)shared / distinct;
    }
    struct peer_routing routing = {.experts = N, .heads = H, .kept = K, .ids = ids, .gates = gates};
    struct lm_usage *usage = usage_of(N, 0);
    lm_usage_add(usage, &routing, NULL, T / 2);
    routing.ids += T / 2 * H * K;
    lm_usage_add(usage, &routing, NULL, T - T / 2);
    near(report_of(usage).head_overlap, sum / T, "head_overlap");
    cr_expect(sum / T > 0.2 && sum / T < 0.9, "%g", sum / T);
    lm_usage_destroy(&usage);
}

Test(utilization, lorenz_curve_by_hand_and_by_gini)
{
    double curve[LM_LORENZ_POINTS], four[] = {2, 0, 1, 1}, none[] = {0, 0}, one[] = {0.3};
    lm_usage_lorenz(curve, four, 4);
    static const double expected[][2] = {{0, 0},    {25, 0},    {26, 0.01}, {50, 0.25},
                                         {75, 0.5}, {99, 0.98}, {100, 1}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        near(curve[(int)expected[i][0]], expected[i][1], "share");
    lm_usage_lorenz(curve, one, 1);
    near(curve[37], 0.37, "share of one");
    lm_usage_lorenz(curve, none, 2);
    cr_expect(isnan(curve[0]) && isnan(curve[100]));
    for (int N = 2; N <= 100; N += 1) { /* the trapezoids are exact where N divides 100 */
        double mass[100], area = 0;
        struct lm_usage *usage = usage_of(N, 0);
        for (int i = 0; i < N; i++)
            mass[i] = usage->score[i] = peer_random_below(SEED, 4, (uint64_t)i, 1000);
        lm_usage_lorenz(curve, mass, N);
        for (int i = 0; i < 100; i++)
            area += (curve[i] + curve[i + 1]) / 200;
        double gini = report_of(usage).score.gini;
        cr_expect_lt(fabs(1 - 2 * area - gini), 100 % N ? 2e-2 : 1e-12, "N = %d: %g, %g", N,
                     1 - 2 * area, gini);
        near(curve[0], 0, "first");
        near(curve[100], 1, "last");
        lm_usage_destroy(&usage);
    }
}

/* Five tokens, of which one is padding, offer 2 choices each; of the 8, 3 find no room, and one
 * token loses both. Loads 4, 1, 0: mean 5/3, deviations 7/3, -2/3, -5/3, squares 78/9 in all. */
Test(utilization, choices_without_room_are_counted)
{
    static const int32_t ids[] = {0, 1, -1, -1, 0, -1, 0, 0, -1, -1}, inputs[] = {3, 0, 1, 2, -1};
    static const float gates[] = {0.5f, 0.5f, 0.5f, 0.5f, 0.75f, 0.25f, 0.5f, 0.5f, 0, 0};
    struct peer_routing routing = {.experts = 3, .heads = 1, .kept = 2, .ids = ids, .gates = gates};
    struct lm_usage *usage = usage_of(3, 0);
    lm_usage_add(usage, &routing, inputs, 5);
    cr_expect_eq(usage->present, 4);
    cr_expect_eq(usage->offered, 8);
    cr_expect_eq(usage->tokens, 3);
    struct lm_usage_load load = report_of(usage).load;
    near(load.dropped, 3.0 / 8, "dropped");
    near(load.unserved, 0.25, "unserved");
    near(load.entropy, log(5) - 0.8 * log(4), "entropy");
    near(load.entropy_share, (log(5) - 0.8 * log(4)) / log(3), "entropy_share");
    near(load.cv, sqrt(78.0 / 27) / (5.0 / 3), "cv");
    near(load.peak, 2.4, "peak");
    /* Without inputs the last token is one that found no room. */
    lm_usage_add(usage, &routing, NULL, 5);
    near(report_of(usage).load.dropped, 8.0 / 18, "dropped");
    near(report_of(usage).load.unserved, 3.0 / 9, "unserved");
    lm_usage_destroy(&usage);
}

/* Where experts choose, a token asks for nothing: only tokens can go without. */
Test(utilization, experts_that_choose_drop_no_choice)
{
    static const int32_t ids[] = {1, 0, -1, -1, 0, -1};
    static const float gates[] = {0.75f, 0.25f, 0, 0, 0.5f, 0};
    struct peer_routing routing = {
        .experts = 2, .heads = 1, .kept = 2, .experts_choose = true, .ids = ids, .gates = gates};
    struct lm_usage *usage = usage_of(2, 0);
    lm_usage_add(usage, &routing, NULL, 3);
    struct lm_usage_load load = report_of(usage).load;
    cr_expect_eq(usage->offered, 0);
    cr_expect(isnan(load.dropped));
    near(load.unserved, 1.0 / 3, "unserved");
    near(load.cv, 1.0 / 3, "cv");
    lm_usage_destroy(&usage);
}

/* A capacity of zero: nothing has a load, and all is dropped. */
Test(utilization, all_choices_can_be_dropped)
{
    static const int32_t ids[] = {-1, -1, -1};
    static const float gates[] = {1, 1, 1};
    struct peer_routing routing = {.experts = 7, .heads = 1, .kept = 1, .ids = ids, .gates = gates};
    struct lm_usage *usage = usage_of(7, 0);
    lm_usage_add(usage, &routing, NULL, 3);
    struct lm_usage_load load = report_of(usage).load;
    near(load.dropped, 1, "dropped");
    near(load.unserved, 1, "unserved");
    cr_expect(isnan(load.entropy) && isnan(load.entropy_share) && isnan(load.cv) &&
              isnan(load.peak));
    lm_usage_destroy(&usage);
}

Test(utilization, uniform_use_is_even)
{
    for (int N = 1; N <= 2048; N = 2 * N + 1) {
        struct lm_usage *usage = usage_of(N, 0);
        for (int i = 0; i < N; i++) {
            usage->count[i] = 3;
            usage->score[i] = 0.3;
        }
        struct lm_usage_report report = report_of(usage);
        const struct lm_usage_stats *both[] = {&report.score, &report.count};
        for (int i = 0; i < 2; i++) {
            near(both[i]->used, 1, "used");
            near(both[i]->unevenness, 0, "unevenness");
            near(both[i]->gini, 0, "gini");
        }
        near(report.count.hold50, ceil(0.5 * N) / N, "hold50");
        near(report.load.entropy, log(N), "entropy");
        near(report.load.entropy_share, 1, "entropy_share");
        near(report.load.cv, 0, "cv");
        near(report.load.peak, 1, "peak");
        lm_usage_destroy(&usage);
    }
}

Test(utilization, one_expert_alone_is_the_most_uneven)
{
    for (int N = 2; N <= 2048; N = 2 * N + 1) {
        struct lm_usage *usage = usage_of(N, 0);
        usage->count[N / 3] = 100;
        usage->score[N / 3] = 1e-30;
        struct lm_usage_report report = report_of(usage);
        const struct lm_usage_stats *both[] = {&report.score, &report.count};
        for (int i = 0; i < 2; i++) {
            near(both[i]->used, 1.0 / N, "used");
            near(both[i]->unevenness, log(N), "unevenness");
            near(both[i]->gini, 1 - 1.0 / N, "gini");
            near(both[i]->hold99, 1.0 / N, "hold99");
        }
        near(report.load.entropy, 0, "entropy");
        near(report.load.entropy_share, 0, "entropy_share");
        near(report.load.cv / sqrt(N - 1.0), 1, "cv"); /* N terms: within N 2^-53 */
        near(report.load.peak, N, "peak");
        lm_usage_destroy(&usage);
    }
}

/* For draws from an exponential density over many experts: E z log z + log N = 1 - gamma, and the
 * Gini index is 1/2; deviations over N = 1e5 are below 0.003 and 0.001. */
Test(utilization, exponential_masses_have_their_known_measures)
{
    enum { N = 100000 };
    struct lm_usage *usage = usage_of(N, 0);
    for (int i = 0; i < N; i++)
        usage->score[i] = -log((peer_random_bits(SEED, 1, (uint64_t)i) + 0.5) * 0x1p-32);
    struct lm_usage_report report = report_of(usage);
    cr_expect_lt(fabs(report.score.unevenness - (1 - 0.57721566490153286)), 5 * 0.003, "%g",
                 report.score.unevenness);
    cr_expect_lt(fabs(report.score.gini - 0.5), 5 * 0.001, "%g", report.score.gini);
    lm_usage_destroy(&usage);
}

/* As many uniform draws as counted do reach the expected share: N = 4096 with 6000 draws leave
 * 23.1 %, with a standard deviation below 0.5 %. */
Test(utilization, uniform_draws_reach_the_expected_share)
{
    enum { N = 4096, DRAWS = 6000 };
    struct lm_usage *usage = usage_of(N, 64);
    for (int i = 0; i < DRAWS; i++)
        usage->count[peer_random_below(SEED, 2, (uint64_t)i, N)]++;
    struct lm_usage_report report = report_of(usage);
    cr_expect_lt(fabs(report.expected_used - 0.7689), 1e-4, "%g", report.expected_used);
    cr_expect_lt(fabs(report.count.used - report.expected_used), 5 * 0.005, "%g",
                 report.count.used);
    lm_usage_destroy(&usage);
}

Test(utilization, says_what_no_mass_and_no_number_mean)
{
    struct lm_usage *usage = usage_of(1, 1);
    struct lm_usage_report report = report_of(usage);
    cr_expect_eq(report.score.used, 0);
    cr_expect(isnan(report.score.unevenness) && isnan(report.count.gini));
    cr_expect_eq(report.expected_used, 0);
    cr_expect(isnan(report.load.peak) && isnan(report.load.dropped) && isnan(report.load.unserved));
    usage->score[0] = NAN;
    usage->count[0] = 1;
    report = report_of(usage);
    cr_expect(isnan(report.score.used));
    near(report.count.used, 1, "used");
    near(report.expected_used, 1, "expected_used");
    lm_usage_destroy(&usage);
}

static enum peer_status create(void **ret, struct peer_ctx *failing, const void *config)
{
    return lm_usage_create((struct lm_usage **)ret, failing, config);
}

static void destroy(void **object)
{
    lm_usage_destroy((struct lm_usage **)object);
}

Test(utilization, survives_failing_allocations)
{
    struct peer_routing routing = {.experts = 9};
    cr_expect_geq(failing_every_allocation(create, destroy, &routing), 4);

    struct failing failing = {.granted = -1};
    struct peer_ctx *small = failing_ctx(&failing, 1);
    struct lm_usage *usage = NULL;
    struct lm_usage_report report = {.top1_used = 7};
    cr_assert_eq(lm_usage_create(&usage, small, &routing), PEER_OK);
    failing.granted = 0;
    cr_expect_eq(lm_usage_summarize(&report, small, usage), PEER_ERR_MEMORY);
    cr_expect_eq(report.top1_used, 7);
    lm_usage_destroy(&usage);
    cr_expect_eq(failing.held, 0);
    peer_ctx_destroy(&small);
    routing.experts = 0;
    cr_expect_eq(lm_usage_create(&usage, ctx, &routing), PEER_ERR_ARGUMENT);
}
