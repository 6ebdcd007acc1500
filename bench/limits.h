/* SPDX-License-Identifier: MIT */
/* What this machine can do, measured in this run: how fast rows at random places of a table far
 * beyond the caches are read, and read and written by an update of Adam's shape. Both use huge
 * pages where the system has them and fetch rows into the second-level cache before their turn. */
#ifndef PEER_BENCH_LIMITS_H
#define PEER_BENCH_LIMITS_H

#include "bench/bench.h"
#include "bench/layer.h"

/* Bytes per second of random rows of `width` floats, each read and added up once. */
double bench_limit_rows(struct bench *bench, int64_t width);

/* Bytes per second, read and written, of ascending random rows of weights and two moments. */
double bench_limit_update(struct bench *bench, int64_t width);

/* The least seconds of one run of a PEER layer in float, if nothing overlaps: FLOPs at the rate of
 * sgemm, the rows that the tokens use at the rate of random rows, and in training the weights and
 * moments of `touched` rows read and written at the rate of the update. */
double bench_limit_peer(struct bench *bench, const struct bench_layer *layer, bool train,
                        int64_t touched);

#endif
