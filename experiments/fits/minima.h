/* SPDX-License-Identifier: MIT */
/* A sweep's results by variant and budget: the fits, their minima, and how far each variant is from
 * dense. */
#ifndef PEER_EXPERIMENTS_FITS_MINIMA_H
#define PEER_EXPERIMENTS_FITS_MINIMA_H

#include "experiments/fits/akima.h"
#include "experiments/fits/fit.h"
#include "experiments/sweeps/results.h"

/* What a loss is held against. */
enum lab_axis { LAB_ACTIVE = 0, LAB_TOTAL, LAB_AXIS_COUNT };

/* "active", "total", NULL. */
extern const char *const lab_axis_names[];

/* Minimum loss minus that of the base, in nats; NaN and a note where one of them has no minimum. */
struct lab_difference {
    double value;
    struct lab_interval interval;
    const char *note; /* never NULL */
};

/* One variant at one budget. */
struct lab_curve {
    const char *variant, *ffw;
    double budget;
    int64_t states[LAB_STATE_COUNT]; /* runs by state */
    int64_t seeds;                   /* most finished seeds of one size */
    const struct lab_result *best;   /* finished run with the lowest loss; NULL = none */
    struct lab_fit fit[LAB_AXIS_COUNT];
    struct lab_akima akima[LAB_AXIS_COUNT]; /* of the same points */
    const struct lab_curve *base; /* the dense variant with the lowest minimum at this budget;
                                     itself for that one; NULL where there is none */
    struct lab_difference difference[LAB_AXIS_COUNT];
};

struct lab_minima {
    int64_t variants, budgets;
    const char **variant;    /* [variants]: dense first, then by type, small before large */
    double *budget;          /* [budgets], rising */
    struct lab_curve *curve; /* [budgets, variants] */
    void *owner;             /* internal */
};

/* Whether fits may use a result: done, with a finite loss. */
bool lab_result_counts(const struct lab_result *result);

/* Fits every variant at every budget. Runs count that are done, with a finite loss. The results
 * must outlive *ret. Errors: PEER_ERR_MEMORY. */
enum peer_status lab_minima_create(struct lab_minima **ret, struct peer_ctx *ctx,
                                   const struct lab_result *results, int64_t count);
void lab_minima_destroy(struct lab_minima **minima);

/* The curve a result belongs to. */
const struct lab_curve *lab_minima_find(const struct lab_minima *minima,
                                        const struct lab_result *result);

#endif
