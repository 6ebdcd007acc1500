/* SPDX-License-Identifier: MIT */
/* Which checkpoints a study keeps. With a million experts one takes gigabytes, so of finished runs
 * only those are kept that table1 evaluates: of every variant and budget of fig1 the run of the
 * first seed with the lowest loss so far. */
#ifndef PEER_EXPERIMENTS_STUDY_CHECKPOINTS_H
#define PEER_EXPERIMENTS_STUDY_CHECKPOINTS_H

#include "experiments/study/campaign.h"

/* Whether the checkpoint of a run may be wanted once it has ended. */
bool lab_checkpoints_may_keep(const struct lab_campaign *campaign, int64_t id);

/* A finished run's row; removes its checkpoint, or that of the run it has beaten. Nothing is said
 * where a file is not there. */
void lab_checkpoints_ended(const struct lab_campaign *campaign, const struct lab_result *result);

/* The run of fig1 with the lowest loss of a variant, budget and the first seed; NULL = none. */
const struct lab_result *lab_checkpoints_best(const struct lab_campaign *campaign,
                                              const char *variant, double budget);

/* "FOLDER/runs/000012/checkpoint.safetensors". */
void lab_checkpoints_path(char *path, size_t size, const struct lab_campaign *campaign,
                          const struct lab_result *result);

/* Trains a finished run again whose checkpoint is gone, in a folder inside its own that a stop
 * leaves for the next call, and keeps the new checkpoint. Nothing is done where it has one. Errors:
 * PEER_ERR_FORMAT where the loss comes out differently, as with another program or kind of
 * processor; those of lab_run_execute(). */
enum peer_status lab_checkpoints_restore(const struct lab_campaign *campaign,
                                         const struct lab_result *result);

#endif
