/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>

#include "experiments/fits/law.h"
#include "tests/support/failing.h"
#include "tests/support/law_case.h"

static const double chinchilla[] = {1.817, 482.0, 2085, 0.348, 0.366};
static const double desk[] = {2.3, 30, 900, 0.31, 0.42};

static struct lab_law fit_of(bool projected, const struct law_case *made)
{
    struct peer_ctx *ctx = NULL;
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    struct lab_law law;
    enum peer_status status = projected
                                  ? lab_law_vpnls(&law, ctx, made->run, made->count)
                                  : lab_law_fit(&law, ctx, LAB_LAW_JOINT, made->run, made->count);
    cr_assert_eq(status, PEER_OK, "%s", peer_ctx_error(ctx));
    cr_expect_eq(peer_ctx_bytes(ctx), 0);
    peer_ctx_destroy(&ctx);
    return law;
}

Test(vpnls, recovers_laws_without_noise)
{
    const double *laws[] = {chinchilla, desk}, flops[] = {1e18, 1e11};
    for (int i = 0; i < 2; i++) {
        struct lab_law truth = law_case_of(LAB_LAW_JOINT, laws[i]);
        struct law_case made = law_case_make(&truth, flops[i], 5, 7, 1, 0, 1);
        struct lab_law law = fit_of(true, &made);
        cr_assert(law.fitted, "%s", law.reason);
        for (int c = 0; c < 5; c++)
            cr_expect_float_eq(law.value[c] / laws[i][c], 1, 1e-4, "%s: %.9g, want %.9g",
                               lab_law_names[c], law.value[c], laws[i][c]);
        cr_expect_eq(law.agree, law.starts);
    }
}

static double squares(const struct lab_law *law, const struct law_case *made)
{
    double sum = 0;
    for (int64_t i = 0; i < made->count; i++) {
        const struct lab_law_run *run = &made->run[i];
        double rest = lab_law_loss(law, run->params, run->tokens, 1) / run->loss - 1;
        sum += rest * rest;
    }
    return sum;
}

/* No constant from `first` on, moved by one part in a thousand, has fewer squares. */
static void expect_least_squares(const struct lab_law *law, const struct law_case *made, int first)
{
    double least = squares(law, made);
    for (int c = first; c < 5; c++)
        for (int side = -1; side <= 1; side += 2) {
            struct lab_law moved = *law;
            moved.value[c] *= 1 + 1e-3 * side;
            cr_expect_gt(squares(&moved, made), least, "%s", lab_law_names[c]);
        }
}

Test(vpnls, is_the_least_squares)
{
    struct lab_law truth = law_case_of(LAB_LAW_JOINT, desk);
    struct law_case made = law_case_make(&truth, 1e11, 5, 7, 1, 0.01, 4);
    struct lab_law law = fit_of(true, &made);
    cr_assert(law.fitted, "%s", law.reason);
    cr_expect_leq(squares(&law, &made), squares(&truth, &made));
    expect_least_squares(&law, &made, LAB_LAW_E);
}

/* Huber's loss at delta = 1e-3 is that of squares where residuals are smaller; noise of 2e-4 keeps
 * them there. */
Test(vpnls, agrees_with_the_joint_fit)
{
    struct lab_law truth = law_case_of(LAB_LAW_JOINT, chinchilla);
    for (uint64_t seed = 0; seed < 5; seed++) {
        struct law_case made = law_case_make(&truth, 1e18, 5, 8, 1, 2e-4, seed);
        struct lab_law check = fit_of(true, &made), law = fit_of(false, &made);
        for (int c = 0; c < 5; c++)
            cr_expect_float_eq(check.value[c] / law.value[c], 1, 1e-3, "%s: %.9g, %.9g",
                               lab_law_names[c], check.value[c], law.value[c]);
        cr_expect_geq(check.huber, law.huber * (1 - 1e-9));
    }
}

/* Where the floor would have to be negative it is zero, and said; the others are best for that. */
Test(vpnls, constants_are_not_negative)
{
    struct lab_law truth = law_case_of(LAB_LAW_JOINT, desk);
    struct law_case made = law_case_make(&truth, 1e11, 5, 7, 1, 0, 1);
    for (int64_t i = 0; i < made.count; i++)
        made.run[i].loss -= 2.35;
    struct lab_law law = fit_of(true, &made);
    cr_assert(law.fitted, "%s", law.reason);
    cr_expect_float_eq(law.value[LAB_LAW_E], 0, 1e-9);
    expect_least_squares(&law, &made, LAB_LAW_A);
    cr_expect_str_eq(law.note, "E is not told from zero");
}

/* One run in ten 30 % too high, as where training nearly diverged. */
Test(vpnls, follows_outliers_that_the_joint_fit_does_not)
{
    struct lab_law truth = law_case_of(LAB_LAW_JOINT, chinchilla);
    struct law_case made = law_case_make(&truth, 1e18, 5, 8, 2, 0.002, 11);
    for (int64_t i = 3; i < made.count; i += 20)
        made.run[i].loss = made.run[i ^ 1].loss *= 1.3;
    struct lab_law law = fit_of(false, &made), check = fit_of(true, &made);
    cr_expect_float_eq(law.value[LAB_LAW_E], 1.817, 0.02, "%g", law.value[LAB_LAW_E]);
    cr_expect_float_eq(law.value[LAB_LAW_BETA], 0.366, 0.02, "%g", law.value[LAB_LAW_BETA]);
    cr_expect_lt(check.value[LAB_LAW_E], 1.5, "%g", check.value[LAB_LAW_E]);
}

Test(vpnls, has_the_reasons_of_the_joint_fit)
{
    struct lab_law truth = law_case_of(LAB_LAW_JOINT, desk);
    struct law_case made = law_case_make(&truth, 1e11, 1, 9, 1, 0.003, 7);
    struct lab_law law = fit_of(true, &made);
    cr_expect_str_eq(law.reason, "sizes and tokens lie on one line, as with one budget");
    cr_expect(!law.fitted && isnan(law.value[LAB_LAW_E]));
    made.count = 4;
    cr_expect_str_eq(fit_of(true, &made).reason, "no more settings than constants");
}

Test(vpnls, leaves_the_result_alone_without_memory)
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
        status = lab_law_vpnls(&law, ctx, made.run, made.count);
        cr_expect_eq(law.runs, status == PEER_OK ? 16 : -3);
        cr_expect_eq(failing.held, held);
        peer_ctx_destroy(&ctx);
        cr_assert_lt(granted, 30);
    }
}
