/* SPDX-License-Identifier: MIT */
/* Whether a value rises or falls along a list of settings: "loss falls with N". Values that are not
 * finite, of runs that diverged, count nowhere. */
#ifndef PEER_EXPERIMENTS_FITS_TREND_H
#define PEER_EXPERIMENTS_FITS_TREND_H

#include "experiments/fits/interval.h"

/* One run: x such as log10 N, y such as its loss. Runs of one seed share batches and backbone. */
struct lab_trend_run {
    double x;
    uint64_t seed;
    double y;
};

/* y = level of its seed + slope x + noise, by least squares; the residuals, curvature included,
 * make the error of the slope. Constant texts are never NULL; "" = nothing to say. */
struct lab_trend {
    int64_t runs, seeds;   /* that tell of the slope: seeds with two x or more */
    double slope;          /* of y per unit of x; NaN where no seed has two x */
    double error, freedom; /* freedom = runs - seeds - 1 */
    double x, y;           /* means over these runs */
    double deviation;      /* of a run about its line; NaN where there is no interval */
    struct lab_interval interval;
    const char *note; /* why there is no interval */
    /* Neighbouring x that share a seed, and where the mean difference over shared seeds goes. */
    int64_t neighbours, falling, rising;
};

/* The interval needs two seeds. */
struct lab_trend lab_trend_of(const struct lab_trend_run *run, int64_t count);

struct lab_trend_point {
    double y; /* NaN where there is no slope */
    struct lab_interval interval;
};

/* The mean y of these seeds at any x, were the line to go on: y + slope (x - mean x), with the
 * error of both. What it says beyond the x that were seen rests on the line being one. */
struct lab_trend_point lab_trend_at(const struct lab_trend *trend, double x);

#endif
