/* SPDX-License-Identifier: MIT */
/* What a checkpoint knows of a text of facts, for people. */
#ifndef PEER_EXPERIMENTS_RUNS_EVAL_FACTS_H
#define PEER_EXPERIMENTS_RUNS_EVAL_FACTS_H

#include "experiments/runs/checkpoint_model.h"

/* Asks `loaded` for the facts of `folder` (NULL = where it was trained) in windows of `length`
 * tokens, and prints bits learned, per parameter and, where the run's result is beside the
 * checkpoint, per FLOP of training. Prints nothing where the folder is none of facts. Errors: those
 * of lab_facts_open() and lab_facts_ask_lm(). */
enum peer_status lab_eval_facts(struct peer_ctx *ctx, const struct lab_checkpoint_model *loaded,
                                const char *folder, int64_t length, bool (*stop)(void *user));

#endif
