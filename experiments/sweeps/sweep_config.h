/* SPDX-License-Identifier: MIT */
/* A sweep as a YAML file, and the runs it stands for: budgets x sizes x variants x seeds, each with
 * as many tokens as its budget pays for by the model's own count of FLOPs. */
#ifndef PEER_EXPERIMENTS_SWEEPS_SWEEP_CONFIG_H
#define PEER_EXPERIMENTS_SWEEPS_SWEEP_CONFIG_H

#include "experiments/runs/run_config.h"

struct lab_plan_run {
    struct lab_run_config config;
    double flops;           /* that the run will spend: within one step of the budget */
    double flops_per_token; /* to train */
    int64_t tokens;
    size_t memory; /* bytes, estimated */
};

struct lab_plan {
    char name[64];
    char data[LAB_PATH];
    int64_t threads; /* per run. Default 1 */
    int64_t count;
    struct lab_plan_run *runs; /* [count], most FLOPs first */
    char *text;                /* the file as given */
};

/* Reads the file, opens the data for its vocabulary, and expands. Errors: as lab_yaml_open(), with
 * file, line and field; a budget that does not pay for one step names budget, variant, size and the
 * least budget that would. */
enum peer_status lab_plan_read(struct lab_plan *ret, struct peer_ctx *ctx, const char *path);
void lab_plan_free(struct lab_plan *plan);

/* An annotated example file. */
extern const char lab_sweep_example[];

#endif
