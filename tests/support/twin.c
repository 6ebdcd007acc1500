/* SPDX-License-Identifier: MIT */
#include "tests/support/twin.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "nn/random.h"

float *twin_floats(int64_t n, float mean, float deviation, uint64_t seed, const char *name)
{
    float *x = calloc((size_t)(n > 0 ? n : 1), sizeof *x);
    cr_assert_not_null(x);
    peer_fill_normal(x, n, mean, deviation, seed, peer_stream(name));
    return x;
}

double *twin_doubles(const float *x, int64_t n)
{
    double *y = twin_zeros(n);
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i];
    return y;
}

double *twin_zeros(int64_t n)
{
    double *x = calloc((size_t)(n > 0 ? n : 1), sizeof *x);
    cr_assert_not_null(x);
    return x;
}

double twin_largest(const double *x, int64_t n)
{
    double largest = 0;
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(x[i]) <= largest))
            largest = fabs(x[i]);
    return largest;
}

double twin_distance(const float *x, const double *y, int64_t n)
{
    double largest = 0;
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(x[i] - y[i]) <= largest))
            largest = fabs(x[i] - y[i]);
    return largest;
}

double twin_slope(twin_function *f, void *user, double *x, double h)
{
    double at = *x, values[4];
    const double steps[4] = {-2, -1, 1, 2};
    for (int i = 0; i < 4; i++) {
        *x = at + steps[i] * h;
        values[i] = f(user);
    }
    *x = at;
    return (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h);
}
