/* SPDX-License-Identifier: MIT */
/* Runs a plan's open runs as child processes (`peerlab train`), as many at once as cores and memory
 * allow, and takes their results into the store as they come. A child whose parent dies stops at
 * its next step, with a checkpoint. */
#ifndef PEER_EXPERIMENTS_SWEEPS_SCHEDULER_H
#define PEER_EXPERIMENTS_SWEEPS_SCHEDULER_H

#include "experiments/sweeps/plan_run.h"
#include "experiments/sweeps/store.h"

struct lab_schedule {
    const char *folder;   /* of the sweep */
    int64_t jobs;         /* runs at once >= 1 */
    int64_t threads;      /* per run >= 1 */
    double memory;        /* bytes that all runs at once may need; a run larger than that fails */
    bool (*stop)(void *); /* asked several times a second; the argument is NULL */
    /* Told of every run that has finished, once it is in the store. May be NULL. */
    void (*ended)(void *user, int64_t id, const char *run_folder);
    /* Whether a run's checkpoint is wanted after its end. NULL = all are. */
    bool (*keep)(void *user, int64_t id);
    void *user; /* of `ended` and `keep` */
};

struct lab_schedule_result {
    int64_t done, failed, left; /* runs of the plan, by how they stand at the end */
    int64_t diverged;           /* of those done */
    double seconds;             /* this call's wall-clock */
    double core_seconds;        /* of it, times the cores of the jobs that fit */
    /* Of the runs that ended here, times threads of one: from start to end, and in training alone,
     * without what comes before and after it and without evaluation. */
    double running_seconds, training_seconds;
};

/* Runs every pending run of the plan, in its order; lab_plan_sort() puts the longest first. Errors:
 * PEER_ERR_STOPPED after a requested stop (children have saved their checkpoints), PEER_ERR_IO. A
 * failed run is a result, not an error. */
enum peer_status lab_schedule(struct lab_schedule_result *ret, struct peer_ctx *ctx,
                              struct lab_store *store, const struct lab_plan *plan,
                              const struct lab_schedule *schedule);

#endif
