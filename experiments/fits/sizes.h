/* SPDX-License-Identifier: MIT */
/* Internal to the fits. Runs by size: their means over seeds, and the noise of these means that a
 * bootstrap draws from. */
#ifndef PEER_EXPERIMENTS_FITS_SIZES_H
#define PEER_EXPERIMENTS_FITS_SIZES_H

#include "nn/pool.h"

struct lab_point {
    double x, y;
};

struct lab_sizes {
    int64_t count, runs, spread; /* sizes; runs; deviations held */
    struct lab_point *size;      /* [count], rising x, mean y over its seeds */
    int64_t *seeds;              /* [count] */
    double *deviation; /* [spread]: of runs from the means of sizes with two seeds or more,
                          times sqrt(n / (n - 1)), so unbiased in variance */
    double *residual;  /* [count]: of the means about a fitted curve, unbiased in variance;
                          the fit writes them */
    /* How much of both a draw gets, by lab_sizes_weigh(). */
    double residual_factor, seed_factor;
};

/* Groups the points, in any order, by equal x. Memory comes from `pool`. Errors: PEER_ERR_MEMORY.
 */
enum peer_status lab_sizes_group(struct lab_sizes *ret, struct peer_pool *pool, const double *x,
                                 const double *y, int64_t count);

/* Sets the factors for a curve of `constants` constants: the variance of a size's mean is that of
 * seeds, plus what the residuals hold above it; few degrees of freedom (residuals: sizes -
 * constants; seeds: runs - sizes; together by Satterthwaite) widen it. False without noise, or
 * without degrees of freedom. */
bool lab_sizes_weigh(struct lab_sizes *sizes, int64_t constants);

/* Draws of the stream that one call of lab_sizes_noise() takes for `size`. */
int64_t lab_sizes_draws(const struct lab_sizes *sizes, int64_t size);

/* Noise for the mean of `size`: a residual with random sign, and the mean of as many deviations as
 * the size has seeds. Takes the stream on from *index. */
double lab_sizes_noise(const struct lab_sizes *sizes, int64_t size, uint64_t seed, uint64_t stream,
                       uint64_t *index);

#endif
