/* SPDX-License-Identifier: MIT */
/* Internal. A text cut into windows side by side, each token but the first scored once. */
#ifndef PEER_LM_WINDOWS_H
#define PEER_LM_WINDOWS_H

#include "lm/eval.h"

struct lm_windows {
    const char *who; /* begins the errors */
    const struct lm_corpus *corpus;
    const struct lm_vocabulary *vocabulary; /* may be NULL */
    int64_t tokens;                         /* to score; 0 = all */
    int64_t length;                         /* S */
    int64_t sequences;                      /* most windows of a pass */
    bool (*stop)(void *user);               /* asked before each pass; may be NULL */
    void *user;
};

/* Scores B windows of S tokens, inputs and targets [B, S] as in lm_model_forward(), of which the
 * first is window `first` of the text: returns the summed loss and writes the number of scored
 * positions. */
typedef double lm_windows_score(void *scorer, int64_t *scored, const int32_t *inputs,
                                const int32_t *targets, int64_t first, int64_t B, int64_t S);

/* How many windows the text is cut into. */
int64_t lm_windows_count(const struct lm_windows *windows);

/* Whether the numbers are in range; `context` is the longest window that the models take. Errors:
 * PEER_ERR_ARGUMENT. */
enum peer_status lm_windows_check(struct peer_ctx *ctx, const struct lm_windows *windows,
                                  int64_t context);

/* Checks, and scores the text pass by pass. Errors: those of lm_evaluate(). */
enum peer_status lm_windows_run(struct lm_eval_result *ret, struct peer_ctx *ctx,
                                const struct lm_windows *windows, int64_t context,
                                lm_windows_score *score, void *scorer);

/* What a summed loss comes to; its error is NaN. */
struct lm_eval_result lm_windows_result(double loss, int64_t tokens, int64_t bytes);

#endif
