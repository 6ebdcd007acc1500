/* SPDX-License-Identifier: MIT */
/* A sweep as a YAML file, and the runs it stands for: budgets x sizes x variants x seeds, each with
 * as many tokens as its budget pays for by the model's own count of FLOPs. */
#ifndef PEER_EXPERIMENTS_SWEEPS_SWEEP_CONFIG_H
#define PEER_EXPERIMENTS_SWEEPS_SWEEP_CONFIG_H

#include "experiments/sweeps/plan_run.h"

/* Reads the file, opens the data for its vocabulary, and expands. Errors: as lab_yaml_open(), with
 * file, line and field; a budget that does not pay for one step names budget, variant, size and the
 * least budget that would. */
enum peer_status lab_plan_read(struct lab_plan *ret, struct peer_ctx *ctx, const char *path);

/* An annotated example file. */
extern const char lab_sweep_example[];

#endif
