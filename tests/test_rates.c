/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>

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
