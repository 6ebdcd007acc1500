/* SPDX-License-Identifier: MIT */
#include "experiments/fits/best.h"

#include <criterion/criterion.h>
#include <math.h>

#include "nn/random.h"
#include "tests/support/failing.h"

enum { SETTINGS = 5, CHOICES = 6, SEEDS = 3, RUNS = SETTINGS * CHOICES * SEEDS };

/* Loss has its minimum at choice = 2^(1 + power * setting's number); settings double. Seeds differ
 * by whole nats. */
static int64_t make(struct lab_choice_run run[RUNS], int seeds, double power, double noise,
                    uint64_t study)
{
    float normal[RUNS + 1];
    peer_fill_normal(normal, RUNS + 1, 0, 1, study, peer_stream("test_best"));
    int64_t count = 0;
    for (int s = 0; s < SETTINGS; s++)
        for (int c = 0; c < CHOICES; c++)
            for (int seed = 0; seed < seeds; seed++) {
                double off = c - 1 - power * s;
                run[count] = (struct lab_choice_run){32 << s, 1 << c, (uint64_t)seed,
                                                     4 + seed + 0.01 * off * off +
                                                         noise * (double)normal[count]};
                count++;
            }
    return count;
}

static struct lab_best slope_of(const struct lab_choice_run *run, int64_t count)
{
    struct peer_ctx *ctx = NULL;
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    struct lab_best best;
    cr_assert_eq(lab_best_slope(&best, ctx, run, count, 3), PEER_OK, "%s", peer_ctx_error(ctx));
    cr_expect_eq(peer_ctx_bytes(ctx), 0);
    peer_ctx_destroy(&ctx);
    return best;
}

Test(best, follows_the_minimum)
{
    struct lab_choice_run run[RUNS];
    for (double power = 0; power <= 1; power++) {
        struct lab_best best = slope_of(run, make(run, 2, power, 1e-4, 1));
        cr_expect_eq(best.settings, SETTINGS);
        cr_expect_eq(best.seeds, 2);
        cr_expect_float_eq(best.slope, power, 1e-12);
        cr_expect_eq(best.edges, power > 0 ? 1 : 0);
        cr_expect(best.interval.known);
        cr_expect_str_eq(best.note, "");
    }
}

/* Best at the smallest choice tried: an edge, unless that is 1, below which there is none. */
Test(best, one_is_no_edge)
{
    struct lab_choice_run run[RUNS], kept[RUNS];
    int64_t count = make(run, 2, 0, 1e-4, 1), n = 0;
    for (int64_t i = 0; i < count; i++)
        if (run[i].choice >= 2)
            kept[n++] = run[i];
    cr_expect_eq(slope_of(kept, n).edges, SETTINGS);
    for (int64_t i = 0; i < n; i++)
        kept[i].choice /= 2;
    cr_expect_eq(slope_of(kept, n).edges, 0);
}

/* The order of runs is nobody's choice. */
Test(best, does_not_depend_on_the_order_of_runs)
{
    struct lab_choice_run run[RUNS], turned[RUNS];
    int64_t count = make(run, SEEDS, 0.5, 0.01, 4);
    for (int64_t i = 0; i < count; i++)
        turned[i] = run[(i * 7 + 4) % count];
    struct lab_best a = slope_of(run, count), b = slope_of(turned, count);
    cr_expect_eq(a.slope, b.slope);
    cr_expect_eq(a.interval.low, b.interval.low);
    cr_expect_eq(a.interval.high, b.interval.high);
    cr_expect_lt(a.interval.low, a.interval.high);
}

Test(best, one_seed_has_no_interval)
{
    struct lab_choice_run run[RUNS];
    struct lab_best best = slope_of(run, make(run, 1, 1, 0, 1));
    cr_expect_float_eq(best.slope, 1, 1e-12);
    cr_expect_not(best.interval.known);
    cr_expect_str_eq(best.note, "no interval: 1 seed");
}

/* A setting whose best choice diverged for one seed keeps the others; two choices are too few. */
Test(best, counts_complete_seeds_of_enough_choices)
{
    struct lab_choice_run run[RUNS], few[RUNS];
    int64_t count = make(run, SEEDS, 1, 1e-4, 2), kept = 0;
    run[SEEDS * 1].loss = NAN;
    struct lab_best best = slope_of(run, count);
    cr_expect_eq(best.seeds, SEEDS - 1);
    cr_expect_float_eq(best.slope, 1, 1e-12);
    for (int64_t i = 0; i < count; i++)
        if (run[i].choice <= 2 || run[i].setting == 64)
            few[kept++] = run[i];
    best = slope_of(few, kept);
    cr_expect_eq(best.settings, 1);
    cr_expect(isnan(best.slope) && !best.interval.known);
    cr_expect_str_eq(best.note, "fewer than 2 settings with 3 choices");
    cr_expect(isnan(slope_of(run, 0).slope));
}

/* Noise as large as the steps of the curve: the interval knows. On a grid of choices the slope can
 * only be near the truth, so at least 84 % of 200 studies cover it; one that always did would tell
 * nothing: more than half of the intervals exclude zero. */
Test(best, interval_covers)
{
    enum { STUDIES = 200 };
    int covered = 0, told = 0;
    for (uint64_t study = 0; study < STUDIES; study++) {
        struct lab_choice_run run[RUNS];
        struct lab_best best = slope_of(run, make(run, SEEDS, 0.75, 0.01, 100 + study));
        covered += best.interval.low <= 0.75 && 0.75 <= best.interval.high;
        told += best.interval.low > 0;
    }
    cr_expect_geq(covered, 0.84 * STUDIES, "%d", covered);
    cr_expect_gt(told, 0.5 * STUDIES, "%d", told);
}

Test(best, leaves_the_result_alone_without_memory)
{
    struct lab_choice_run run[RUNS];
    int64_t count = make(run, 2, 1, 0.01, 6);
    enum peer_status status = PEER_ERR_MEMORY;
    for (int64_t granted = 0; status != PEER_OK; granted++) {
        struct failing failing = {.granted = -1};
        struct peer_ctx *ctx = failing_ctx(&failing, 1);
        int64_t held = failing.held;
        failing.granted = failing.asked + granted;
        struct lab_best best = {.settings = -3};
        status = lab_best_slope(&best, ctx, run, count, 1);
        cr_expect_eq(best.settings, status == PEER_OK ? SETTINGS : -3);
        cr_expect_eq(failing.held, held);
        peer_ctx_destroy(&ctx);
        cr_assert_lt(granted, 20);
    }
}
