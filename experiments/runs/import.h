/* SPDX-License-Identifier: MIT */
/* A model with weights of another program in it: experiments/runs/weights_in.h, as a folder that a
 * run starts from. */
#ifndef PEER_EXPERIMENTS_RUNS_IMPORT_H
#define PEER_EXPERIMENTS_RUNS_IMPORT_H

#include "experiments/runs/weights_in.h"

/* Takes `path` into the model of `into`, a run file (whose model is drawn from its seed), a run's
 * folder or a checkpoint, and writes OUT/checkpoint.safetensors and, where its text is known,
 * OUT/start.yaml. Nothing is written on an error. Errors: those of lab_weights_in(),
 * lab_run_config_read(), lab_run_open_data(), lab_checkpoint_model_open(),
 * lab_start_folder_write(). */
enum peer_status lab_import(struct lab_weights_told *ret, struct peer_ctx *ctx, const char *path,
                            const char *into, const struct lab_weights_in *options,
                            const char *out);

#endif
