/* SPDX-License-Identifier: MIT */
/* Internal to experiments. A run's card.md: what the model is, for who finds the folder later. */
#ifndef PEER_EXPERIMENTS_RUNS_RUN_CARD_H
#define PEER_EXPERIMENTS_RUNS_RUN_CARD_H

#include "experiments/runs/run_config.h"
#include "experiments/sweeps/results.h"
#include "lm/dataset.h"

struct lab_run_card {
    const struct lab_run_config *config;
    const struct lm_dataset *data;
    const struct lab_result *result;
    const char *command, *program; /* that trained it, and its version; NULL = not told */
    bool discarded;                /* no checkpoint stays */
};

/* Writes FOLDER/card.md: variant and sizes, parameters, data, tokens, loss, how it was made.
 * Errors: PEER_ERR_IO, PEER_ERR_MEMORY. */
enum peer_status lab_run_card_write(struct peer_ctx *ctx, const char *folder,
                                    const struct lab_run_card *card);

#endif
