/* SPDX-License-Identifier: MIT */
#include "lm/spread.h"

#include <math.h>

void lm_spread_add(struct lm_spread *spread, int64_t window, double loss, double tokens)
{
    int64_t blocks = spread->windows < LM_SPREAD_BLOCKS ? spread->windows : LM_SPREAD_BLOCKS;
    int64_t block = window * blocks / spread->windows;
    spread->loss[block] += loss;
    spread->tokens[block] += tokens;
}

double lm_spread_of(const double *loss, const double *tokens, int64_t parts)
{
    double sum = 0, all = 0, squares = 0, used = 0;
    for (int64_t i = 0; i < parts; i++) {
        sum += loss[i];
        all += tokens[i];
        used += tokens[i] > 0;
    }
    for (int64_t i = 0; i < parts; i++) {
        double off = loss[i] - sum / all * tokens[i];
        squares += off * off;
    }
    return used < 2 ? NAN : sqrt(used / (used - 1) * squares) / all;
}

double lm_spread_error(const struct lm_spread *spread)
{
    return lm_spread_of(spread->loss, spread->tokens, LM_SPREAD_BLOCKS);
}
