/* SPDX-License-Identifier: MIT */
/* One run of a plan: a size and a variant out of a YAML file, with as many tokens as a budget pays
 * for by the model's own count of FLOPs; and the list of such runs. */
#ifndef PEER_EXPERIMENTS_SWEEPS_PLAN_RUN_H
#define PEER_EXPERIMENTS_SWEEPS_PLAN_RUN_H

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
    char data[LAB_PATH], data_name[LAB_PATH]; /* as it is opened; as the file calls it, or "" */
    int64_t threads;                          /* per run. Default 1 */
    int64_t count, capacity;
    struct lab_plan_run *runs; /* [count] */
    char *text;                /* the file as given; NULL = none */
};

void lab_plan_free(struct lab_plan *plan);

/* Where a run's fields come from. Borrowed. */
struct lab_recipe {
    const struct lab_yaml_node *head;    /* model, train, init, freeze of every run */
    const struct lab_yaml_node *size;    /* {width, blocks, heads, train, init} */
    const struct lab_yaml_node *variant; /* {name, ffw, options, sparse_at, train, init, freeze} */
    const char *data;                    /* prepared folder */
    const char *data_name;               /* as the file calls it; NULL = so */
    int64_t vocab;
};

/* A run without its budget, which lab_plan_run_budget() sets, and with the default seed. Errors: as
 * lab_yaml_open(), with file, line and field. */
enum peer_status lab_plan_run_read(struct lab_plan_run *ret, struct peer_ctx *ctx,
                                   const struct lab_recipe *recipe);

/* Steps, tokens, FLOPs and memory for a budget. Errors: a budget that does not pay for one step, or
 * pays for too many, names budget, variant, size and the bound; at the place of `blame`, or, where
 * that is NULL, at none. */
enum peer_status lab_plan_run_budget(struct lab_plan_run *run, struct peer_ctx *ctx, double budget,
                                     const struct lab_yaml_node *blame);

/* A run holds a pointer into itself. */
void lab_plan_run_copy(struct lab_plan_run *ret, const struct lab_plan_run *run);

/* Errors: PEER_ERR_ARGUMENT for more than 100,000 runs, PEER_ERR_MEMORY. */
enum peer_status lab_plan_append(struct lab_plan *plan, struct peer_ctx *ctx,
                                 const struct lab_plan_run *run);

/* Orders the runs: most FLOPs first. */
void lab_plan_sort(struct lab_plan *plan);

#endif
