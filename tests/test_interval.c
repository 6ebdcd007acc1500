/* SPDX-License-Identifier: MIT */
#include "experiments/fits/interval.h"

#include <criterion/criterion.h>
#include <math.h>

/* Student's 95 % points at 1, 10 and many degrees of freedom, from the printed tables. */
Test(interval, is_students)
{
    static const double freedom[] = {1, 10, 1e9}, point[] = {6.313752, 1.812461, 1.644854};
    for (int i = 0; i < 3; i++) {
        struct lab_interval interval = lab_interval_student(3, 0.5, freedom[i]);
        cr_expect(interval.known);
        cr_expect_float_eq(interval.low, 3 - 0.5 * point[i], 1e-6);
        cr_expect_float_eq(interval.high, 3 + 0.5 * point[i], 1e-6);
        cr_expect_float_eq(lab_interval_widening(freedom[i]), point[i] / 1.644854, 1e-5);
    }
}

Test(interval, is_unknown_without_what_it_needs)
{
    cr_expect_not(lab_interval_student(NAN, 1, 3).known);
    cr_expect_not(lab_interval_student(1, NAN, 3).known);
    cr_expect_not(lab_interval_student(1, 1, 0).known);
    cr_expect_not(lab_interval_student(1, 1, NAN).known);
    struct lab_interval none = lab_interval_unknown();
    cr_expect(!none.known && isnan(none.low) && isnan(none.high));
}

/* Of 0 ... 100 the 5 % and 95 % points are 5 and 95; four NaN lie two below and two above. */
Test(interval, is_the_middle_of_draws)
{
    double draws[101];
    for (int i = 0; i <= 100; i++)
        draws[i] = i * 37 % 101;
    struct lab_interval interval = lab_interval_draws(draws, 101);
    cr_expect(interval.known);
    cr_expect_float_eq(interval.low, 5, 1e-12);
    cr_expect_float_eq(interval.high, 95, 1e-12);
    for (int i = 0; i <= 100; i++)
        draws[i] = i % 25 == 7 ? NAN : i;
    interval = lab_interval_draws(draws, 101);
    cr_expect_float_eq(interval.low, 3, 1e-12);
    cr_expect_float_eq(interval.high, 97, 1e-12);
    for (int i = 0; i <= 100; i++)
        draws[i] = i % 8 ? i : NAN;
    cr_expect_not(lab_interval_draws(draws, 101).known);
    cr_expect_not(lab_interval_draws(draws, 0).known);
}

/* Equal variances add their freedom; one alone keeps its own. */
Test(interval, adds_degrees_of_freedom)
{
    cr_expect_float_eq(lab_satterthwaite(2, 3, 2, 3), 6, 1e-12);
    cr_expect_float_eq(lab_satterthwaite(2, 3, 0, 9), 3, 1e-12);
    cr_expect_float_eq(lab_satterthwaite(1, 2, 3, 4), 16 / (0.5 + 9.0 / 4), 1e-12);
    cr_expect_eq(lab_satterthwaite(0, 3, 0, 4), 0);
    cr_expect_eq(lab_satterthwaite(2, 0, 0, 4), 0);
}
