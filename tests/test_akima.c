/* SPDX-License-Identifier: MIT */
#include "experiments/fits/akima.h"

#include <criterion/criterion.h>
#include <gsl/gsl_spline.h>
#include <math.h>

#include "tests/support/failing.h"

enum { MOST = 40 };

static struct lab_akima minimum_of(int64_t count, const double *x, const double *y)
{
    struct peer_ctx *ctx = NULL;
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    struct lab_akima akima;
    cr_assert_eq(lab_akima_minimum(&akima, ctx, x, y, count), PEER_OK, "%s", peer_ctx_error(ctx));
    cr_expect_eq(peer_ctx_bytes(ctx), 0);
    peer_ctx_destroy(&ctx);
    return akima;
}

/* On an even grid Akima's slopes of a parabola are exact, and so is the curve. */
Test(akima, finds_a_parabolas_minimum)
{
    for (int sizes = 5; sizes <= 9; sizes++) {
        double x[9], y[9];
        for (int i = 0; i < sizes; i++) {
            x[i] = 5.5 + 1.25 * i / (sizes - 1);
            y[i] = 1.375 + 0.81 * (x[i] - 6.21) * (x[i] - 6.21);
        }
        struct lab_akima akima = minimum_of(sizes, x, y);
        cr_expect(akima.minimum && akima.sizes == sizes);
        cr_expect_float_eq(akima.x, 6.21, 1e-9, "%d sizes: %.12g", sizes, akima.x);
        cr_expect_float_eq(akima.y, 1.375, 1e-12);
        cr_expect_str_eq(akima.reason, "");
    }
}

/* No point of GSL's own curve, walked in small steps, lies lower, and the minimum lies on it. */
Test(akima, is_the_lowest_point_of_the_curve)
{
    static const double x[] = {5, 5.3, 5.5, 5.9, 6.2, 6.25, 6.7, 7};
    for (int turn = 0; turn < 50; turn++) {
        double y[8];
        for (int i = 0; i < 8; i++)
            y[i] = (x[i] - 6) * (x[i] - 6) + 0.3 * sin(7.7 * turn + 5.1 * i * i);
        struct lab_akima akima = minimum_of(8, x, y);
        gsl_spline *curve = gsl_spline_alloc(gsl_interp_akima, 8);
        gsl_spline_init(curve, x, y, 8);
        double low = INFINITY;
        for (int step = 0; step <= 20000; step++)
            low = fmin(low, gsl_spline_eval(curve, fmin(5 + step * 1e-4, 7), NULL));
        if (akima.minimum) {
            cr_expect_leq(akima.y, low + 1e-12, "turn %d: %.12g, %.12g", turn, akima.y, low);
            cr_expect_float_eq(gsl_spline_eval(curve, akima.x, NULL), akima.y, 1e-12);
            cr_expect_float_eq(akima.y, low, 1e-5);
        } else {
            cr_expect_float_eq(low, fmin(y[0], y[7]), 1e-12, "turn %d", turn);
        }
        gsl_spline_free(curve);
    }
}

Test(akima, takes_means_in_any_order_without_failed_runs)
{
    static const double x[] = {5, 6, 7, 8, 9, 7, 8, 6};
    static const double y[] = {4, 1, 0.5, 1, 4, -0.5, NAN, INFINITY};
    struct lab_akima akima = minimum_of(8, x, y);
    cr_expect(akima.minimum);
    cr_expect_eq(akima.sizes, 5);
    cr_expect_float_eq(akima.x, 7, 1e-12);
    cr_expect_float_eq(akima.y, 0, 1e-12);
}

Test(akima, names_the_reason_where_there_is_no_minimum)
{
    static const double x[] = {9, 8, 7, 6, 5};
    static const struct {
        int count;
        double y[5];
        const char *reason;
    } cases[] = {
        {0, {0}, "fewer than 5 sizes"},
        {4, {2, 1, 1, 2}, "fewer than 5 sizes"},
        {5, {2, 1, NAN, 1, 2}, "fewer than 5 sizes"},
        {5, {1, 2, 3, 4, 5}, "minimum at the grid's edge: the largest size is best"},
        {5, {5, 4, 3, 2, 1}, "minimum at the grid's edge: the smallest size is best"},
        {5, {2, 2, 2, 2, 2}, "minimum at the grid's edge: the smallest size is best"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct lab_akima akima = minimum_of(cases[i].count, x, cases[i].y);
        cr_expect_str_eq(akima.reason, cases[i].reason, "case %zu: %s", i, akima.reason);
        cr_expect(!akima.minimum && isnan(akima.x) && isnan(akima.y));
    }
}

Test(akima, leaves_the_result_alone_without_memory)
{
    static const double x[] = {5, 6, 7, 8, 9}, y[] = {4, 1, 0, 1, 4};
    enum peer_status status = PEER_ERR_MEMORY;
    for (int64_t granted = 0; status != PEER_OK; granted++) {
        struct failing failing = {.granted = -1};
        struct peer_ctx *ctx = failing_ctx(&failing, 1);
        int64_t held = failing.held;
        failing.granted = failing.asked + granted;
        struct lab_akima akima = {.sizes = -3};
        status = lab_akima_minimum(&akima, ctx, x, y, 5);
        cr_expect_eq(akima.sizes, status == PEER_OK ? 5 : -3);
        cr_expect_eq(failing.held, held);
        peer_ctx_destroy(&ctx);
        cr_assert_lt(granted, 20);
    }
}
