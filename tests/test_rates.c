/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "experiments/study/rates.h"

/* Probes as the search does it, of a loss that is known. */
static struct lab_rate_cell probe(double start, double factor, double (*loss)(double))
{
    struct lab_rate_cell cell = {.start = start, .factor = factor};
    for (int64_t step; (step = lab_rate_cell_next(&cell)) != INT64_MAX;)
        lab_rate_cell_insert(&cell, step, loss(start * pow(factor, (double)step)));
    lab_rate_cell_fit(&cell);
    return cell;
}

static double parabola(double lr)
{
    double x = log2(lr) + 6.25; /* lowest at 2^-6.25 */
    return 4 + 0.125 * x * x;
}

Test(rates, vertex_of_a_parabola_is_found_exactly)
{
    struct lab_rate_cell cell = probe(0.0078125, 2, parabola); /* 2^-7 */
    cr_assert(cell.found);
    cr_assert_float_eq(cell.log2_best, -6.25, 1e-12, "%.17g", cell.log2_best);
    cr_assert_eq(cell.probes, 4, "-1, 0, 1, and 2 as 1 is the lowest of these: %lld",
                 (long long)cell.probes);
}

Test(rates, probes_go_on_until_the_lowest_is_inside)
{
    struct lab_rate_cell cell = probe(0.25, 2, parabola); /* 4.25 steps too high */
    cr_assert(cell.found);
    cr_assert_float_eq(cell.log2_best, -6.25, 1e-12);
    for (int64_t i = 0; i < cell.probes; i++)
        cr_assert_eq(cell.step[i], i - 5, "%lld at %lld", (long long)cell.step[i], (long long)i);
    cr_assert_eq(cell.probes, 7, "-5 ... 1");
}

Test(rates, the_vertex_of_a_coarse_grid_counts_in_its_factor)
{
    struct lab_rate_cell cell = probe(0.015625, 4, parabola); /* 2^-6, 2^-8, 2^-4 */
    cr_assert(cell.found);
    cr_assert_float_eq(cell.log2_best, -6.25, 1e-12);
    cr_assert_eq(cell.probes, 3);
}

static double falling(double lr)
{
    return -lr;
}

Test(rates, a_loss_without_a_lowest_rate_ends_at_the_edge)
{
    struct lab_rate_cell cell = probe(1, 2, falling);
    cr_assert(!cell.found);
    cr_assert_eq(cell.step[cell.probes - 1], 6);
    cr_assert_float_eq(cell.log2_best, 6, 1e-12);
}

static double diverging(double lr)
{
    return lr > 0.5 ? INFINITY : 1 - lr;
}

/* A rate that diverged is a bound: the best is the last one that did not. */
Test(rates, divergence_bounds_the_search)
{
    struct lab_rate_cell cell = probe(0.25, 2, diverging);
    cr_assert(cell.found);
    cr_assert_float_eq(cell.log2_best, -1, 1e-12, "%.17g", cell.log2_best);
}

static double diverging_early(double lr)
{
    return lr > 0.01 ? INFINITY : -log2(lr) < 9 ? 1 + lr : 2;
}

/* Where the first three have all diverged, a lower one may not. */
Test(rates, divergence_at_every_first_probe_moves_the_search_down)
{
    struct lab_rate_cell cell = probe(0.0625, 2, diverging_early);
    cr_assert(cell.found);
    cr_expect_geq(cell.probes, 7);
    cr_assert_leq(exp2(cell.log2_best), 0.01);
    int64_t best = lab_rate_cell_lowest(&cell);
    cr_expect(best > 0 && isfinite(cell.loss[best]) && isinf(cell.loss[cell.probes - 1]));
}

static double always_diverging(double lr)
{
    (void)lr;
    return INFINITY;
}

Test(rates, a_search_that_always_diverges_ends)
{
    struct lab_rate_cell cell = probe(0.25, 2, always_diverging);
    cr_expect(!cell.found);
    cr_expect_lt(lab_rate_cell_lowest(&cell), 0);
    cr_expect_eq(cell.step[0], -6);
}

static double failing(double lr)
{
    (void)lr;
    return NAN;
}

Test(rates, failed_probes_end_the_search)
{
    struct lab_rate_cell cell = probe(0.25, 2, failing);
    cr_assert(!cell.found);
    cr_assert_eq(cell.probes, 3);
    cr_assert_float_eq(cell.log2_best, -2, 1e-12);
}

/* A study of two tuned variants at three widths, and a second budget at the middle one. */
static const int64_t widths[] = {32, 64, 256};
static const double budgets[] = {1e10, 8e10};

static struct lab_study *study_of_rates(void)
{
    static struct lab_study study;
    study = (struct lab_study){.variants = 3};
    strcpy(study.variant[0].ffw, "dense");
    strcpy(study.variant[1].ffw, "peer");
    strcpy(study.variant[2].ffw, "peer");
    study.tune.sizes = 3;
    study.tune.budgets = study.tune.variants = 2;
    study.tune.variant[1] = 1;
    for (int i = 0; i < 3; i++)
        study.tune.size[i].width = widths[i];
    memcpy(study.tune.budget, budgets, sizeof budgets);
    return &study;
}

/* log2 lr = base + slope log2(width / 64) + 0.25 log2(budget / 1e10) */
static double law(int variant, int64_t size, int64_t budget)
{
    double base = variant == 0 ? -7 : -6.5, slope = variant == 0 ? -0.75 : -1.25;
    return base + slope * log2((double)widths[size] / 64) +
           0.25 * log2(budgets[budget] / budgets[0]);
}

Test(rates, the_rule_that_the_optima_follow_is_found)
{
    struct lab_study *study = study_of_rates();
    static struct lab_rates rates;
    rates = (struct lab_rates){.tune = study->tune, .width0 = 64, .budget0 = 1e10};
    for (int variant = 0; variant < 2; variant++)
        for (int64_t size = 0; size < 3; size++)
            for (int64_t budget = 0; budget < (size == 1 ? 2 : 1); budget++)
                rates.cell[rates.cells++] =
                    (struct lab_rate_cell){.variant = variant,
                                           .size = size,
                                           .budget = budget,
                                           .log2_best = law(variant, size, budget)};
    /* The tables' own rate, searched before, is no optimum of the learning rate. */
    rates.cell[rates.cells++] =
        (struct lab_rate_cell){.variant = 1, .scale = true, .size = 1, .log2_best = 40};
    lab_rates_fit_rules(&rates);
    cr_assert_eq(rates.rules, 2);
    cr_assert_float_eq(rates.rule[0].base, -7, 1e-12);
    cr_assert_float_eq(rates.rule[0].width_slope, -0.75, 1e-12);
    cr_assert_float_eq(rates.rule[1].base, -6.5, 1e-12);
    cr_assert_float_eq(rates.rule[1].width_slope, -1.25, 1e-12);
    cr_assert_float_eq(rates.budget_slope, 0.25, 1e-12);
    cr_assert_float_eq(rates.residual, 0, 1e-12);
}

/* Optima 2 and 3 at N = 2^10 and 2^20: 1 + 0.1 log2 N; at eight times the budget 0.5 and 1.5, so
 * -0.5 per doubling. A type with one N has no slope, and with one budget none over budgets. */
Test(rates, scales_of_tables_follow_their_number)
{
    struct lab_study *study = study_of_rates();
    static struct lab_rates rates;
    strcpy(study->variant[0].ffw, "pkm");
    rates = (struct lab_rates){
        .tune.budget = {1e12, 8e12},
        .budget0 = 1e12,
        .cells = 5,
        .cell = {{.variant = 0, .scale = true, .N = 4096, .log2_best = 1.5},
                 {.variant = 1, .scale = true, .N = 1024, .log2_best = 2},
                 {.variant = 1, .scale = true, .budget = 1, .N = 1024, .log2_best = 0.5},
                 {.variant = 2, .scale = true, .N = 1048576, .log2_best = 3},
                 {.variant = 2, .scale = true, .budget = 1, .N = 1048576, .log2_best = 1.5}}};
    lab_rates_fit_scales(&rates, study, 0);
    cr_assert_eq(rates.scale_rules, 2);
    const struct lab_scale_rule *pkm = lab_rates_scale(&rates, "pkm");
    const struct lab_scale_rule *peer = lab_rates_scale(&rates, "peer");
    cr_assert(pkm && peer && !lab_rates_scale(&rates, "dense"));
    cr_assert_float_eq(pkm->base, 1.5, 1e-12);
    cr_assert_eq(pkm->slope, 0);
    cr_assert_eq(pkm->budget_slope, 0);
    cr_assert_float_eq(peer->base, 1, 1e-12);
    cr_assert_float_eq(peer->slope, 0.1, 1e-12);
    cr_assert_float_eq(peer->budget_slope, -0.5, 1e-12);
}

/* The rule 1 + 0.1 log2 N, moved through 7 at N = 2^20: 5 + 0.1 log2 N. Types that were not
 * searched keep theirs, and so does a learning rate's cell. */
Test(rates, scales_move_as_they_are)
{
    struct lab_study *study = study_of_rates();
    static struct lab_rates rates;
    rates = (struct lab_rates){
        .cells = 2,
        .cell = {{.variant = 1, .scale = true, .N = 1048576, .log2_best = 7},
                 {.variant = 1, .log2_best = -9}},
        .scale_rules = 2,
        .scale_rule = {{.ffw = "pkm", .base = 6}, {.ffw = "peer", .base = 1, .slope = 0.1}}};
    lab_rates_move_scales(&rates, study);
    cr_assert_float_eq(lab_rates_scale(&rates, "peer")->base, 5, 1e-12);
    cr_assert_eq(lab_rates_scale(&rates, "peer")->slope, 0.1);
    cr_assert_eq(lab_rates_scale(&rates, "pkm")->base, 6);
}
