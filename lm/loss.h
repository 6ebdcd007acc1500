/* SPDX-License-Identifier: MIT */
/* Internal. Logits and cross-entropy: for a scored token with target j
 *   loss = log sum_v exp(x . E_v) - x . E_j   nats
 * A token whose target is -1 is not scored. The T x V logits never exist as a whole: they are made
 * and used in chunks of tokens. */
#ifndef PEER_LM_LOSS_H
#define PEER_LM_LOSS_H

#include "nn/context.h"

struct lm_loss {
    int64_t vocab, width; /* V, D */
    const float *embed;   /* [V, D] */
    float *logits;        /* scratch [lm_loss_scratch(V, most tokens)] */
    float *dx;            /* [T, D] or NULL: gradient of the mean loss over scored tokens */
    float *dembed;        /* [V, D], or NULL, and always so without dx: the same; written, not added
                             to */
};

/* Floats for the logits of one chunk of up to `tokens` tokens. */
int64_t lm_loss_scratch(int64_t V, int64_t tokens);

/* Writes losses [T], 0 where not scored, and the gradients that are set. Returns the
 * sum of the losses and writes the number of scored tokens. x [T, D], targets [T]. */
double lm_loss_forward(const struct peer_ctx *ctx, int64_t *scored, float *losses,
                       const struct lm_loss *loss, const float *x, const int32_t *targets,
                       int64_t T);

/* Writes logits [V] of one token x [D]. */
void lm_loss_logits(const struct peer_ctx *ctx, float *logits, const struct lm_loss *loss,
                    const float *x);

#endif
