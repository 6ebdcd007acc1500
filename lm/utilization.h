/* SPDX-License-Identifier: MIT */
/* Which experts are used, and how evenly (PEER paper, Sec. 3.3; Lample et al. 2019).
 *   z'_i = sum over tokens and heads of the gate of expert i,  z = z' / sum z'
 *   usage      = share of i with z_i != 0
 *   unevenness = log N + sum z_i log z_i = KL(z || uniform), in nats
 * and the same with counts of retrievals in place of gates. */
#ifndef PEER_LM_UTILIZATION_H
#define PEER_LM_UTILIZATION_H

#include "nn/ffw.h"

/* Sums over one layer. Thread-safety: one thread at a time. */
struct lm_usage {
    int64_t experts, side; /* N; n with N = n*n, or 0 */
    int64_t tokens;        /* that retrieved something */
    double *score;         /* [N], sum of gates */
    int64_t *count;        /* [N], times retrieved */
    int64_t *top1;         /* [N], times first in its head */
    void *owner;           /* internal */
};

/* Empty sums for the N of `routing`. Errors: PEER_ERR_ARGUMENT for N < 1, PEER_ERR_MEMORY. */
enum peer_status lm_usage_create(struct lm_usage **ret, struct peer_ctx *ctx,
                                 const struct peer_routing *routing);
void lm_usage_destroy(struct lm_usage **usage);

/* Adds the routing of T tokens, of the same N; ids of -1 are skipped. Gates are >= 0. */
void lm_usage_add(struct lm_usage *usage, const struct peer_routing *routing, int64_t T);

/* Of one distribution over N experts. Where there is no mass, used is 0 and the rest NaN; where
 * the mass is not finite, all is NaN. */
struct lm_usage_stats {
    double used;       /* share of experts with any mass, 0 ... 1 */
    double unevenness; /* nats, 0 ... log N */
    double gini;       /* 0 = even ... 1 - 1/N = all on one */
    /* Smallest share of experts that hold 50, 90, 99 % of the mass. */
    double hold50, hold90, hold99;
};

struct lm_usage_report {
    struct lm_usage_stats score; /* weighted by gates: the paper's */
    struct lm_usage_stats count; /* weighted by retrievals */
    double top1_used;            /* share of experts that were first in some head */
    /* Share that as many uniform draws would reach, 1 - (1 - 1/N)^draws: with replacement, although
     * the k draws of one head are distinct, so slightly low where k nears N. */
    double expected_used;
};

/* Errors: PEER_ERR_MEMORY. */
enum peer_status lm_usage_summarize(struct lm_usage_report *ret, struct peer_ctx *ctx,
                                    const struct lm_usage *usage);

#endif
