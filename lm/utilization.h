/* SPDX-License-Identifier: MIT */
/* Which experts are used, and how evenly (PEER paper, Sec. 3.3; Lample et al. 2019).
 *   z'_i = sum over tokens and heads of the gate of expert i,  z = z' / sum z'
 *   usage      = share of i with z_i != 0
 *   unevenness = log N + sum z_i log z_i = KL(z || uniform), in nats
 * and the same with counts of retrievals in place of gates. Of the counts n_i, the load, also what
 * mixtures of few experts are judged by: entropy, coefficient of variation, highest load, and which
 * share of the choices a capacity dropped. */
#ifndef PEER_LM_UTILIZATION_H
#define PEER_LM_UTILIZATION_H

#include "nn/layers/ffw.h"

/* Sums over one layer. Thread-safety: one thread at a time. */
struct lm_usage {
    int64_t experts, side; /* N; n with N = n*n, or 0 */
    int64_t tokens;        /* that retrieved something */
    int64_t present;       /* tokens that are not padding */
    int64_t offered;       /* choices of these, H k each; 0 where experts choose tokens */
    double *score;         /* [N], sum of gates */
    int64_t *count;        /* [N], times retrieved */
    int64_t *top1;         /* [N], times first in its head */
    double overlap;        /* sum over tokens of the share of its experts that heads share */
    int64_t *last;         /* [N], internal: who retrieved it last */
    void *owner;           /* internal */
};

/* Empty sums for the N of `routing`. Errors: PEER_ERR_ARGUMENT for N < 1, PEER_ERR_MEMORY. */
enum peer_status lm_usage_create(struct lm_usage **ret, struct peer_ctx *ctx,
                                 const struct peer_routing *routing);
void lm_usage_destroy(struct lm_usage **usage);

/* Back to empty sums. */
void lm_usage_clear(struct lm_usage *usage);

/* Adds the routing of T tokens, of the same N. inputs [T]: the model's, where < 0 is padding, which
 * counts nowhere; NULL = no padding. An id of -1 is a choice that was offered and found no room.
 * Gates are >= 0. */
void lm_usage_add(struct lm_usage *usage, const struct peer_routing *routing, const int32_t *inputs,
                  int64_t T);

/* Of one distribution over N experts. Where there is no mass, used is 0 and the rest NaN; where
 * the mass is not finite, all is NaN. */
struct lm_usage_stats {
    double used;       /* share of experts with any mass, 0 ... 1 */
    double unevenness; /* nats, 0 ... log N */
    double gini;       /* 0 = even ... 1 - 1/N = all on one */
    /* Smallest share of experts that hold 50, 90, 99 % of the mass. */
    double hold50, hold90, hold99;
};

/* Of the counts n_i, q_i = n_i / sum n, mean m = sum n / N. Without retrievals all but the last two
 * are NaN. */
struct lm_usage_load {
    double entropy;       /* -sum q_i log q_i, nats, 0 ... log N */
    double entropy_share; /* entropy / log N; 1 for N = 1 */
    double cv;            /* sqrt(mean (n_i - m)^2) / m, of the population, 0 ... sqrt(N - 1) */
    double peak;          /* max n_i / m, 1 ... N */
    double dropped;       /* share of the offered choices that found no room; NaN without any */
    double unserved;      /* share of the tokens, padding aside, that no expert serves; NaN without
                             any */
};

struct lm_usage_report {
    struct lm_usage_stats score; /* weighted by gates: the paper's */
    struct lm_usage_stats count; /* weighted by retrievals */
    struct lm_usage_load load;
    double top1_used; /* share of experts that were first in some head */
    /* Share that as many uniform draws would reach, 1 - (1 - 1/N)^draws: with replacement, although
     * the k draws of one head are distinct, so slightly low where k nears N. */
    double expected_used;
    /* Of the distinct experts that a token retrieves, the share that more than one of its heads
     * retrieves: mean over the tokens that retrieve something, 0 ... 1; 0 for one head, NaN without
     * retrievals. */
    double head_overlap;
};

/* Errors: PEER_ERR_MEMORY. */
enum peer_status lm_usage_summarize(struct lm_usage_report *ret, struct peer_ctx *ctx,
                                    const struct lm_usage *usage);

enum { LM_LORENZ_POINTS = 101 };

/* Lorenz curve: ret[i] is the share of the mass on the least loaded i % of the experts, i = 0 ...
 * 100, linear between whole experts; the Gini index is twice the area between it and the diagonal.
 * Sorts `mass` [N], which is >= 0. Where there is no mass, or it is not finite, all is NaN. */
void lm_usage_lorenz(double *ret, double *mass, int64_t N);

#endif
