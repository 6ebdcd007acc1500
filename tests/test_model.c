/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/optim/optim.h"
#include "peer/types.h"
#include "tests/support/failing.h"
#include "tests/support/lm_case.h"

enum { B = 3, S = 33, T = B * S };

/* A model of each case in turn. */
#define FOR_CASES(lm_case)                                                                         \
    struct lm_case lm_case;                                                                        \
    for (int number = 0; lm_case_get(&lm_case, number); number++)

static void step(struct lm_model *model, float *losses, const int32_t *inputs,
                 const int32_t *targets, enum peer_mode mode)
{
    int64_t scored;
    lm_model_forward(model, &scored, losses, inputs, targets, B, S, mode);
    if (mode == PEER_MODE_TRAIN)
        lm_model_backward(model, 1);
}

/* Matrix products of other sizes round differently: losses of size log V agree to the rounding of
 * their logits, sums of D products, in each of the 2 L + 1 branches before them. */
static double rounding(void)
{
    return 7 * 24 * FLT_EPSILON * log(61) * 4;
}

static void expect_same(const float *a, const float *b, int64_t n, const struct lm_case *lm_case,
                        int64_t t)
{
    double bound = lm_case->grouped ? rounding() : 0;
    for (int64_t i = 0; i < n; i++)
        cr_expect_leq(fabs((double)a[i] - (double)b[i]), bound, "%s token %lld", lm_case->name,
                      (long long)t);
}

static void expect_causal(struct lm_model *model, const struct lm_case *lm_case,
                          enum peer_mode mode)
{
    const char *name = lm_case->name;
    float before[T], after[T], logits[2][61];
    int32_t *inputs = lm_case_ids(T, 61, 1), *targets = lm_case_ids(T, 61, 2);
    step(model, before, inputs, targets, mode);
    for (int64_t t = 0; t < S; t += 8) {
        int32_t *changed = &inputs[S + t], old = *changed; /* in the middle sequence */
        *changed = (old + 30) % 61;
        step(model, after, inputs, targets, mode);
        expect_same(before, after, S + t, lm_case, t);
        expect_same(before + 2 * S, after + 2 * S, S, lm_case, t);
        cr_expect_neq(before[S + t], after[S + t], "%s token %lld", name, (long long)t);
        cr_expect_neq(before[2 * S - 1], after[2 * S - 1], "%s token %lld", name, (long long)t);
        *changed = old;
    }
    /* Logits of the first sequence's end do not know the next sequence. */
    step(model, after, inputs, targets, mode);
    lm_model_logits(model, logits[0], 0);
    inputs[S] = (inputs[S] + 1) % 61;
    step(model, after, inputs, targets, mode);
    lm_model_logits(model, logits[1], 0);
    expect_same(logits[0], logits[1], 61, lm_case, S);
    free(inputs);
    free(targets);
}

Test(model, no_token_sees_a_later_one)
{
    FOR_CASES(lm_case)
    {
        struct peer_ctx *ctx = lm_case_ctx(2);
        lm_case.config.passes = 1000;
        struct lm_model *model = lm_case_model(&lm_case, ctx, T, true);
        if (!(lm_case.traits & (PEER_FFW_NOT_CAUSAL | PEER_FFW_SHARES_CAPACITY)))
            expect_causal(model, &lm_case, PEER_MODE_EVAL);
        if (!lm_case.traits)
            expect_causal(model, &lm_case, PEER_MODE_TRAIN);
        lm_model_destroy(&model);
        peer_ctx_destroy(&ctx);
    }
}

Test(model, same_bits_for_any_number_of_threads)
{
    int32_t *inputs = lm_case_ids(T, 61, 1), *targets = lm_case_ids(T, 61, 2);
    inputs[T - 1] = inputs[T - 2] = -1;
    FOR_CASES(lm_case)
    {
        float losses[3][T], *gradients[64] = {NULL};
        for (int threads = 1; threads <= 3; threads++) {
            struct peer_ctx *ctx = lm_case_ctx(threads);
            struct lm_model *model = lm_case_model(&lm_case, ctx, T, true);
            const struct peer_params *list = lm_model_params(model);
            cr_assert_leq(list->count, 64);
            step(model, losses[threads - 1], inputs, targets, PEER_MODE_TRAIN);
            cr_expect_arr_eq(losses[threads - 1], losses[0], sizeof losses[0], "%s", lm_case.name);
            for (int64_t i = 0; i < list->count; i++) {
                const struct peer_param *param = &list->items[i];
                float *gradient = lm_case_gradient(param);
                if (threads == 1)
                    gradients[i] = gradient;
                else
                    cr_expect_arr_eq(gradient, gradients[i],
                                     (size_t)peer_param_size(param) * sizeof(float),
                                     "%s %s, %d threads", lm_case.name, param->name, threads);
                if (threads > 1)
                    free(gradient);
            }
            lm_model_destroy(&model);
            peer_ctx_destroy(&ctx);
        }
        for (int i = 0; i < 64; i++)
            free(gradients[i]);
    }
    free(inputs);
    free(targets);
}

/* Sequences of S and 13 tokens, in one padded batch and one by one. */
Test(model, padding_changes_no_loss)
{
    int32_t *inputs = lm_case_ids(2 * S, 61, 1), *targets = lm_case_ids(2 * S, 61, 2);
    const int64_t lengths[2] = {S, 13};
    FOR_CASES(lm_case)
    {
        if (lm_case.traits & (PEER_FFW_NOT_CAUSAL | PEER_FFW_SHARES_CAPACITY))
            continue;
        struct peer_ctx *ctx = lm_case_ctx(2);
        struct lm_model *model = lm_case_model(&lm_case, ctx, 2 * S, false);
        float padded[2 * S], alone[S], logits[2][61];
        int32_t cut[2 * S];
        int64_t scored;
        memcpy(cut, inputs, sizeof cut);
        for (int64_t t = S + lengths[1]; t < 2 * S; t++)
            cut[t] = -1;
        lm_model_forward(model, &scored, padded, cut, targets, 2, S, PEER_MODE_EVAL);
        cr_expect_eq(scored, lengths[0] + lengths[1]);
        lm_model_logits(model, logits[0], 1);
        double bound = rounding();
        for (int b = 0; b < 2; b++) {
            lm_model_forward(model, &scored, alone, inputs + b * S, targets + b * S, 1, lengths[b],
                             PEER_MODE_EVAL);
            for (int64_t t = 0; t < lengths[b]; t++)
                cr_expect_float_eq(alone[t], padded[b * S + t], bound, "%s: %.9g, padded %.9g",
                                   lm_case.name, (double)alone[t], (double)padded[b * S + t]);
        }
        lm_model_logits(model, logits[1], 0);
        for (int64_t t = lengths[1]; t < S; t++)
            cr_expect_eq(padded[S + t], 0);
        for (int v = 0; v < 61; v++)
            cr_expect_float_eq(logits[0][v], logits[1][v], bound);
        lm_model_destroy(&model);
        peer_ctx_destroy(&ctx);
    }
    free(inputs);
    free(targets);
}

Test(model, without_embeddings_the_loss_is_log_V)
{
    int32_t *ids = lm_case_ids(T, 61, 1);
    FOR_CASES(lm_case)
    {
        struct peer_ctx *ctx = lm_case_ctx(1);
        struct lm_model *model = lm_case_model(&lm_case, ctx, T, false);
        struct peer_param *embed = peer_params_find(lm_model_params(model), "embed");
        memset(embed->data, 0, (size_t)peer_param_size(embed) * sizeof *embed->data);
        int64_t scored;
        double sum = lm_model_forward(model, &scored, NULL, ids, ids, B, S, PEER_MODE_EVAL);
        cr_expect_eq(scored, T);
        cr_expect_float_eq(sum / T, log(61), 1e-6);
        lm_model_destroy(&model);
        peer_ctx_destroy(&ctx);
    }
    free(ids);
}

Test(model, logits_and_losses_agree)
{
    struct lm_case lm_case;
    lm_case_get(&lm_case, 0);
    struct peer_ctx *ctx = lm_case_ctx(2);
    struct lm_model *model = lm_case_model(&lm_case, ctx, T, true);
    int32_t *inputs = lm_case_ids(T, 61, 1), *targets = lm_case_ids(T, 61, 2);
    float losses[T], logits[61];
    step(model, losses, inputs, targets, PEER_MODE_EVAL);
    for (int64_t b = 0; b < B; b++) {
        lm_model_logits(model, logits, b);
        double sum = 0;
        for (int v = 0; v < 61; v++)
            sum += exp(logits[v]);
        double loss = log(sum) - logits[targets[b * S + S - 1]];
        cr_expect_float_eq(losses[b * S + S - 1], loss, 1e-5);
        for (int64_t s = 0; s < S; s++) {
            lm_model_logits_at(model, logits, b, s);
            sum = 0;
            for (int v = 0; v < 61; v++)
                sum += exp(logits[v]);
            loss = log(sum) - logits[targets[b * S + s]];
            cr_expect_float_eq(losses[b * S + s], loss, 1e-5);
        }
    }
    free(inputs);
    free(targets);
    lm_model_destroy(&model);
    peer_ctx_destroy(&ctx);
}

/* Gradient of two halves of a batch, each with weight 1/2, against the whole batch's. */
static void expect_halves_make_a_whole(const struct lm_case *lm_case)
{
    struct peer_ctx *ctx = lm_case_ctx(2);
    struct lm_model *whole = lm_case_model(lm_case, ctx, 4 * S, true);
    struct lm_model *halves = lm_case_model(lm_case, ctx, 4 * S, true);
    int32_t *inputs = lm_case_ids(4 * S, 61, 1), *targets = lm_case_ids(4 * S, 61, 2);
    int64_t scored;
    lm_model_forward(whole, &scored, NULL, inputs, targets, 4, S, PEER_MODE_TRAIN);
    lm_model_backward(whole, 1);
    for (int half = 0; half < 2; half++) {
        int64_t first = half * 2 * S;
        lm_model_forward(halves, &scored, NULL, inputs + first, targets + first, 2, S,
                         PEER_MODE_TRAIN);
        lm_model_backward(halves, 0.5f);
    }
    for (int64_t i = 0; i < lm_model_params(whole)->count; i++) {
        const struct peer_param *param = &lm_model_params(whole)->items[i];
        float *one = lm_case_gradient(param);
        float *two = lm_case_gradient(&lm_model_params(halves)->items[i]);
        float largest = 0, distance = 0;
        for (int64_t j = 0; j < peer_param_size(param); j++) {
            largest = fmaxf(largest, fabsf(one[j]));
            distance = fmaxf(distance, fabsf(one[j] - two[j]));
        }
        /* Sums over 4 S tokens, in another order, of terms that have gone through 2 L + 1
         * branches of sums over D. */
        float bound = (4 * S + 7 * 24) * FLT_EPSILON * largest;
        cr_expect(param->kind == PEER_PARAM_BUFFER || largest > 0, "%s", param->name);
        cr_expect_leq(distance, bound, "%s %s: %g apart, largest %g", lm_case->name, param->name,
                      (double)distance, (double)largest);
        free(one);
        free(two);
    }
    free(inputs);
    free(targets);
    lm_model_destroy(&whole);
    lm_model_destroy(&halves);
    peer_ctx_destroy(&ctx);
}

Test(model, two_half_batches_are_one_batch)
{
    FOR_CASES(lm_case)
    {
        lm_case.config.passes = 2;
        if (!(lm_case.traits & PEER_FFW_MIXES_TOKENS_IN_TRAINING))
            expect_halves_make_a_whole(&lm_case);
    }
}

Test(model, nothing_scored_has_no_gradient)
{
    int32_t *inputs = lm_case_ids(T, 61, 1), targets[T];
    memset(targets, -1, sizeof targets);
    FOR_CASES(lm_case)
    {
        struct peer_ctx *ctx = lm_case_ctx(2);
        struct lm_model *model = lm_case_model(&lm_case, ctx, T, true);
        int64_t scored = 1;
        cr_expect_eq(lm_model_forward(model, &scored, NULL, inputs, targets, B, S, PEER_MODE_TRAIN),
                     0);
        cr_expect_eq(scored, 0);
        lm_model_backward(model, 1);
        for (int64_t i = 0; i < lm_model_params(model)->count; i++) {
            const struct peer_param *param = &lm_model_params(model)->items[i];
            float *gradient = lm_case_gradient(param);
            float sum = 0;
            for (int64_t j = 0; j < peer_param_size(param); j++)
                sum += fabsf(gradient[j]);
            cr_expect_eq(sum, 0, "%s %s: %g", lm_case.name, param->name, (double)sum);
            free(gradient);
        }
        lm_model_destroy(&model);
        peer_ctx_destroy(&ctx);
    }
    free(inputs);
}

Test(model, twenty_steps_lower_the_loss)
{
    const char *text = "the experts are many, the tokens are few; each token asks the keys, and "
                       "the keys name the experts that answer it.";
    int32_t inputs[T], targets[T];
    for (int t = 0; t < T; t++) {
        inputs[t] = text[t] % 61;
        targets[t] = text[t + 1] % 61;
    }
    FOR_CASES(lm_case)
    {
        struct peer_ctx *ctx = lm_case_ctx(2);
        struct lm_model *model = NULL;
        cr_assert_eq(lm_model_create(&model, ctx, &lm_case.config, T, 5, true), PEER_OK);
        struct peer_optim_config config = peer_optim_config_default();
        struct peer_optim *optim = NULL;
        cr_assert_eq(peer_optim_create(&optim, ctx, lm_model_params(model), &config), PEER_OK);
        double first = 0, last = 0;
        for (int i = 0; i <= 20; i++) {
            int64_t scored;
            last =
                lm_model_forward(model, &scored, NULL, inputs, targets, B, S, PEER_MODE_TRAIN) / T;
            lm_model_backward(model, 1);
            peer_optim_step(optim, 0.01f);
            first = i ? first : last;
        }
        /* Logits start with deviation 1: log V + 1/2, less the mean of T targets' logits. */
        cr_expect_float_eq(first, log(61) + 0.5, 3 / sqrt(T), "%s starts at %g", lm_case.name,
                           first);
        cr_expect_lt(last, first - 1, "%s: %g, then %g", lm_case.name, first, last);
        peer_optim_destroy(&optim);
        lm_model_destroy(&model);
        peer_ctx_destroy(&ctx);
    }
}

Test(model, passes_allocate_nothing_and_survive_nan)
{
    int32_t *inputs = lm_case_ids(T, 61, 1), *targets = lm_case_ids(T, 61, 2);
    FOR_CASES(lm_case)
    {
        struct failing failing = {.granted = -1};
        struct peer_ctx *ctx = failing_ctx(&failing, 2);
        lm_case.config.passes = 2;
        struct lm_model *model = lm_case_model(&lm_case, ctx, T, true);
        int64_t asked = failing.asked;
        float losses[T], logits[61];
        step(model, losses, inputs, targets, PEER_MODE_TRAIN);
        cr_expect(isfinite(losses[T - 1]), "%s", lm_case.name);
        peer_params_find(lm_model_params(model), "embed")->data[inputs[T - 1] * 24] = NAN;
        step(model, losses, inputs, targets, PEER_MODE_TRAIN);
        lm_model_logits(model, logits, B - 1);
        cr_expect(isnan(losses[T - 1]), "%s", lm_case.name);
        cr_expect_eq(failing.asked, asked, "%s", lm_case.name);
        lm_model_destroy(&model);
        peer_ctx_destroy(&ctx);
    }
    free(inputs);
    free(targets);
}
