/* SPDX-License-Identifier: MIT */
/* Internal to lm. What is wrong with a step, in words that name the step and the first value. */
#ifndef PEER_LM_DIVERGED_H
#define PEER_LM_DIVERGED_H

#include "lm/train.h"

/* Each writes `reason` [LM_REASON]; `step` counts from 1. */

/* After the forward pass whose loss, or auxiliary loss, is not finite. */
void lm_diverged_loss(char *reason, const struct lm_model *model, int64_t step);

/* While the gradients are there. */
void lm_diverged_gradient(char *reason, const struct lm_model *model, int64_t step, double norm);

/* Whether a value of the list is not finite. */
bool lm_diverged_parameter(char *reason, const struct peer_params *list, int64_t step);

/* Whether every gradient is exactly 0 though there is something to learn. */
bool lm_diverged_silent(char *reason, const struct lm_model *model, int64_t step, double loss,
                        double norm);

#endif
