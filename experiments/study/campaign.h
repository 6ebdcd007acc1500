/* SPDX-License-Identifier: MIT */
/* A study at work: plans trained into one sweep folder, runs that are there already not repeated,
 * and what came out of each. */
#ifndef PEER_EXPERIMENTS_STUDY_CAMPAIGN_H
#define PEER_EXPERIMENTS_STUDY_CAMPAIGN_H

#include "experiments/study/job_list.h"
#include "experiments/study/study_file.h"
#include "experiments/sweeps/sweep_folder.h"

struct lab_campaign {
    struct peer_ctx *ctx;
    const struct lab_study *study;
    struct lab_sweep_folder sweep;
    struct lab_jobs jobs;
    struct lab_result *results; /* [count], all of the store */
    int64_t count;
    /* Of this process: lab_schedule_result. */
    double seconds, core_seconds, running_seconds, training_seconds;
    bool plan_only; /* nothing is trained */
    /* Told of runs before they are trained, until it says true once; NULL = nobody. */
    bool (*warn)(const struct lab_run_config *config);
    struct lab_plan fig1;      /* runs of fig1's first seed, once their rates are known */
    struct lab_job_list *list; /* where, with plan_only, open runs are written; NULL = nowhere */
};

/* Opens the folder and reads its results. Errors: those of lab_sweep_folder_open(), or, where
 * nothing is to be trained, of lab_sweep_folder_read(). */
enum peer_status lab_campaign_open(struct lab_campaign *ret, struct peer_ctx *ctx,
                                   const struct lab_study *study, const char *folder, bool retry,
                                   bool only_read);
void lab_campaign_close(struct lab_campaign *campaign);

/* Keeps in the store what is studied. */
enum peer_status lab_campaign_describe(struct lab_campaign *campaign, const char *revision,
                                       const char *command);

/* What is open so far must be done before what follows is decided: jobs that follow are counted and
 * not written. */
void lab_campaign_stage(struct lab_campaign *campaign);

/* Trains what of the plan is not done, and finds every run's result: results[i] for runs[i] of the
 * plan, whose order stays; NULL for a run that has not ended. They hold until
 * the next call. Failed runs are no error. Errors: PEER_ERR_STOPPED; those of lab_schedule(). */
enum peer_status lab_campaign_train(struct lab_campaign *campaign, struct lab_plan *plan,
                                    const struct lab_result **results);

#endif
