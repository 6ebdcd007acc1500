/* SPDX-License-Identifier: MIT */
/* A sweep's folder at work: its store, open and locked against a second process, and runs trained
 * into it. */
#ifndef PEER_EXPERIMENTS_SWEEPS_SWEEP_FOLDER_H
#define PEER_EXPERIMENTS_SWEEPS_SWEEP_FOLDER_H

#include "experiments/sweeps/scheduler.h"

struct lab_sweep_folder {
    struct peer_ctx *ctx;
    const char *folder; /* borrowed */
    struct lab_store *store;
    int lock;
    int64_t taken; /* finished runs taken in from their folders, the store being new */
};

/* Makes the folder where it is not there. Where run folders are there, but no store or one without
 * runs, the store is made out of them. What was in flight when an earlier process was killed
 * becomes pending; with `retry`, failed runs too. Errors: PEER_ERR_IO, where another sweep is at
 * work there too; those of lab_store_open(). */
enum peer_status lab_sweep_folder_open(struct lab_sweep_folder *ret, struct peer_ctx *ctx,
                                       const char *folder, bool retry);

/* The same only to read, beside a process at work there. Errors: PEER_ERR_IO where no sweep is kept
 * there; those of lab_store_open(). */
enum peer_status lab_sweep_folder_read(struct lab_sweep_folder *ret, struct peer_ctx *ctx,
                                       const char *folder);
void lab_sweep_folder_close(struct lab_sweep_folder *sweep);

/* Keeps in the store what the sweep is: name, machine, revision, data, command, config. */
enum peer_status lab_sweep_folder_describe(struct lab_sweep_folder *sweep,
                                           const struct lab_plan *plan, const char *revision,
                                           const char *command);

/* How runs are scheduled; 0 = the default. */
struct lab_jobs {
    int64_t jobs;  /* at once. Default: cores / threads of a run */
    double memory; /* bytes for all. Default: 90 % of what is free */
    bool (*stop)(void *);
    void (*ended)(void *user, int64_t id, const char *run_folder); /* as lab_schedule's */
    bool (*keep)(void *user, int64_t id);                          /* as lab_schedule's */
    void *user;
};

/* lab_schedule() with the defaults of this machine. */
enum peer_status lab_sweep_folder_train(struct lab_schedule_result *ret,
                                        struct lab_sweep_folder *sweep, const struct lab_plan *plan,
                                        const struct lab_jobs *jobs);

#endif
