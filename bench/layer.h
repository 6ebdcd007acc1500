/* SPDX-License-Identifier: MIT */
/* An FFW layer with weights, inputs and optimizer, ready to be timed. */
#ifndef PEER_BENCH_LAYER_H
#define PEER_BENCH_LAYER_H

#include "bench/bench.h"
#include "bench/rival.h"
#include "nn/layers/ffw.h"
#include "nn/optim/optim.h"
#include "nn/pool.h"

struct bench_layer {
    const struct peer_ffw_type *type;
    struct peer_ffw *object;
    struct peer_params params;
    struct peer_optim *optim; /* NULL: forward and backward only */
    struct peer_pool pool;
    struct peer_cost cost;  /* per token */
    int64_t D, T, calls;    /* a run is `calls` calls of T tokens */
    float *x, *y, *dx, *dy; /* [calls * T, D] */
};

struct bench_layer_config {
    const struct peer_ffw_type *type;
    const void *config; /* of the type */
    int64_t D, T, calls;
    bool train;                            /* keeps what backward needs */
    const struct peer_optim_config *optim; /* NULL = none */
    struct peer_table_file *table;         /* where the table's rows lie; NULL = in memory */
};

/* Weights, inputs and output gradients drawn from fixed seeds. Ends the program where it cannot. */
void bench_layer_open(struct bench_layer *layer, struct bench *bench, struct peer_ctx *ctx,
                      const struct bench_layer_config *config);
void bench_layer_close(struct bench_layer *layer);

/* What is timed; `job` is a struct bench_layer. */
void bench_layer_forward(void *job);
void bench_layer_gradients(void *job); /* zeroing them, forward, backward */
void bench_layer_step(void *job);      /* forward, backward, optimizer */

/* FLOPs of one run, forward alone or with backward. */
double bench_layer_flops(const struct bench_layer *layer, bool train);

/* Sends every parameter under its name, as [shape[0], rest], expert rows [u | v] as "u" and "v",
 * and x and dy. */
void bench_layer_send(const struct bench_layer *layer, struct rival *rival);

#endif
