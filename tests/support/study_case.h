/* SPDX-License-Identifier: MIT */
/* Findings of a study that was never run. */
#ifndef PEER_TESTS_SUPPORT_STUDY_CASE_H
#define PEER_TESTS_SUPPORT_STUDY_CASE_H

#include "experiments/report/study_report.h"

struct study_case {
    struct peer_ctx *ctx;
    struct lab_study *study;
    struct lab_findings *findings;
    struct lab_result *results; /* [count], of all rows */
    int64_t count, capacity;
    struct lab_sweep_info info;
    struct lab_study_report report;
};

struct study_case_config {
    int seeds; /* of every row; 0 = nothing is done */
    int sizes; /* of the parts with several: 2 or more */
    bool lost; /* a run failed, one diverged, one is missing in every part */
};

/* A part per figure and table, one of facts and one named "own/part"; a variant's name and a
 * failure's message are hostile. Asserts that it succeeds. */
struct study_case study_case_make(const struct study_case_config *config);
void study_case_free(struct study_case *made);

/* The variant with that name. */
#define STUDY_CASE_HOSTILE "<b>\"x\", |y`"

#endif
