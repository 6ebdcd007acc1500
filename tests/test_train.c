/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lm/checkpoint.h"
#include "lm/diverged.h"
#include "lm/train.h"
#include "moe/moe.h"
#include "nn/params/finite.h"
#include "peer/peer.h"
#include "peer/types.h"
#include "tests/support/failing.h"
#include "tests/support/run_case.h"

enum { SEED = 3, SEQUENCES = 4, TOKENS = SEQUENCES * RUN_CASE_CONTEXT };

static struct peer_ctx *ctx;
static struct tempdir dir;
static struct tempfile file;
static struct lm_dataset data;

static void set_up(void)
{
    struct peer_ctx_config config = peer_ctx_config_default();
    config.threads = 2;
    cr_assert_eq(peer_ctx_create(&ctx, &config), PEER_OK);
    dir = tempdir_create();
    file = tempdir_file(&dir, "checkpoint");
    data = run_case_data(ctx, &dir, 400, 61);
}

static void tear_down(void)
{
    lm_dataset_close(&data);
    tempdir_remove(&dir);
    peer_ctx_destroy(&ctx);
}

TestSuite(train, .init = set_up, .fini = tear_down);

static struct lm_train_config config_of(int64_t steps)
{
    struct lm_train_config config = lm_train_config_default();
    config.steps = steps;
    config.sequences = SEQUENCES;
    config.length = RUN_CASE_CONTEXT;
    config.seed = SEED;
    return config;
}

/* Every parameter and buffer must have the same bits. */
static void same_bits(const struct lm_model *left, const struct lm_model *right, const char *what)
{
    const struct peer_params *a = lm_model_params(left), *b = lm_model_params(right);
    cr_assert_eq(a->count, b->count);
    for (int64_t i = 0; i < a->count; i++)
        cr_expect(!memcmp(a->items[i].data, b->items[i].data,
                          (size_t)peer_param_size(&a->items[i]) * sizeof(float)),
                  "%s: %s differs", what, a->items[i].name);
}

/* What hooks see, and when they stop. */
struct watch {
    int steps, evals, saves;
    int stop_after;         /* steps; negative = never */
    int kill_after;         /* saves, and 3 steps on; 0 = never */
    int left;               /* of those steps */
    struct lm_model *model; /* to be measured, or NULL */
    int64_t measured[8];    /* steps */
    int measures;
    double first, last;
};

static void watch_progress(void *user, const struct lm_train_progress *progress)
{
    struct watch *watch = user;
    watch->evals += progress->eval != NULL;
    watch->saves += progress->saved;
    if (progress->eval)
        return;
    watch->steps++;
    watch->last = progress->loss;
    if (watch->steps == 1)
        watch->first = progress->loss;
    if (watch->kill_after && watch->saves < watch->kill_after)
        usleep(10000 * (useconds_t)watch->steps); /* a save is due after ten times its own cost */
    else if (watch->kill_after && watch->left++ == 3)
        kill(getpid(), SIGKILL);
}

static bool watch_stop(void *user)
{
    const struct watch *watch = user;
    return watch->stop_after >= 0 && watch->steps >= watch->stop_after;
}

/* Uses the model as a measurement of utilization does. */
static enum peer_status watch_measure(void *user, int64_t step, int64_t tokens)
{
    struct watch *watch = user;
    struct lm_eval_result eval;
    struct lm_usage *usage[3] = {NULL};
    struct peer_routing routing;
    cr_expect_eq(tokens, step * TOKENS);
    if (!watch->model)
        return PEER_OK;
    watch->measured[watch->measures++] = step;
    if (lm_model_routing(watch->model, 1, &routing))
        cr_assert_eq(lm_usage_create(&usage[1], ctx, &routing), PEER_OK);
    enum peer_status status = lm_evaluate(&eval, ctx, watch->model, data.valid, NULL, 0,
                                          RUN_CASE_CONTEXT, SEQUENCES, usage, NULL, NULL);
    lm_usage_destroy(&usage[1]);
    return status;
}

static enum peer_status run(struct lm_train_result *result, struct lm_model *model,
                            const struct lm_train_config *config, const char *checkpoint,
                            struct watch *watch)
{
    struct lm_train_hooks hooks = {
        .user = watch, .progress = watch_progress, .stop = watch_stop, .measure = watch_measure};
    return lm_train(result, ctx, model, &data, config, checkpoint, watch ? &hooks : NULL);
}

static enum peer_status fail(void *user, int64_t step, int64_t tokens)
{
    (void)step;
    (void)tokens;
    return *(const enum peer_status *)user;
}

static void succeeds(enum peer_status status)
{
    cr_assert_eq(status, PEER_OK, "%s", peer_ctx_error(ctx));
}

/* A cycle with one id in eight drawn from 11: its entropy is -(p log p + 10 q log q) with q = 1/88,
 * p = 1 - 10 q, that is 0.627 nats; log 11 = 2.40. */
Test(train, every_variant_learns)
{
    for (const struct peer_ffw_type *const *type = peer_ffw_types; *type; type++) {
        struct run_case setting;
        run_case_init(&setting, *type);
        struct lm_train_config config = config_of(150);
        config.lr = 1e-2f;
        config.eval_every = 60;
        struct lm_model *model = run_case_model(&setting, ctx, TOKENS, SEED);
        struct lm_train_result result;
        struct watch watch = {.stop_after = -1};
        succeeds(run(&result, model, &config, NULL, &watch));
        cr_expect_eq(result.steps, 150);
        cr_expect_eq(result.tokens, 150 * TOKENS);
        cr_expect(!result.diverged);
        cr_expect_eq(watch.steps, 150);
        cr_expect_eq(watch.evals, 3);
        cr_expect_eq(watch.saves, 0);
        cr_expect_gt(watch.first, 2.0);
        cr_expect_lt(result.eval.nats, 1.2, "%s: %g", (*type)->name, result.eval.nats);
        cr_expect(result.eval.nats > 0.6 ||
                  ((*type)->traits(setting.ffw_config) & PEER_FFW_NOT_CAUSAL));
        struct peer_cost cost = {0};
        lm_config_cost(&cost, &setting.config, RUN_CASE_CONTEXT);
        cr_expect_eq(result.flops, 150 * TOKENS * peer_cost_train(&cost));
        lm_model_destroy(&model);
    }
}

static void stops_and_goes_on(const struct peer_ffw_type *type, struct lm_train_config config)
{
    struct run_case setting;
    run_case_init(&setting, type);
    struct lm_train_result whole, parts;
    struct lm_model *once = run_case_model(&setting, ctx, TOKENS, SEED);
    succeeds(run(&whole, once, &config, NULL, NULL));
    unlink(file.path);
    config.eval_every = 2; /* no weight depends on these */
    config.usage_points = 5;
    static const int64_t measured[] = {0, 1, 2, 5, 11};
    int measures = 0;
    for (int part = 0; part < 4; part++) {
        struct lm_model *model = run_case_model(&setting, ctx, TOKENS, SEED + 7 * (part > 0));
        struct watch watch = {.stop_after = part ? 3 : 0, .model = model};
        cr_expect_eq(run(&parts, model, &config, file.path, &watch), PEER_ERR_STOPPED);
        cr_expect_eq(watch.steps, part ? 3 : 0);
        for (int i = 0; i < watch.measures; i++)
            cr_expect_eq(watch.measured[i], measured[measures++]);
        lm_model_destroy(&model);
    }
    cr_expect_eq(measures, 4);
    struct lm_model *model = run_case_model(&setting, ctx, TOKENS, SEED + 1);
    struct watch watch = {.stop_after = -1, .model = model};
    succeeds(run(&parts, model, &config, file.path, &watch));
    cr_expect(watch.measures == 1 && watch.measured[0] == 11);
    cr_expect_eq(watch.steps, 2);
    same_bits(once, model, type->name);
    cr_expect_eq(parts.eval.nats, whole.eval.nats);
    cr_expect_eq(parts.tokens, whole.tokens);
    lm_model_destroy(&model);
    lm_model_destroy(&once);
}

Test(train, a_stopped_run_ends_with_the_bits_of_an_uninterrupted_one)
{
    for (const struct peer_ffw_type *const *type = peer_ffw_types; *type; type++)
        stops_and_goes_on(*type, config_of(11));
}

/* Rows that are behind when a file is written or the model is evaluated, and moments in bfloat16.
 */
Test(train, a_stopped_run_carries_what_table_optimizers_keep)
{
    const struct peer_ffw_type *const types[] = {&peer_ffw_peer, &peer_ffw_pkm};
    for (int i = 0; i < 6; i++) {
        struct lm_train_config config = config_of(11);
        config.optim.rows = i / 2 < 2 ? PEER_ROWS_DEFERRED_ADAMW : PEER_ROWS_ADAGRAD;
        config.optim.rows_moments = i / 2 == 1 ? PEER_TYPE_BF16 : PEER_TYPE_F32;
        config.optim.rows_second = i / 2 == 1 ? PEER_SECOND_ROW : PEER_SECOND_VALUE;
        stops_and_goes_on(types[i % 2], config);
    }
}

/* Deferred rows are behind until a file is written or the model is evaluated. */
Test(train, a_discarded_checkpoint_is_written_at_stops_alone)
{
    struct run_case setting;
    run_case_init(&setting, &peer_ffw_peer);
    struct lm_train_config config = config_of(11);
    config.optim.rows = PEER_ROWS_DEFERRED_ADAMW;
    struct lm_train_result whole, parts;
    struct lm_model *once = run_case_model(&setting, ctx, TOKENS, SEED);
    struct lm_model *model = run_case_model(&setting, ctx, TOKENS, SEED);
    struct watch watch = {.stop_after = 4};
    struct lm_train_hooks hooks = {
        .user = &watch, .progress = watch_progress, .stop = watch_stop, .discard = true};
    unlink(file.path);
    succeeds(run(&whole, once, &config, NULL, NULL));
    cr_expect_eq(lm_train(&parts, ctx, model, &data, &config, file.path, &hooks), PEER_ERR_STOPPED);
    cr_expect_eq(access(file.path, F_OK), 0);
    watch.stop_after = -1;
    succeeds(lm_train(&parts, ctx, model, &data, &config, file.path, &hooks));
    unlink(file.path);
    struct lm_model *fresh = run_case_model(&setting, ctx, TOKENS, SEED);
    succeeds(lm_train(&parts, ctx, fresh, &data, &config, file.path, &hooks));
    cr_expect_neq(access(file.path, F_OK), 0);
    same_bits(once, fresh, "discarded");
    same_bits(once, model, "stopped, then discarded");
    cr_expect_eq(parts.eval.nats, whole.eval.nats);
    lm_model_destroy(&fresh);
    lm_model_destroy(&model);
    lm_model_destroy(&once);
}

/* Children train until they have saved twice, and are killed three steps later. */
Test(train, a_killed_run_ends_with_the_bits_of_an_uninterrupted_one)
{
    for (const struct peer_ffw_type *const *type = peer_ffw_types; *type; type++) {
        struct run_case setting;
        run_case_init(&setting, *type);
        struct lm_train_config config = config_of(40);
        config.checkpoint_seconds = 0.001f;
        struct lm_train_result whole, parts;
        unlink(file.path);
        for (int i = 0; i < 2; i++) {
            pid_t child = fork();
            if (child == 0) {
                struct peer_ctx_config own = peer_ctx_config_default();
                own.threads = 1;
                peer_ctx_create(&ctx, &own);
                struct lm_model *model = run_case_model(&setting, ctx, TOKENS, SEED);
                struct watch watch = {.stop_after = -1, .kill_after = 2};
                _exit(run(&parts, model, &config, file.path, &watch));
            }
            int status = 0;
            cr_assert_eq(waitpid(child, &status, 0), child);
            cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %x",
                      (unsigned)status);
        }
        struct lm_model *once = run_case_model(&setting, ctx, TOKENS, SEED);
        struct lm_model *model = run_case_model(&setting, ctx, TOKENS, SEED + 1);
        struct watch watch = {.stop_after = -1};
        succeeds(run(&whole, once, &config, NULL, NULL));
        succeeds(run(&parts, model, &config, file.path, &watch));
        cr_expect(watch.steps > 0 && watch.steps < 40, "%d steps", watch.steps);
        same_bits(once, model, (*type)->name);
        cr_expect_eq(parts.eval.nats, whole.eval.nats);
        lm_model_destroy(&model);
        lm_model_destroy(&once);
    }
}

Test(train, threads_do_not_change_bits)
{
    for (const struct peer_ffw_type *const *type = peer_ffw_types; *type; type++) {
        struct run_case setting;
        run_case_init(&setting, *type);
        struct lm_train_config config = config_of(6);
        struct lm_train_result result;
        struct lm_model *first = NULL;
        struct peer_ctx *contexts[3];
        for (int i = 0; i < 3; i++) {
            struct peer_ctx_config own = peer_ctx_config_default();
            own.threads = i + 1;
            cr_assert_eq(peer_ctx_create(&contexts[i], &own), PEER_OK);
            struct lm_model *model = run_case_model(&setting, contexts[i], TOKENS, SEED);
            succeeds(lm_train(&result, contexts[i], model, &data, &config, NULL, NULL));
            if (i)
                same_bits(first, model, (*type)->name);
            else
                first = model;
            if (i)
                lm_model_destroy(&model);
        }
        lm_model_destroy(&first);
        for (int i = 0; i < 3; i++)
            peer_ctx_destroy(&contexts[i]);
    }
}

/* Without statistics of the batch, passes of a step only change the order of sums: after one step
 * of plain SGD without clipping, values differ by rounding of the gradient's sum of 36 terms. */
Test(train, accumulation_is_one_pass)
{
    for (const struct peer_ffw_type *const *type = peer_ffw_types; *type; type++) {
        struct run_case setting;
        run_case_init(&setting, *type);
        if (!run_case_separate(&setting))
            continue;
        setting.config.passes = 4;
        struct lm_train_config config = config_of(1);
        config.optim.dense = PEER_OPTIM_SGD;
        config.optim.rows = PEER_ROWS_SGD;
        config.optim.clip = 0;
        config.warmup = 1;
        config.lr = 1;
        struct lm_train_result result;
        struct lm_model *one = run_case_model(&setting, ctx, TOKENS, SEED);
        struct lm_model *four = run_case_model(&setting, ctx, TOKENS, SEED);
        struct lm_model *start = run_case_model(&setting, ctx, TOKENS, SEED);
        succeeds(run(&result, one, &config, NULL, NULL));
        config.accumulate = 4;
        succeeds(run(&result, four, &config, NULL, NULL));
        cr_expect_eq(result.tokens, TOKENS);
        double moved = 0, apart = 0;
        for (int64_t i = 0; i < lm_model_params(one)->count; i++) {
            const struct peer_param *a = &lm_model_params(one)->items[i];
            const struct peer_param *b = &lm_model_params(four)->items[i];
            const struct peer_param *s = &lm_model_params(start)->items[i];
            for (int64_t j = 0; j < peer_param_size(a); j++) {
                apart = fmax(apart, fabs((double)a->data[j] - b->data[j]));
                moved = fmax(moved, fabs((double)a->data[j] - s->data[j]));
            }
        }
        cr_expect_gt(moved, 1e-2, "%s", (*type)->name);
        cr_expect_lt(apart, 1e-5 * moved, "%s: %g of %g", (*type)->name, apart, moved);
        lm_model_destroy(&one);
        lm_model_destroy(&four);
        lm_model_destroy(&start);
    }
}

/* The bias of an expert moves by bias_rate once in a step, by the load of all its passes. */
Test(train, biases_move_once_per_step)
{
    float bias[2][64];
    int64_t experts = 0, moved = 0;
    for (int i = 0; i < 2; i++) {
        struct run_case setting;
        run_case_init(&setting, &peer_ffw_deepseek);
        cr_assert(run_case_set(&setting, "loss_free", "true"));
        cr_assert(run_case_set(&setting, "bias_rate", "0.125"));
        setting.config.passes = 4;
        struct lm_train_config config = config_of(1);
        config.accumulate = i ? 4 : 1;
        struct lm_train_result result;
        struct lm_model *model = run_case_model(&setting, ctx, TOKENS, SEED);
        succeeds(run(&result, model, &config, NULL, NULL));
        const struct peer_param *param =
            peer_params_find(lm_model_params(model), "blocks.1.ffw.router_bias");
        cr_assert(param && peer_param_size(param) <= 64);
        experts = peer_param_size(param);
        memcpy(bias[i], param->data, (size_t)experts * sizeof *param->data);
        lm_model_destroy(&model);
    }
    for (int64_t e = 0; e < experts; e++) {
        cr_expect_eq(bias[0][e], bias[1][e]);
        cr_expect(fabsf(bias[0][e]) == 0.125f || bias[0][e] == 0, "%g", (double)bias[0][e]);
        moved += bias[0][e] != 0;
    }
    cr_expect_gt(moved, 0);
}

/* A change to a parameter after a step, by a hook, and back after the next. */
struct meddler {
    struct peer_param *param;
    float *memory; /* where it is, in values or gradients */
    float value, before;
    int64_t step, seen, skipped;
    bool back;
};

static void meddle(void *user, const struct lm_train_progress *progress)
{
    struct meddler *meddler = user;
    if (progress->eval)
        return;
    meddler->seen = progress->step;
    meddler->skipped += isnan(progress->loss) != 0;
    if (progress->step == meddler->step) {
        meddler->before = *meddler->memory;
        *meddler->memory = meddler->value;
    } else if (progress->step == meddler->step + 1 && meddler->back) {
        *meddler->memory = meddler->before;
    }
}

static struct lm_train_result meddled_run(struct lm_model *model,
                                          const struct lm_train_config *config,
                                          const char *checkpoint, struct meddler *meddler)
{
    struct lm_train_result result;
    struct lm_train_hooks hooks = {.user = meddler, .progress = meddle};
    succeeds(lm_train(&result, ctx, model, &data, config, checkpoint, &hooks));
    return result;
}

static void expect_reason(const struct lm_train_result *result, const char *part)
{
    cr_expect(result->diverged);
    cr_expect(isnan(result->eval.nats));
    cr_expect(strstr(result->reason, part), "\"%s\" in: %s", part, result->reason);
}

/* Nothing that is not finite is saved, and the value is named. */
Test(train, weights_that_are_not_finite_are_a_result)
{
    struct run_case setting;
    run_case_init(&setting, NULL);
    struct lm_train_config config = config_of(5);
    struct lm_model *model = run_case_model(&setting, ctx, TOKENS, SEED);
    struct lm_train_result result;
    peer_params_find(lm_model_params(model), "norm.gain")->data[3] = NAN;
    succeeds(run(&result, model, &config, file.path, NULL));
    expect_reason(&result, "step 0: norm.gain is not finite (first at index 3)");
    cr_expect_eq(result.steps, 0);
    cr_expect(access(file.path, F_OK) != 0);
    lm_model_destroy(&model);
}

/* The checkpoint of the last step before stays, and the run carries on from it. */
Test(train, the_last_good_checkpoint_is_kept)
{
    struct run_case setting;
    run_case_init(&setting, NULL);
    struct lm_train_config config = config_of(40);
    for (int clips = 0; clips < 2; clips++) {
        struct lm_model *model = run_case_model(&setting, ctx, TOKENS, SEED);
        struct lm_model *read = run_case_model(&setting, ctx, TOKENS, SEED + 1);
        struct peer_param *param = peer_params_find(lm_model_params(model), "norm.gain");
        struct meddler meddler = {
            .param = param, .memory = param->data + 3, .value = INFINITY, .step = 30};
        struct watch watch = {.stop_after = 20};
        struct lm_train_result result;
        config.optim.clip = (float)clips;
        cr_assert_eq(run(&result, model, &config, file.path, &watch), PEER_ERR_STOPPED);
        result = meddled_run(model, &config, file.path, &meddler);
        expect_reason(&result, "step 31: norm.gain is not finite (first at index 3)");
        cr_expect_eq(result.steps, 30);
        succeeds(lm_checkpoint_load(ctx, file.path, lm_model_params(read)));
        cr_expect_null(peer_params_nonfinite(lm_model_params(read)).param);
        remove(file.path);
        lm_model_destroy(&model);
        lm_model_destroy(&read);
    }
}

/* Every tensor in turn too large for a square, or 0. */
Test(train, an_overflow_is_divergence)
{
    static const struct {
        const char *name, *reason;
        float factor;
    } cases[] = {
        {"embed", "step 1: the loss is not finite (first in the output of blocks.0.attention.norm",
         1e25f},
        {"blocks.0.attention.out", "first in the output of blocks.0.ffw.norm", 1e25f},
        {"blocks.0.attention.norm.gain", "not finite (first in the output of blocks.0.attention",
         1e30f},
        {"blocks.0.ffw.out", "first in the output of blocks.1.attention.norm", 1e25f},
        {"embed", "step 1: every gradient is exactly 0 though the loss is 2.3979", 0},
    };
    struct run_case setting;
    run_case_init(&setting, NULL);
    struct lm_train_config config = config_of(5);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int skip = 0; skip < (i == 0 ? 2 : 1); skip++) {
            struct lm_model *model = run_case_model(&setting, ctx, TOKENS, SEED);
            struct peer_param *param = peer_params_find(lm_model_params(model), cases[i].name);
            struct lm_train_result result;
            cr_assert(param, "%s", cases[i].name);
            for (int64_t j = 0; j < peer_param_size(param); j++)
                param->data[j] *= cases[i].factor;
            config.nonfinite = skip ? LM_NONFINITE_SKIP : LM_NONFINITE_STOP;
            config.steps = skip ? LM_SKIPS + 5 : 5;
            succeeds(run(&result, model, &config, NULL, NULL));
            expect_reason(&result,
                          skip && cases[i].factor != 0 ? "100 steps in a row" : cases[i].reason);
            lm_model_destroy(&model);
        }
}

/* A finite loss whose gradient is too large for second moments: what is clipped is not. */
Test(train, a_gradient_that_overflows_is_divergence)
{
    struct run_case setting;
    run_case_init(&setting, NULL);
    struct lm_train_config config = config_of(5);
    for (int clips = 0; clips < 2; clips++) {
        struct lm_model *model = run_case_model(&setting, ctx, TOKENS, SEED);
        struct peer_param *gain = peer_params_find(lm_model_params(model), "norm.gain");
        struct peer_param *embed = peer_params_find(lm_model_params(model), "embed");
        for (int64_t i = 0; i < peer_param_size(gain); i++)
            gain->data[i] = 1e30f;
        for (int64_t i = 0; i < peer_param_size(embed); i++)
            embed->data[i] *= 1e-15f;
        config.optim.clip = (float)clips;
        config.steps = clips ? 1 : 5;
        struct lm_train_result result;
        succeeds(run(&result, model, &config, NULL, NULL));
        if (clips)
            cr_expect(!result.diverged, "%s", result.reason);
        else
            expect_reason(&result, "step 1: the gradient's norm is ");
        lm_model_destroy(&model);
    }
}

/* A checkpoint of the step before would hold the weights of the step that diverged. */
Test(train, what_a_diverged_step_has_changed_is_not_saved)
{
    struct run_case setting;
    run_case_init(&setting, NULL);
    for (int silent = 0; silent < 2; silent++) {
        struct lm_train_config config = config_of(5);
        struct lm_model *model = run_case_model(&setting, ctx, TOKENS, SEED);
        struct peer_param *gain = peer_params_find(lm_model_params(model), "norm.gain");
        struct peer_param *embed = peer_params_find(lm_model_params(model), "embed");
        for (int64_t i = 0; !silent && i < peer_param_size(gain); i++)
            gain->data[i] = 3e19f;
        for (int64_t i = 0; i < peer_param_size(embed); i++)
            embed->data[i] *= silent ? 0 : 1e-10f;
        config.optim.clip = (float)silent;
        struct lm_train_result result;
        succeeds(run(&result, model, &config, file.path, NULL));
        expect_reason(&result, silent ? "every gradient is exactly 0" : "the gradient's norm is ");
        cr_expect_eq(result.steps, 0);
        cr_expect(access(file.path, F_OK) != 0, "silent %d", silent);
        lm_model_destroy(&model);
    }
}

Test(train, gradients_are_named)
{
    struct run_case setting;
    run_case_init(&setting, &peer_ffw_peer);
    struct lm_model *model = run_case_model(&setting, ctx, TOKENS, SEED);
    char reason[LM_REASON];
    struct peer_param *keys = peer_params_find(lm_model_params(model), "blocks.1.ffw.keys");
    cr_assert(keys);
    keys->grad[17] = -INFINITY;
    lm_diverged_gradient(reason, model, 123, INFINITY);
    cr_expect_str_eq(reason, "step 123: gradient of blocks.1.ffw.keys is not finite (first at "
                             "index 17)");
    lm_model_destroy(&model);
}

/* One bad step is passed over: weights and moments are those of before, and a checkpoint knows. */
Test(train, a_bad_step_can_be_skipped)
{
    struct run_case setting;
    run_case_init(&setting, NULL);
    struct lm_train_config config = config_of(8);
    config.nonfinite = LM_NONFINITE_SKIP;
    struct lm_model *model = run_case_model(&setting, ctx, TOKENS, SEED);
    struct peer_param *param = peer_params_find(lm_model_params(model), "norm.gain");
    struct meddler meddler = {
        .param = param, .memory = param->data + 3, .value = NAN, .step = 3, .back = true};
    struct lm_train_result result = meddled_run(model, &config, file.path, &meddler);
    cr_expect(!result.diverged && !*result.reason, "%s", result.reason);
    cr_expect_eq(result.steps, 8);
    cr_expect_eq(result.skipped, 1);
    cr_expect_eq(meddler.skipped, 1);
    cr_expect(isfinite(result.eval.nats));
    lm_model_destroy(&model);
    model = run_case_model(&setting, ctx, TOKENS, SEED + 1);
    succeeds(run(&result, model, &config, file.path, NULL));
    cr_expect_eq(result.skipped, 1, "after a resume too");
    lm_model_destroy(&model);
}

/* With nothing to skip, the choice changes no bit. */
Test(train, skipping_changes_nothing_in_good_runs)
{
    struct run_case setting;
    run_case_init(&setting, &peer_ffw_peer);
    struct lm_train_config config = config_of(6);
    struct lm_train_result result;
    for (int clips = 0; clips < 2; clips++) {
        struct lm_model *model[2];
        for (int skip = 0; skip < 2; skip++) {
            model[skip] = run_case_model(&setting, ctx, TOKENS, SEED);
            config.nonfinite = skip ? LM_NONFINITE_SKIP : LM_NONFINITE_STOP;
            config.optim.clip = (float)clips;
            succeeds(run(&result, model[skip], &config, NULL, NULL));
            cr_expect(!result.diverged && result.skipped == 0);
        }
        same_bits(model[0], model[1], "skip");
        lm_model_destroy(&model[0]);
        lm_model_destroy(&model[1]);
    }
}

Test(train, a_finished_run_is_only_evaluated_again)
{
    struct run_case setting;
    run_case_init(&setting, NULL);
    struct lm_train_config config = config_of(3);
    struct lm_train_result first, second;
    struct lm_model *model = run_case_model(&setting, ctx, TOKENS, SEED);
    struct watch watch = {.stop_after = -1};
    succeeds(run(&first, model, &config, file.path, &watch));
    cr_expect_eq(watch.saves, 1);
    cr_expect_eq(watch.evals, 1);
    size_t size, again;
    char *before = tempfile_read(&file, &size);
    watch = (struct watch){.stop_after = -1};
    succeeds(run(&second, model, &config, file.path, &watch));
    cr_expect_eq(watch.steps, 0);
    cr_expect_eq(second.eval.nats, first.eval.nats);
    cr_expect_eq(second.seconds, first.seconds);
    char *after = tempfile_read(&file, &again);
    cr_expect(size == again && !memcmp(before, after, size));
    free(before);
    free(after);
    lm_model_destroy(&model);
}

Test(train, no_validation_text_gives_no_evaluation)
{
    struct run_case setting;
    run_case_init(&setting, NULL);
    struct lm_train_config config = config_of(2);
    struct lm_train_result result;
    struct lm_model *model = run_case_model(&setting, ctx, TOKENS, SEED);
    lm_corpus_close(&data.valid);
    succeeds(run(&result, model, &config, NULL, NULL));
    cr_expect(isnan(result.eval.nats) && !result.diverged);
    cr_expect_eq(result.eval.tokens, 0);
    lm_model_destroy(&model);
}

/* Resuming must fail as PEER_ERR_FORMAT, say `word`, and leave model and file as they were. */
static void refused(struct lm_model *model, const struct lm_train_config *config, const char *word)
{
    struct lm_train_result result;
    size_t size, again;
    char *before = tempfile_read(&file, &size);
    cr_expect_eq(run(&result, model, config, file.path, NULL), PEER_ERR_FORMAT);
    cr_expect(strstr(peer_ctx_error(ctx), file.path) && strstr(peer_ctx_error(ctx), word),
              "%s: without %s", peer_ctx_error(ctx), word);
    char *after = tempfile_read(&file, &again);
    cr_expect(size == again && !memcmp(before, after, size));
    free(before);
    free(after);
}

Test(train, checkpoints_of_other_runs_are_refused)
{
    struct run_case setting;
    run_case_init(&setting, peer_ffw_types[1]);
    struct lm_train_config config = config_of(3), other;
    struct lm_train_result result;
    struct lm_model *model = run_case_model(&setting, ctx, TOKENS, SEED);
    succeeds(run(&result, model, &config, file.path, NULL));
    other = config;
    other.lr = 0.5f;
    refused(model, &other, "train: lr = 0.003");
    other = config;
    other.steps = 4;
    refused(model, &other, "train: steps = 3, here 4");
    other = config;
    other.eval_every = 1;
    other.eval_tokens = 7;
    other.checkpoint_seconds = 1;
    other.usage_points = 2;
    other.usage_tokens = 7;
    succeeds(run(&result, model, &other, file.path, NULL));
    lm_model_destroy(&model);

    setting.config.context++;
    model = run_case_model(&setting, ctx, TOKENS, SEED);
    refused(model, &config, "model: context = 9, here 10");
    lm_model_destroy(&model);
    setting.config.context--;
    setting.config.dense.hidden++;
    model = run_case_model(&setting, ctx, TOKENS, SEED);
    refused(model, &config, "model: dense.hidden");
    lm_model_destroy(&model);
    setting.config.dense.hidden--;
    setting.config.ffw = NULL;
    model = run_case_model(&setting, ctx, TOKENS, SEED);
    refused(model, &config, "model: ffw");
    lm_model_destroy(&model);

    run_case_init(&setting, peer_ffw_types[1]);
    model = run_case_model(&setting, ctx, TOKENS, SEED);
    data.train_crc ^= 1;
    refused(model, &config, "data: crc32");
    data.train_crc ^= 1;
    data.name[0] ^= 1;
    succeeds(run(&result, model, &config, file.path, NULL));
    data.name[0] ^= 1;
    size_t size;
    char *bytes = tempfile_read(&file, &size);
    tempfile_write(&file, bytes, size - 1);
    refused(model, &config, "");
    bytes[size - 9] ^= 4;
    tempfile_write(&file, bytes, size);
    refused(model, &config, "checksum");
    free(bytes);
    succeeds(lm_checkpoint_save(ctx, file.path, lm_model_params(model), NULL));
    refused(model, &config, "no model");
    lm_model_destroy(&model);
}

Test(train, a_full_disk_ends_training_and_keeps_the_old_checkpoint)
{
    struct run_case setting;
    run_case_init(&setting, NULL);
    struct lm_train_config config = config_of(6);
    struct lm_train_result whole, result;
    struct lm_model *once = run_case_model(&setting, ctx, TOKENS, SEED);
    struct lm_model *model = run_case_model(&setting, ctx, TOKENS, SEED);
    succeeds(run(&whole, once, &config, NULL, NULL));
    struct watch watch = {.stop_after = 2};
    cr_expect_eq(run(&result, model, &config, file.path, &watch), PEER_ERR_STOPPED);
    struct rlimit before, limit;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = (struct rlimit){1000, before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    enum peer_status status = run(&result, model, &config, file.path, NULL);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    cr_expect_eq(status, PEER_ERR_IO, "%s", peer_ctx_error(ctx));
    watch = (struct watch){.stop_after = -1};
    succeeds(run(&result, model, &config, file.path, &watch));
    cr_expect_eq(watch.steps, 4);
    same_bits(once, model, "dense");
    lm_model_destroy(&model);
    lm_model_destroy(&once);
}

Test(train, a_stop_in_the_last_evaluation_loses_nothing)
{
    struct run_case setting;
    run_case_init(&setting, NULL);
    struct lm_train_config config = config_of(2);
    struct lm_train_result result = {.steps = 77};
    struct lm_model *model = run_case_model(&setting, ctx, TOKENS, SEED);
    struct watch watch = {.stop_after = 2};
    cr_expect_eq(run(&result, model, &config, file.path, &watch), PEER_ERR_STOPPED);
    cr_expect_eq(result.steps, 77);
    watch = (struct watch){.stop_after = -1};
    succeeds(run(&result, model, &config, file.path, &watch));
    cr_expect_eq(watch.steps, 0);
    cr_expect_eq(result.steps, 2);
    lm_model_destroy(&model);
}

Test(train, survives_failing_allocations)
{
    struct failing failing = {.granted = -1};
    struct peer_ctx *own = ctx, *small = failing_ctx(&failing, 1);
    struct run_case setting;
    run_case_init(&setting, peer_ffw_types[1]);
    struct lm_train_config config = config_of(2);
    struct lm_train_result result = {.steps = 77};
    struct lm_model *model = run_case_model(&setting, small, TOKENS, SEED);
    int64_t held = failing.held, before = failing.asked;
    enum peer_status status = PEER_ERR_MEMORY;
    for (int64_t more = 0; status; more++) {
        failing.asked = before;
        failing.granted = before + more;
        ctx = small;
        status = run(&result, model, &config, NULL, NULL);
        ctx = own;
        cr_expect_eq(failing.held, held);
        cr_assert(status == PEER_OK || status == PEER_ERR_MEMORY, "%s", peer_ctx_error(small));
        cr_expect_eq(result.steps, status ? 77 : 2);
        cr_assert_lt(more, 1000);
    }
    failing.granted = -1;
    lm_model_destroy(&model);
    peer_ctx_destroy(&small);
}

static void rate(const struct lm_train_config *config, int64_t step, double expected)
{
    double got = lm_train_lr(config, step);
    cr_expect_lt(fabs(got - expected), 1e-6 * expected, "step %lld: %g, expected %g",
                 (long long)step, got, expected);
}

Test(schedule, cosine_by_hand)
{
    struct lm_train_config config = lm_train_config_default();
    config.steps = 100;
    config.warmup = 0.1f;
    config.lr = 0.5f;
    config.final_lr = 0.2f;
    rate(&config, 0, 0.05);
    rate(&config, 4, 0.25);
    rate(&config, 9, 0.5);
    rate(&config, 39, 0.5 * (0.2 + 0.8 * 0.75)); /* a third of the way */
    rate(&config, 54, 0.5 * 0.6);                /* half of the way */
    rate(&config, 99, 0.1);
    config.warmup = 1;
    rate(&config, 99, 0.5);
    config.warmup = 0;
    config.steps = 1;
    rate(&config, 0, 0.1);
}

Test(schedule, constant_with_cooldown_by_hand)
{
    struct lm_train_config config = lm_train_config_default();
    config.schedule = LM_SCHEDULE_CONSTANT;
    config.steps = 10;
    config.warmup = 0.2f;
    config.cooldown = 0.4f;
    config.lr = 1;
    config.final_lr = 0;
    static const double expected[] = {0.5, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25};
    for (int i = 0; i < 9; i++)
        rate(&config, i, expected[i]);
    cr_expect_eq(lm_train_lr(&config, 9), 0);
    config.cooldown = 0;
    rate(&config, 9, 1);
}

static void measures_at(int64_t steps, int64_t points, const int64_t *expected, int64_t count)
{
    struct lm_train_config config = config_of(steps);
    int64_t found = 0;
    config.usage_points = points;
    for (int64_t step = 0; step <= steps; step++) {
        if (!lm_train_measures(&config, step))
            continue;
        cr_expect(found < count && expected[found] == step, "%lld points of %lld: step %lld",
                  (long long)points, (long long)steps, (long long)step);
        found++;
    }
    cr_expect_eq(found, count);
}

Test(schedule, measures_at_steps_by_hand)
{
    measures_at(7, 0, NULL, 0);
    measures_at(7, 2, (const int64_t[]){0, 7}, 2);
    measures_at(7, 3, (const int64_t[]){0, 1, 7}, 3);
    measures_at(1, 9, (const int64_t[]){0, 1}, 2);
    measures_at(3, 33, (const int64_t[]){0, 1, 2, 3}, 4);
    measures_at(1000, 8, (const int64_t[]){0, 1, 3, 10, 32, 100, 316, 1000}, 8);
}

Test(train, a_measurement_that_fails_ends_the_run)
{
    struct run_case setting;
    run_case_init(&setting, NULL);
    struct lm_train_config config = config_of(3);
    config.usage_points = 2;
    struct lm_train_result result = {.steps = 77};
    struct lm_model *model = run_case_model(&setting, ctx, TOKENS, SEED);
    struct lm_train_hooks hooks = {.user = &result, .measure = fail};
    static const enum peer_status statuses[] = {PEER_ERR_IO, PEER_ERR_STOPPED};
    for (int i = 0; i < 2; i++) {
        hooks.user = (void *)&statuses[i];
        cr_expect_eq(lm_train(&result, ctx, model, &data, &config, file.path, &hooks), statuses[i]);
        cr_expect_eq(result.steps, 77);
        cr_expect_eq(access(file.path, F_OK) == 0, i == 1, "a stop saves, a failure does not");
    }
    lm_model_destroy(&model);
}

Test(train, bad_configs_are_refused)
{
    struct run_case setting;
    run_case_init(&setting, NULL);
    struct lm_train_result result = {.steps = 77};
    struct lm_model *model = run_case_model(&setting, ctx, TOKENS, SEED);
    struct lm_train_config cases[10];
    static const char *const words[] = {
        "steps = 0", "length = 10",        "accumulate = 3", "accumulate = 2", "warmup + cooldown",
        "lr = 0",    "checkpoint_seconds", "beta1 = 1",      "sequences = 0",  "usage_points = 1"};
    for (int i = 0; i < 10; i++)
        cases[i] = config_of(4);
    cases[0].steps = 0;
    cases[1].length = RUN_CASE_CONTEXT + 1;
    cases[2].accumulate = 3;
    cases[3].accumulate = 2; /* the model has passes = 1 */
    cases[4].schedule = LM_SCHEDULE_CONSTANT;
    cases[4].warmup = cases[4].cooldown = 0.6f;
    cases[5].lr = 0;
    cases[6].checkpoint_seconds = 0;
    cases[7].optim.beta1 = 1;
    cases[8].sequences = 0;
    cases[9].usage_points = 1;
    for (int i = 0; i < 10; i++) {
        cr_expect_eq(run(&result, model, &cases[i], file.path, NULL), PEER_ERR_ARGUMENT);
        cr_expect(strstr(peer_ctx_error(ctx), words[i]), "%s: without %s", peer_ctx_error(ctx),
                  words[i]);
    }
    struct lm_train_config good = config_of(4);
    data.vocab = RUN_CASE_VOCAB + 1;
    cr_expect_eq(run(&result, model, &good, file.path, NULL), PEER_ERR_ARGUMENT);
    lm_dataset_close(&data);
    data = run_case_data(ctx, &dir, RUN_CASE_CONTEXT, 0);
    cr_expect_eq(run(&result, model, &good, file.path, NULL), PEER_ERR_ARGUMENT);
    cr_expect(strstr(peer_ctx_error(ctx), "9 training tokens, expected at least 10"), "%s",
              peer_ctx_error(ctx));
    cr_expect_eq(result.steps, 77);
    cr_expect_neq(access(file.path, F_OK), 0);
    lm_model_destroy(&model);
}
