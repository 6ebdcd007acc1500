/* SPDX-License-Identifier: MIT */
#include "experiments/fits/trend.h"

#include <criterion/criterion.h>
#include <math.h>

#include "nn/random.h"

/* Two seeds at x = 1, 2, 3, deviations from their means (2, 0, -2) and (3, 0, -3): slope -2.5, the
 * residuals -.5, 0, .5 and .5, 0, -.5, squares 1 over 3 degrees of freedom, 4 squares of x. */
Test(trend, is_the_slope_within_seeds)
{
    static const struct lab_trend_run run[] = {
        {1, 1, 12}, {2, 1, 10}, {1, 2, 103}, {3, 1, 8}, {3, 2, 97}, {2, 2, 100}, {4, 2, NAN},
    };
    struct lab_trend trend = lab_trend_of(run, 7);
    cr_expect_eq(trend.runs, 6);
    cr_expect_eq(trend.seeds, 2);
    cr_expect_float_eq(trend.slope, -2.5, 1e-12);
    cr_expect_eq(trend.freedom, 3);
    cr_expect_float_eq(trend.error, sqrt(1.0 / 3 / 4), 1e-12);
    double reach = 2.353363 * trend.error;
    cr_expect_eq(trend.x, 2);
    cr_expect_float_eq(trend.y, 55, 1e-12);
    struct lab_trend_point ahead = lab_trend_at(&trend, 5); /* 1/3 of noise, over 6 runs; 3 x off */
    double wide = 2.353363 * sqrt(1.0 / 3 / 6 + 9 * 1.0 / 3 / 4);
    cr_expect_float_eq(ahead.y, 55 - 2.5 * 3, 1e-12);
    cr_expect_float_eq(ahead.interval.low, ahead.y - wide, 1e-6);
    cr_expect_float_eq(ahead.interval.high, ahead.y + wide, 1e-6);
    cr_expect_float_eq(trend.interval.low, -2.5 - reach, 1e-6);
    cr_expect_float_eq(trend.interval.high, -2.5 + reach, 1e-6);
    cr_expect(trend.neighbours == 2 && trend.falling == 2 && trend.rising == 0);
    cr_expect_str_eq(trend.note, "");
}

/* A seed that ran one setting tells nothing, however far it lies. */
Test(trend, lone_runs_do_not_matter)
{
    static const struct lab_trend_run run[] = {
        {1, 1, 12}, {2, 1, 10}, {1, 2, 103}, {3, 1, 8}, {3, 2, 97}, {2, 2, 100}, {3, 9, 1e6},
    };
    struct lab_trend all = lab_trend_of(run, 7), without = lab_trend_of(run, 6);
    cr_expect_eq(all.seeds, 2);
    cr_expect_eq(all.slope, without.slope);
    cr_expect_eq(all.error, without.error);
    cr_expect_eq(all.falling, without.falling);
}

Test(trend, one_seed_has_no_interval)
{
    static const struct lab_trend_run run[] = {{1, 5, 4}, {2, 5, 3.5}, {3, 5, 3.75}, {4, 5, 3}};
    struct lab_trend trend = lab_trend_of(run, 4);
    cr_expect_float_eq(trend.slope, -0.275, 1e-12);
    cr_expect_not(trend.interval.known);
    cr_expect_str_eq(trend.note, "no interval: 1 seed");
    cr_expect_not(lab_trend_at(&trend, 9).interval.known);
    cr_expect_float_eq(lab_trend_at(&trend, 2.5).y, 3.5625, 1e-12);
    cr_expect(trend.neighbours == 3 && trend.falling == 2 && trend.rising == 1);
}

Test(trend, needs_two_settings)
{
    static const struct lab_trend_run run[] = {{1, 5, 4}, {1, 5, 3}, {2, 6, 3.75}};
    struct lab_trend trend = lab_trend_of(run, 3);
    cr_expect(isnan(trend.slope) && !trend.interval.known && trend.neighbours == 0);
    cr_expect_str_eq(trend.note, "no seed has two settings");
    cr_expect(isnan(lab_trend_of(run, 0).slope));
}

/* 400 studies: the share that cover is within 4 deviations, 0.06, of 0.9. */
Test(trend, interval_covers)
{
    enum { STUDIES = 400 };
    int covered = 0;
    for (uint64_t study = 0; study < STUDIES; study++) {
        float noise[16];
        struct lab_trend_run run[12];
        peer_fill_normal(noise, 16, 0, 1, study, peer_stream("test_trend"));
        for (int i = 0; i < 12; i++)
            run[i] = (struct lab_trend_run){i % 4, (uint64_t)(i / 4),
                                            4 + (double)noise[12 + i / 4] - 0.01 * (i % 4) +
                                                0.01 * (double)noise[i]};
        struct lab_interval interval = lab_trend_of(run, 12).interval;
        covered += interval.low <= -0.01 && -0.01 <= interval.high;
    }
    cr_expect(covered >= 0.84 * STUDIES && covered <= 0.96 * STUDIES, "%d", covered);
}
