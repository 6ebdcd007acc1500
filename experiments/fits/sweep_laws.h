/* SPDX-License-Identifier: MIT */
/* The joint laws of a sweep: of every variant, and of PEER variants that differ in granularity. */
#ifndef PEER_EXPERIMENTS_FITS_SWEEP_LAWS_H
#define PEER_EXPERIMENTS_FITS_SWEEP_LAWS_H

#include "experiments/fits/law_bootstrap.h"
#include "experiments/fits/minima.h"

enum {
    LAB_LAW_BUDGETS = 3, /* fewest: two give minima and their difference, never an exponent */
};

/* What N counts. */
enum lab_law_size {
    LAB_LAW_ACTIVE = 0, /* active parameters, embedding included, as Hoffmann et al. count */
    LAB_LAW_BODY,       /* without the embedding, as Kaplan et al. count */
    LAB_LAW_SIZES
};

/* "active", "active without embedding", NULL. */
extern const char *const lab_law_size_names[];

/* Where loss is least at one budget, N active parameters. The sweep's FLOPs are not 6 N D: the
 * runs' mean of FLOPs over N D at this budget stands in for the 6, so that D = budget / (flops_per
 * N). Without the embedding that ratio is far from constant, and there is no such optimum. */
struct lab_law_best {
    double budget, granularity; /* granularity: 0 for a joint law */
    double flops_per;           /* FLOPs per parameter and token, geometric mean */
    bool inside;                /* N lies among the sizes of these runs */
    bool ahead;                 /* ten times the largest budget, as if its runs' ratio held */
    struct lab_law_optimum best;
    struct lab_law_range range;
};

/* A law of one variant (joint), or of PEER variants that differ in heads and kept alone
 * (granularity). */
struct lab_sweep_law {
    const char *const *variant; /* [variants], in the order of struct lab_minima */
    int64_t variants;
    enum lab_law_size size;
    int64_t runs, budgets; /* that count */
    struct lab_law law;    /* not fitted, with a reason, below LAB_LAW_BUDGETS budgets */
    struct lab_law check;  /* of the joint law: by variable projection */
    struct lab_law_intervals intervals;
    struct lab_law_best *best; /* [points]: by budget, then granularity, and then at ten times
                                  the largest budget; none without a fit or without the embedding */
    int64_t points;
};

struct lab_sweep_laws {
    int64_t count;
    struct lab_sweep_law *law; /* joint laws, then those of granularity; by variant, then size */
    void *owner;               /* internal */
};

/* Told of the work and asked to stop; both may be NULL, and so may a pointer to this. */
struct lab_watch {
    void *user;
    void (*progress)(void *user, double done, double total); /* draws of all bootstraps */
    bool (*stop)(void *user);                                /* true: stop */
};

/* Fits the runs that lab_result_counts(). A law without embedding is there where the vocabulary is
 * known; one of granularity where PEER variants of one design have two granularities or more. The
 * intervals are of LAB_LAW_DRAWS draws of noise. Same bits for any number of threads. The minima
 * must outlive *ret. Errors: PEER_ERR_STOPPED, PEER_ERR_MEMORY; *ret is untouched then. */
enum peer_status lab_sweep_laws_create(struct lab_sweep_laws **ret, struct peer_ctx *ctx,
                                       const struct lab_minima *minima,
                                       const struct lab_result *results, int64_t count,
                                       const struct lab_watch *watch);
void lab_sweep_laws_destroy(struct lab_sweep_laws **laws);

/* "peer-16k", or "peer-a, peer-b, ..." cut where it does not fit into `size` bytes. */
void lab_sweep_law_name(char *text, int size, const struct lab_sweep_law *law);

/* Whether any law is fitted. */
bool lab_sweep_laws_any(const struct lab_sweep_laws *laws);

#endif
