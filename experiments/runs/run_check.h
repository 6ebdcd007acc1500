/* SPDX-License-Identifier: MIT */
/* What can be said of a run before anything is allocated or written: `peerlab train` refuses a run
 * by these checks, and `peerlab info` asks the same. */
#ifndef PEER_EXPERIMENTS_RUNS_RUN_CHECK_H
#define PEER_EXPERIMENTS_RUNS_RUN_CHECK_H

#include "experiments/facts/probe.h"
#include "experiments/runs/run_config.h"
#include "lm/dataset.h"

/* The data of a run: its vocabulary is the run's, there is a sequence to train on, and facts, where
 * the text is made of them (*facts is NULL otherwise), can be asked for. What was opened before an
 * error is the caller's to close. Errors: PEER_ERR_IO, PEER_ERR_FORMAT, PEER_ERR_ARGUMENT,
 * PEER_ERR_MEMORY. */
enum peer_status lab_run_open_data(struct lm_dataset *data, struct lab_facts **facts,
                                   struct peer_ctx *ctx, const struct lab_run_config *config);

/* Bytes that training takes in memory: weights, gradients, activations, optimizer. SIZE_MAX on
 * overflow. */
size_t lab_run_memory(const struct lab_run_config *config, const struct lm_config *model);

/* The model with the vocabulary `vocab`, and whether it can be trained so: sizes that do not fit
 * together or are too many, and memory beyond what the machine, or the container, has in all. What
 * moments of tables take in the end is not refused: many rows may never be used.
 * Errors: PEER_ERR_ARGUMENT, PEER_ERR_MEMORY with both numbers. */
enum peer_status lab_run_check(struct lm_config *model, struct peer_ctx *ctx,
                               const struct lab_run_config *config, int64_t vocab);

#endif
