/* SPDX-License-Identifier: MIT */
/* Internal to experiments. A run's folder: made, locked, and its run.yaml, which is written once
 * training can start, so that a run that is refused leaves nothing. */
#ifndef PEER_EXPERIMENTS_RUNS_RUN_FOLDER_H
#define PEER_EXPERIMENTS_RUNS_RUN_FOLDER_H

#include "experiments/runs/run_config.h"

struct lab_run_folder {
    struct peer_ctx *ctx;
    const char *path; /* borrowed */
    int lock;
    bool made, empty; /* by lab_run_folder_open(); it held nothing then */
    bool begun;       /* the folder is the run's */
};

/* Makes the folder where it is not there and locks it. A second process gets PEER_ERR_IO; with
 * `patient` it waits, until `stop` asks it not to (PEER_ERR_STOPPED). Close it in any case. Errors:
 * PEER_ERR_IO; PEER_ERR_ARGUMENT for too long a path, and for a folder of data or of a sweep. */
enum peer_status lab_run_folder_open(struct lab_run_folder *ret, struct peer_ctx *ctx,
                                     const char *path, bool patient, bool (*stop)(void *user),
                                     void *user);

/* Whether the folder is free, or this run's: fields on which no weight depends may differ, and so
 * may the places of what checksums tell apart: the text, once there is a checkpoint or, where it is
 * gone, a result, and init.
 * Errors: PEER_ERR_ARGUMENT naming the other fields, with both values. */
enum peer_status lab_run_folder_check(const struct lab_run_folder *folder,
                                      const struct lab_run_config *config);

/* Writes run.yaml, with the values that hold from now on. Errors: PEER_ERR_IO, PEER_ERR_MEMORY. */
enum peer_status lab_run_folder_begin(struct lab_run_folder *folder,
                                      const struct lab_run_config *config);

/* Unlocks. Where the run has not begun, what was made is removed again. */
void lab_run_folder_close(struct lab_run_folder *folder);

#endif
