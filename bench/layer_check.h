/* SPDX-License-Identifier: MIT */
/* Whether a layer and its rival computed the same. */
#ifndef PEER_BENCH_LAYER_CHECK_H
#define PEER_BENCH_LAYER_CHECK_H

#include "bench/layer.h"

enum bench_layer_work { BENCH_FORWARD, BENCH_GRADIENTS, BENCH_STEP };

/* Sends the rows of a table whose moments are to be compared: those of the first token. */
void bench_layer_send_sample(const struct bench_layer *layer, struct rival *rival);

/* The largest bench_difference() between what both computed in their first run: y; with gradients
 * dx and those of the weights; after a step dx and the first moments, which are gradients times a
 * constant (weights would differ by the sign of gradients that are all rounding). Negative where
 * the rival failed. */
double bench_layer_difference(const struct bench_layer *layer, struct rival *rival,
                              enum bench_layer_work work);

/* The difference between `count` floats of ours and the rival's array `name`. */
double bench_rival_difference(struct rival *rival, const char *name, const float *ours,
                              int64_t count);

/* Rows of the table that the last forward pass used, each counted once. */
int64_t bench_layer_touched(const struct bench_layer *layer);

#endif
