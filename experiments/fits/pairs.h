/* SPDX-License-Identifier: MIT */
/* Differences between two variants, paired by seed (same batches, same initial backbone), at one
 * size or at several. Losses that are not finite, of runs that diverged, count nowhere. */
#ifndef PEER_EXPERIMENTS_FITS_PAIRS_H
#define PEER_EXPERIMENTS_FITS_PAIRS_H

#include "experiments/fits/interval.h"

/* The first variant's loss minus the second's at one size and seed, in nats. `size` is any number
 * that tells the settings compared apart. */
struct lab_pair {
    int64_t size;
    uint64_t seed;
    double difference;
};

/* A difference: first minus second. Constant texts are never NULL; "" = nothing to say. */
struct lab_effect {
    int64_t seeds;    /* pairs */
    double mean;      /* NaN without runs */
    double deviation; /* of the difference of two single runs, over seeds; NaN where unknown */
    double error;     /* standard error of the mean; NaN where unknown */
    double freedom;   /* degrees of freedom of `deviation`; 0 where unknown */
    struct lab_interval interval;
    const char *note; /* why there is no interval */
};

/* The mean of paired differences with Student's interval. One seed gives a mean alone. */
struct lab_effect lab_effect_paired(const double *difference, int64_t count);

/* One effect over several sizes. */
struct lab_pooled {
    /* The mean of the sizes' mean differences: sizes count equally. Its error comes from the
     * scatter within sizes, pooled (the noise of a pair is taken to be equal at all sizes), so its
     * interval is that of the mean over these very sizes. */
    struct lab_effect effect;
    int64_t sizes;
    /* Standard deviation of the sizes' effects beyond what seeds explain, 0 where they explain all;
     * NaN where one of the two cannot be told. */
    double between;
    /* The same mean for sizes like these: their scatter beyond the seeds' counts as noise, with
     * degrees of freedom by Satterthwaite's formula. Unknown with one size. */
    struct lab_interval any_size;
};

/* Pairs may come in any order. */
struct lab_pooled lab_effect_pooled(const struct lab_pair *pair, int64_t count);

#endif
