/* SPDX-License-Identifier: MIT */
/* Runs whose law is known. */
#ifndef PEER_TESTS_SUPPORT_LAW_CASE_H
#define PEER_TESTS_SUPPORT_LAW_CASE_H

#include "experiments/fits/law.h"

enum { LAW_CASE_MOST = 256 };

struct law_case {
    struct lab_law_run run[LAW_CASE_MOST];
    int64_t count;
};

/* What a law with these constants would report. */
struct lab_law law_case_of(enum lab_law_form form, const double *value);

/* `budgets` budgets from `flops` on, each four times the one before; `sizes` sizes within a factor
 * of 4 of that budget's optimum; `seeds` seeds; the granularity law at 1, 2, 4 and 8. The log of
 * each loss gets normal noise of deviation `noise`. */
struct law_case law_case_make(const struct lab_law *truth, double flops, int budgets, int sizes,
                              int seeds, double noise, uint64_t seed);

#endif
