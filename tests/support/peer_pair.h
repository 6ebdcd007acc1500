/* SPDX-License-Identifier: MIT */
/* A PEER layer and its double twin on the same weights, inputs and output gradients. */
#ifndef PEER_TESTS_SUPPORT_PEER_PAIR_H
#define PEER_TESTS_SUPPORT_PEER_PAIR_H

#define PEER_REAL_DOUBLE
#include "peer/layer_ref.h"

enum pair_array {
    PAIR_QUERY = 0,
    PAIR_GAIN,
    PAIR_BIAS,
    PAIR_KEYS,
    PAIR_EXPERTS,
    PAIR_TRAINED, /* those before have gradients */
    PAIR_MEAN = PAIR_TRAINED,
    PAIR_VAR,
    PAIR_ARRAYS
};

/* The layer's names of the arrays. */
extern const char *const pair_names[PAIR_ARRAYS];

struct peer_pair {
    struct peer_layer_config config;
    int64_t D, T, slots; /* slots = H*k */

    struct peer_ctx *ctx;
    struct peer_ffw *layer;
    struct peer_params params;
    float *x, *dy, *y, *dx; /* [T, D] */
    uint8_t *mask;          /* [T] or NULL */

    int64_t size[PAIR_ARRAYS]; /* 0 where the layer has no such array */
    double *value[PAIR_ARRAYS], *grad[PAIR_TRAINED];
    double *twin_x, *twin_dy, *twin_y, *twin_dx; /* [T, D] */
    struct peer_layer_cache_f64 cache;
};

/* A small layer: N = 49, H = 3, k = 5, K = 6, else the defaults. */
struct peer_layer_config pair_config(int64_t D);

/* A layer for T tokens with random weights (running statistics too), x and dy, all from `seed`, and
 * the same in the twin. mask is NULL. */
struct peer_pair *pair_create(const struct peer_layer_config *config, int64_t D, int64_t T,
                              int threads, uint64_t seed);
void pair_destroy(struct peer_pair *pair);

/* Masks every token t with t % period == 1. */
void pair_mask(struct peer_pair *pair, int64_t period);

/* The twin takes over the layer's weights, x and dy. */
void pair_load(struct peer_pair *pair);

/* Forward and backward of the layer, from zero gradients and zero dx. */
void pair_run(struct peer_pair *pair);

/* The layer's last routing. */
struct peer_routing pair_routing(const struct peer_pair *pair);

/* The layer's gradient of an array, dense [size], to be freed. */
float *pair_gradient(const struct peer_pair *pair, enum pair_array array);

/* From now on the twin uses the ids of the layer's last forward pass. */
void pair_fix_routing(struct peer_pair *pair);

/* The twin's forward pass; returns the sum of y * dy. */
double pair_twin_loss(struct peer_pair *pair, bool train);

/* The twin's backward pass from zero gradients and zero dx, after pair_twin_loss(). */
void pair_twin_backward(struct peer_pair *pair);

/* Expects |got[i] - expected[i]| <= tolerance * max(scale, max |expected|). */
void pair_expect_close(const char *what, const float *got, const double *expected, int64_t n,
                       double tolerance, double scale);

/* Relative rounding error of the layer, after the twin's forward pass. Every value goes through
 * sums of D (queries, experts), T (batch statistics, gradients of weights), K (layer norms, scores)
 * and H*k terms, each of which rounds by at most its length times epsilon relative to the sum of
 * its terms' magnitudes. A norm that divides by a deviation magnifies what was there by
 * |query| / deviation. The factor 8 is for the slopes of activations and gates. */
double pair_tolerance(const struct peer_pair *pair);

/* Largest value of the gradient of `query`, and of dx through the queries, before the terms that a
 * norm takes away again: these are what rounds. After the twin's backward pass. */
void pair_query_scales(const struct peer_pair *pair, double *dquery, double *dx);

#endif
