/* SPDX-License-Identifier: MIT */
/* Evaluation of documents one by one, by one model or by several as one: no document is context of
 * another, the first token of each is scored after the id that ends documents, and that id itself
 * is never scored, so that all bytes of the text are paid for and nothing else is.
 *
 * A document of n > S tokens is scored in rolling windows: side by side, the last one moved back to
 * be S tokens long, of which only those not scored before count. The last S tokens of a document
 * thus see the most that the context holds. */
#ifndef PEER_LM_DOCUMENTS_H
#define PEER_LM_DOCUMENTS_H

#include "lm/eval.h"

struct lm_documents {
    const struct lm_corpus *corpus;         /* documents, each ended by `end`; empty ones pass */
    const struct lm_vocabulary *vocabulary; /* may be NULL: bytes are unknown */
    int32_t end;                            /* 0 ... V-1 */
    const int32_t *tails; /* [documents that are not empty] number of last tokens looked at apart, 0
                           * = none; NULL = of no document */
    int64_t tokens;       /* score the first so many, cutting a document if need be; 0 = all */
    int64_t length;       /* S, 1 ... the shortest context */
    bool (*stop)(void *user); /* asked before each pass; may be NULL */
    void *user;
};

struct lm_documents_result {
    struct lm_eval_result text;
    int64_t documents;      /* scored, the last perhaps in part */
    int64_t longer;         /* of them, with more than S tokens */
    int64_t tails;          /* scored whole */
    double tail_nats;       /* mean over them of a tail's summed loss; NaN without */
    double tail_nats_error; /* its standard error; NaN for fewer than two */
    double tail_exact; /* share of them whose every token was the most likely, given the true ones
                        * before it; ties go to the lower id; NaN without */
};

/* Writes ret [models + 1]: each of `models` >= 1 models with one vocabulary, then the mean of their
 * probabilities (lm/ensemble.h). Passes are filled with windows of like length up to the tokens
 * that every model holds. Where `usage` is not NULL (one per block, NULL entries skipped) the first
 * model's routing of scored tokens is added to it. Errors: PEER_ERR_ARGUMENT, also where nothing is
 * to be scored; PEER_ERR_MEMORY, PEER_ERR_STOPPED; ret is untouched then. */
enum peer_status lm_documents_evaluate(struct lm_documents_result *ret, struct peer_ctx *ctx,
                                       struct lm_model *const *list, int64_t models,
                                       const struct lm_documents *documents,
                                       struct lm_usage *const *usage);

#endif
