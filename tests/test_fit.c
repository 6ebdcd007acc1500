/* SPDX-License-Identifier: MIT */
#include "experiments/fits/fit.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <gsl/gsl_errno.h>
#include <math.h>
#include <string.h>

#include "nn/random.h"
#include "tests/support/failing.h"

void cblas_sgemm(void);

enum { MOST = 64 };

struct data {
    double x[MOST], y[MOST];
    int64_t count;
};

static double law(double x)
{
    return 1.375 + 0.81 * (x - 6.21) * (x - 6.21);
}

/* `sizes` sizes on 5.5 ... 6.8, each with `seeds` seeds; normal noise per seed. */
static struct data make(int sizes, int seeds, double noise, uint64_t seed)
{
    struct data data = {.count = sizes * seeds};
    float normal[MOST];
    peer_fill_normal(normal, MOST, 0, 1, seed, peer_stream("test_fit"));
    for (int64_t i = 0; i < data.count; i++) {
        data.x[i] = 5.5 + 1.3 * (double)(i % sizes) / (sizes - 1);
        data.y[i] = law(data.x[i]) + noise * (double)normal[i];
    }
    return data;
}

static struct lab_fit fit_of(const struct data *data, uint64_t seed)
{
    struct peer_ctx *ctx = NULL;
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    struct lab_fit fit;
    enum peer_status status = lab_fit_parabola(&fit, ctx, data->x, data->y, data->count, seed);
    cr_assert_eq(status, PEER_OK, "%s", peer_ctx_error(ctx));
    cr_assert_eq(peer_ctx_bytes(ctx), 0);
    peer_ctx_destroy(&ctx);
    return fit;
}

static struct lab_fit fit_values(int count, const double *y)
{
    struct data data = {.count = count};
    for (int i = 0; i < count; i++) {
        data.x[i] = 5 + 0.25 * i;
        data.y[i] = y[i];
    }
    return fit_of(&data, 1);
}

/* gslcblas would answer here if it had come in with GSL. */
Test(gsl, leaves_sgemm_to_openblas)
{
    Dl_info info;
    cr_assert(dladdr((void *)(uintptr_t)cblas_sgemm, &info));
    cr_expect(strstr(info.dli_fname, "openblas"), "%s", info.dli_fname);
}

/* The handler is the process's: a fit that gave it back would do so under another thread's. */
Test(gsl, handler_is_replaced_once)
{
    struct data data = make(5, 1, 0, 1);
    fit_of(&data, 1);
    gsl_error_handler_t *kept = gsl_set_error_handler(NULL);
    cr_expect(kept);
    fit_of(&data, 1);
    cr_expect_null(gsl_set_error_handler(kept));
}

Test(fit, recovers_a_parabola)
{
    for (int sizes = 3; sizes <= 9; sizes++) {
        struct data data = make(sizes, 1, 0, 1);
        struct lab_fit fit = fit_of(&data, 5);
        cr_expect(fit.minimum);
        cr_expect_str_eq(fit.reason, "");
        cr_expect_eq(fit.sizes, sizes);
        cr_expect_float_eq(fit.x, 6.21, 1e-12, "%d sizes: %.15g", sizes, fit.x);
        cr_expect_float_eq(fit.y, 1.375, 1e-13, "%d sizes: %.15g", sizes, fit.y);
        cr_expect_float_eq(fit.c[2], 0.81, 1e-12);
        cr_expect_eq(fit.x_interval.known, sizes > 3);
        if (sizes > 3)
            cr_expect_float_eq(fit.y_interval.high - fit.y_interval.low, 0, 1e-12);
    }
}

Test(fit, does_not_depend_on_the_order_of_points)
{
    struct data data = make(5, 3, 0.01, 3), turned = data;
    for (int64_t i = 0; i < data.count; i++) {
        turned.x[i] = data.x[(i * 7 + 4) % data.count];
        turned.y[i] = data.y[(i * 7 + 4) % data.count];
    }
    struct lab_fit a = fit_of(&data, 9), b = fit_of(&turned, 9);
    cr_expect_eq(a.x, b.x);
    cr_expect_arr_eq(a.draws, b.draws, sizeof a.draws);
    struct lab_fit other = fit_of(&data, 10);
    cr_expect_eq(a.x, other.x);
    cr_expect_arr_neq(a.draws, other.draws, sizeof a.draws);
}

/* Sizes count alike: eight seeds of one size weigh no more than one of another. */
Test(fit, averages_seeds_per_size)
{
    struct data one = make(5, 1, 0.01, 4), many = one;
    for (int i = 0; i < 8; i++) {
        many.x[many.count] = one.x[2];
        many.y[many.count++] = one.y[2];
    }
    struct lab_fit a = fit_of(&one, 1), b = fit_of(&many, 1);
    cr_expect_eq(b.runs, 13);
    cr_expect_eq(b.sizes, 5);
    cr_expect_float_eq(a.x, b.x, 1e-12);
    cr_expect_float_eq(a.y, b.y, 1e-12);
}

Test(fit, names_the_reason_where_there_is_no_minimum)
{
    static const struct {
        int count;
        double y[5];
        const char *reason;
    } cases[] = {
        {0, {0}, "no finished run"},
        {1, {2.5}, "fewer than 3 sizes"},
        {2, {2.5, 2.4}, "fewer than 3 sizes"},
        {5, {2.1, 2.2, 2.4, 2.7, 3.1}, "minimum at the grid's edge: the smallest size is best"},
        {5, {3.1, 2.7, 2.4, 2.2, 2.1}, "minimum at the grid's edge: the largest size is best"},
        {4, {2.1, 2.2, 2.3, 2.4}, "minimum at the grid's edge: the smallest size is best"},
        {5, {2.1, 2.4, 2.5, 2.4, 2.1}, "opens downward"},
        {4, {2.3, 2.3, 2.3, 2.3}, "flat: all sizes have the same loss"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct lab_fit fit = fit_values(cases[i].count, cases[i].y);
        cr_expect_str_eq(fit.reason, cases[i].reason, "case %zu: %s", i, fit.reason);
        cr_expect_not(fit.minimum);
        cr_expect(isnan(fit.x) && isnan(fit.y) && isnan(fit.draws[0]));
        cr_expect_not(fit.x_interval.known);
    }
}

Test(fit, knows_the_best_size_without_a_fit)
{
    struct lab_fit fit = fit_values(2, (double[]){2.5, 2.4});
    cr_expect_eq(fit.best_x, 5.25);
    cr_expect_eq(fit.best_y, 2.4);
    cr_expect(isnan(fit_values(0, NULL).best_y));
}

Test(fit, says_what_the_intervals_rest_on)
{
    static const struct {
        int sizes, seeds;
        double noise;
        bool known;
        const char *note;
    } cases[] = {
        {3, 1, 0.005, false, "no interval: 3 sizes with 1 seed each leave no degrees of freedom"},
        {7, 1, 0.005, true, "from residuals only: 1 seed per size, their noise is unknown"},
        {3, 4, 0.005, true, "from the noise of seeds only: 3 sizes leave no residuals"},
        {7, 3, 0.005, true, "from residuals and the noise of seeds"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct data data = make(cases[i].sizes, cases[i].seeds, cases[i].noise, 17);
        struct lab_fit fit = fit_of(&data, 2);
        cr_assert(fit.minimum, "case %zu: %s", i, fit.reason);
        cr_expect_str_eq(fit.note, cases[i].note, "case %zu: %s", i, fit.note);
        cr_expect_eq(fit.x_interval.known, cases[i].known);
        cr_expect_eq(fit.y_interval.known, cases[i].known);
    }
}

/* A zigzag larger than the curvature: most draws open downward. */
Test(fit, has_no_interval_where_draws_have_no_minimum)
{
    struct lab_fit fit = fit_values(4, (double[]){2.03, 1.90, 2.05, 2.00});
    cr_expect(fit.minimum, "%s", fit.reason);
    cr_expect_not(fit.x_interval.known);
    cr_expect_not(fit.y_interval.known);
    cr_expect_str_eq(fit.note, "no interval: too many bootstrap draws have no minimum");
}

static void check_coverage(int sizes, int seeds, double noise)
{
    enum { SETS = 200 };
    int x = 0, y = 0;
    for (uint64_t set = 0; set < SETS; set++) {
        struct data data = make(sizes, seeds, noise, 1000 + set);
        struct lab_fit fit = fit_of(&data, set);
        cr_assert(fit.x_interval.known, "set %llu: %s", (unsigned long long)set, fit.note);
        x += fit.x_interval.low <= 6.21 && 6.21 <= fit.x_interval.high;
        y += fit.y_interval.low <= 1.375 && 1.375 <= fit.y_interval.high;
    }
    cr_expect(x >= 0.80 * SETS && x <= 0.98 * SETS, "%d sizes, %d seeds: x in %d of %d", sizes,
              seeds, x, SETS);
    cr_expect(y >= 0.80 * SETS && y <= 0.98 * SETS, "%d sizes, %d seeds: y in %d of %d", sizes,
              seeds, y, SETS);
}

Test(fit, intervals_cover_with_one_seed)
{
    check_coverage(7, 1, 0.01);
    check_coverage(5, 1, 0.005);
}

Test(fit, intervals_cover_with_seeds)
{
    check_coverage(5, 3, 0.01);
    check_coverage(3, 3, 0.01);
}

/* The true difference is 0.05; both curves have noise of their own. */
Test(fit, differences_cover)
{
    enum { SETS = 200 };
    int inside = 0;
    for (uint64_t set = 0; set < SETS; set++) {
        struct data data = make(7, 1, 0.01, 5000 + set), base = make(6, 1, 0.01, 9000 + set);
        for (int64_t i = 0; i < base.count; i++)
            base.y[i] += 0.05;
        struct lab_fit a = fit_of(&data, 2 * set), b = fit_of(&base, 2 * set + 1);
        struct lab_interval difference = lab_fit_difference(&a, &b);
        cr_assert(difference.known);
        inside += difference.low <= -0.05 && -0.05 <= difference.high;
    }
    cr_expect(inside >= 0.80 * SETS && inside <= 0.98 * SETS, "%d of %d", inside, SETS);
}

Test(fit, has_no_difference_without_intervals)
{
    struct data three = make(3, 1, 0, 1), seven = make(7, 1, 0.01, 1);
    struct lab_fit a = fit_of(&three, 1), b = fit_of(&seven, 2);
    cr_expect_not(lab_fit_difference(&a, &b).known);
    cr_expect_not(lab_fit_difference(&b, &a).known);
}

Test(fit, leaves_the_result_alone_without_memory)
{
    struct data data = make(5, 2, 0.01, 6);
    enum peer_status status = PEER_ERR_MEMORY;
    for (int64_t granted = 0; status != PEER_OK; granted++) {
        struct failing failing = {.granted = -1};
        struct peer_ctx *ctx = failing_ctx(&failing, 1);
        int64_t held = failing.held;
        failing.granted = failing.asked + granted;
        struct lab_fit fit = {.runs = -3};
        status = lab_fit_parabola(&fit, ctx, data.x, data.y, data.count, 1);
        cr_expect_eq(fit.runs, status == PEER_OK ? 10 : -3);
        cr_expect(status == PEER_OK || *peer_ctx_error(ctx));
        cr_expect_eq(failing.held, held);
        peer_ctx_destroy(&ctx);
        cr_assert_lt(granted, 20);
    }
}
