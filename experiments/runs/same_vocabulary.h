/* SPDX-License-Identifier: MIT */
/* Internal to experiments. Whether token ids mean to a text what they mean to a model. */
#ifndef PEER_EXPERIMENTS_RUNS_SAME_VOCABULARY_H
#define PEER_EXPERIMENTS_RUNS_SAME_VOCABULARY_H

#include "lm/run_state.h"

/* The ids of `folder`, of which `vocab` and `vocabulary` (NULL = not known) tell, must mean what
 * they mean to the checkpoint at `path`; where one of the two does not say what they mean, their
 * number must agree. Errors: PEER_ERR_ARGUMENT with both names and both numbers or checksums. */
enum peer_status lab_same_vocabulary(struct peer_ctx *ctx, const char *path,
                                     const struct lm_run_origin *origin, const char *folder,
                                     int64_t vocab, const struct lm_vocabulary *vocabulary);

/* The same of two checkpoints. */
enum peer_status lab_same_vocabularies(struct peer_ctx *ctx, const char *path,
                                       const struct lm_run_origin *origin, const char *other_path,
                                       const struct lm_run_origin *other);

#endif
