/* SPDX-License-Identifier: MIT */
/* Internal. Cross-entropy of lm/loss.h as plain loops. */
#ifndef PEER_LM_LOSS_REF_H
#define PEER_LM_LOSS_REF_H

#include "nn/real.h"

/* Writes losses [T] and probabilities [T, V] of tokens x [T, D] under embed [V, D]; returns the
 * sum of the losses and writes the number of scored tokens. */
real REF(lm_loss_forward)(int64_t *scored, real *losses, real *probabilities, const real *x,
                          const real *embed, const int32_t *targets, int64_t T, int64_t V,
                          int64_t D);

/* Writes dx [T, D] and dembed [V, D], gradients of the mean loss over scored tokens. */
void REF(lm_loss_backward)(real *dx, real *dembed, const real *probabilities, const real *x,
                           const real *embed, const int32_t *targets, int64_t T, int64_t V,
                           int64_t D);

#endif
