/* SPDX-License-Identifier: MIT */
#include <cblas.h>
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/linear.h"
#include "nn/random.h"

static struct peer_ctx *make_ctx(int threads)
{
    struct peer_ctx_config config = peer_ctx_config_default();
    config.threads = threads;
    struct peer_ctx *ctx = NULL;
    cr_assert_eq(peer_ctx_create(&ctx, &config), PEER_OK);
    return ctx;
}

static float *random_floats(int64_t n, uint64_t stream)
{
    float *x = malloc((size_t)n * sizeof *x);
    peer_fill_normal(x, n, 0, 1, 99, stream);
    return x;
}

/* One element: start + sum over K of a[i * step_a] b[i * step_b]. A float sum of K + 1 terms errs
 * by less than (K + 1) eps times the sum of magnitudes, in any order. */
static void expect_sum(float got, double start, const float *a, int64_t step_a, const float *b,
                       int64_t step_b, int64_t K)
{
    double sum = start, magnitude = fabs(start);
    for (int64_t i = 0; i < K; i++) {
        sum += (double)a[i * step_a] * b[i * step_b];
        magnitude += fabs((double)a[i * step_a] * b[i * step_b]);
    }
    cr_assert_leq(fabs(got - sum), (double)(K + 1) * FLT_EPSILON * magnitude, "%.9g, expected %.9g",
                  got, sum);
}

static void expect_products(struct peer_ctx *ctx, int64_t T, int64_t in, int64_t out)
{
    float *x = random_floats(T * in, 1), *w = random_floats(out * in, 2);
    float *dy = random_floats(T * out, 3), *y = random_floats(T * out, 4);
    float *dx = random_floats(T * in, 5), *dw = random_floats(out * in, 6);
    float *old_dx = random_floats(T * in, 5), *old_dw = random_floats(out * in, 6);
    peer_linear_forward(ctx, y, x, w, T, in, out);
    peer_linear_backward_x(ctx, dx, dy, w, T, in, out, true);
    peer_linear_backward_w(ctx, dw, dy, x, T, in, out);
    for (int64_t t = 0; t < T; t++) {
        for (int64_t o = 0; o < out; o++)
            expect_sum(y[t * out + o], 0, x + t * in, 1, w + o * in, 1, in);
        for (int64_t i = 0; i < in; i++)
            expect_sum(dx[t * in + i], old_dx[t * in + i], dy + t * out, 1, w + i, in, out);
    }
    for (int64_t o = 0; o < out; o++)
        for (int64_t i = 0; i < in; i++)
            expect_sum(dw[o * in + i], old_dw[o * in + i], dy + o, out, x + i, in, T);
    memset(dx, 0xff, (size_t)(T * in) * sizeof *dx);
    peer_linear_backward_x(ctx, dx, dy, w, T, in, out, false);
    for (int64_t t = 0; t < T; t++)
        for (int64_t i = 0; i < in; i++)
            expect_sum(dx[t * in + i], 0, dy + t * out, 1, w + i, in, out);
    float *const all[] = {x, w, dy, y, dx, dw, old_dx, old_dw};
    for (int i = 0; i < 8; i++)
        free(all[i]);
}

Test(linear, products_are_sums)
{
    static const int64_t sizes[][3] = {{1, 1, 1},     {2, 3, 7},     {17, 33, 2},
                                       {129, 7, 33},  {33, 129, 17}, {7, 17, 257},
                                       {1100, 3, 35}, {40, 300, 33}, {97, 33, 513}};
    struct peer_ctx *ctx = make_ctx(2);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        expect_products(ctx, sizes[i][0], sizes[i][1], sizes[i][2]);
    peer_ctx_destroy(&ctx);
}

/* Large enough that BLAS would take threads of its own and split its sums. */
Test(linear, same_bits_for_any_number_of_threads)
{
    enum { T = 300, IN = 513, OUT = 390 };
    static float y[4][T * OUT], dx[4][T * IN], dw[4][OUT * IN];
    float *x = random_floats(T * IN, 1), *w = random_floats(OUT * IN, 2);
    float *dy = random_floats(T * OUT, 3);
    for (int threads = 1; threads <= 3; threads++) {
        struct peer_ctx *ctx = make_ctx(threads);
        peer_linear_forward(ctx, y[threads], x, w, T, IN, OUT);
        peer_linear_backward_x(ctx, dx[threads], dy, w, T, IN, OUT, true);
        peer_linear_backward_w(ctx, dw[threads], dy, x, T, IN, OUT);
        cr_expect_arr_eq(y[1], y[threads], sizeof y[1], "%d threads", threads);
        cr_expect_arr_eq(dx[1], dx[threads], sizeof dx[1], "%d threads", threads);
        cr_expect_arr_eq(dw[1], dw[threads], sizeof dw[1], "%d threads", threads);
        peer_ctx_destroy(&ctx);
    }
    free(x);
    free(w);
    free(dy);
}

/* Another CBLAS in the program, such as GSL's, would be called in its place and be ten times
 * slower. */
Test(linear, blas_is_openblas)
{
    Dl_info info;
    cr_assert_neq(dladdr((void *)(uintptr_t)cblas_sgemm, &info), 0);
    cr_expect(strstr(info.dli_fname, "blas"), "%s", info.dli_fname);
    cr_expect_null(strstr(info.dli_fname, "gsl"), "%s", info.dli_fname);
    cr_expect_eq(openblas_get_parallel(), OPENBLAS_OPENMP);
}
