/* SPDX-License-Identifier: MIT */
/* Joint laws of loss over sizes and tokens, fitted to runs of several budgets at once:
 *     joint        E + A / N^alpha + B / D^beta                    Hoffmann et al. 2022, approach 3
 *     granularity  E + (g / G^gamma + A) / N^alpha + B / D^beta    Krajewski et al. 2024, eq. 9
 * with N active parameters, D tokens, G the granularity. */
#ifndef PEER_EXPERIMENTS_FITS_LAW_H
#define PEER_EXPERIMENTS_FITS_LAW_H

#include "experiments/fits/interval.h"
#include "nn/context.h"

/* An E, A, B or g below it, in nats, is 0: the fit went to its bound, at which it has no effect. */
#define LAB_LAW_ZERO 1e-6

enum lab_law_form { LAB_LAW_JOINT = 0, LAB_LAW_GRANULARITY };

/* The constants; the joint law has the first five. */
enum lab_law_constant {
    LAB_LAW_E = 0,
    LAB_LAW_A,
    LAB_LAW_B,
    LAB_LAW_ALPHA,
    LAB_LAW_BETA,
    LAB_LAW_G,
    LAB_LAW_GAMMA,
    LAB_LAW_CONSTANTS
};

/* "E", "A", "B", "alpha", "beta", "g", "gamma", NULL. */
extern const char *const lab_law_names[];

/* Constants of a form: 5 or 7. */
int lab_law_constants(enum lab_law_form form);

struct lab_law;

/* Whether a constant of a law that was fitted lies at its bound: it is shown as 0, not as the tiny
 * number where the search ended. */
bool lab_law_at_bound(const struct lab_law *law, enum lab_law_constant constant);

/* What was trained, and what came out. Runs whose loss is not finite and > 0 do not count. */
struct lab_law_run {
    double params, tokens;
    double granularity; /* read by the granularity law alone */
    double loss;        /* nats */
};

/* Constant texts are never NULL; "" = nothing to say. */
struct lab_law {
    enum lab_law_form form;
    int64_t runs, settings; /* settings: distinct N, D and granularity; seeds of one are averaged */
    bool fitted;
    const char *reason;              /* why not */
    double value[LAB_LAW_CONSTANTS]; /* NaN where not fitted or not of this form */
    double huber; /* sum over settings of Huber's loss, delta = LAB_LAW_DELTA, of log residuals */
    double rms;   /* of the log residuals */
    double condition; /* how hard the constants are to tell apart: of the Jacobian of the log losses
                         by the logs of E, A, B, g and the exponents, taken at the settings' centre,
                         columns scaled to length 1 */
    int64_t starts, agree; /* searches; those that end within 1e-6 of the lowest objective */
    const char *note;      /* a constant that the runs do not bound */
};

#define LAB_LAW_DELTA 1e-3

/* Fits a law to the mean log loss of each setting: the objective is Huber's loss of
 *     log-sum-exp(log E, log A - alpha log N, ...) - mean log loss,
 * summed, in the logs of E, A, B, g and in the exponents. BFGS from the best start at each of 25
 * (joint) or 75 pairs or triples of exponents in a grid like Hoffmann's (E: e^-1 ... e^1, A and B:
 * 1 ... e^25, exponents 0 ... 2), run until rounding stops it; the lowest end counts.
 * Not fitted, with a reason: as many constants as settings or more; fewer than 3 N, D or (for its
 * law) granularities; N and D on one line, as in runs of one budget; constants that cannot be told
 * apart. Errors: PEER_ERR_MEMORY; *ret is untouched then. */
enum peer_status lab_law_fit(struct lab_law *ret, struct peer_ctx *ctx, enum lab_law_form form,
                             const struct lab_law_run *run, int64_t count);

/* The joint law by variable projection, as a check that shares neither the minimiser nor the
 * objective: Nelder-Mead over (alpha, beta) alone, E, A, B >= 0 by least squares of the relative
 * residuals at each. Fields as above. */
enum peer_status lab_law_vpnls(struct lab_law *ret, struct peer_ctx *ctx,
                               const struct lab_law_run *run, int64_t count);

/* The law's loss; NaN where it was not fitted. */
double lab_law_loss(const struct lab_law *law, double params, double tokens, double granularity);

/* Where loss is least at flops = 6 N D (of `granularity`, which the joint law ignores): N as
 * (alpha A' / (beta B))^(1 / (alpha + beta)) * (flops / 6)^exponent, A' = g / G^gamma + A. NaN
 * where not fitted, or an exponent is not > 0. */
struct lab_law_optimum {
    double params, tokens, loss;
    double exponent; /* of N on flops: beta / (alpha + beta) */
};

struct lab_law_optimum lab_law_at(const struct lab_law *law, double flops, double granularity);

#endif
