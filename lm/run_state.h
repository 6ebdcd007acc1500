/* SPDX-License-Identifier: MIT */
/* What a checkpoint of training says of its run, as metadata:
 *   model, train    configs as JSON text (lm/model_json.h)
 *   data            {"name", "vocab", "tokens", "crc32"} of the training text, as JSON text
 *   freeze          name of what stood still (lm/model.h); older ones have none and mean none
 *   tables          where they lie (lm/model.h), if not in memory
 *   vocabulary      CRC-32 of what the ids stand for, where that is known
 *   skipped         steps of these that were passed over (lm/train.h); older ones say nothing: 0
 *   step, position  steps done; training sequences read (lm_corpus_batch)
 *   seconds         of training */
#ifndef PEER_LM_RUN_STATE_H
#define PEER_LM_RUN_STATE_H

#include <jansson.h>

#include "lm/dataset.h"
#include "lm/model.h"
#include "lm/train.h"

struct lm_run_state {
    int64_t step, position;
    int64_t skipped; /* of the steps */
    double seconds;
};

/* What a run is. Borrowed. */
struct lm_run {
    const struct lm_config *model;
    const struct lm_train_config *train;
    const struct lm_dataset *data;
};

/* Fields of the training on which no weight depends, so that they may change while a run goes on;
 * ends with NULL. */
extern const char *const lm_train_unread[];

/* A new object, to be json_decref()ed. Errors: PEER_ERR_MEMORY. */
enum peer_status lm_run_metadata(json_t **ret, struct peer_ctx *ctx, const struct lm_run *run,
                                 const struct lm_run_state *state);

/* The state in the checkpoint at `path`, which must be of this run: the same model, data, frozen
 * part, and training but for nonfinite, eval_every, eval_tokens, usage_points, usage_tokens and
 * checkpoint_seconds, on which no weight depends; the name of the data does not matter. Errors:
 * those of lm_checkpoint_metadata(); PEER_ERR_FORMAT naming the first field that differs, with both
 * values. */
enum peer_status lm_run_state_read(struct lm_run_state *ret, struct peer_ctx *ctx, const char *path,
                                   const struct lm_run *run);

/* What a checkpoint says of its weights to a run that starts from them. */
struct lm_run_origin {
    int64_t vocab;       /* V of its model */
    char vocabulary[16]; /* checksum of what the ids stand for; "" = not known */
    char data[64];       /* name of its text; "" = not known */
    char crc32[16];      /* of the tensors */
    int64_t step;        /* steps of training; 0 = none, or not known */
    bool mapped;         /* its tables are in files of their own */
};

/* Errors: those of lm_checkpoint_metadata(); PEER_ERR_FORMAT where its metadata have no model. */
enum peer_status lm_run_origin(struct lm_run_origin *ret, struct peer_ctx *ctx, const char *path);

/* The config of the model in the checkpoint at `path`, from which lm_model_create() and
 * lm_checkpoint_load() rebuild it, once lm_tables_open() has opened mapped tables; `ffw_config` as
 * in lm_config_from_json(). Errors: those of lm_checkpoint_metadata(), lm_config_from_json() and
 * lm_config_check(). */
enum peer_status lm_run_model(struct lm_config *ret, void *ffw_config, size_t ffw_bytes,
                              struct peer_ctx *ctx, const char *path);

#endif
