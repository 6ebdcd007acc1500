/* SPDX-License-Identifier: MIT */
/* Internal to experiments. The measures of a block's utilization as a list: tables for people, CSV
 * and JSON go through it. */
#ifndef PEER_EXPERIMENTS_RUNS_USAGE_MEASURES_H
#define PEER_EXPERIMENTS_RUNS_USAGE_MEASURES_H

#include <jansson.h>

#include "lm/utilization.h"

struct lab_measure {
    const char *name; /* as in utilization.csv; NULL ends the list */
    const char *label;
    bool share; /* shown as a percentage */
    size_t offset;
};

extern const struct lab_measure lab_measures[];

double lab_measure_of(const struct lm_usage_report *report, const struct lab_measure *measure);

/* The value in a column of 11 characters, "-" where it is NaN; `sign`: a difference, of shares in
 * percentage points. */
void lab_measure_print(FILE *file, double value, bool share, bool sign);

/* A number, or null for NaN. */
json_t *lab_measure_json(double value);

/* {name: value, ...} of all measures; NULL without memory. */
json_t *lab_measures_json(const struct lm_usage_report *report);

#endif
