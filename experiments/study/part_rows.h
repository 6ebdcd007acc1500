/* SPDX-License-Identifier: MIT */
/* A part of the study, trained and collected: one row per run. Where a part has one size, every
 * variant gets all seeds, and so it is on a text of facts; where it has several, all sizes get the
 * first seed, and of each variant and budget the size with the lowest mean loss and its two
 * neighbours get the others. Runs of one size, budget and seed that differ in variant only are
 * pairs: the same backbone at the start and the same batches in the same order. */
#ifndef PEER_EXPERIMENTS_STUDY_PART_ROWS_H
#define PEER_EXPERIMENTS_STUDY_PART_ROWS_H

#include "experiments/fits/pairs.h"
#include "experiments/study/rates.h"

struct lab_part_row {
    int variant;          /* of the study */
    int64_t size, budget; /* places in the part's lists */
    int64_t seed;
    double lr, scale;                /* scale: of the tables' rate; 0 without */
    double N;                        /* experts or memories of the table; 0 without */
    int64_t heads, kept;             /* 0 without */
    char norm[12];                   /* of the queries; "" without */
    double flops_per_token;          /* to train */
    int64_t step_tokens;             /* of one step of the optimizer */
    const struct lab_result *result; /* NULL = not ended; of the campaign */
};

struct lab_part_rows {
    const struct lab_part *part;
    int64_t count;
    struct lab_part_row *row; /* [count] */
};

/* Trains what is missing, with the first `seeds` seeds of the study, or as many as the part allows;
 * with campaign->plan_only only collects, and counts. The results hold until more is trained.
 * Errors: those of lab_campaign_train(). */
enum peer_status lab_part_train(struct lab_part_rows *ret, struct lab_campaign *campaign,
                                const struct lab_rates *rates, const struct lab_part *part,
                                int64_t seeds);

/* The loss of a variant minus that of another at a size and budget, in pairs. */
struct lab_effect lab_part_effect(const struct lab_part_rows *rows, int variant, int base,
                                  int64_t size, int64_t budget);

/* The loss of a variant minus that of another in all pairs at a budget; `ret` takes up to
 * rows->count. Returns their number. */
int64_t lab_part_pairs(struct lab_pair *ret, const struct lab_part_rows *rows, int variant,
                       int base, int64_t budget);

/* The part's runs of the study's first seed, with their rates. Free with lab_plan_free(). */
enum peer_status lab_part_plan(struct lab_plan *ret, struct lab_campaign *campaign,
                               const struct lab_rates *rates, const struct lab_part *part);

/* Makes the text of facts of a part where it is not there yet. Errors: those of lab_facts_make().
 */
enum peer_status lab_part_make_text(struct lab_campaign *campaign, const struct lab_part *part);
void lab_part_rows_free(struct lab_part_rows *rows);

/* Whether a row's run is finished, with a finite loss. */
bool lab_row_done(const struct lab_part_row *row);

/* Mean loss of the finished runs of a variant at a size and budget, and their number; NaN and 0
 * without any. */
double lab_part_mean(const struct lab_part_rows *rows, int variant, int64_t size, int64_t budget,
                     int64_t *count);

/* The finished run of a variant, size, budget and seed; NULL = none. */
const struct lab_part_row *lab_part_find(const struct lab_part_rows *rows, int variant,
                                         int64_t size, int64_t budget, int64_t seed);

#endif
