/* SPDX-License-Identifier: MIT */
#include "experiments/sweeps/plan_estimate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/runs/machine.h"
#include "experiments/runs/run_estimate.h"
#include "nn/cost.h"

/* Seconds for one model, at least and at most. */
static const double least_seconds = 0.2, most_seconds = 1;

/* A variant: its runs with the fewest and the most FLOPs a step, and seconds of a step of each. */
struct ends {
    int64_t run[2];
    double step[2]; /* NaN = not timed */
};

struct work {
    struct peer_ctx *ctx;
    const struct lab_plan *plan;
    const struct lab_plan_watch *watch;
    struct lab_plan_times *times;
    struct lm_dataset data;
    struct ends *ends; /* [variants] */
    int64_t variants;
    double each; /* seconds for one model */
};

static double step_flops(const struct lab_plan_run *run)
{
    const struct lm_train_config *train = &run->config.train;
    return run->flops_per_token * (double)train->sequences * (double)train->length;
}

/* The variant of run `i`; work->variants where none of it was seen. */
static int64_t variant_of(const struct work *work, int64_t i)
{
    const struct lab_run_config *config = &work->plan->runs[i].config;
    int64_t v = 0;
    for (; v < work->variants; v++) {
        const struct lab_run_config *other = &work->plan->runs[work->ends[v].run[0]].config;
        if (config->settings == other->settings && !strcmp(config->variant, other->variant))
            break;
    }
    return v;
}

static void find_ends(struct work *work)
{
    const struct lab_plan_run *runs = work->plan->runs;
    for (int64_t i = 0; i < work->plan->count; i++) {
        int64_t v = variant_of(work, i);
        struct ends *ends = &work->ends[v];
        if (v == work->variants) {
            *ends = (struct ends){{i, i}, {NAN, NAN}};
            work->variants++;
        }
        if (step_flops(&runs[i]) < step_flops(&runs[ends->run[0]]))
            ends->run[0] = i;
        if (step_flops(&runs[i]) > step_flops(&runs[ends->run[1]]))
            ends->run[1] = i;
    }
}

/* Times one end of a variant. */
static enum peer_status time_end(struct work *work, struct ends *ends, int end)
{
    struct lab_estimate estimate;
    const struct lab_run_config *config = &work->plan->runs[ends->run[end]].config;
    const struct lab_estimate_job job = {.config = config,
                                         .model = &config->model,
                                         .data = work->data.train ? &work->data : NULL,
                                         .seconds = work->each,
                                         .stop = work->watch->stop};
    enum peer_status status = lab_run_estimate(&estimate, work->ctx, &job);
    if (status != PEER_OK)
        return status;
    ends->step[end] = estimate.step;
    if (isnan(estimate.step))
        snprintf(work->times->reason, sizeof work->times->reason, "%.40s at width %lld: %.150s",
                 config->variant, (long long)config->model.width, estimate.reason);
    else
        work->times->timed++;
    return PEER_OK;
}

static enum peer_status time_ends(struct work *work)
{
    int64_t models = 2 * work->variants;
    enum peer_status status = PEER_OK;
    for (int64_t i = 0; i < models && status == PEER_OK; i++) {
        struct ends *ends = &work->ends[i / 2];
        if (work->watch->progress)
            work->watch->progress(work->watch->user, i, models);
        if (i % 2 && ends->run[0] == ends->run[1])
            ends->step[1] = ends->step[0];
        else
            status = time_end(work, ends, i % 2);
    }
    return status;
}

/* Seconds of a run's step. */
static double step_seconds(const struct work *work, const struct ends *ends,
                           const struct lab_plan_run *run)
{
    const struct lab_plan_run *runs = work->plan->runs;
    double low = step_flops(&runs[ends->run[0]]), high = step_flops(&runs[ends->run[1]]);
    double flops = step_flops(run);
    if (isnan(ends->step[0]))
        return ends->step[1] * flops / high;
    if (isnan(ends->step[1]) || !(high > low))
        return ends->step[0] * flops / low;
    double power = log(ends->step[1] / ends->step[0]) / log(high / low);
    return ends->step[0] * pow(flops / low, power);
}

/* Each run to whoever is free first, in the order of the plan, as the scheduler does. */
static double schedule(const struct lab_plan_times *times, int64_t runs, double *busy)
{
    double end = 0;
    for (int64_t i = 0; i < runs; i++) {
        int64_t first = 0;
        for (int64_t j = 1; j < times->jobs; j++)
            if (busy[j] < busy[first])
                first = j;
        busy[first] += isnan(times->seconds[i]) ? 0 : times->seconds[i];
        end = fmax(end, busy[first]);
    }
    return end;
}

static void add_up(struct work *work, double *busy)
{
    struct lab_plan_times *times = work->times;
    for (int64_t i = 0; i < work->plan->count; i++) {
        const struct lab_plan_run *run = &work->plan->runs[i];
        double step = step_seconds(work, &work->ends[variant_of(work, i)], run);
        times->seconds[i] = step * (double)run->config.train.steps;
        times->unknown += isnan(step);
        times->all += isnan(step) ? 0 : times->seconds[i];
    }
    times->together = schedule(times, work->plan->count, busy);
}

static enum peer_status estimate(struct work *work, double seconds, double *busy)
{
    find_ends(work);
    work->each = fmin(most_seconds, fmax(least_seconds, seconds / (2 * (double)work->variants)));
    enum peer_status status = time_ends(work);
    if (status == PEER_OK)
        add_up(work, busy);
    return status;
}

enum peer_status lab_plan_estimate(struct lab_plan_times *ret, struct peer_ctx *ctx,
                                   const struct lab_plan *plan, double seconds,
                                   const struct lab_plan_watch *watch)
{
    struct lab_plan_times times = {.jobs = lab_machine_cores() / peer_ctx_threads(ctx)};
    times.jobs = times.jobs > 0 ? times.jobs : 1;
    struct work work = {.ctx = ctx, .plan = plan, .watch = watch, .times = &times};
    size_t count = plan->count > 0 ? (size_t)plan->count : 1;
    times.seconds = calloc(count, sizeof *times.seconds);
    work.ends = calloc(count, sizeof *work.ends);
    double *busy = calloc((size_t)times.jobs, sizeof *busy);
    enum peer_status status = PEER_OK;
    if (!times.seconds || !work.ends || !busy)
        status = peer_fail(ctx, PEER_ERR_MEMORY, "no memory for %zu runs", count);
    if (status == PEER_OK && plan->count > 0) {
        const struct lab_run_config *first = &plan->runs[0].config;
        if (lm_dataset_open(&work.data, ctx, plan->data, first->model.vocab, first->text.dtype))
            work.data = (struct lm_dataset){0};
        times.made_up = !work.data.train;
        status = estimate(&work, seconds, busy);
    }
    lm_dataset_close(&work.data);
    free(busy);
    free(work.ends);
    if (status == PEER_OK)
        *ret = times;
    else
        free(times.seconds);
    return status;
}

void lab_plan_times_free(struct lab_plan_times *times)
{
    free(times->seconds);
    *times = (struct lab_plan_times){0};
}
