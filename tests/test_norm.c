/* SPDX-License-Identifier: MIT */
#define PEER_REAL_DOUBLE
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/layers/norm.h"
#include "nn/layers/norm_ref.h"
#include "nn/random.h"

enum { SEED = 20261123 };

/* One norm in float and in its double twin, with input and output gradient. Arrays are allocated
 * to their exact size. */
struct pair {
    int64_t T, size;
    struct peer_query_norm f;
    struct peer_query_norm_f64 d;
    float *x, *dy, *y, *dx;
    double *x64, *dy64, *y64, *dx64;
    uint8_t *mask;
};

static float *floats(int64_t n, float mean, float deviation, const char *name)
{
    float *x = calloc((size_t)(n + 1), sizeof *x);
    peer_fill_normal(x, n, mean, deviation, SEED, peer_stream(name));
    return x;
}

static double *widened(const float *x, int64_t n)
{
    double *wide = calloc((size_t)(n + 1), sizeof *wide);
    for (int64_t i = 0; i < n; i++)
        wide[i] = x[i];
    return wide;
}

static struct pair pair_of(enum peer_norm kind, int64_t T, int64_t G, int64_t K, bool masked)
{
    int64_t GK = G * K, cache = kind == PEER_NORM_BATCH ? GK : T * G;
    struct pair p = {.T = T, .size = GK};
    float *gain = floats(GK, 1, 0.5f, "gain"), *bias = floats(GK, 0, 1, "bias");
    float *run_var = floats(GK, 2, 0.1f, "var");
    p.f = (struct peer_query_norm){
        .kind = kind,
        .groups = G,
        .width = K,
        .epsilon = 1e-5f,
        .momentum = 0.1f,
        .gain = gain,
        .bias = bias,
        .dgain = floats(GK, 0, 1, "dgain"),
        .dbias = floats(GK, 0, 1, "dbias"),
        .run_mean = floats(GK, 0.5f, 1, "mean"),
        .run_var = run_var,
        .mean = calloc((size_t)cache, sizeof(float)),
        .inv_dev = calloc((size_t)cache, sizeof(float)),
        .partial = calloc((size_t)(2 * peer_norm_partials(T) * GK + 1), sizeof(float))};
    p.d = (struct peer_query_norm_f64){.kind = kind,
                                       .groups = G,
                                       .width = K,
                                       .epsilon = p.f.epsilon,
                                       .momentum = p.f.momentum,
                                       .gain = widened(gain, GK),
                                       .bias = widened(bias, GK),
                                       .dgain = widened(p.f.dgain, GK),
                                       .dbias = widened(p.f.dbias, GK),
                                       .run_mean = widened(p.f.run_mean, GK),
                                       .run_var = widened(run_var, GK),
                                       .mean = calloc((size_t)cache, sizeof(double)),
                                       .inv_dev = calloc((size_t)cache, sizeof(double))};
    p.x = floats(T * GK, 0.3f, 1, "x");
    p.dy = floats(T * GK, 0, 1, "dy");
    p.y = floats(T * GK, 0, 1, "y");
    p.dx = floats(T * GK, 0, 1, "dx");
    if (masked) {
        p.mask = calloc((size_t)T, 1);
        for (int64_t t = 0; t < T; t++)
            p.mask[t] = (uint8_t)(3 * (peer_random_below(SEED, 1, (uint64_t)t, 3) > 0));
        for (int64_t i = 0; i < T * GK; i++)
            p.dy[i] = p.mask[i / GK] ? p.dy[i] : 0;
    }
    p.x64 = widened(p.x, T * GK);
    p.dy64 = widened(p.dy, T * GK);
    p.y64 = widened(p.y, T * GK);
    p.dx64 = widened(p.dx, T * GK);
    return p;
}

static void pair_free(struct pair *p)
{
    void *blocks[] = {(void *)p->f.gain,
                      (void *)p->f.bias,
                      p->f.dgain,
                      p->f.dbias,
                      p->f.run_mean,
                      p->f.run_var,
                      p->f.mean,
                      p->f.inv_dev,
                      p->f.partial,
                      (void *)p->d.gain,
                      (void *)p->d.bias,
                      p->d.dgain,
                      p->d.dbias,
                      p->d.run_mean,
                      p->d.run_var,
                      p->d.mean,
                      p->d.inv_dev,
                      p->x,
                      p->dy,
                      p->y,
                      p->dx,
                      p->x64,
                      p->dy64,
                      p->y64,
                      p->dx64,
                      p->mask};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        free(blocks[i]);
}

static struct peer_ctx *context(int threads)
{
    struct peer_ctx_config config = peer_ctx_config_default();
    struct peer_ctx *ctx = NULL;
    config.threads = threads;
    cr_assert_eq(peer_ctx_create(&ctx, &config), PEER_OK);
    return ctx;
}

static void expect_close(const char *what, const float *x, const double *expected, int64_t n,
                         double tolerance)
{
    for (int64_t i = 0; i < n; i++)
        cr_expect(fabs(x[i] - expected[i]) <= tolerance, "%s[%ld] = %.9g, twin %.9g, bound %.2g",
                  what, (long)i, x[i], expected[i], tolerance);
}

static double largest(const double *x, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++)
        most = fmax(most, fabs(x[i]));
    return most;
}

/* First-order bounds with u = 2^-24: a float sum of n terms errs by n u times the sum of absolute
 * values. Terms of a mean: K of a group, or 64 of a tile and the rest in double; so the mean errs
 * by at most n u max|x|, the inverse deviation by a relative n u (1 + |x|^2 / var) at most, and y
 * by gain times both; likewise backward with dy in the place of x. Eight covers the few roundings
 * of the formula itself. */
static void compare(struct peer_ctx *ctx, enum peer_norm kind, int64_t T, int64_t G, int64_t K,
                    bool masked, bool train, bool frozen)
{
    struct pair p = pair_of(kind, T, G, K, masked);
    p.f.frozen = p.d.frozen = frozen;
    int64_t GK = G * K, cache = kind == PEER_NORM_BATCH ? GK : T * G;
    peer_query_norm_forward(ctx, p.y, &p.f, p.x, p.mask, T, train);
    peer_query_norm_forward_f64(p.y64, &p.d, p.x64, p.mask, T, train);
    double u = ldexp(1, -24), n = (kind == PEER_NORM_BATCH ? 64 : (double)K) + 8;
    double inverse = fmax(1, largest(p.d.inv_dev, cache));
    double x = 1 + largest(p.x64, T * GK), gain = 1 + largest(p.d.gain, GK);
    double cancel = x * inverse; /* |x| / dev, the loss in x - mean */
    double bound = n * u * gain * cancel * (1 + cancel * cancel);
    expect_close("y", p.y, p.y64, T * GK, bound);
    expect_close("run_mean", p.f.run_mean, p.d.run_mean, GK, n * u * x);
    expect_close("run_var", p.f.run_var, p.d.run_var, GK, 4 * n * u * x * x);
    if (train) {
        peer_query_norm_backward(ctx, p.dx, &p.f, p.dy, p.x, p.mask, T);
        peer_query_norm_backward_f64(p.dx64, &p.d, p.dy64, p.x64, p.mask, T);
        double dy = largest(p.dy64, T * GK);
        expect_close("dx", p.dx, p.dx64, T * GK, 4 * bound * inverse * dy * (1 + cancel));
        expect_close("dgain", p.f.dgain, p.d.dgain, GK, 4 * (double)T * bound * dy);
        expect_close("dbias", p.f.dbias, p.d.dbias, GK, 4 * (double)T * n * u * dy);
    }
    pair_free(&p);
}

Test(norm, query_norms_match_the_double_twin)
{
    static const int64_t sizes[][3] = {{1, 1, 17}, {2, 3, 7},    {7, 2, 33},
                                       {63, 1, 2}, {64, 3, 5},   {65, 2, 17},
                                       {33, 1, 1}, {200, 2, 65}, {130, 1, 129}};
    struct peer_ctx *ctx = context(2);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int kind = 0; kind < PEER_NORM_COUNT; kind++)
            for (int variant = 0; variant < 4; variant++)
                compare(ctx, (enum peer_norm)kind, sizes[i][0], sizes[i][1], sizes[i][2],
                        variant & 1, variant & 2, false);
    peer_ctx_destroy(&ctx);
}

/* Bounds as in compare(), with x / rms at most sqrt(D). */
Test(norm, rmsnorm_matches_the_double_twin_and_adds_to_gradients)
{
    static const int64_t sizes[][2] = {{1, 1}, {1, 17}, {2, 3}, {65, 33}, {128, 7}, {129, 130}};
    struct peer_ctx *ctx = context(2);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t T = sizes[i][0], D = sizes[i][1];
        struct pair p = pair_of(PEER_NORM_RMS, T, 1, D, false);
        peer_rmsnorm_forward(ctx, p.y, p.f.inv_dev, p.x, p.f.gain, T, D);
        peer_rmsnorm_forward_f64(p.y64, p.d.inv_dev, p.x64, p.d.gain, T, D);
        peer_rmsnorm_backward(ctx, p.dx, p.f.dgain, p.f.partial, p.dy, p.x, p.f.gain, p.f.inv_dev,
                              T, D);
        peer_rmsnorm_backward_f64(p.dx64, p.d.dgain, p.dy64, p.x64, p.d.gain, p.d.inv_dev, T, D);
        double u = ldexp(1, -24), n = (double)D + 8, inverse = largest(p.d.inv_dev, T);
        double unit = sqrt((double)D), gain = largest(p.d.gain, D), dy = largest(p.dy64, T * D);
        expect_close("y", p.y, p.y64, T * D, n * u * unit * gain);
        expect_close("dx", p.dx, p.dx64, T * D,
                     u * (n * inverse * gain * dy * unit * unit * 4 + largest(p.dx64, T * D)));
        expect_close("dg", p.f.dgain, p.d.dgain, D, (64 + n) * (double)T * u * unit * dy);
        pair_free(&p);
    }
    peer_ctx_destroy(&ctx);
}

/* sum of dy * y of a training pass, by the twin. */
static double loss(struct pair *p)
{
    double sum = 0;
    peer_query_norm_forward_f64(p->y64, &p->d, p->x64, p->mask, p->T, true);
    for (int64_t i = 0; i < p->T * p->size; i++)
        sum += p->dy64[i] * p->y64[i];
    return sum;
}

/* Fourth order: the error is h^4/30 of the fifth derivative, below 1e-9 here, and 1e-12 of
 * rounding. */
static double slope_by_differences(struct pair *p, double *place)
{
    double h = 1e-4, kept = *place, at[4];
    for (int i = 0; i < 4; i++) {
        *place = kept + h * (double[]){-2, -1, 1, 2}[i];
        at[i] = loss(p);
    }
    *place = kept;
    return (at[0] - 8 * at[1] + 8 * at[2] - at[3]) / (12 * h);
}

static void expect_gradient(struct pair *p, const char *what, double *values,
                            const double *gradient, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double slope = slope_by_differences(p, values + i);
        cr_expect(fabs(slope - gradient[i]) <= 1e-8 * (1 + fabs(slope)),
                  "%s of %s, T = %ld: d%s[%ld] = %.12g, differences give %.12g", what,
                  peer_norm_names[p->d.kind], (long)p->T, what, (long)i, gradient[i], slope);
    }
}

Test(norm, frozen_batch_norms_match_the_double_twin)
{
    static const int64_t sizes[][3] = {{1, 1, 1}, {3, 2, 3}, {33, 1, 17}, {129, 3, 7}};
    struct peer_ctx *ctx = context(2);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int masked = 0; masked < 2; masked++)
            compare(ctx, PEER_NORM_BATCH, sizes[i][0], sizes[i][1], sizes[i][2], masked, true,
                    true);
    peer_ctx_destroy(&ctx);
}

/* y = 3 (x - 1) / 2 + 4 where mean = 1, var = 4 (but for epsilon): dx = 3/2 dy, whatever the batch
 * holds, dgain = sum dy (x - 1) / 2. */
Test(norm, frozen_statistics_by_hand)
{
    float gain = 3, bias = 4, mean = 1, var = 4, cache[2], partial[2], dgain = 0, dbias = 0;
    float x[] = {3, -1, 2}, dy[] = {2, 1, -4}, y[3], dx[3];
    struct peer_query_norm norm = {.kind = PEER_NORM_BATCH,
                                   .groups = 1,
                                   .width = 1,
                                   .epsilon = 1e-12f,
                                   .momentum = 0.1f,
                                   .gain = &gain,
                                   .bias = &bias,
                                   .run_mean = &mean,
                                   .run_var = &var,
                                   .mean = cache,
                                   .inv_dev = cache + 1,
                                   .partial = partial,
                                   .frozen = true};
    struct peer_ctx *ctx = context(1);
    for (int wanted = 0; wanted < 2; wanted++) {
        norm.dgain = wanted ? &dgain : NULL;
        norm.dbias = wanted ? &dbias : NULL;
        peer_query_norm_forward(ctx, y, &norm, x, NULL, 3, true);
        peer_query_norm_backward(ctx, dx, &norm, dy, x, NULL, 3);
        cr_expect_arr_eq(y, ((float[]){7, 1, 5.5f}), sizeof y);
        cr_expect_arr_eq(dx, ((float[]){3, 1.5f, -6}), sizeof dx);
    }
    cr_expect(mean == 1 && var == 4, "running statistics: %g, %g", mean, var);
    cr_expect_eq(dgain, 2 * 1 + 1 * -1 + -4 * 0.5f);
    cr_expect_eq(dbias, -1);
    peer_ctx_destroy(&ctx);
}

Test(norm, twin_gradients_are_central_differences)
{
    static const int64_t sizes[][3] = {{5, 1, 4}, {7, 2, 3}, {9, 3, 5}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int form = 0; form <= PEER_NORM_COUNT; form++)
            for (int masked = 0; masked < 2; masked++) {
                bool frozen = form == PEER_NORM_COUNT;
                enum peer_norm kind = frozen ? PEER_NORM_BATCH : (enum peer_norm)form;
                struct pair p = pair_of(kind, sizes[i][0], sizes[i][1], sizes[i][2], masked);
                p.d.frozen = frozen;
                memset(p.d.dgain, 0, (size_t)p.size * sizeof(double));
                memset(p.d.dbias, 0, (size_t)p.size * sizeof(double));
                loss(&p);
                peer_query_norm_backward_f64(p.dx64, &p.d, p.dy64, p.x64, p.mask, p.T);
                expect_gradient(&p, "x", p.x64, p.dx64, p.T * p.size);
                if (kind != PEER_NORM_NONE)
                    expect_gradient(&p, "gain", (double *)p.d.gain, p.d.dgain, p.size);
                if (kind == PEER_NORM_LAYER || kind == PEER_NORM_BATCH)
                    expect_gradient(&p, "bias", (double *)p.d.bias, p.d.dbias, p.size);
                pair_free(&p);
            }
}

static double rmsnorm_loss(struct pair *p)
{
    double sum = 0;
    peer_rmsnorm_forward_f64(p->y64, p->d.inv_dev, p->x64, p->d.gain, p->T, p->size);
    for (int64_t i = 0; i < p->T * p->size; i++)
        sum += p->dy64[i] * p->y64[i];
    return sum;
}

Test(norm, rmsnorm_twin_gradients_are_central_differences)
{
    struct pair p = pair_of(PEER_NORM_RMS, 3, 1, 5, false);
    double *old_dx = widened(p.dx, 15), *old_dg = widened(p.f.dgain, 5), h = 1e-4;
    rmsnorm_loss(&p);
    peer_rmsnorm_backward_f64(p.dx64, p.d.dgain, p.dy64, p.x64, p.d.gain, p.d.inv_dev, 3, 5);
    for (int i = 0; i < 20; i++) {
        double *place = i < 15 ? p.x64 + i : (double *)p.d.gain + i - 15, kept = *place, at[4];
        double added = i < 15 ? p.dx64[i] - old_dx[i] : p.d.dgain[i - 15] - old_dg[i - 15];
        for (int j = 0; j < 4; j++) {
            *place = kept + h * (double[]){-2, -1, 1, 2}[j];
            at[j] = rmsnorm_loss(&p);
        }
        *place = kept;
        double slope = (at[0] - 8 * at[1] + 8 * at[2] - at[3]) / (12 * h);
        cr_expect_float_eq(added, slope, 1e-9, "value %d: %.12g, %.12g", i, added, slope);
    }
    free(old_dx);
    free(old_dg);
    pair_free(&p);
}

static void expect_same(const char *what, const float *a, const float *b, int64_t n)
{
    cr_expect_eq(memcmp(a, b, (size_t)n * sizeof *a), 0, "%s differs", what);
}

/* Same y of unmasked tokens, same statistics, same gradients, bit for bit. */
static void expect_same_results(const struct pair *a, const struct pair *b)
{
    for (int64_t t = 0; t < a->T; t++)
        if (!a->mask || a->mask[t])
            expect_same("y", a->y + t * a->size, b->y + t * a->size, a->size);
    expect_same("dx", a->dx, b->dx, a->T * a->size);
    expect_same("dgain", a->f.dgain, b->f.dgain, a->size);
    expect_same("dbias", a->f.dbias, b->f.dbias, a->size);
    expect_same("run_mean", a->f.run_mean, b->f.run_mean, a->size);
    expect_same("run_var", a->f.run_var, b->f.run_var, a->size);
}

static void train_pass(struct peer_ctx *ctx, struct pair *p)
{
    peer_query_norm_forward(ctx, p->y, &p->f, p->x, p->mask, p->T, true);
    peer_query_norm_backward(ctx, p->dx, &p->f, p->dy, p->x, p->mask, p->T);
}

Test(norm, what_padding_holds_touches_nothing)
{
    struct peer_ctx *ctx = context(2);
    for (int kind = 0; kind < PEER_NORM_COUNT; kind++) {
        struct pair a = pair_of((enum peer_norm)kind, 150, 2, 9, true);
        struct pair b = pair_of((enum peer_norm)kind, 150, 2, 9, true);
        for (int64_t i = 0; i < b.T * b.size; i++)
            if (!b.mask[i / b.size])
                b.x[i] = i % 2 ? NAN : INFINITY;
        train_pass(ctx, &a);
        train_pass(ctx, &b);
        expect_same_results(&a, &b);
        for (int64_t i = 0; i < b.T * b.size; i++)
            cr_expect(b.mask[i / b.size] || b.dx[i] == 0);
        pair_free(&a);
        pair_free(&b);
    }
    peer_ctx_destroy(&ctx);
}

/* The same unmasked tokens without the padding between them: other sums of doubles, so 1e-13. */
Test(norm, masked_batch_is_the_batch_without_padding)
{
    struct pair p = pair_of(PEER_NORM_BATCH, 23, 1, 5, true);
    struct pair q = pair_of(PEER_NORM_BATCH, 23, 1, 5, false);
    int64_t kept = 0;
    for (int64_t t = 0; t < p.T; t++)
        if (p.mask[t]) {
            memcpy(q.x64 + kept * 5, p.x64 + t * 5, 5 * sizeof(double));
            memcpy(q.dy64 + kept * 5, p.dy64 + t * 5, 5 * sizeof(double));
            kept++;
        }
    cr_assert(kept > 5 && kept < 23);
    peer_query_norm_forward_f64(p.y64, &p.d, p.x64, p.mask, p.T, true);
    peer_query_norm_backward_f64(p.dx64, &p.d, p.dy64, p.x64, p.mask, p.T);
    peer_query_norm_forward_f64(q.y64, &q.d, q.x64, NULL, kept, true);
    peer_query_norm_backward_f64(q.dx64, &q.d, q.dy64, q.x64, NULL, kept);
    for (int64_t t = 0, at = 0; t < p.T; t++) {
        for (int64_t f = 0; p.mask[t] && f < 5; f++) {
            cr_expect_float_eq(p.y64[t * 5 + f], q.y64[at * 5 + f], 1e-13);
            cr_expect_float_eq(p.dx64[t * 5 + f], q.dx64[at * 5 + f], 1e-13);
        }
        at += p.mask[t] != 0;
    }
    for (int64_t f = 0; f < 5; f++) {
        cr_expect_float_eq(p.d.dgain[f], q.d.dgain[f], 1e-13);
        cr_expect_float_eq(p.d.run_var[f], q.d.run_var[f], 1e-13);
    }
    pair_free(&p);
    pair_free(&q);
}

/* Tokens 1, 3, 8 unmasked, 100 masked: mean 4, biased variance 26/3, unbiased 13. With momentum
 * 1/4: run_mean 2 -> 2.5, run_var 1 -> 4. At evaluation y = 2 (x - 2.5) / 2 + 1. */
Test(norm, running_statistics_by_hand)
{
    struct peer_ctx *ctx = context(1);
    float gain = 2, bias = 1, mean, inv_dev, run_mean = 2, run_var = 1, partial[2], y[4];
    const float x[4] = {1, 3, 100, 8};
    const uint8_t mask[4] = {1, 1, 0, 1};
    struct peer_query_norm norm = {.kind = PEER_NORM_BATCH,
                                   .groups = 1,
                                   .width = 1,
                                   .epsilon = 1e-12f,
                                   .momentum = 0.25f,
                                   .gain = &gain,
                                   .bias = &bias,
                                   .run_mean = &run_mean,
                                   .run_var = &run_var,
                                   .mean = &mean,
                                   .inv_dev = &inv_dev,
                                   .partial = partial};
    peer_query_norm_forward(ctx, y, &norm, x, mask, 4, true);
    cr_expect_eq(mean, 4);
    cr_expect_float_eq(inv_dev, sqrt(3.0 / 26), 1e-7);
    cr_expect_float_eq(y[3], 2 * 4 * sqrt(3.0 / 26) + 1, 1e-6);
    cr_expect_eq(run_mean, 2.5f);
    cr_expect_eq(run_var, 4);
    peer_query_norm_forward(ctx, y, &norm, x, mask, 4, false);
    cr_expect_eq(y[0], -0.5f);
    cr_expect_eq(y[2], 98.5f);
    cr_expect_eq(run_mean, 2.5f);
    cr_expect_eq(run_var, 4);
    peer_ctx_destroy(&ctx);
}

Test(norm, one_token_teaches_the_running_mean_only)
{
    struct peer_ctx *ctx = context(1);
    struct pair p = pair_of(PEER_NORM_BATCH, 1, 1, 6, false);
    float *run_var = floats(6, 2, 0.1f, "var"), *run_mean = floats(6, 0.5f, 1, "mean");
    train_pass(ctx, &p);
    for (int f = 0; f < 6; f++) {
        cr_expect_eq(p.y[f], p.f.bias[f], "the only token is its own mean");
        cr_expect_eq(p.dx[f], 0, "and has no gradient");
        cr_expect_float_eq(p.f.run_mean[f], 0.9 * run_mean[f] + 0.1 * p.x[f], 1e-6);
    }
    expect_same("run_var", p.f.run_var, run_var, 6);
    free(run_var);
    free(run_mean);
    pair_free(&p);
    peer_ctx_destroy(&ctx);
}

Test(norm, all_masked_training_uses_and_keeps_running_statistics)
{
    struct peer_ctx *ctx = context(2);
    struct pair p = pair_of(PEER_NORM_BATCH, 70, 2, 3, true);
    struct pair q = pair_of(PEER_NORM_BATCH, 70, 2, 3, true);
    memset(p.mask, 0, 70);
    train_pass(ctx, &p);
    peer_query_norm_forward(ctx, q.y, &q.f, q.x, NULL, 70, false);
    expect_same("y", p.y, q.y, 70 * 6);
    expect_same("run_mean", p.f.run_mean, q.f.run_mean, 6);
    expect_same("run_var", p.f.run_var, q.f.run_var, 6);
    expect_same("dgain", p.f.dgain, q.f.dgain, 6);
    expect_same("dbias", p.f.dbias, q.f.dbias, 6);
    for (int i = 0; i < 70 * 6; i++)
        cr_expect_eq(p.dx[i], 0);
    pair_free(&p);
    pair_free(&q);
    peer_ctx_destroy(&ctx);
}

/* Of a constant there is nothing but the bias; 1.5 keeps every sum exact. */
Test(norm, constant_input_gives_the_bias)
{
    struct peer_ctx *ctx = context(2);
    static const enum peer_norm kinds[] = {PEER_NORM_LAYER, PEER_NORM_BATCH};
    for (int k = 0; k < 2; k++) {
        struct pair p = pair_of(kinds[k], 100, 2, 7, false);
        for (int64_t i = 0; i < 100 * 14; i++)
            p.x[i] = 1.5f;
        train_pass(ctx, &p);
        for (int64_t i = 0; i < 100 * 14; i++) {
            cr_expect_eq(p.y[i], p.f.bias[i % 14]);
            cr_expect(isfinite(p.dx[i]));
        }
        pair_free(&p);
    }
    peer_ctx_destroy(&ctx);
}

Test(norm, same_bits_for_any_number_of_threads)
{
    for (int kind = 0; kind < PEER_NORM_COUNT; kind++) {
        struct pair one = pair_of((enum peer_norm)kind, 333, 3, 47, true);
        struct peer_ctx *ctx = context(1);
        train_pass(ctx, &one);
        peer_ctx_destroy(&ctx);
        for (int threads = 2; threads <= 3; threads++) {
            struct pair many = pair_of((enum peer_norm)kind, 333, 3, 47, true);
            ctx = context(threads);
            train_pass(ctx, &many);
            peer_ctx_destroy(&ctx);
            expect_same_results(&one, &many);
            pair_free(&many);
        }
        pair_free(&one);
    }
}
