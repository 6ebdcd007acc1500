/* SPDX-License-Identifier: MIT */
/* How long a run will train on this machine, from a few steps of its own model. */
#ifndef PEER_EXPERIMENTS_RUNS_RUN_ESTIMATE_H
#define PEER_EXPERIMENTS_RUNS_RUN_ESTIMATE_H

#include "experiments/runs/run_config.h"

struct lab_estimate {
    double step;      /* seconds of one step; NaN = not estimated */
    int64_t steps;    /* that were timed */
    double share;     /* of a step's tokens in the largest that was timed: 1 = all; below it the
                         time of a whole step follows from those of parts */
    bool made_up;     /* on ids drawn by Zipf's law: there was no text */
    char reason[240]; /* why not estimated */
};

struct lab_estimate_job {
    const struct lab_run_config *config;
    const struct lm_config *model; /* of the run, its vocabulary known */
    const struct lm_dataset *data; /* NULL = ids are made up */
    double seconds;                /* that it may take, about: a step is not cut short */
    bool (*stop)(void *user);      /* may be NULL; called with NULL */
};

/* Makes the model, trains it on steps like the run's with all threads of `ctx`, and forgets it:
 * nothing is written. Evaluation and checkpoints are not in a step's time, and `init` is not read.
 * A model that needs more than half of the memory that is free, whose tables are mapped, or that
 * takes too long for one step is not timed: `reason`. Errors: PEER_ERR_STOPPED where stop() asked;
 * every other failure is a reason. */
enum peer_status lab_run_estimate(struct lab_estimate *ret, struct peer_ctx *ctx,
                                  const struct lab_estimate_job *job);

#endif
