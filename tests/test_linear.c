/* SPDX-License-Identifier: MIT */
#include <cblas.h>
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/blas.h"
#include "nn/context_private.h"
#include "nn/kernels/kernels.h"
#include "nn/products/linear.h"
#include "nn/products/packed.h"
#include "nn/random.h"

static struct peer_ctx *make_ctx_of(int threads, enum peer_cpu cpu)
{
    struct peer_ctx_config config = peer_ctx_config_default();
    config.threads = threads;
    config.cpu_max = cpu;
    struct peer_ctx *ctx = NULL;
    cr_assert_eq(peer_ctx_create(&ctx, &config), PEER_OK);
    return ctx;
}

static struct peer_ctx *make_ctx(int threads)
{
    return make_ctx_of(threads, peer_cpu_detect());
}

/* Whether this machine can call the BLAS that is there, on one thread inside a tile. */
static bool blas_can_be_called(void)
{
    return peer_blas_suits(peer_blas_find(), PEER_CPU_REF);
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

/* At every level, by the kernels alone and with the BLAS. */
Test(linear, products_are_sums)
{
    static const int64_t sizes[][3] = {{1, 1, 1},     {2, 3, 7},     {17, 33, 2},
                                       {129, 7, 33},  {33, 129, 17}, {7, 17, 257},
                                       {1100, 3, 35}, {40, 300, 33}, {97, 33, 513}};
    for (int cpu = 0; cpu <= (int)peer_cpu_detect(); cpu++) {
        struct peer_ctx *ctx = make_ctx_of(2, (enum peer_cpu)cpu);
        for (int blas = 0; blas <= (blas_can_be_called() ? 1 : 0); blas++) {
            ctx->uses_blas = blas;
            for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
                expect_products(ctx, sizes[i][0], sizes[i][1], sizes[i][2]);
        }
        peer_ctx_destroy(&ctx);
    }
}

/* All four forms, within larger matrices; what lies outside of C stays. */
static void expect_packed(enum peer_cpu cpu, int64_t M, int64_t N, int64_t K, int form, bool adds)
{
    bool ta = form & 1, tb = form & 2;
    int64_t lda = (ta ? M : K) + 3, ldb = (tb ? K : N) + 5, ldc = N + 2;
    float *A = random_floats((ta ? K : M) * lda, 1), *B = random_floats((tb ? N : K) * ldb, 2);
    float *C = random_floats(M * ldc, 3), *old = random_floats(M * ldc, 3);
    peer_packed_product(peer_kernels_for(cpu), ta, tb, M, N, K, A, lda, B, ldb, adds, C, ldc);
    for (int64_t i = 0; i < M; i++) {
        for (int64_t j = 0; j < N; j++)
            expect_sum(C[i * ldc + j], adds ? old[i * ldc + j] : 0, A + i * (ta ? 1 : lda),
                       ta ? lda : 1, B + j * (tb ? ldb : 1), tb ? 1 : ldb, K);
        for (int64_t j = N; j < ldc; j++)
            cr_assert_eq(C[i * ldc + j], old[i * ldc + j], "writes at row %d", (int)i);
    }
    float *const all[] = {A, B, C, old};
    for (int i = 0; i < 4; i++)
        free(all[i]);
}

Test(linear, packed_products_are_sums)
{
    static const int64_t sizes[][3] = {{1, 1, 1},    {1, 65, 33},   {8, 33, 17},   {9, 31, 257},
                                       {129, 64, 3}, {257, 33, 40}, {33, 97, 513}, {5, 7, 0}};
    for (int cpu = 0; cpu <= (int)peer_cpu_detect(); cpu++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (int form = 0; form < 8; form++)
                expect_packed((enum peer_cpu)cpu, sizes[i][0], sizes[i][1], sizes[i][2], form & 3,
                              form & 4);
}

enum { T = 300, IN = 513, OUT = 390 };

struct results {
    float y[T * OUT], few[7 * OUT], dx[T * IN], dw[OUT * IN];
};

/* Large enough that BLAS would take threads of its own and split its sums. */
static void run(struct results *r, const struct peer_ctx *ctx)
{
    float *x = random_floats(T * IN, 1), *w = random_floats(OUT * IN, 2);
    float *dy = random_floats(T * OUT, 3);
    memset(r, 0, sizeof *r);
    peer_linear_forward(ctx, r->y, x, w, T, IN, OUT);
    peer_linear_forward(ctx, r->few, x, w, 7, IN, OUT);
    peer_linear_backward_x(ctx, r->dx, dy, w, T, IN, OUT, true);
    peer_linear_backward_w(ctx, r->dw, dy, x, T, IN, OUT);
    free(x);
    free(w);
    free(dy);
}

static void expect_same(const struct results *want, const struct peer_ctx *ctx, const char *when)
{
    static struct results got;
    run(&got, ctx);
    cr_expect_arr_eq(got.y, want->y, sizeof got.y, "%s", when);
    cr_expect_arr_eq(got.few, want->few, sizeof got.few, "%s: few tokens", when);
    cr_expect_arr_eq(got.dx, want->dx, sizeof got.dx, "%s: dx", when);
    cr_expect_arr_eq(got.dw, want->dw, sizeof got.dw, "%s: dw", when);
}

/* Whatever the number of threads, and whatever a host tells OpenBLAS between calls. */
static void expect_same_bits(enum peer_cpu cpu, bool forced)
{
    static struct results want;
    int before = openblas_get_num_threads();
    for (int threads = 1; threads <= 3; threads++) {
        struct peer_ctx *ctx = make_ctx_of(threads, cpu);
        ctx->uses_blas |= forced;
        if (threads == 1)
            run(&want, ctx);
        expect_same(&want, ctx, "other threads");
        for (int host = 1; host <= 4; host += 3) {
            openblas_set_num_threads(host);
            expect_same(&want, ctx, host == 1 ? "the host sets one thread" : "the host sets four");
        }
        peer_ctx_destroy(&ctx);
        openblas_set_num_threads(before);
    }
}

Test(linear, same_bits_for_any_number_of_threads)
{
    for (int cpu = 0; cpu <= (int)peer_cpu_detect(); cpu++) {
        expect_same_bits((enum peer_cpu)cpu, false);
        if (blas_can_be_called())
            expect_same_bits((enum peer_cpu)cpu, true);
    }
}

/* What packing changes is speed. */
Test(linear, wide_products_have_the_bits_of_narrow_ones)
{
    enum { M = 37, WIDE = 640, K = 300, NARROW = 64 };
    static float wide[M * WIDE], narrow[M * WIDE];
    float *a = random_floats(M * K, 1), *b = random_floats(K * WIDE, 2);
    struct peer_ctx *ctx = make_ctx(1);
    ctx->uses_blas = false;
    peer_multiply(ctx, wide, WIDE, a, K, b, WIDE, M, WIDE, K, false);
    for (int j = 0; j < WIDE; j += NARROW)
        peer_multiply(ctx, narrow + j, WIDE, a, K, b + j, WIDE, M, NARROW, K, false);
    cr_expect_arr_eq(wide, narrow, sizeof wide);
    peer_ctx_destroy(&ctx);
    free(a);
    free(b);
}

/* A BLAS with threads of its own, too slow or too new for the machine is never called. */
Test(linear, a_blas_is_used_where_it_suits)
{
    struct peer_blas blas = {.kind = PEER_BLAS_OPENMP, .level = peer_cpu_detect()};
    for (int cpu = 0; cpu <= (int)peer_cpu_detect(); cpu++)
        cr_expect(peer_blas_suits(blas, (enum peer_cpu)cpu));
    for (int level = 0; level < (int)peer_cpu_detect(); level++) {
        blas.level = (enum peer_cpu)level;
        cr_expect(peer_blas_suits(blas, blas.level));
        cr_expect_not(peer_blas_suits(blas, peer_cpu_detect()));
    }
    blas.level = (enum peer_cpu)(peer_cpu_detect() + 1);
    cr_expect_not(peer_blas_suits(blas, PEER_CPU_REF));
    blas.level = peer_cpu_detect();
    blas.kind = PEER_BLAS_PTHREADS;
    cr_expect_not(peer_blas_suits(blas, PEER_CPU_REF));
    blas.kind = PEER_BLAS_SERIAL;
    cr_expect_not(peer_blas_suits(blas, PEER_CPU_REF));
}

/* Another CBLAS in the program, such as GSL's, would be called in its place and be ten times
 * slower. */
Test(linear, blas_is_openblas)
{
    Dl_info info;
    cr_assert_neq(dladdr((void *)(uintptr_t)cblas_sgemm, &info), 0);
    cr_expect(strstr(info.dli_fname, "blas"), "%s", info.dli_fname);
    cr_expect_null(strstr(info.dli_fname, "gsl"), "%s", info.dli_fname);
    struct peer_ctx *ctx = make_ctx(1);
    struct peer_blas blas = peer_ctx_blas(ctx);
    cr_expect_eq(blas.kind == PEER_BLAS_OPENMP, openblas_get_parallel() == OPENBLAS_OPENMP);
    cr_expect_eq(blas.used, peer_blas_suits(blas, peer_ctx_cpu(ctx)));
    peer_ctx_destroy(&ctx);
}
