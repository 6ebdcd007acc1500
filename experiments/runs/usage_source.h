/* SPDX-License-Identifier: MIT */
/* Internal to experiments. Where a model's utilization comes from: the files of a run folder, or an
 * evaluation of a checkpoint. */
#ifndef PEER_EXPERIMENTS_RUNS_USAGE_SOURCE_H
#define PEER_EXPERIMENTS_RUNS_USAGE_SOURCE_H

#include "experiments/runs/run_config.h"
#include "lm/utilization.h"

struct lab_usage_block {
    int64_t block;
    struct lm_usage *usage; /* of a run folder only its counts */
    struct lm_usage_report report;
    char stem[LAB_PATH]; /* of the block's files in a run folder: "RUN/usage-1"; "" = none */
};

struct lab_usage_source {
    const char *path; /* borrowed: as given */
    int64_t tokens;   /* evaluated on; 0 = read from files */
    int64_t blocks;   /* that route */
    struct lab_usage_block *block;
};

/* Utilization at the end of the run in the folder `path`. Release with lab_usage_source_free() in
 * any case. Errors: those of lab_run_result(); PEER_ERR_FORMAT where usage-BLOCK.txt is not of as
 * many experts; PEER_ERR_ARGUMENT where no block routes; PEER_ERR_MEMORY. */
enum peer_status lab_usage_source_read(struct lab_usage_source *ret, struct peer_ctx *ctx,
                                       const char *path);

/* The text of an evaluation: as the options of `peerlab eval`. */
struct lab_usage_text {
    const char *data, *text; /* or NULL */
    int64_t tokens, length;  /* 0 = all; the model's context */
};

/* The same of a checkpoint or a run folder on a text. Errors: those of lab_checkpoint_model_open(),
 * lab_eval_text_open() and lab_eval_text_score(). */
enum peer_status lab_usage_source_evaluate(struct lab_usage_source *ret, struct peer_ctx *ctx,
                                           const char *path, const struct lab_usage_text *text);

void lab_usage_source_free(struct lab_usage_source *source);

/* The block of that number, or NULL. */
const struct lab_usage_block *lab_usage_source_find(const struct lab_usage_source *source,
                                                    int64_t block);

#endif
