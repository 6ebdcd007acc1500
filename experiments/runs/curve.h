/* SPDX-License-Identifier: MIT */
/* A run's curve.csv: what training and evaluation lost, a row a step, no step twice.
 *   step, tokens     done so far
 *   loss             of the step's own batch, nats per token
 *   lr, grad_norm    of the step
 *   valid_loss       of the validation text after the step, nats per token; empty where it was not
 *                    measured (train.eval_every, and the last step)
 * Some 400 steps have a row, and every one that was evaluated. Files of older programs have no
 * valid_loss. */
#ifndef PEER_EXPERIMENTS_RUNS_CURVE_H
#define PEER_EXPERIMENTS_RUNS_CURVE_H

#include <stdio.h>

#include "experiments/runs/run_config.h"

struct lab_curve_file {
    struct peer_ctx *ctx;
    char path[LAB_PATH];
    int64_t eval_every; /* 0 = no step but the last is evaluated */
    int64_t row_every;  /* steps from one row to the next */
    FILE *file;
    int64_t step;  /* of the last row; -1 = there is none */
    bool measured; /* the last row has its valid_loss */
    bool opened;
    char failure[512]; /* why it cannot be written; "" = it can */
};

/* Nothing is read or written before the first lab_curve_add(). */
void lab_curve_start(struct lab_curve_file *curve, struct peer_ctx *ctx, const char *folder,
                     const struct lm_train_config *train);

/* Takes in what training tells after a step or an evaluation. The first call says where the run
 * was carried on: later rows of the file, of steps that are taken again, are removed. After
 * the first failure nothing more is written. */
void lab_curve_add(struct lab_curve_file *curve, const struct lm_train_progress *progress);

/* PEER_OK, or the first failure. */
enum peer_status lab_curve_check(const struct lab_curve_file *curve);

void lab_curve_end(struct lab_curve_file *curve);

#endif
