/* SPDX-License-Identifier: MIT */
/* A model rebuilt from a checkpoint alone. */
#ifndef PEER_EXPERIMENTS_RUNS_CHECKPOINT_MODEL_H
#define PEER_EXPERIMENTS_RUNS_CHECKPOINT_MODEL_H

#include "experiments/runs/run_config.h"
#include "lm/run_state.h"

struct lab_checkpoint_model {
    struct lm_model *model;   /* for evaluation only */
    struct lm_tables *tables; /* mapped ones, which lie beside the checkpoint; else NULL */
    struct lm_config config;
    _Alignas(16) unsigned char ffw_config[LAB_FFW_CONFIG_BYTES];
    char path[LAB_PATH];      /* of the checkpoint */
    char data[LAB_PATH];      /* folder it was trained on; "" = not known */
    char tokenizer[LAB_PATH]; /* what its run keeps of that (run_tokenizer.h); "" = nothing */
    struct lm_run_origin origin;
    struct lm_data_config text;
};

/* The checkpoint that `path` is, or that the run folder `path` has. */
void lab_checkpoint_path(char ret[LAB_PATH], const char *path);

/* `path` is a checkpoint or a run folder that has one; the model takes batches of `sequences` full
 * contexts. `table`: the type its tables are converted to, by name (nn/tables/table.h), NULL =
 * their own. Errors: PEER_ERR_ARGUMENT for no such type, no table, or a mapped one, which is not
 * converted; PEER_ERR_IO where a mapped table is being trained; PEER_ERR_FORMAT where it has
 * changed since the checkpoint; those of lm_run_model(), lm_tables_open(), lm_model_create(),
 * lm_checkpoint_load().
 */
enum peer_status lab_checkpoint_model_open(struct lab_checkpoint_model *ret, struct peer_ctx *ctx,
                                           const char *path, int64_t sequences, const char *table);
void lab_checkpoint_model_close(struct lab_checkpoint_model *loaded);

#endif
