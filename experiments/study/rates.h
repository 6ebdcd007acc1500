/* SPDX-License-Identifier: MIT */
/* Learning rates by a documented search. For every tuned variant and size the final validation loss
 * is measured on a grid of rates, factors of two apart, that grows until its lowest loss is inside;
 * the optimum is the vertex of the parabola through the lowest three points in log2 rate. Through
 * the optima goes the rule
 *     log2 lr = base + width_slope log2(width / width0) + budget_slope log2(budget / budget0)
 * where base and width_slope are each variant's own, from the first budget, and budget_slope is one
 * for all, from the middle size at the other budgets. The tables' own rate, relative to that, is
 * searched in the same way at the middle size, factors of four apart, and follows
 *     log2 scale = base + slope log2(N)
 * over the N of one layer type. Every probe is a run in the study's store. */
#ifndef PEER_EXPERIMENTS_STUDY_RATES_H
#define PEER_EXPERIMENTS_STUDY_RATES_H

#include "experiments/study/campaign.h"

enum { LAB_PROBES = 15, LAB_CELLS = 256 };

/* One search. */
struct lab_rate_cell {
    int variant;          /* of the study */
    bool scale;           /* of the tables' own rate; else of the learning rate */
    int64_t size, budget; /* places in tune's lists */
    double start;         /* the grid's middle */
    double factor;        /* between neighbours: 2 or 4 */
    int64_t probes;
    int64_t step[LAB_PROBES]; /* value = start * factor^step, rising */
    double loss[LAB_PROBES];  /* nats; infinite where it diverged, NaN where there is none */
    bool found;               /* the lowest is inside the grid */
    double log2_best;         /* of the vertex; of the lowest probe where not `found` */
};

struct lab_rate_rule {
    int variant; /* the tuned one */
    double base; /* log2 of the rate at width0 and budget0 */
    double width_slope;
};

struct lab_scale_rule {
    char ffw[24];
    double base, slope; /* at N = 1; of log2 N */
};

struct lab_rates {
    int64_t cells, rules, scale_rules;
    struct lab_rate_cell cell[LAB_CELLS];
    struct lab_rate_rule rule[LAB_STUDY_VARIANTS];
    struct lab_scale_rule scale_rule[8];
    double width0, budget0; /* tune's middle width and first budget */
    double budget_slope;
    double residual; /* root mean square of log2 optimum minus rule, over the lr cells */
};

/* Runs what is missing of the search and fits. The same store gives the same rates. With
 * campaign->plan_only, what is there is fitted, and the starting value stands for what is not.
 * Errors: those of lab_campaign_train(); PEER_ERR_ARGUMENT where all probes of a cell failed. */
enum peer_status lab_rates_find(struct lab_rates *ret, struct lab_campaign *campaign);

/* Sets a run's learning rate, and the tables' own where its layer has one, to three digits. */
enum peer_status lab_rates_apply(const struct lab_rates *rates, struct lab_campaign *campaign,
                                 struct lab_plan_run *run, int variant);

/* N of a run's layer with a table: memories or experts; 0 for layers without. */
double lab_run_table_size(const struct lab_run_config *config);

/* The next step to probe: 0, -1, 1, then past the edge where the loss is lowest; INT64_MAX when
 * there is none. */
int64_t lab_rate_cell_next(const struct lab_rate_cell *cell);

/* Puts a probe in its place: infinite where it diverged, NaN where it failed. */
void lab_rate_cell_insert(struct lab_rate_cell *cell, int64_t step, double loss);

/* Sets found and log2_best. */
void lab_rate_cell_fit(struct lab_rate_cell *cell);

#endif
