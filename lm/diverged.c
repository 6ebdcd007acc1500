/* SPDX-License-Identifier: MIT */
#include "lm/diverged.h"

#include <stdio.h>

#include "nn/params/finite.h"

enum { PLACE = 128 };

bool lm_diverged_parameter(char *reason, const struct peer_params *list, int64_t step)
{
    struct peer_nonfinite found = peer_params_nonfinite(list);
    if (found.param)
        snprintf(reason, LM_REASON, "step %lld: %s is not finite (first at index %lld)",
                 (long long)step, found.param->name, (long long)found.index);
    return found.param != NULL;
}

/* A parameter is the cause where it is not finite; else the place where a value first overflows. */
void lm_diverged_loss(char *reason, const struct lm_model *model, int64_t step)
{
    char place[PLACE];
    if (lm_diverged_parameter(reason, lm_model_params(model), step))
        return;
    bool found = lm_model_nonfinite(model, place, sizeof place);
    snprintf(reason, LM_REASON, "step %lld: the loss is not finite%s%s%s", (long long)step,
             found ? " (first in " : "", found ? place : "", found ? ")" : "");
}

void lm_diverged_gradient(char *reason, const struct lm_model *model, int64_t step, double norm)
{
    struct peer_nonfinite found = peer_params_nonfinite_grad(lm_model_params(model));
    if (found.param)
        snprintf(reason, LM_REASON, "step %lld: gradient of %s is not finite (first at index %lld)",
                 (long long)step, found.param->name, (long long)found.index);
    else
        snprintf(reason, LM_REASON, "step %lld: the gradient's norm is %g, whose square overflows",
                 (long long)step, norm);
}

bool lm_diverged_silent(char *reason, const struct lm_model *model, int64_t step, double loss,
                        double norm)
{
    if (norm != 0 || !(loss > 0) || lm_model_config(model)->freeze != LM_FREEZE_NONE)
        return false;
    snprintf(reason, LM_REASON,
             "step %lld: every gradient is exactly 0 though the loss is %g: values have vanished "
             "or overflowed",
             (long long)step, loss);
    return true;
}
