/* SPDX-License-Identifier: MIT */
/* A run: a self-contained folder.
 *   run.yaml                what it is (experiments/runs/run_config.h)
 *   card.md                 the same and how it went, in words and numbers, once it has ended
 *   tokenizer/              of its text, so that it can be used without that (run_tokenizer.h)
 *   checkpoint.safetensors  where it stands
 *   result.json             how it ended; there once it has ended
 *   table-BLOCK, .undo      with `tables: mapped`: a block's table, and what takes it back to the
 *                           step of the checkpoint (lm/tables.h)
 *   curve.csv               loss over the training (experiments/runs/curve.h)
 *   usage-BLOCK.txt         retrievals of each expert on the validation text: n lines of n numbers
 *   usage-BLOCK-lorenz.csv  share of the mass against share of the experts, least loaded first
 *   usage-BLOCK.csv, .used, -maps.txt  with train.usage_points: utilization over the training
 *                           (experiments/runs/usage_track.h)
 * Folders can be moved between machines and merged. */
#ifndef PEER_EXPERIMENTS_RUNS_RUN_H
#define PEER_EXPERIMENTS_RUNS_RUN_H

#include "experiments/runs/run_config.h"
#include "experiments/runs/weights_in.h"
#include "experiments/sweeps/results.h"

/* What a caller may watch. Every pointer may be NULL. */
struct lab_run_watch {
    void *user;
    void (*progress)(void *user, const struct lm_train_progress *progress, double flops_per_token);
    bool (*stop)(void *user);
    void (*taken)(void *user, const char *path, const struct lab_weights_told *told); /* weights
                             that another program wrote: experiments/runs/weights_in.h */
    bool patient;                  /* waits for another process that trains in the folder */
    const char *command, *program; /* for card.md; NULL = not told */
    bool discard; /* leaves no checkpoint behind once the run has ended, only its result */
};

/* Opens the data, trains (resuming where the folder has a checkpoint, else from the weights of
 * config->init, which must hold every one by name and shape, unless another program wrote them),
 * evaluates, asks for the facts of a text of facts (experiments/facts/), writes result.json. A
 * folder that holds result.json of a finished run is left as it is. The folder is made if it is not
 * there, and locked: a second process gets PEER_ERR_IO, unless it is patient. What is wrong with
 * the run, its data or the memory it needs is found before anything is written, and an empty folder
 * is left as it was. Fields on which no weight depends (evaluation, checkpoints, names) may change
 * from one call to the next. Errors:
 * PEER_ERR_STOPPED after a requested stop, with a checkpoint written; PEER_ERR_ARGUMENT where the
 * folder is another run's, with the fields that differ, the data do not fit, or init has changed or
 * another vocabulary; PEER_ERR_FORMAT where a checkpoint does not fit, with both shapes;
 * PEER_ERR_IO, PEER_ERR_MEMORY.
 */
enum peer_status lab_run_execute(struct peer_ctx *ctx, const struct lab_run_config *config,
                                 const char *folder, const struct lab_run_watch *watch);

/* Reads result.json into a row (id 0). `ret->usage` is malloc()ed: lab_result_free(). Errors:
 * PEER_ERR_IO where there is none, PEER_ERR_FORMAT. */
enum peer_status lab_run_result(struct lab_result *ret, struct peer_ctx *ctx, const char *folder);

void lab_result_free(struct lab_result *result);

#endif
