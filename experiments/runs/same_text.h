/* SPDX-License-Identifier: MIT */
/* Internal to experiments. Whether a text is the one that a finished run was trained on. */
#ifndef PEER_EXPERIMENTS_RUNS_SAME_TEXT_H
#define PEER_EXPERIMENTS_RUNS_SAME_TEXT_H

#include "experiments/runs/run_config.h"
#include "experiments/sweeps/results.h"

void lab_text_mark(struct lab_text_mark *ret, const struct lm_dataset *data);

/* Whether the text of `config` is that of the run which has ended in `folder`, by what its
 * result.json says; one that says nothing fits any. Errors: those of lm_dataset_open();
 * PEER_ERR_ARGUMENT with both numbers or checksums; PEER_ERR_IO, PEER_ERR_FORMAT of result.json. */
enum peer_status lab_same_text(struct peer_ctx *ctx, const char *folder,
                               const struct lab_run_config *config);

#endif
