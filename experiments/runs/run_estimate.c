/* SPDX-License-Identifier: MIT */
#include "experiments/runs/run_estimate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "experiments/base/temporary.h"
#include "experiments/cli/progress.h"
#include "experiments/runs/machine.h"
#include "experiments/runs/run_check.h"
#include "nn/cost.h"
#include "nn/random.h"

enum { MOST_STEPS = 64, TRIALS = 6, MADE_UP = 1 << 16, SHORTEST = 16 };

/* Guesses, to begin with what will be over in time: FLOPs per second of a thread, and parameters
 * drawn per second of one. */
static const double flop_rate = 2e10, draw_rate = 6e7;

/* One call of lm_train() that is stopped once it has been timed. */
struct timing {
    const struct lab_estimate_job *job;
    int64_t enough; /* steps */
    double deadline;
    double step[MOST_STEPS], before; /* seconds of each step, and of all so far */
    int64_t count;
    bool asked; /* by the user */
};

static void on_progress(void *user, const struct lm_train_progress *progress)
{
    struct timing *t = user;
    t->step[t->count++] = progress->seconds - t->before;
    t->before = progress->seconds;
}

static bool stop_asked(void *user)
{
    struct timing *t = user;
    t->asked |= t->job->stop && t->job->stop(NULL);
    return t->asked || t->count == MOST_STEPS || t->count >= t->enough ||
           (t->count >= 2 && lab_now() >= t->deadline);
}

static int rising(const void *left, const void *right)
{
    const double *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

/* The first step meets memory that nobody has touched. */
static double median(struct timing *t)
{
    int64_t count = t->count - 1;
    qsort(t->step + 1, (size_t)count, sizeof *t->step, rising);
    return count % 2 ? t->step[1 + count / 2] : (t->step[count / 2] + t->step[1 + count / 2]) / 2;
}

/* A model being timed. Its unit is a sequence of `length` tokens; a step has `units` of them. */
struct trial {
    struct peer_ctx *ctx;
    const struct lab_estimate_job *job;
    struct lm_model *model;
    const struct lm_dataset *data;
    int64_t length;
    double units, end;
    double heavier; /* FLOPs of a token of the run over those of one here */
};

/* Seconds of a step of `sequences` sequences, in passes as large as the model's; NaN and a reason
 * in *ret where it cannot be trained. */
static enum peer_status time_steps(double *seconds, struct lab_estimate *ret,
                                   const struct trial *trial, int64_t sequences, bool whole)
{
    struct timing t = {.job = trial->job, .enough = whole ? MOST_STEPS : 3, .deadline = trial->end};
    if (!whole)
        t.deadline = fmin(trial->end, lab_now() + trial->job->seconds / 10);
    struct lm_train_config config = trial->job->config->train;
    config.steps = config.steps > 2 * MOST_STEPS ? config.steps : 2 * MOST_STEPS;
    config.eval_every = config.usage_points = 0;
    config.length = trial->length;
    if (!whole)
        config.accumulate = 1;
    config.sequences = sequences;
    const struct lm_train_hooks hooks = {
        .user = &t, .progress = on_progress, .stop = stop_asked, .discard = true};
    struct lm_train_result trained = {0};
    enum peer_status status =
        lm_train(&trained, trial->ctx, trial->model, trial->data, &config, NULL, &hooks);
    *seconds = NAN;
    if (t.asked)
        return PEER_ERR_STOPPED;
    if (status == PEER_ERR_STOPPED && t.count >= 2) {
        *seconds = median(&t);
        ret->steps += t.count - 1;
        return PEER_OK;
    }
    snprintf(ret->reason, sizeof ret->reason, "%s",
             status == PEER_OK ? trained.reason : peer_ctx_error(trial->ctx));
    return PEER_OK;
}

/* Two timings of a step: of how many units, and seconds. The first begins at nothing. */
struct line {
    double units[2], seconds[2];
};

static void add_point(struct line *line, double units, double seconds)
{
    line->units[0] = line->units[1];
    line->seconds[0] = line->seconds[1];
    line->units[1] = units;
    line->seconds[1] = seconds;
}

/* Seconds of more units; these cost no less than half in proportion, and no more than that. */
static double extend(const struct line *line, double units)
{
    double most = line->seconds[1] / line->units[1];
    double slope = (line->seconds[1] - line->seconds[0]) / (line->units[1] - line->units[0]);
    return line->seconds[1] + (units - line->units[1]) * fmin(fmax(slope, most / 2), most);
}

/* How many units to time next: a whole step, or as many as there is time for. */
static int64_t next_units(const struct trial *trial, const struct line *line)
{
    int64_t all = trial->job->config->train.sequences, n = (int64_t)line->units[1], next = n;
    int64_t most = lm_model_tokens(trial->model) / trial->length;
    double left = (trial->end - lab_now()) / 2; /* one to warm up and one that counts */
    if (trial->length == trial->job->config->train.length && extend(line, trial->units) <= left)
        return all;
    while (next < most && next < 8 * n && extend(line, (double)next + 1) <= left)
        next++;
    return next;
}

/* Ever larger parts of a step while there is time, and the step itself where there is enough. */
static enum peer_status time_parts(struct lab_estimate *ret, const struct trial *trial)
{
    const struct lm_train_config *train = &trial->job->config->train;
    struct line line = {0};
    bool whole = false;
    int64_t n = 0, next = 1;
    for (int i = 0; i < TRIALS && next > n && !whole; i++) {
        double seconds = NAN;
        n = next;
        whole = trial->length == train->length && n == train->sequences;
        enum peer_status status = time_steps(&seconds, ret, trial, n, whole);
        if (status != PEER_OK || isnan(seconds))
            return status;
        add_point(&line, (double)n, seconds);
        if (!whole)
            next = next_units(trial, &line);
    }
    ret->share = whole ? 1 : (double)n / trial->units;
    ret->step = whole ? line.seconds[1] : extend(&line, trial->units) * trial->heavier;
    return PEER_OK;
}

static double flops_per_token(const struct lm_config *model, int64_t length)
{
    struct peer_cost cost = {0};
    lm_config_cost(&cost, model, length);
    return peer_cost_train(&cost);
}

/* Ids by Zipf's law, as words of a text. */
static enum peer_status make_up(struct lm_dataset *ret, struct peer_ctx *ctx, int64_t vocab,
                                int64_t length)
{
    char path[PATH_MAX];
    const char *paths[] = {path};
    const struct lm_corpus_source source = {
        .paths = paths, .count = 1, .dtype = LM_DTYPE_UINT32, .known = true};
    FILE *file = lab_temporary_file(path, ctx);
    if (!file)
        return PEER_ERR_IO;
    uint64_t draws = peer_stream("estimate");
    for (int64_t i = 0; i < MADE_UP + length; i++) {
        double u = ldexp((double)peer_random_bits(1, draws, (uint64_t)i), -32);
        uint32_t id = (uint32_t)(pow((double)vocab + 1, u) - 1);
        id = id < vocab ? id : (uint32_t)vocab - 1;
        fwrite(&id, sizeof id, 1, file);
    }
    bool written = !ferror(file);
    written = fclose(file) == 0 && written;
    enum peer_status status =
        written ? lm_corpus_open(&ret->train, ctx, &source, vocab)
                : peer_fail(ctx, PEER_ERR_IO, "%s: ids to train on cannot be written", path);
    ret->vocab = vocab;
    unlink(path);
    return status;
}

/* Whether it may be tried at all; else a reason. */
static bool may_try(struct lab_estimate *ret, struct trial *trial, int threads)
{
    const struct lab_estimate_job *job = trial->job;
    const struct lm_train_config *train = &job->config->train;
    double bytes = (double)lab_run_memory(job->config, job->model);
    struct peer_cost cost = {0};
    lm_config_cost(&cost, job->model, train->length);
    double whole = flops_per_token(job->model, train->length);
    double most = job->seconds * flop_rate * threads, here = whole;
    trial->length = train->length;
    while (trial->length > SHORTEST && here * (double)trial->length > most) {
        trial->length = trial->length / 2 > SHORTEST ? trial->length / 2 : SHORTEST;
        here = flops_per_token(job->model, trial->length);
    }
    trial->heavier = whole / here;
    trial->units = (double)train->sequences * (double)train->length / (double)trial->length;
    const char *reason = "";
    if (job->model->tables == LM_PLACE_MAPPED)
        reason = "tables on the disk are not timed";
    else if (bytes > 0.5 * lab_machine_memory())
        reason = "it needs more than half of the memory that is free now";
    else if ((double)cost.params_total > 2 * job->seconds * draw_rate * threads)
        reason = "its weights take too long to draw";
    else if (here * (double)trial->length > 4 * most)
        reason = "a part of a step takes too long";
    snprintf(ret->reason, sizeof ret->reason, "%s", reason);
    return !*reason;
}

static enum peer_status estimate(struct lab_estimate *ret, struct trial *trial,
                                 struct lm_dataset *made)
{
    const struct lab_estimate_job *job = trial->job;
    const struct lm_train_config *train = &job->config->train;
    enum peer_status status = PEER_OK;
    trial->data = job->data ? job->data : made;
    ret->made_up = !job->data;
    if (!job->data)
        status = make_up(made, trial->ctx, job->model->vocab, train->length);
    if (status == PEER_OK)
        status = lm_model_create(&trial->model, trial->ctx, job->model,
                                 train->sequences / train->accumulate * train->length, train->seed,
                                 true);
    if (status == PEER_OK)
        return time_parts(ret, trial);
    snprintf(ret->reason, sizeof ret->reason, "%s", peer_ctx_error(trial->ctx));
    return PEER_OK;
}

enum peer_status lab_run_estimate(struct lab_estimate *ret, struct peer_ctx *ctx,
                                  const struct lab_estimate_job *job)
{
    struct trial trial = {.ctx = ctx, .job = job, .end = lab_now() + job->seconds};
    struct lm_dataset made = {0};
    *ret = (struct lab_estimate){.step = NAN};
    if (!may_try(ret, &trial, peer_ctx_threads(ctx)))
        return PEER_OK;
    enum peer_status status = estimate(ret, &trial, &made);
    lm_model_destroy(&trial.model);
    lm_dataset_close(&made);
    return status;
}
