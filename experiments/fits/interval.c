/* SPDX-License-Identifier: MIT */
#include "experiments/fits/interval.h"

#include <gsl/gsl_cdf.h>
#include <math.h>
#include <stdlib.h>

#include "experiments/fits/quiet.h"

static const double tail = (1 - LAB_FIT_LEVEL) / 2;

struct lab_interval lab_interval_unknown(void)
{
    return (struct lab_interval){false, NAN, NAN};
}

struct lab_interval lab_interval_student(double center, double error, double freedom)
{
    if (!isfinite(center) || !isfinite(error) || !(freedom > 0))
        return lab_interval_unknown();
    lab_fits_quiet();
    double reach = error * gsl_cdf_tdist_Qinv(tail, freedom);
    return (struct lab_interval){true, center - reach, center + reach};
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

struct lab_interval lab_interval_draws(double *draws, int64_t count)
{
    int64_t n = 0;
    for (int64_t i = 0; i < count; i++)
        if (!isnan(draws[i]))
            draws[n++] = draws[i];
    qsort(draws, (size_t)n, sizeof *draws, by_value);
    double below = (double)(count - n) / 2, end[2];
    for (int side = 0; side < 2; side++) {
        double place = (side ? 1 - tail : tail) * (double)(count - 1) - below;
        if (place < 0 || place > (double)(n - 1))
            return lab_interval_unknown();
        int64_t left = (int64_t)place, right = left + 1 < n ? left + 1 : left;
        double part = place - (double)left;
        end[side] = draws[left] + part * (draws[right] - draws[left]);
    }
    return (struct lab_interval){true, end[0], end[1]};
}

double lab_interval_widening(double freedom)
{
    lab_fits_quiet();
    return gsl_cdf_tdist_Qinv(tail, freedom) / gsl_cdf_ugaussian_Qinv(tail);
}

double lab_satterthwaite(double first, double first_freedom, double second, double second_freedom)
{
    double parts = (first_freedom > 0 ? first * first / first_freedom : 0) +
                   (second_freedom > 0 ? second * second / second_freedom : 0);
    return parts > 0 ? (first + second) * (first + second) / parts : 0;
}
