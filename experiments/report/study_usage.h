/* SPDX-License-Identifier: MIT */
/* Internal. Utilization over the training of a study's runs: one run per setting, of the numbers of
 * experts (fig3a) and of the norms with the most experts (table2). Maps are of the fewest and the
 * most experts: they take room. */
#ifndef PEER_EXPERIMENTS_STUDY_USAGE_H
#define PEER_EXPERIMENTS_STUDY_USAGE_H

#include "experiments/report/study_view.h"
#include "experiments/report/usage_timeline.h"

enum { LAB_STUDY_TRACKS = 12 };

/* The first sparse block of one run. Shares are of its experts. */
struct lab_study_track {
    struct lab_track track;
    char stem[LAB_STAGE_PATH];
    int64_t seed;
    int64_t most_step, last_step;
    double first, most, last; /* retrieved: before training, where it was most, at the end */
    double born_dead, died;   /* at the end: never retrieved; retrieved before, not now */
    double top1, overlap;     /* at the end */
};

struct lab_study_usage {
    int64_t count;
    struct lab_study_track track[LAB_STUDY_TRACKS];
    struct lab_tracked drawn;
};

/* Finds the first finished run of every setting that tracked its utilization, and writes the tables
 * of lab_track_tables() into results/; none where there is no such run. Errors: PEER_ERR_IO,
 * PEER_ERR_MEMORY. */
enum peer_status lab_study_usage_tables(struct lab_study_usage *ret, struct lab_stage *stage,
                                        const struct lab_study_report *report);

#endif
