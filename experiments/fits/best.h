/* SPDX-License-Identifier: MIT */
/* How the best of several choices moves with a setting: "the best h grows with h k". Losses that
 * are not finite, of runs that diverged, count nowhere. */
#ifndef PEER_EXPERIMENTS_FITS_BEST_H
#define PEER_EXPERIMENTS_FITS_BEST_H

#include "experiments/fits/interval.h"
#include "nn/context.h"

/* One run of a choice (h) made in a setting (h k), both counts of 1 or more. */
struct lab_choice_run {
    double setting, choice;
    uint64_t seed;
    double loss;
};

enum { LAB_BEST_CHOICES = 3, LAB_BEST_DRAWS = 1000 };

/* How the best choice, that with the lowest mean loss, moves with the setting. */
struct lab_best {
    int64_t settings; /* with LAB_BEST_CHOICES choices or more that a seed ran all of */
    int64_t edges;    /* of them: the best choice is at the edge of those tried */
    int64_t seeds;    /* fewest complete seeds of a setting that counts */
    double slope;     /* of log best choice on log setting; NaN with fewer than two settings */
    struct lab_interval interval;
    const char *note; /* why there is no slope or no interval */
};

/* Whether a choice better than this one may lie beyond those tried, `fewest` to `most`: none lies
 * below 1. */
bool lab_best_at_edge(double choice, double fewest, double most);

/* A seed counts in a setting where it has every choice that any seed of that setting has; its
 * level there cancels. The interval comes from LAB_BEST_DRAWS draws of the means: each gets the
 * mean of as many deviations (run - seed's mean - choice's mean + mean, unbiased in variance) as
 * there are seeds, drawn from all settings and widened for few degrees of freedom. Without a
 * second seed anywhere there is none. The same runs, order and `seed` give the same bits.
 * Errors: PEER_ERR_MEMORY; *ret is untouched then. */
enum peer_status lab_best_slope(struct lab_best *ret, struct peer_ctx *ctx,
                                const struct lab_choice_run *run, int64_t count, uint64_t seed);

#endif
