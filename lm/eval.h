/* SPDX-License-Identifier: MIT */
/* Evaluation: loss in nats per token, perplexity, bits per byte, and routing statistics. */
#ifndef PEER_LM_EVAL_H
#define PEER_LM_EVAL_H

#include "lm/dataset.h"
#include "lm/model.h"
#include "lm/utilization.h"

/* Empty sums for every block of the model that routes, in usage [blocks], which is NULL throughout
 * before; each to be destroyed, in any case. Errors: PEER_ERR_MEMORY. */
enum peer_status lm_usage_of_model(struct lm_usage **usage, struct peer_ctx *ctx,
                                   const struct lm_model *model);

struct lm_eval_result {
    int64_t tokens;       /* scored */
    int64_t bytes;        /* of text they stand for; 0 = unknown */
    double nats;          /* mean loss per token */
    double nats_error;    /* its standard error: over documents, or over up to 64 blocks of the
                             text; NaN for a single one */
    double perplexity;    /* exp(nats) */
    double bits_per_byte; /* nats * tokens / (bytes ln 2); NaN where bytes are unknown */
};

/* Scores the first `tokens` (0 = all) tokens of `corpus` in windows of `length`, `sequences`
 * windows a pass, of which the model must hold as many tokens; the first token of the stream is
 * only read. Bytes are those of the scored tokens in `vocabulary`, which may be NULL. Where `usage`
 * is not NULL (one per block, NULL entries skipped) routing is added to it. `stop` is asked before
 * each pass, and may be NULL. Errors: PEER_ERR_ARGUMENT, PEER_ERR_MEMORY, PEER_ERR_STOPPED; *ret is
 * untouched then. */
enum peer_status lm_evaluate(struct lm_eval_result *ret, struct peer_ctx *ctx,
                             struct lm_model *model, const struct lm_corpus *corpus,
                             const struct lm_vocabulary *vocabulary, int64_t tokens, int64_t length,
                             int64_t sequences, struct lm_usage *const *usage,
                             bool (*stop)(void *user), void *user);

#endif
