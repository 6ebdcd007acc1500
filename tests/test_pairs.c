/* SPDX-License-Identifier: MIT */
#include "experiments/fits/pairs.h"

#include <criterion/criterion.h>
#include <math.h>

#include "nn/random.h"

/* The 95 % points of Student's t from the printed tables. */
static const double t2 = 2.919986, t4 = 2.131847;

static void expect_interval(struct lab_interval interval, double center, double reach)
{
    cr_expect(interval.known);
    cr_expect_float_eq(interval.low, center - reach, 1e-6, "%.9g", interval.low);
    cr_expect_float_eq(interval.high, center + reach, 1e-6, "%.9g", interval.high);
}

/* 10, 20, 60: mean 30, squares 400 + 100 + 900, deviation sqrt(700). */
Test(pairs, have_students_interval)
{
    struct lab_effect effect = lab_effect_paired((double[]){0.010, NAN, 0.060, 0.020}, 4);
    cr_expect_eq(effect.seeds, 3);
    cr_expect_float_eq(effect.mean, 0.030, 1e-15);
    cr_expect_float_eq(effect.deviation, sqrt(0.0007), 1e-15);
    cr_expect_eq(effect.freedom, 2);
    expect_interval(effect.interval, 0.030, t2 * sqrt(0.0007 / 3));
    cr_expect_str_eq(effect.note, "");
}

Test(pairs, one_seed_has_no_interval)
{
    struct lab_effect one = lab_effect_paired((double[]){-0.25, NAN}, 2);
    cr_expect_eq(one.mean, -0.25);
    cr_expect(isnan(one.deviation) && isnan(one.error));
    cr_expect_not(one.interval.known);
    cr_expect_str_eq(one.note, "no interval: 1 seed");
    struct lab_effect none = lab_effect_paired((double[]){NAN}, 1);
    cr_expect(none.seeds == 0 && isnan(none.mean) && !none.interval.known);
    cr_expect_str_eq(none.note, "no finished runs");
}

/* Sizes of 2, 2 and 3 pairs with means 1, 2 and 6; squares within them 2, 0.5 and 2: variance
 * 4.5 / 4 from 4 degrees of freedom. */
Test(pooled, sizes_count_equally)
{
    static const struct lab_pair pair[] = {
        {9, 1, 0},   {5, 1, 2.5}, {9, 2, 2}, {7, 1, 5},
        {5, 2, 1.5}, {7, 2, 6},   {7, 3, 7}, {7, 4, NAN},
    };
    struct lab_pooled pooled = lab_effect_pooled(pair, 8);
    double variance = 4.5 / 4, seeds = variance * (0.5 + 0.5 + 1.0 / 3) / 3;
    cr_expect_eq(pooled.sizes, 3);
    cr_expect_eq(pooled.effect.seeds, 7);
    cr_expect_eq(pooled.effect.freedom, 4);
    cr_expect_float_eq(pooled.effect.deviation, sqrt(variance), 1e-12);
    expect_interval(pooled.effect.interval, 3, t4 * sqrt(seeds / 3));
    /* Means 1, 2, 6: variance 7. */
    cr_expect_float_eq(pooled.between, sqrt(7 - seeds), 1e-12);
    cr_expect(pooled.any_size.known);
    cr_expect_lt(pooled.any_size.low, pooled.effect.interval.low);
}

/* One size is the paired interval itself; sizes that agree have the interval of their seeds. */
Test(pooled, agrees_with_the_simpler_forms)
{
    static const struct lab_pair one[] = {{4, 1, 0.01}, {4, 2, 0.06}, {4, 3, 0.02}};
    struct lab_pooled pooled = lab_effect_pooled(one, 3);
    expect_interval(pooled.effect.interval, 0.030, t2 * sqrt(0.0007 / 3));
    cr_expect(isnan(pooled.between) && !pooled.any_size.known);
    static const struct lab_pair same[] = {{4, 1, 1}, {4, 2, 3}, {8, 1, 3}, {8, 2, 1}};
    pooled = lab_effect_pooled(same, 4);
    cr_expect_eq(pooled.between, 0);
    cr_expect_eq(pooled.any_size.low, pooled.effect.interval.low);
}

Test(pooled, one_seed_per_size_has_no_interval)
{
    static const struct lab_pair pair[] = {{1, 1, 0.5}, {2, 1, 1}, {3, 1, NAN}};
    struct lab_pooled pooled = lab_effect_pooled(pair, 3);
    cr_expect_eq(pooled.effect.mean, 0.75);
    cr_expect_eq(pooled.sizes, 2);
    cr_expect_not(pooled.effect.interval.known);
    cr_expect_not(pooled.any_size.known);
    cr_expect_str_eq(pooled.effect.note, "no interval: 1 seed per size");
    cr_expect_str_eq(lab_effect_pooled(pair + 2, 1).effect.note, "no finished runs");
}

enum { STUDIES = 400 };

/* The share of intervals that cover is binomial with p = 0.9: within 4 deviations of 0.015. */
static void expect_coverage(int covered, const char *what)
{
    cr_expect(covered >= 0.84 * STUDIES && covered <= 0.96 * STUDIES, "%s: %d of %d", what, covered,
              (int)STUDIES);
}

static bool covers(struct lab_interval interval, double truth)
{
    return interval.known && interval.low <= truth && truth <= interval.high;
}

Test(intervals, cover_the_truth)
{
    int paired = 0, pooled = 0, any = 0;
    for (uint64_t study = 0; study < STUDIES; study++) {
        float noise[32];
        peer_fill_normal(noise, 32, 0, 1, study, peer_stream("test_pairs"));
        double difference[3];
        struct lab_pair common[12], varied[12];
        for (int i = 0; i < 12; i++) {
            int size = i % 4;
            common[i] = (struct lab_pair){size, (uint64_t)i, 0.3 * size + 0.1 * (double)noise[i]};
            varied[i] =
                (struct lab_pair){size, (uint64_t)i, 0.1 * (double)(noise[12 + size] + noise[i])};
        }
        for (int i = 0; i < 3; i++)
            difference[i] = 0.02 + 0.01 * (double)noise[16 + i];
        paired += covers(lab_effect_paired(difference, 3).interval, 0.02);
        pooled += covers(lab_effect_pooled(common, 12).effect.interval, 0.45);
        any += covers(lab_effect_pooled(varied, 12).any_size, 0);
    }
    expect_coverage(paired, "paired");
    expect_coverage(pooled, "pooled");
    expect_coverage(any, "any size");
}
