/* SPDX-License-Identifier: MIT */
/* Power: which difference a number of paired seeds can show, told from the seeds' measured noise
 * before hours are spent. A difference is shown where its interval at LAB_FIT_LEVEL excludes zero
 * on the right side. */
#ifndef PEER_EXPERIMENTS_FITS_POWER_H
#define PEER_EXPERIMENTS_FITS_POWER_H

#include "experiments/fits/interval.h"

#define LAB_POWER 0.80 /* chance to show a difference that is there */

enum {
    LAB_POWER_FIRST = 2,   /* seeds of the table's first row */
    LAB_POWER_ROWS = 15,   /* 2 ... 16 seeds */
    LAB_POWER_MOST = 10000 /* seeds; more are not counted */
};

/* The noise of a paired difference, with what is not known of it: the interval of the deviation is
 * deviation * sqrt(freedom / chi^2 quantile). Unknown without degrees of freedom. */
struct lab_seed_noise {
    double deviation; /* of one pair, in nats; NaN where unknown */
    double freedom;
    struct lab_interval interval;
};

struct lab_seed_noise lab_seed_noise_of(double deviation, double freedom);

/* `seeds` pairs at each of `sizes` sizes, for the one effect over all of them; the noise is
 * estimated from sizes * (seeds - 1) degrees of freedom. */
struct lab_design {
    int64_t sizes, seeds; /* each >= 1; one seed shows nothing */
};

/* The chance that the design shows a true `difference` where one pair has the deviation given:
 * P(T > t) with T noncentral t, its distribution by the series of Lenth 1989 (AS 243). */
double lab_power(double difference, double deviation, struct lab_design design);

/* The smallest difference that the design shows with LAB_POWER. */
struct lab_detectable {
    int64_t seeds;
    double difference;          /* nats; NaN where the noise is unknown or seeds < 2 */
    struct lab_interval likely; /* the same at both ends of the deviation's interval */
};

struct lab_detectable lab_power_difference(struct lab_seed_noise noise, struct lab_design design);

/* For 2 ... 16 seeds at each of `sizes` sizes. */
void lab_power_table(struct lab_detectable ret[LAB_POWER_ROWS], struct lab_seed_noise noise,
                     int64_t sizes);

/* Seeds per size that show `difference` with LAB_POWER, at the measured deviation and at both ends
 * of its interval. 0 = unknown (no noise, no difference) or more than LAB_POWER_MOST. */
struct lab_seeds_needed {
    int64_t seeds, low, high;
};

struct lab_seeds_needed lab_power_seeds(struct lab_seed_noise noise, double difference,
                                        int64_t sizes);

#endif
