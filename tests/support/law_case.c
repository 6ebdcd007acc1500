/* SPDX-License-Identifier: MIT */
#include "tests/support/law_case.h"

#include <criterion/criterion.h>
#include <math.h>

#include "nn/random.h"

struct lab_law law_case_of(enum lab_law_form form, const double *value)
{
    struct lab_law law = {.form = form, .fitted = true, .reason = "", .note = ""};
    for (int c = 0; c < LAB_LAW_CONSTANTS; c++)
        law.value[c] = c < lab_law_constants(form) ? value[c] : NAN;
    return law;
}

struct law_case law_case_make(const struct lab_law *truth, double flops, int budgets, int sizes,
                              int seeds, double noise, uint64_t seed)
{
    struct law_case made;
    int granularities = truth->form == LAB_LAW_GRANULARITY ? 4 : 1;
    float normal[LAW_CASE_MOST];
    peer_fill_normal(normal, LAW_CASE_MOST, 0, 1, seed, peer_stream("law_case"));
    made.count = (int64_t)budgets * sizes * seeds * granularities;
    cr_assert_leq(made.count, LAW_CASE_MOST);
    for (int64_t i = 0; i < made.count; i++) {
        int64_t place = i / seeds, size = place % sizes, budget = place / sizes % budgets;
        double granularity = (double)(1 << (place / sizes / budgets));
        double spent = flops * pow(4, (double)budget);
        double best = lab_law_at(truth, spent, 1).params;
        double params = round(best * pow(4, 2.0 * (double)size / (sizes - 1) - 1));
        struct lab_law_run run = {params, spent / 6 / params, granularity, 0};
        run.loss = lab_law_loss(truth, run.params, run.tokens, granularity) *
                   exp(noise * (double)normal[i]);
        made.run[i] = run;
    }
    return made;
}
