/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>

#include "lm/spread.h"

/* Losses 2, 6, 7 of 1, 2, 3 tokens: mean 15 / 6 = 2.5; off by -0.5, 1, -0.5; squares 1.5, times
 * 3 / 2, root 1.5, over 6 tokens 0.25. A part without tokens changes nothing. */
Test(spread, is_worked_out_by_hand)
{
    const double loss[] = {2, 0, 6, 7}, tokens[] = {1, 0, 2, 3};
    cr_expect_float_eq(lm_spread_of(loss, tokens, 4), 0.25, 1e-15);
    cr_expect(isnan(lm_spread_of(loss, tokens, 2)), "one part has no spread");
}

/* Of equal parts it is the standard error of their mean. */
Test(spread, of_equal_parts_is_the_error_of_a_mean)
{
    double loss[50], tokens[50], sum = 0, squares = 0;
    for (int i = 0; i < 50; i++) {
        loss[i] = 7 * sin(i * i);
        tokens[i] = 7;
        sum += loss[i] / 7;
    }
    for (int i = 0; i < 50; i++)
        squares += pow(loss[i] / 7 - sum / 50, 2);
    cr_expect_float_eq(lm_spread_of(loss, tokens, 50), sqrt(squares / 49 / 50), 1e-14);
}

/* Blocks lie side by side and hold windows evenly; fewer windows are a block each. */
Test(spread, blocks_are_runs_of_windows)
{
    struct lm_spread spread = {.windows = 160};
    for (int64_t w = 0; w < 160; w++)
        lm_spread_add(&spread, w, (double)w, 1);
    for (int b = 0, w = 0; b < LM_SPREAD_BLOCKS; b++) {
        double loss = 0;
        cr_expect(spread.tokens[b] == 2 || spread.tokens[b] == 3, "%g", spread.tokens[b]);
        for (int i = 0; i < (int)spread.tokens[b]; i++)
            loss += w++;
        cr_expect_eq(spread.loss[b], loss);
    }
    struct lm_spread few = {.windows = 3};
    const double loss[] = {2, 6, 7}, tokens[] = {1, 2, 3};
    for (int i = 0; i < 3; i++)
        lm_spread_add(&few, i, loss[i], tokens[i]);
    cr_expect_float_eq(lm_spread_error(&few), lm_spread_of(loss, tokens, 3), 1e-15);
}
