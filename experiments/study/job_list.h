/* SPDX-License-Identifier: MIT */
/* A study written out instead of run, for a cluster: every run's config in its folder and one line
 * of jobs.txt that trains it. Folders that come back finished are taken in by the next
 * `peerlab reproduce`. */
#ifndef PEER_EXPERIMENTS_STUDY_JOB_LIST_H
#define PEER_EXPERIMENTS_STUDY_JOB_LIST_H

#include "experiments/base/output.h"
#include "experiments/sweeps/sweep_folder.h"

struct lab_job_list {
    struct lab_sweep_folder *sweep;
    struct lab_output output; /* jobs.txt; not open = nothing is written */
    bool only_count;          /* what comes from here on is not decided yet */
    uint64_t *keys; /* [count], of the configs so far: a run that two parts share is one job */
    int64_t count, capacity;
    int64_t written; /* of them */
    double flops, written_flops;
    size_t memory; /* bytes, of the largest run */
    size_t disk;   /* bytes, of the checkpoints that are kept: weights and moments */
};

/* Starts jobs.txt in the sweep's folder, or, with `only_count`, nothing. Errors: PEER_ERR_IO. */
enum peer_status lab_job_list_open(struct lab_job_list *ret, struct lab_sweep_folder *sweep,
                                   bool only_count);

/* Counts a run that is not done, unless it is there already, and writes it, unless only_count;
 * `keep`: its checkpoint is wanted. Errors: PEER_ERR_IO, PEER_ERR_MEMORY. */
enum peer_status lab_job_list_add(struct lab_job_list *list, int64_t id,
                                  const struct lab_plan_run *run, bool keep);

/* With PEER_OK as `status` jobs.txt gets its name, else an older one stays. Returns `status`, or
 * PEER_ERR_IO of what was written. */
enum peer_status lab_job_list_close(struct lab_job_list *list, enum peer_status status);

#endif
