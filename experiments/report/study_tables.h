/* SPDX-License-Identifier: MIT */
/* Internal. The tables of the study's report, as files results/NAME.csv of a stage. */
#ifndef PEER_EXPERIMENTS_STUDY_TABLES_H
#define PEER_EXPERIMENTS_STUDY_TABLES_H

#include "experiments/report/stage.h"
#include "experiments/report/study_view.h"

/* Errors: PEER_ERR_IO. */
enum peer_status lab_study_tables(struct lab_stage *stage, const struct lab_study_report *report);

/* Of study_runs_table.c: runs.csv, of all parts or, with `part` >= 0, of one. */
void lab_study_runs_table(FILE *file, const struct lab_findings *findings, int64_t part);

/* Of study_rates_table.c. */
void lab_study_probes_table(FILE *file, const struct lab_findings *findings);
void lab_study_optima_table(FILE *file, const struct lab_findings *findings);

/* The search for the study's text (`which` < 0), or a part's own on its text of facts, or NULL. */
const struct lab_rates *lab_study_rates(const struct lab_findings *findings, int64_t which);

/* What the rule says for a cell: the learning rate at its width and budget, or the tables' own for
 * its table's size; NaN without a rule. */
double lab_study_ruled(const struct lab_findings *findings, const struct lab_rates *rates,
                       const struct lab_rate_cell *cell);

#endif
