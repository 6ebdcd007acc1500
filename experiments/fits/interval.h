/* SPDX-License-Identifier: MIT */
/* Intervals: what every estimate of this folder carries. */
#ifndef PEER_EXPERIMENTS_FITS_INTERVAL_H
#define PEER_EXPERIMENTS_FITS_INTERVAL_H

#include <stdbool.h>
#include <stdint.h>

#define LAB_FIT_LEVEL 0.90 /* of every interval */

/* Both ends are finite where `known`; NaN otherwise. */
struct lab_interval {
    bool known;
    double low, high;
};

/* What stands where there is nothing to build an interval from. */
struct lab_interval lab_interval_unknown(void);

/* center -+ error * Student's quantile; unknown where one of them is not finite or freedom <= 0. */
struct lab_interval lab_interval_student(double center, double error, double freedom);

/* The central interval of `draws`, whose NaN lie half below and half above all others. Sorts them.
 * Unknown where an end falls among the NaN. */
struct lab_interval lab_interval_draws(double *draws, int64_t count);

/* Student's quantile over the normal one: what widens noise known with few degrees of freedom. */
double lab_interval_widening(double freedom);

/* Degrees of freedom of the sum of two variances, each with its own (Satterthwaite 1946). A part
 * without degrees of freedom does not count; 0 where neither does or the sum is 0. */
double lab_satterthwaite(double first, double first_freedom, double second, double second_freedom);

#endif
