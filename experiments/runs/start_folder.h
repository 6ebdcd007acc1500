/* SPDX-License-Identifier: MIT */
/* Internal to experiments. A folder that a run starts from: a model's weights as a checkpoint of no
 * steps, and a run that names it as its init. */
#ifndef PEER_EXPERIMENTS_RUNS_START_FOLDER_H
#define PEER_EXPERIMENTS_RUNS_START_FOLDER_H

#include "experiments/runs/run_config.h"

/* Whether `out` can be such a folder: asked before any work. Errors: PEER_ERR_ARGUMENT where it is
 * too long a name, has a checkpoint, or is the folder of something else. */
enum peer_status lab_start_folder_check(struct peer_ctx *ctx, const char *out);

/* Makes the folder and writes OUT/start.yaml (`run` with its init; NULL = none), OUT/tokenizer
 * (from what another run keeps in the folder `tokenizer`; "" = none), then
 * OUT/checkpoint.safetensors, with the checksum `vocabulary` of what ids mean ("" = not known).
 * Errors: PEER_ERR_IO, PEER_ERR_MEMORY, those of lm_checkpoint_save(); there is no checkpoint then.
 */
enum peer_status lab_start_folder_write(struct peer_ctx *ctx, const char *out,
                                        const struct lm_model *model, const char *vocabulary,
                                        const char *tokenizer, const struct lab_run_config *run);

#endif
