/* SPDX-License-Identifier: MIT */
/* Results of a sweep that was never run: losses follow a known law plus noise. */
#ifndef PEER_TESTS_SUPPORT_SYNTHETIC_H
#define PEER_TESTS_SUPPORT_SYNTHETIC_H

#include "experiments/sweeps/results.h"

struct synthetic {
    int64_t count;
    struct lab_result *results;
    struct lab_sweep_info info;
};

struct synthetic_config {
    int variants; /* 1 ... 8: dense, pkm and peer of rising sizes */
    int budgets;  /* from 1e13, each four times the last */
    int sizes, seeds;
    double noise;      /* standard deviation of a seed, nats */
    const char *sweep; /* folder for usage maps and training curves; NULL = none are written */
};

/* The law's minimum: active parameters and loss. */
double synthetic_params(int variant, double budget);
double synthetic_loss(int variant, double budget);

/* Variant v of the sweep has results in order of budget, size, seed; all are done. Release with
 * synthetic_free(). */
struct synthetic synthetic_sweep(const struct synthetic_config *config);
void synthetic_free(struct synthetic *sweep);

#endif
