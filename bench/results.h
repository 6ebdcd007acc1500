/* SPDX-License-Identifier: MIT */
/* What a layer computed, kept to be compared with what a rival did. */
#ifndef PEER_BENCH_RESULTS_H
#define PEER_BENCH_RESULTS_H

#include "bench/layer.h"

enum bench_work { BENCH_FORWARD, BENCH_GRADIENTS, BENCH_STEP };

enum { BENCH_MOST_RESULTS = 16 };

struct bench_results {
    int count;
    struct bench_result {
        char name[PEER_PARAM_NAME]; /* the rival's */
        float *values;
        int64_t count;
    } item[BENCH_MOST_RESULTS];
};

/* Copies the results of the last run: y; with gradients dx and those of the weights; after a step
 * dx and the first moments, which are gradients times a constant (weights would differ by the sign
 * of gradients that are all rounding), of a table those of the sample. Ends the program without
 * memory. */
void bench_results_take(struct bench_results *ret, struct bench *bench,
                        const struct bench_layer *layer, enum bench_work work);
void bench_results_free(struct bench_results *results);

/* The largest bench_difference() from the rival's; negative where it failed. */
double bench_results_difference(const struct bench_results *results, struct rival *rival);

/* Sends "sample", the rows of a table whose moments are compared: those of the first token. */
void bench_results_sample(const struct bench_layer *layer, struct rival *rival);

/* Rows of the table that the last forward pass used, each counted once. */
int64_t bench_results_touched(const struct bench_layer *layer);

#endif
