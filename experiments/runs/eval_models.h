/* SPDX-License-Identifier: MIT */
/* Checkpoints that are evaluated together: one, or several as one model. */
#ifndef PEER_EXPERIMENTS_RUNS_EVAL_MODELS_H
#define PEER_EXPERIMENTS_RUNS_EVAL_MODELS_H

#include "experiments/runs/checkpoint_model.h"
#include "nn/pool.h"

enum { LAB_EVAL_SEQUENCES = 8 /* full contexts of a pass */ };

struct lab_eval_models {
    struct peer_pool pool;
    struct lab_checkpoint_model *loaded; /* [count] */
    struct lm_model **list;              /* [count] */
    int64_t count;
    int64_t length; /* of windows: what was asked for, or the shortest context */
};

/* Opens `count` >= 1 checkpoints or run folders. `length` = 0: the shortest context; `table`: as in
 * lab_checkpoint_model_open(). *ret is zeroed before; close it in any case. Errors:
 * PEER_ERR_ARGUMENT with both files and both numbers or checksums where vocabularies differ, or for
 * a length above a model's context; PEER_ERR_MEMORY; those of lab_checkpoint_model_open(). */
enum peer_status lab_eval_models_open(struct lab_eval_models *ret, struct peer_ctx *ctx,
                                      char *const *paths, int64_t count, int64_t length,
                                      const char *table);
void lab_eval_models_close(struct lab_eval_models *models);

/* The folder by whose tokenizer texts are read: `data`, or where that is NULL the tokenizer that
 * the run keeps, or the prepared folder that `loaded` was trained on: that alone, where its
 * held-out part is asked for. Errors: PEER_ERR_ARGUMENT where it is not known, PEER_ERR_IO where it
 * is gone.
 */
enum peer_status lab_eval_folder(const char **ret, struct peer_ctx *ctx,
                                 const struct lab_checkpoint_model *loaded, const char *data,
                                 bool held_out);

#endif
