/* SPDX-License-Identifier: MIT */
/* Every 1009th float of all, against libm in double, in units of the last place. */
#include <criterion/criterion.h>
#include <math.h>

#include "nn/kernels/vecmath.h"

static double units(float got, double exact)
{
    if (isnan(exact) || isnan(got))
        return isnan(exact) && isnan(got) ? 0 : INFINITY;
    if (got == (float)exact)
        return 0;
    int exponent = exact == 0 ? -126 : ilogb(exact);
    return fabs(got - exact) / ldexp(1, (exponent < -126 ? -126 : exponent) - 23);
}

static double exact_sigmoid(double x)
{
    return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x));
}

static double exact_cdf(double x)
{
    return erfc(-x * sqrt(0.5)) / 2;
}

static double exact_bell(double x)
{
    return x >= 0 && x <= 15 ? exp(-x * x / 2) : 1;
}

static float bell(float x)
{
    return vecmath_bell(x >= 0 && x <= 15 ? x : 0);
}

static void expect_within(const char *name, float function(float), double exact(double),
                          double bound)
{
    double worst = 0;
    float where = 0;
    for (uint64_t bits = 0; bits < UINT64_C(1) << 32; bits += 1009) {
        float x = vecmath_from_bits((uint32_t)bits);
        double error = units(function(x), exact(x));
        if (error > worst) {
            worst = error;
            where = x;
        }
    }
    cr_expect_leq(worst, bound, "%s(%.9g) errs by %.3g units", name, where, worst);
    cr_expect_eq(function(INFINITY), (float)exact(INFINITY), "%s(inf)", name);
    cr_expect_eq(function(-INFINITY), (float)exact(-INFINITY), "%s(-inf)", name);
}

Test(vecmath, exp_within_its_bound)
{
    expect_within("exp", vecmath_exp, exp, 1.1);
}

Test(vecmath, sigmoid_within_its_bound)
{
    expect_within("sigmoid", vecmath_sigmoid, exact_sigmoid, 3);
}

Test(vecmath, normal_cdf_within_its_bound)
{
    expect_within("normal_cdf", vecmath_normal_cdf, exact_cdf, 6);
}

Test(vecmath, bell_within_its_bound)
{
    expect_within("bell", bell, exact_bell, 2);
}
