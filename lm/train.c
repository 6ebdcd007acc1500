/* SPDX-License-Identifier: MIT */
#include "lm/train.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lm/checkpoint.h"
#include "lm/diverged.h"
#include "lm/run_state.h"
#include "lm/tables.h"
#include "nn/file.h"
#include "nn/pool.h"

/* Saving takes at most this share of the time. */
static const double save_share = 0.1;
/* Bytes per second that a save is taken for until one is measured: a file of gigabytes must not
 * take a short run's time. */
static const double save_rate = 2e8;

/* A run in progress. */
struct training {
    struct peer_ctx *ctx;
    struct lm_model *model;
    struct lm_run run;
    const char *checkpoint; /* or NULL */
    struct lm_train_hooks hooks;
    struct peer_pool pool;
    int32_t *inputs, *targets; /* of one pass */
    struct peer_optim *optim;
    struct peer_params saved; /* the model's parameters and the optimizer's state */
    struct lm_run_state state;
    int64_t saved_step;                /* of the checkpoint; -1 = none */
    double save_time, save_cost;       /* when the last save ended, and how long it took */
    struct lm_train_progress progress; /* of the last step */
    int64_t skips;                     /* in a row */
    bool diverged;
    bool ahead; /* the step that diverged is in the weights, but not in `state` */
    char reason[LM_REASON];
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static bool stop_asked(const struct training *t)
{
    return t->hooks.stop && t->hooks.stop(t->hooks.user);
}

static void report(struct training *t, const struct lm_eval_result *eval, bool saved)
{
    t->progress.eval = eval;
    t->progress.saved = saved;
    if (t->hooks.progress)
        t->hooks.progress(t->hooks.user, &t->progress);
}

static enum peer_status check(struct peer_ctx *ctx, const struct lm_run *run)
{
    enum peer_status status = lm_train_config_check(ctx, run->train, run->model);
    if (status)
        return status;
    if (run->data->vocab > run->model->vocab)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "lm_train: the data's vocabulary of %lld is larger than the model's %lld",
                         (long long)run->data->vocab, (long long)run->model->vocab);
    if (lm_corpus_sequences(run->data->train, run->train->length) < 1)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "lm_train: %lld training tokens, expected at least %lld: one sequence",
                         (long long)lm_corpus_tokens(run->data->train),
                         (long long)run->train->length + 1);
    return PEER_OK;
}

/* Gradients are looked at before they are applied, which costs nothing where they are clipped;
 * where they are not, and the run ends anyway, afterwards. */
static struct peer_optim_config optim_config(const struct lm_run *run)
{
    const struct lm_train_config *config = run->train;
    struct peer_optim_config optim = config->optim;
    bool late = optim.clip == 0 && config->nonfinite == LM_NONFINITE_STOP &&
                run->model->tables == LM_PLACE_MEMORY; /* mapped ones would be on the disk */
    optim.seed = config->seed;
    optim.nonfinite = late ? PEER_NONFINITE_APPLY : PEER_NONFINITE_HOLD;
    return optim;
}

static enum peer_status set_up(struct training *t)
{
    const struct lm_train_config *config = t->run.train;
    const struct peer_params *params = lm_model_params(t->model);
    int64_t sequences = config->sequences / config->accumulate;
    t->inputs = peer_pool_ids(&t->pool, "lm_train", sequences, config->length);
    t->targets = peer_pool_ids(&t->pool, "lm_train", sequences, config->length);
    if (t->pool.failed)
        return PEER_ERR_MEMORY;
    struct peer_optim_config optim = optim_config(&t->run);
    enum peer_status status = peer_optim_create(&t->optim, t->ctx, params, &optim);
    if (!status)
        status = lm_tables_rest(&t->saved, params);
    if (!status)
        status = peer_optim_state(t->optim, &t->saved);
    for (int64_t i = 0; i < t->saved.count; i++)
        t->save_cost += (double)peer_param_size(&t->saved.items[i]) * sizeof(float) / save_rate;
    return status;
}

static void tear_down(struct training *t)
{
    peer_params_free(&t->saved);
    peer_optim_destroy(&t->optim);
    peer_pool_free(&t->pool);
}

static struct lm_tables *tables_of(const struct training *t)
{
    return t->run.model->table_files;
}

static enum peer_status resume(struct training *t)
{
    bool there = false;
    enum peer_status status =
        t->checkpoint ? peer_file_there(&there, t->ctx, "lm_train", t->checkpoint) : PEER_OK;
    if (status)
        return status;
    if (!there)
        return lm_tables_restore(tables_of(t), 0);
    struct lm_run_state state;
    status = lm_run_state_read(&state, t->ctx, t->checkpoint, &t->run);
    if (!status)
        status = lm_tables_restore(tables_of(t), state.step);
    if (!status)
        status = lm_checkpoint_load(t->ctx, t->checkpoint, &t->saved);
    if (status)
        return status;
    t->state = state;
    t->saved_step = state.step;
    t->progress = (struct lm_train_progress){
        .step = state.step,
        .steps = t->run.train->steps,
        .tokens = state.position * t->run.train->length,
        .loss = NAN,
        .auxiliary = NAN,
        .lr = NAN,
        .grad_norm = NAN,
        .seconds = state.seconds,
    };
    peer_optim_set_steps(t->optim, state.step - state.skipped);
    return PEER_OK;
}

/* The first reason counts. */
static void diverge(struct training *t, const char *reason)
{
    if (!t->diverged)
        snprintf(t->reason, sizeof t->reason, "%s", reason);
    t->diverged = true;
}

static enum peer_status write_checkpoint(struct training *t)
{
    json_t *metadata = NULL;
    enum peer_status status = lm_run_metadata(&metadata, t->ctx, &t->run, &t->state);
    if (!status)
        status = lm_tables_prepare(tables_of(t), t->state.step);
    if (!status)
        status = lm_checkpoint_save(t->ctx, t->checkpoint, &t->saved, metadata);
    if (!status)
        status = lm_tables_commit(tables_of(t));
    json_decref(metadata);
    return status;
}

/* Writes the checkpoint, if it does not hold this step already. A run with a value that is not
 * finite has diverged, and keeps the last checkpoint, which is good. */
static enum peer_status save(struct training *t)
{
    if (!t->checkpoint || t->saved_step == t->state.step)
        return PEER_OK;
    char reason[LM_REASON];
    double start = now();
    peer_optim_catch_up(t->optim);
    if (lm_diverged_parameter(reason, &t->saved, t->state.step)) {
        diverge(t, reason);
        return PEER_OK;
    }
    enum peer_status status = t->hooks.saving ? t->hooks.saving(t->hooks.user, true) : PEER_OK;
    if (status)
        return status;
    status = write_checkpoint(t);
    if (t->hooks.saving)
        t->hooks.saving(t->hooks.user, false);
    if (status)
        return status;
    t->saved_step = t->state.step;
    t->save_time = now();
    t->save_cost = t->save_time - start;
    return PEER_OK;
}

static bool save_is_due(const struct training *t)
{
    double passed = now() - t->save_time;
    if (t->state.step == t->run.train->steps)
        return !t->hooks.discard;
    return passed >= t->run.train->checkpoint_seconds && passed * save_share >= t->save_cost;
}

static enum peer_status stopped(struct training *t)
{
    enum peer_status status = save(t);
    return status ? status
                  : peer_fail(t->ctx, PEER_ERR_STOPPED, "lm_train: stopped after step %lld of %lld",
                              (long long)t->state.step, (long long)t->run.train->steps);
}

/* Gradients of one step; returns its loss in nats per token, and writes the auxiliary losses. A
 * pass without a finite loss is the last, and leaves its traces. */
static double accumulate_gradients(struct training *t, double *auxiliary)
{
    const struct lm_train_config *config = t->run.train;
    int64_t sequences = config->sequences / config->accumulate;
    double loss = 0, all = (double)config->sequences * (double)config->length;
    *auxiliary = 0;
    for (int64_t pass = 0; pass < config->accumulate; pass++) {
        int64_t scored = 0;
        lm_corpus_batch(t->run.data->train, t->inputs, t->targets, sequences, config->length,
                        config->seed, t->state.position + pass * sequences);
        loss += lm_model_forward(t->model, &scored, NULL, t->inputs, t->targets, sequences,
                                 config->length, PEER_MODE_TRAIN);
        *auxiliary += (double)scored / all * lm_model_auxiliary(t->model);
        if (!isfinite(loss) || !isfinite(*auxiliary))
            break;
        lm_model_backward(t->model, (float)((double)scored / all));
    }
    lm_model_step(t->model);
    return loss / all;
}

/* A step that cannot be taken, for `reason`: the end, or the next one's turn. */
static void refuse_step(struct training *t, const char *reason)
{
    char last[LM_REASON];
    peer_params_zero_grad(lm_model_params(t->model));
    if (t->run.train->nonfinite == LM_NONFINITE_STOP) {
        diverge(t, reason);
        return;
    }
    t->state.skipped++;
    if (++t->skips < LM_SKIPS)
        return;
    snprintf(last, sizeof last, "%d steps in a row are not finite, the last: %.160s", LM_SKIPS,
             reason);
    diverge(t, last);
}

/* Applies the gradients; returns their norm. */
static double apply(struct training *t, double loss, float lr)
{
    char reason[LM_REASON];
    int64_t step = t->state.step + 1;
    double norm = peer_optim_step(t->optim, lr);
    if (peer_optim_takes(t->optim, norm)) {
        t->skips = 0;
        t->ahead = lm_diverged_silent(reason, t->model, step, loss, norm);
        if (t->ahead)
            diverge(t, reason);
        return norm;
    }
    t->ahead = peer_optim_skipped(t->optim) == 0; /* what was done shows in the weights */
    if (!t->ahead || !lm_diverged_parameter(reason, lm_model_params(t->model), step))
        lm_diverged_gradient(reason, t->model, step, norm);
    refuse_step(t, reason);
    return norm;
}

/* One optimizer step, unless something of it is not finite: then the weights stay. */
static enum peer_status take_step(struct training *t)
{
    const struct lm_train_config *config = t->run.train;
    char reason[LM_REASON];
    double auxiliary, start = now(), loss = accumulate_gradients(t, &auxiliary), norm = NAN;
    float lr = lm_train_lr(config, t->state.step);
    if (isfinite(loss) && isfinite(auxiliary)) {
        enum peer_status status = lm_tables_keep(tables_of(t), lm_model_params(t->model));
        if (status)
            return status;
        norm = apply(t, loss, lr);
    } else {
        lm_diverged_loss(reason, t->model, t->state.step + 1);
        refuse_step(t, reason);
    }
    if (t->diverged)
        return PEER_OK;
    t->state.step++;
    t->state.position += config->sequences;
    t->state.seconds += now() - start;
    bool skipped = t->skips > 0;
    t->progress = (struct lm_train_progress){
        .step = t->state.step,
        .steps = config->steps,
        .tokens = t->state.position * config->length,
        .loss = skipped ? NAN : loss,
        .auxiliary = skipped ? NAN : auxiliary,
        .lr = lr,
        .grad_norm = skipped ? NAN : norm,
        .seconds = t->state.seconds,
    };
    return PEER_OK;
}

static enum peer_status evaluate(struct training *t, struct lm_eval_result *eval,
                                 struct lm_usage *const *usage)
{
    const struct lm_train_config *config = t->run.train;
    const struct lm_dataset *data = t->run.data;
    if (!data->valid)
        return PEER_OK;
    enum peer_status status = lm_evaluate(
        eval, t->ctx, t->model, data->valid, data->vocabulary, config->eval_tokens, config->length,
        config->sequences / config->accumulate, usage, t->hooks.stop, t->hooks.user);
    if (status == PEER_ERR_STOPPED)
        return stopped(t);
    if (!status)
        report(t, eval, false);
    return status;
}

static enum peer_status measure(struct training *t)
{
    const struct lm_train_hooks *hooks = &t->hooks;
    int64_t step = t->state.step;
    if (!hooks->measure || !lm_train_measures(t->run.train, step))
        return PEER_OK;
    enum peer_status status =
        hooks->measure(hooks->user, step, t->state.position * t->run.train->length);
    return status == PEER_ERR_STOPPED ? stopped(t) : status;
}

static enum peer_status evaluate_between(struct training *t)
{
    int64_t step = t->state.step, every = t->run.train->eval_every;
    struct lm_eval_result eval;
    return every && step > 0 && step % every == 0 ? evaluate(t, &eval, NULL) : PEER_OK;
}

/* A step is measured and evaluated before the next one is taken, so before the next checkpoint: a
 * resumed run only misses what belongs to its own step, and does that again. */
static enum peer_status train(struct training *t)
{
    const struct lm_train_config *config = t->run.train;
    enum peer_status status = PEER_OK;
    while (!status && t->state.step < config->steps) {
        if (stop_asked(t))
            return stopped(t);
        status = measure(t);
        if (!status)
            status = evaluate_between(t);
        if (!status)
            status = take_step(t);
        if (status)
            break;
        if (t->diverged)
            return t->hooks.discard || t->ahead ? PEER_OK : save(t);
        bool due = save_is_due(t);
        /* First, as a resumed run tells of the steps behind its checkpoint only. */
        report(t, NULL, due && t->checkpoint);
        if (due)
            status = save(t);
        if (t->diverged)
            return status;
    }
    return status ? status : measure(t);
}

static int64_t skipped_statistics(const struct lm_model *model)
{
    int64_t most = 0;
    for (int64_t block = 0; block < lm_model_config(model)->blocks; block++) {
        int64_t skipped = lm_model_skipped(model, block);
        most = skipped > most ? skipped : most;
    }
    return most;
}

/* Weights may be finite and their loss not. */
static void judge_evaluation(struct training *t, const struct lm_eval_result *eval)
{
    char reason[LM_REASON];
    snprintf(reason, sizeof reason, "the validation loss after step %lld is not finite",
             (long long)t->state.step);
    if (eval->tokens && !isfinite(eval->nats))
        diverge(t, reason);
}

static struct lm_train_result result_of(const struct training *t, const struct lm_eval_result *eval)
{
    struct peer_cost cost = {0};
    const struct lm_train_config *config = t->run.train;
    int64_t tokens = t->state.position * config->length;
    lm_config_cost(&cost, t->run.model, config->length);
    struct lm_train_result result = {
        .steps = t->state.step,
        .tokens = tokens,
        .seconds = t->state.seconds,
        .flops = (double)tokens * peer_cost_train(&cost),
        .diverged = t->diverged,
        .skipped = t->state.skipped,
        .skipped_statistics = skipped_statistics(t->model),
        .eval = *eval,
    };
    memcpy(result.reason, t->reason, sizeof result.reason);
    return result;
}

/* A run may begin with weights of others. */
static enum peer_status begin(struct training *t)
{
    char reason[LM_REASON];
    enum peer_status status = resume(t);
    if (!status && lm_diverged_parameter(reason, lm_model_params(t->model), t->state.step))
        diverge(t, reason);
    return status;
}

enum peer_status lm_train(struct lm_train_result *ret, struct peer_ctx *ctx, struct lm_model *model,
                          const struct lm_dataset *data, const struct lm_train_config *config,
                          const char *checkpoint, const struct lm_train_hooks *hooks)
{
    struct lm_eval_result eval = {.nats = NAN, .perplexity = NAN, .bits_per_byte = NAN};
    struct training t = {
        .ctx = ctx,
        .model = model,
        .run = {lm_model_config(model), config, data},
        .checkpoint = checkpoint,
        .pool = {.ctx = ctx},
        .saved = peer_params_empty(ctx),
        .saved_step = -1,
        .save_time = now(),
    };
    if (hooks)
        t.hooks = *hooks;
    enum peer_status status = check(ctx, &t.run);
    if (!status)
        status = set_up(&t);
    if (!status)
        status = begin(&t);
    if (!status && t.hooks.begin)
        status = t.hooks.begin(t.hooks.user);
    if (!status && !t.diverged)
        status = train(&t);
    struct lm_usage *const *usage = NULL;
    if (!status && !t.diverged && data->valid && t.hooks.final_usage)
        status = t.hooks.final_usage(t.hooks.user, &usage);
    if (!status && !t.diverged)
        status = evaluate(&t, &eval, usage);
    if (!status) {
        judge_evaluation(&t, &eval);
        *ret = result_of(&t, &eval);
    }
    tear_down(&t);
    return status;
}
