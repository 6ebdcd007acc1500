/* SPDX-License-Identifier: MIT */
/* Internal. What tables, figures and page of the study's report have in common. */
#ifndef PEER_EXPERIMENTS_STUDY_VIEW_H
#define PEER_EXPERIMENTS_STUDY_VIEW_H

#include "experiments/report/html.h"
#include "experiments/report/study_report.h"

enum { LAB_STUDY_NAME = 48, LAB_STUDY_TABLES = 12 };

/* Names of the tables results/NAME.csv that belong to no part. */
extern const char *const lab_study_table_names[LAB_STUDY_TABLES];

/* A part's name as that of a file: itself, unless it is taken or has more than letters, digits, '-'
 * and '_'. */
void lab_study_file_name(char name[LAB_STUDY_NAME], const struct lab_study *study, int64_t part);

/* "missing" or the run's state. */
const char *lab_study_state(const struct lab_part_row *row);

/* The variant that another of the part is held against, or -1: where queries of some are not
 * normed, the one that differs in nothing else; else the part's first. */
int lab_study_base(const struct lab_part_rows *rows, int variant);

/* A variant's first row; NULL = none. */
const struct lab_part_row *lab_study_row(const struct lab_part_rows *rows, int variant);

/* What there is to learn of a part's text of facts, in bits. */
double lab_study_facts_bits(const struct lab_part *part);

/* "+0.0123 to +0.0456", "" where it is not known. */
void lab_study_interval_text(char text[64], int digits, struct lab_interval interval);

#endif
