/* SPDX-License-Identifier: MIT */
#include "experiments/fits/law.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "experiments/fits/bfgs.h"
#include "experiments/fits/law_data.h"
#include "tests/support/failing.h"
#include "tests/support/law_case.h"

/* E, A, B, alpha, beta, g, gamma: Besiroglu et al. 2024; Krajewski et al. 2024; a law of models
 * that train in seconds. */
static const double chinchilla[] = {1.817, 482.0, 2085, 0.348, 0.366};
static const double granular[] = {0.47, 18.1, 30.8, 0.115, 0.147, 2.1, 0.58};
static const double desk[] = {2.3, 30, 900, 0.31, 0.42};

static struct lab_law fit_of(enum lab_law_form form, const struct lab_law_run *run, int64_t count)
{
    struct peer_ctx *ctx = NULL;
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    struct lab_law law;
    cr_assert_eq(lab_law_fit(&law, ctx, form, run, count), PEER_OK, "%s", peer_ctx_error(ctx));
    cr_expect_eq(peer_ctx_bytes(ctx), 0);
    peer_ctx_destroy(&ctx);
    return law;
}

static double rosenbrock(const void *job, const double *x, double *gradient)
{
    const double *steep = job;
    double off = x[1] - x[0] * x[0];
    gradient[0] = -4 * *steep * off * x[0] - 2 * (1 - x[0]);
    gradient[1] = 2 * *steep * off;
    return *steep * off * off + (1 - x[0]) * (1 - x[0]);
}

Test(bfgs, walks_down_a_bent_valley)
{
    for (double steep = 1; steep <= 1e4; steep *= 100) {
        double x[2] = {-1.2, 1};
        cr_expect_lt(lab_bfgs(x, 2, rosenbrock, &steep), 1e-14);
        cr_expect_float_eq(x[0], 1, 1e-6);
        cr_expect_float_eq(x[1], 1, 1e-6);
    }
}

static double walled(const void *job, const double *x, double *gradient)
{
    (void)job;
    gradient[0] = 1 - 1 / x[0];
    return x[0] > 0 ? x[0] - log(x[0]) : NAN;
}

Test(bfgs, stays_before_walls)
{
    double x = 30, behind = -1;
    cr_expect_float_eq(lab_bfgs(&x, 1, walled, NULL), 1, 1e-12);
    cr_expect_float_eq(x, 1, 1e-6);
    cr_expect(isnan(lab_bfgs(&behind, 1, walled, NULL)));
    cr_expect_eq(behind, -1);
}

/* Central differences of step 1e-6 about points where no residual sits at a bend of Huber's loss.
 */
static void check_gradient(const struct lab_law *truth)
{
    struct law_case made = law_case_make(truth, 1e18, 4, 5, 1, 0.01, 3);
    struct peer_ctx *ctx = NULL;
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    struct peer_pool pool = {.ctx = ctx};
    struct lab_law_data data;
    cr_assert_eq(lab_law_data_build(&data, &pool, truth->form, made.run, made.count), PEER_OK);
    struct lab_law_job job = {&data, data.y, NULL};
    double theta[LAB_LAW_CONSTANTS], gradient[LAB_LAW_CONSTANTS], back[LAB_LAW_CONSTANTS];
    lab_law_to_theta(theta, &data, truth->value);
    lab_law_from_theta(back, &data, theta);
    lab_law_objective(&job, theta, gradient);
    for (int c = 0; c < data.constants; c++) {
        double at = theta[c], h = 1e-6;
        theta[c] = at + h;
        double above = lab_law_objective(&job, theta, NULL);
        theta[c] = at - h;
        double below = lab_law_objective(&job, theta, NULL);
        theta[c] = at;
        cr_expect_float_eq((above - below) / (2 * h), gradient[c], 1e-2 + 1e-3 * fabs(gradient[c]),
                           "%s: %g, %g", lab_law_names[c], (above - below) / (2 * h), gradient[c]);
        cr_expect_float_eq(back[c], truth->value[c], 1e-12 * fabs(truth->value[c]));
    }
    peer_pool_free(&pool);
    peer_ctx_destroy(&ctx);
}

Test(law, gradient_is_the_slope)
{
    struct lab_law joint = law_case_of(LAB_LAW_JOINT, chinchilla);
    struct lab_law fine = law_case_of(LAB_LAW_GRANULARITY, granular);
    check_gradient(&joint);
    check_gradient(&fine);
}

/* In units of delta: half the square within 1, the distance less 1/2 beyond; 0.125 + 2.5 + 19.5. */
Test(law, objective_is_hubers)
{
    struct lab_law truth = law_case_of(LAB_LAW_JOINT, chinchilla);
    struct law_case made = law_case_make(&truth, 1e18, 3, 3, 1, 0, 3);
    static const double off[] = {0.5, -3, 0, 20};
    for (int i = 0; i < 4; i++)
        made.run[i].loss *= exp(off[i] * LAB_LAW_DELTA);
    struct peer_ctx *ctx = NULL;
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    struct peer_pool pool = {.ctx = ctx};
    struct lab_law_data data;
    cr_assert_eq(lab_law_data_build(&data, &pool, LAB_LAW_JOINT, made.run, made.count), PEER_OK);
    struct lab_law_job job = {&data, data.y, NULL};
    double theta[LAB_LAW_CONSTANTS];
    lab_law_to_theta(theta, &data, truth.value);
    cr_expect_float_eq(lab_law_objective(&job, theta, NULL), 0.125 + 2.5 + 19.5, 1e-6);
    peer_pool_free(&pool);
    peer_ctx_destroy(&ctx);
}

/* At N = D = 2^20, exponents 1/2 and 1/4 take 2^10 and 2^5; with granularity 16, gamma 1/2 takes 4.
 */
Test(law, is_its_formula)
{
    static const double value[] = {1, 1024, 64, 0.5, 0.25, 2048, 0.5};
    struct lab_law joint = law_case_of(LAB_LAW_JOINT, value);
    struct lab_law fine = law_case_of(LAB_LAW_GRANULARITY, value);
    cr_expect_float_eq(lab_law_loss(&joint, 1 << 20, 1 << 20, 16), 1 + 1 + 2, 1e-12);
    cr_expect_float_eq(lab_law_loss(&fine, 1 << 20, 1 << 20, 16), 1 + 1.5 + 2, 1e-12);
}

/* No neighbour of the optimum at the same FLOPs is better, and ten times the FLOPs take
 * 10^exponent times the parameters. */
Test(law, optimum_is_the_least_loss)
{
    struct lab_law laws[] = {law_case_of(LAB_LAW_JOINT, chinchilla),
                             law_case_of(LAB_LAW_GRANULARITY, granular)};
    for (int i = 0; i < 2; i++) {
        struct lab_law_optimum best = lab_law_at(&laws[i], 1e20, 4);
        cr_expect_float_eq(6 * best.params * best.tokens / 1e20, 1, 1e-12);
        for (double factor = 0.9; factor < 1.2; factor += 0.2)
            cr_expect_gt(lab_law_loss(&laws[i], best.params * factor, best.tokens / factor, 4),
                         best.loss);
        double further = lab_law_at(&laws[i], 1e21, 4).params;
        cr_expect_float_eq(log10(further / best.params), best.exponent, 1e-12);
    }
    cr_expect_float_eq(lab_law_at(&laws[0], 1e20, 1).exponent, 0.366 / 0.714, 1e-12);
    laws[0].value[LAB_LAW_ALPHA] = 0;
    cr_expect(isnan(lab_law_at(&laws[0], 1e20, 1).params));
}

static void expect_recovery(enum lab_law_form form, const double *value, double flops, double far)
{
    struct lab_law truth = law_case_of(form, value);
    struct law_case made = law_case_make(&truth, flops, 5, 7, 1, 0, 1);
    struct lab_law law = fit_of(form, made.run, made.count);
    cr_assert(law.fitted, "%s", law.reason);
    cr_expect_eq(law.settings, made.count);
    for (int c = 0; c < lab_law_constants(form); c++)
        cr_expect_float_eq(law.value[c] / value[c], 1, far, "%s: %.9g, want %.9g", lab_law_names[c],
                           law.value[c], value[c]);
    cr_expect_lt(law.rms, 1e-7);
    cr_expect(law.condition > 1 && law.condition < 1e5, "%g", law.condition);
    cr_expect_gt(law.agree, law.starts / 2, "%lld of %lld", (long long)law.agree,
                 (long long)law.starts);
}

Test(law, recovers_laws_without_noise)
{
    expect_recovery(LAB_LAW_JOINT, chinchilla, 1e18, 1e-4);
    expect_recovery(LAB_LAW_JOINT, desk, 1e11, 1e-4);
    expect_recovery(LAB_LAW_GRANULARITY, granular, 1e18, 1e-3);
}

/* Runs that did not finish count nowhere; neither does the order; seeds are averaged. */
Test(law, takes_runs_in_any_order)
{
    struct lab_law truth = law_case_of(LAB_LAW_JOINT, desk);
    struct law_case made = law_case_make(&truth, 1e11, 4, 6, 2, 0.003, 7), turned = made;
    for (int64_t i = 0; i < made.count; i++)
        turned.run[i] = made.run[(i * 7 + 4) % made.count];
    turned.run[turned.count] = (struct lab_law_run){1e6, 1e8, 1, NAN};
    turned.run[turned.count + 1] = (struct lab_law_run){1e6, 1e8, 1, -INFINITY};
    struct lab_law a = fit_of(LAB_LAW_JOINT, made.run, made.count);
    struct lab_law b = fit_of(LAB_LAW_JOINT, turned.run, turned.count + 2);
    cr_expect_eq(b.runs, 48);
    cr_expect_eq(b.settings, 24);
    cr_expect_arr_eq(a.value, b.value, 5 * sizeof *a.value);
}

static void expect_reason(enum lab_law_form form, const struct lab_law_run *run, int64_t count,
                          const char *reason)
{
    struct lab_law law = fit_of(form, run, count);
    cr_expect_str_eq(law.reason, reason, "%s, want %s", law.reason, reason);
    cr_expect_not(law.fitted);
    cr_expect(isnan(law.huber) && isnan(lab_law_loss(&law, 1e6, 1e6, 1)));
    for (int c = 0; c < LAB_LAW_CONSTANTS; c++)
        cr_expect(isnan(law.value[c]));
    cr_expect(isnan(lab_law_at(&law, 1e20, 1).params));
}

Test(law, names_the_reason_where_there_is_no_fit)
{
    struct lab_law joint = law_case_of(LAB_LAW_JOINT, desk);
    struct lab_law fine = law_case_of(LAB_LAW_GRANULARITY, granular);
    struct law_case made = law_case_make(&joint, 1e11, 4, 6, 1, 0.003, 7), few = made;
    struct law_case grains = law_case_make(&fine, 1e18, 4, 6, 1, 0.003, 7);
    struct law_case line = law_case_make(&joint, 1e11, 1, 9, 2, 0.003, 7);
    expect_reason(LAB_LAW_JOINT, made.run, 0, "no finished run");
    expect_reason(LAB_LAW_JOINT, made.run, 5, "no more settings than constants");
    expect_reason(LAB_LAW_GRANULARITY, grains.run, 7, "no more settings than constants");
    for (int64_t i = 0; i < line.count; i++) /* tokens of whole steps */
        line.run[i].tokens *= 1 + 0.02 * sin((double)(i / 2));
    expect_reason(LAB_LAW_JOINT, line.run, line.count,
                  "sizes and tokens lie on one line, as with one budget");
    for (int64_t i = 0; i < few.count; i++)
        few.run[i].params = i % 2 ? 1e6 : 1e5;
    expect_reason(LAB_LAW_JOINT, few.run, few.count, "fewer than 3 sizes");
    for (int64_t i = 0; i < few.count; i++) {
        few.run[i].params = made.run[i].params;
        few.run[i].tokens = i % 2 ? 1e6 : 1e5;
    }
    expect_reason(LAB_LAW_JOINT, few.run, few.count, "fewer than 3 numbers of tokens");
    for (int64_t i = 0; i < grains.count; i++)
        grains.run[i].granularity = i % 2 ? 1 : 2;
    expect_reason(LAB_LAW_GRANULARITY, grains.run, grains.count, "fewer than 3 granularities");
}

/* Loss that does not depend on anything cannot tell the constants apart. */
Test(law, a_flat_loss_has_no_law)
{
    struct lab_law truth = law_case_of(LAB_LAW_JOINT, desk);
    struct law_case made = law_case_make(&truth, 1e11, 4, 6, 1, 0, 7);
    for (int64_t i = 0; i < made.count; i++)
        made.run[i].loss = 3;
    expect_reason(LAB_LAW_JOINT, made.run, made.count, "the runs do not tell the constants apart");
}

/* Loss that rises with size is fitted as it is, and said. */
Test(law, notes_what_the_runs_leave_open)
{
    struct lab_law truth = law_case_of(LAB_LAW_JOINT, desk);
    struct law_case made = law_case_make(&truth, 1e11, 5, 6, 1, 0, 7);
    cr_expect_str_eq(fit_of(LAB_LAW_JOINT, made.run, made.count).note, "");
    for (int64_t i = 0; i < made.count; i++)
        made.run[i].loss = 30 / pow(made.run[i].params, 0.31) + 900 / pow(made.run[i].tokens, 0.42);
    struct lab_law law = fit_of(LAB_LAW_JOINT, made.run, made.count);
    cr_assert(law.fitted, "%s", law.reason);
    cr_expect_str_eq(law.note, "E is not told from zero");
    for (int c = 0; c < LAB_LAW_CONSTANTS; c++)
        cr_expect_eq(lab_law_at_bound(&law, c), c == LAB_LAW_E);
    for (int64_t i = 0; i < made.count; i++)
        made.run[i].loss =
            2 + 0.01 * pow(made.run[i].params, 0.3) + 900 / pow(made.run[i].tokens, 0.42);
    law = fit_of(LAB_LAW_JOINT, made.run, made.count);
    cr_assert(law.fitted, "%s", law.reason);
    cr_expect_float_eq(law.value[LAB_LAW_ALPHA], -0.3, 1e-3);
    cr_expect_str_eq(law.note, "alpha is not above zero: loss does not fall with size");
    cr_expect(isnan(lab_law_at(&law, 1e12, 1).params));
    cr_expect_not(lab_law_at_bound(&law, LAB_LAW_A));
    law.value[LAB_LAW_A] = 1e-9; /* 0.1 nats of 1e8 parameters at an exponent of -1 */
    law.value[LAB_LAW_ALPHA] = -1;
    cr_expect_not(lab_law_at_bound(&law, LAB_LAW_A));
    law.value[LAB_LAW_ALPHA] = 0.3;
    cr_expect(lab_law_at_bound(&law, LAB_LAW_A));
    cr_expect_not(lab_law_at_bound(&law, LAB_LAW_ALPHA));
}

Test(law, leaves_the_result_alone_without_memory)
{
    struct lab_law truth = law_case_of(LAB_LAW_JOINT, desk);
    struct law_case made = law_case_make(&truth, 1e11, 4, 4, 1, 0.003, 7);
    enum peer_status status = PEER_ERR_MEMORY;
    for (int64_t granted = 0; status != PEER_OK; granted++) {
        struct failing failing = {.granted = -1};
        struct peer_ctx *ctx = failing_ctx(&failing, 1);
        int64_t held = failing.held;
        failing.granted = failing.asked + granted;
        struct lab_law law = {.runs = -3};
        status = lab_law_fit(&law, ctx, LAB_LAW_JOINT, made.run, made.count);
        cr_expect_eq(law.runs, status == PEER_OK ? 16 : -3);
        cr_expect_eq(failing.held, held);
        peer_ctx_destroy(&ctx);
        cr_assert_lt(granted, 30);
    }
}
