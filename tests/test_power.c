/* SPDX-License-Identifier: MIT */
#include "experiments/fits/power.h"

#include <criterion/criterion.h>
#include <math.h>

#include "experiments/fits/pairs.h"
#include "nn/random.h"

static const struct lab_design two = {1, 2}, five = {1, 5};

/* The chi^2 quantiles of 4 degrees of freedom are 9.487729 and 0.710723. */
Test(noise, carries_its_uncertainty)
{
    struct lab_seed_noise noise = lab_seed_noise_of(0.010, 4);
    cr_expect(noise.interval.known);
    cr_expect_float_eq(noise.interval.low, 0.010 * sqrt(4 / 9.487729), 1e-8);
    cr_expect_float_eq(noise.interval.high, 0.010 * sqrt(4 / 0.710723), 1e-7);
}

Test(noise, is_unknown_without_freedom)
{
    cr_expect_not(lab_seed_noise_of(0.010, 0).interval.known);
    cr_expect_not(lab_seed_noise_of(NAN, 3).interval.known);
    struct lab_seed_noise none = lab_seed_noise_of(NAN, 0);
    cr_expect(isnan(lab_power_difference(none, five).difference));
    cr_expect_eq(lab_power_seeds(none, 0.01, 1).seeds, 0);
}

/* At zero the chance is a tail's; many seeds come to the normal limit, where the power at
 * z(.95) + z(.80) errors is 80 %. */
Test(power, has_its_limits)
{
    cr_expect_float_eq(lab_power(1e-9, 1, five), 0.05, 1e-8);
    struct lab_design many = {1, 40000};
    cr_expect_float_eq(lab_power((1.644854 + 0.841621) / 200, 1, many), 0.80, 1e-4);
    cr_expect_eq(lab_power(1, 0.001, five), 1);
    cr_expect_eq(lab_power(-1, 0.001, five), 1);
    cr_expect_eq(lab_power(1, 1, (struct lab_design){5, 1}), 0);
    cr_expect_eq(lab_power(NAN, 1, five), 0);
}

/* Two seeds have one degree of freedom: T is (Z + center) / |Y|, whose tail beyond t is
 * P(Z + center > t |Y|), integrated here over the half-normal |Y| by the midpoint rule. */
Test(power, agrees_with_an_integral)
{
    const double t = 6.313752, pi = acos(-1);
    for (double center = 0.5; center < 20; center *= 2) {
        double sum = 0, step = 1e-4;
        for (double y = step / 2; y < 9; y += step)
            sum += step * sqrt(2 / pi) * exp(-y * y / 2) * 0.5 * erfc((t * y - center) / sqrt(2));
        double power = lab_power(center / sqrt(2), 1, two);
        cr_expect_float_eq(power, sum, 1e-6, "center %g: %.9g, want %.9g", center, power, sum);
    }
}

/* What is promised happens: studies of that difference show it in 80 % of the cases, 4 deviations
 * of sqrt(.8 .2 / 1000) = 0.013. */
Test(power, is_what_studies_show)
{
    enum { STUDIES = 1000 };
    static const struct lab_design designs[] = {{1, 2}, {1, 5}, {3, 2}};
    for (size_t d = 0; d < sizeof designs / sizeof *designs; d++) {
        int64_t sizes = designs[d].sizes, seeds = designs[d].seeds;
        double difference =
            lab_power_difference(lab_seed_noise_of(0.01, 10), designs[d]).difference;
        int shown = 0;
        for (uint64_t study = 0; study < STUDIES; study++) {
            float noise[6];
            struct lab_pair pair[6];
            peer_fill_normal(noise, 6, 0, 1, study, peer_stream("test_power"));
            for (int64_t i = 0; i < sizes * seeds; i++)
                pair[i] =
                    (struct lab_pair){i % sizes, (uint64_t)i, difference + 0.01 * (double)noise[i]};
            shown += lab_effect_pooled(pair, sizes * seeds).effect.interval.low > 0;
        }
        cr_expect(fabs(shown / (double)STUDIES - LAB_POWER) < 0.052, "design %zu: %d", d, shown);
    }
}

Test(power, table_falls_with_seeds_and_scales_with_noise)
{
    struct lab_detectable table[LAB_POWER_ROWS], twice[LAB_POWER_ROWS], sizes[LAB_POWER_ROWS];
    lab_power_table(table, lab_seed_noise_of(0.01, 6), 1);
    lab_power_table(twice, lab_seed_noise_of(0.02, 6), 1);
    lab_power_table(sizes, lab_seed_noise_of(0.01, 6), 3);
    for (int i = 0; i < LAB_POWER_ROWS; i++) {
        cr_expect_eq(table[i].seeds, i + 2);
        cr_expect_float_eq(twice[i].difference, 2 * table[i].difference, 1e-12);
        cr_expect_lt(table[i].likely.low, table[i].difference);
        cr_expect_gt(table[i].likely.high, table[i].difference);
        cr_expect_lt(sizes[i].difference, table[i].difference);
        double power = lab_power(table[i].difference, 0.01, (struct lab_design){1, i + 2});
        cr_expect_float_eq(power, LAB_POWER, 1e-9);
        if (i > 0)
            cr_expect_lt(table[i].difference, table[i - 1].difference);
    }
}

/* The fewest seeds: they show the difference, one seed less does not. */
Test(power, seeds_are_the_fewest)
{
    struct lab_seed_noise noise = lab_seed_noise_of(0.01, 6);
    for (double difference = 0.003; difference < 0.2; difference *= 1.7) {
        struct lab_seeds_needed needed = lab_power_seeds(noise, -difference, 1);
        struct lab_design enough = {1, needed.seeds}, short_of = {1, needed.seeds - 1};
        cr_expect_geq(lab_power(difference, 0.01, enough), LAB_POWER);
        cr_expect_lt(lab_power(difference, 0.01, short_of), LAB_POWER);
        cr_expect(needed.low <= needed.seeds && needed.seeds <= needed.high);
    }
    cr_expect_eq(lab_power_seeds(noise, 1e-7, 1).seeds, 0);
    cr_expect_eq(lab_power_seeds(noise, 0, 1).seeds, 0);
    cr_expect_eq(lab_power_seeds(noise, NAN, 1).seeds, 0);
}
