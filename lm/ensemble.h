/* SPDX-License-Identifier: MIT */
/* Evaluation of several models as one, whose probability of a token is the mean of theirs:
 *   loss = -log (1/M) sum_m p_m(token) = log M - log sum_m exp(-loss_m)
 * which is at most the mean of the M losses (Jensen). */
#ifndef PEER_LM_ENSEMBLE_H
#define PEER_LM_ENSEMBLE_H

#include "lm/eval.h"

/* The loss of one token from those of `models` >= 1 models, in nats. Exact where some p_m is 0
 * (loss infinite); NaN where a loss is. */
double lm_ensemble_loss(const double *losses, int64_t models);

/* As lm_evaluate(), of `models` >= 1 models with one vocabulary: *ret is the ensemble's result and
 * each [models] that of each model alone. No window is longer than the shortest context. Errors:
 * those of lm_evaluate(); PEER_ERR_ARGUMENT with both sizes where vocabularies differ; *ret and
 * each are untouched then. */
enum peer_status lm_ensemble_evaluate(struct lm_eval_result *ret, struct lm_eval_result *each,
                                      struct peer_ctx *ctx, struct lm_model *const *list,
                                      int64_t models, const struct lm_corpus *corpus,
                                      const struct lm_vocabulary *vocabulary, int64_t tokens,
                                      int64_t length, int64_t sequences, bool (*stop)(void *user),
                                      void *user);

#endif
