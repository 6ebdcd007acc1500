/* SPDX-License-Identifier: MIT */
/* How long a plan's runs will train on this machine, from steps of a few of their models. */
#ifndef PEER_EXPERIMENTS_SWEEPS_PLAN_ESTIMATE_H
#define PEER_EXPERIMENTS_SWEEPS_PLAN_ESTIMATE_H

#include "experiments/sweeps/plan_run.h"

struct lab_plan_times {
    double *seconds;  /* [runs of the plan]: of training; NaN = not estimated */
    int64_t unknown;  /* runs that are not */
    int64_t timed;    /* models */
    int64_t jobs;     /* runs at once, as lab_sweep_folder_train() takes by default */
    double all;       /* seconds of the others, one after the other */
    double together;  /* until all are done, `jobs` at once */
    bool made_up;     /* on ids that are made up: the data cannot be opened */
    char reason[240]; /* why a model was not timed, the last; "" = all were */
};

struct lab_plan_watch {
    void (*progress)(void *user, int64_t done, int64_t models); /* may be NULL */
    bool (*stop)(void *user);                                   /* may be NULL */
    void *user;
};

/* Of every variant the models with the fewest and the most FLOPs a step are timed
 * (experiments/runs/run_estimate.h), in about `seconds` together, alone and with the threads of
 * `ctx`; between them the time of a step is a power of its FLOPs, and where one of them cannot be
 * timed in proportion. Errors: PEER_ERR_STOPPED, PEER_ERR_MEMORY; nothing is to be freed then. */
enum peer_status lab_plan_estimate(struct lab_plan_times *ret, struct peer_ctx *ctx,
                                   const struct lab_plan *plan, double seconds,
                                   const struct lab_plan_watch *watch);
void lab_plan_times_free(struct lab_plan_times *times);

#endif
