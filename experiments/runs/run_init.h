/* SPDX-License-Identifier: MIT */
/* Internal to experiments. The weights that a run starts from: those of another run, or of another
 * program (experiments/runs/weights_in.h), whose file has no vocabulary and no tensors' checksum,
 * so that its own stands for it. */
#ifndef PEER_EXPERIMENTS_RUNS_RUN_INIT_H
#define PEER_EXPERIMENTS_RUNS_RUN_INIT_H

#include "experiments/runs/run_config.h"
#include "experiments/runs/weights_in.h"
#include "lm/dataset.h"

/* Sets config->init_crc32 to what the run in `folder` began with, or, where it is new, to that of
 * the checkpoint that config->init names. Errors: PEER_ERR_ARGUMENT with both sums where that
 * checkpoint is not (any more) the one that was meant; those of lm_run_origin(), but a run that has
 * a checkpoint of its own goes on where init is gone, and one that has ended asks for nothing. */
enum peer_status lab_run_init_pin(struct lab_run_config *config, struct peer_ctx *ctx,
                                  const char *folder);

/* Whether the weights are of the data's vocabulary. Errors: PEER_ERR_ARGUMENT naming both texts
 * where they are not; those of lm_run_origin(). */
enum peer_status lab_run_init_check(struct peer_ctx *ctx, const struct lab_run_config *config,
                                    const struct lm_dataset *data);

/* Loads the weights into `params`, all by name and shape; of another program's file, of which *told
 * says what came of it (0 tensors: it is no such file), what it has. Errors: as check; those of
 * lm_checkpoint_load() and lab_weights_in(). */
enum peer_status lab_run_init_load(struct lab_weights_told *told, struct peer_ctx *ctx,
                                   const struct lab_run_config *config,
                                   const struct lm_dataset *data, const struct peer_params *params);

#endif
