/* SPDX-License-Identifier: MIT */
/* Internal to experiments. In which fields two runs differ. */
#ifndef PEER_EXPERIMENTS_RUNS_CONFIG_DIFFERENCE_H
#define PEER_EXPERIMENTS_RUNS_CONFIG_DIFFERENCE_H

#include "experiments/runs/run_config.h"

/* Writes "train.lr = 0.001, here 0.002; train.seed = 1, here 2" to text[size], as much as fits, ""
 * where they are equal: every field of their files but those that `is_free` names ("train.lr").
 * Errors: PEER_ERR_MEMORY. */
enum peer_status lab_config_difference(char *text, size_t size, struct peer_ctx *ctx,
                                       const struct lab_run_config *kept,
                                       const struct lab_run_config *mine,
                                       bool (*is_free)(const char *field));

#endif
