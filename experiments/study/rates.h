/* SPDX-License-Identifier: MIT */
/* Learning rates by a documented search. For every tuned variant and size the final validation loss
 * is measured on a grid of rates, factors of two apart, that grows until its lowest loss is inside;
 * the optimum is the vertex of the parabola through the lowest three points in log2 rate. Through
 * the optima goes the rule
 *     log2 lr = base + width_slope log2(width / width0) + budget_slope log2(budget / budget0)
 * where base and width_slope are each variant's own, from the first budget, and budget_slope is one
 * for all, from the middle size at the other budgets. The tables' own rate, relative to that, is
 * searched in the same way at the middle size and every budget, factors of four apart, and follows
 *     log2 scale = base + slope log2(N) + budget_slope log2(budget / budget0)
 * for one layer type: base and slope from the first budget, budget_slope from the others. Every
 * probe is a run in the study's store. Once found, rules are kept there and stay, whatever the
 * study gains later; new variants get rules of their own. */
#ifndef PEER_EXPERIMENTS_STUDY_RATES_H
#define PEER_EXPERIMENTS_STUDY_RATES_H

#include "experiments/study/campaign.h"
#include "experiments/study/rate_cell.h"

enum { LAB_CELLS = 256, LAB_SCALE_RULES = 8 };

struct lab_rate_rule {
    int variant; /* the tuned one */
    double base; /* log2 of the rate at width0 and budget0 */
    double width_slope;
    bool pinned; /* as an earlier search fitted it */
};

struct lab_scale_rule {
    char ffw[24];
    double base, slope;  /* at N = 1 and budget0; of log2 N */
    double budget_slope; /* of log2(budget / budget0) */
};

struct lab_rates {
    struct lab_part tune; /* what was searched: variants, sizes, budgets */
    int64_t cells, rules, scale_rules;
    struct lab_rate_cell cell[LAB_CELLS];
    struct lab_rate_rule rule[LAB_STUDY_VARIANTS];
    struct lab_scale_rule scale_rule[LAB_SCALE_RULES];
    double width0, budget0; /* tune's middle width and first budget */
    double budget_slope;
    bool pinned;     /* the three above are those of an earlier search */
    double residual; /* root mean square of log2 optimum minus rule, over the lr cells */
};

/* Runs what is missing of the search and fits. With
 * campaign->plan_only, what is there is fitted, and the starting value stands for what is not.
 * Errors: those of lab_campaign_train(); PEER_ERR_ARGUMENT where all probes of a cell failed. */
enum peer_status lab_rates_find(struct lab_rates *ret, struct lab_campaign *campaign);

/* The same for a part on a text of facts, whose rates need not be those of the study's text: the
 * tuned variants that its variants refer to, at its own sizes and first budget. The tables' own
 * rates are searched before the learning rate, at that with which the part begins, for each of
 * these variants; over N they follow the slope of `rates`. */
enum peer_status lab_rates_find_own(struct lab_rates *ret, struct lab_campaign *campaign,
                                    const struct lab_part *part, const struct lab_rates *rates);

/* Sets a run's learning rate, and the tables' own where its layer has one, to three digits. */
enum peer_status lab_rates_apply(const struct lab_rates *rates, struct lab_campaign *campaign,
                                 struct lab_plan_run *run, int variant);

/* N of a run's layer with a table: memories or experts; 0 for layers without. */
double lab_run_table_size(const struct lab_run_config *config);

/* Of rate_pins.c: takes over what the store keeps, its width0, budget0 and budget_slope or all of
 * it; keeps what there is now. */
enum peer_status lab_rates_pin_origin(struct lab_rates *rates, struct lab_campaign *campaign);
enum peer_status lab_rates_pin(struct lab_rates *rates, struct lab_campaign *campaign);
enum peer_status lab_rates_keep(const struct lab_rates *rates, struct lab_campaign *campaign);

/* Of rate_rules.c: the rules through the cells' optima; through those of the scales, which begin at
 * cell `first`. */
void lab_rates_fit_rules(struct lab_rates *rates);
void lab_rates_fit_scales(struct lab_rates *rates, const struct lab_study *study, int64_t first);

/* Scale rules go through the optimum that a cell found for their layer type, with the slope that
 * they have. */
void lab_rates_move_scales(struct lab_rates *rates, const struct lab_study *study);

/* The rule of a layer type's tables, or NULL. */
const struct lab_scale_rule *lab_rates_scale(const struct lab_rates *rates, const char *ffw);

#endif
