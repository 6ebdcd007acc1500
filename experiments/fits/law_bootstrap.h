/* SPDX-License-Identifier: MIT */
/* How far the constants of a law are known: bootstrap intervals. */
#ifndef PEER_EXPERIMENTS_FITS_LAW_BOOTSTRAP_H
#define PEER_EXPERIMENTS_FITS_LAW_BOOTSTRAP_H

#include "experiments/fits/law.h"

enum { LAB_LAW_DRAWS = 1000 };

/* What a draw of the bootstrap is. */
enum lab_law_resample {
    /* The law's own log losses plus noise, which is taken to be alike at all settings:
     *     residuals   r_i / sqrt(1 - leverage_i) of a setting drawn at random, with a random sign;
     *     seed noise  for a setting with n seeds the mean of n deviations from settings' means,
     *                 drawn from all settings with two seeds or more, each times sqrt(n / (n - 1));
     * weighed against each other and widened for few degrees of freedom as in fit.h. */
    LAB_LAW_NOISE = 0,
    /* As many settings as there are, drawn with replacement: for noise that differs between
     * settings. Too wide for few of them. */
    LAB_LAW_SETTINGS,
};

/* Where the optimum is asked for. */
struct lab_law_point {
    double flops, granularity; /* as lab_law_at() */
};

struct lab_law_bootstrap {
    enum lab_law_resample resample;
    int64_t draws; /* >= 1; LAB_LAW_DRAWS or more for intervals worth printing */
    uint64_t seed;
    const struct lab_law_point *point;
    int64_t points;
    void *user;
    void (*progress)(void *user, int64_t done, int64_t draws); /* may be NULL */
    bool (*stop)(void *user);                                  /* may be NULL; true: stop */
};

struct lab_law_intervals {
    int64_t draws, lost; /* lost: draws whose search ended at no finite value */
    struct lab_interval value[LAB_LAW_CONSTANTS];
    struct lab_interval exponent; /* of the optimum's N on flops */
    const char *note;             /* what they rest on, or why there are none */
};

/* Of the optimum at a point. */
struct lab_law_range {
    struct lab_interval params, tokens, loss;
};

/* The intervals of `law`, which lab_law_fit() or lab_law_vpnls() made of these same runs, and of
 * its optima, ranges [points]: each draw is fitted by lab_law_fit()'s objective from the law's
 * constants on. Unknown where the law is not fitted. Same bits for any number of threads. Errors:
 * PEER_ERR_ARGUMENT (draws), PEER_ERR_STOPPED, PEER_ERR_MEMORY; *ret and ranges are untouched then.
 */
enum peer_status lab_law_intervals(struct lab_law_intervals *ret, struct lab_law_range *ranges,
                                   struct peer_ctx *ctx, const struct lab_law *law,
                                   const struct lab_law_run *run, int64_t count,
                                   const struct lab_law_bootstrap *config);

#endif
