/* SPDX-License-Identifier: MIT */
/* `peerlab eval --ensemble`: several checkpoints as one model. */
#ifndef PEER_EXPERIMENTS_RUNS_ENSEMBLE_H
#define PEER_EXPERIMENTS_RUNS_ENSEMBLE_H

#include "nn/context.h"

struct lab_ensemble {
    char *const *paths;      /* [models] checkpoints or run folders */
    int64_t models;          /* >= 1 */
    const char *data, *text; /* as in lab_eval_text_open(), of the first model; may be NULL */
    int64_t tokens;          /* 0 = all */
    int64_t length;          /* 0 = the shortest context */
    const char *table; /* type of the tables, NULL = as trained; see lab_checkpoint_model_open() */
};

/* Prints each model's result and the ensemble's. Errors: PEER_ERR_ARGUMENT with both files and both
 * numbers where vocabularies differ, or for a length above a model's context; those of
 * lab_checkpoint_model_open(), lab_eval_text_open() and lm_ensemble_evaluate(). */
enum peer_status lab_ensemble_eval(struct peer_ctx *ctx, const struct lab_ensemble *ensemble);

#endif
