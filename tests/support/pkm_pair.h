/* SPDX-License-Identifier: MIT */
/* A PKM layer, or its retrieval alone, and the double twin on the same weights, inputs and output
 * gradients. What comes out is y [T, D] of the layer and the gates [T, H, k] of a retrieval. */
#ifndef PEER_TESTS_SUPPORT_PKM_PAIR_H
#define PEER_TESTS_SUPPORT_PKM_PAIR_H

#ifndef PEER_REAL_DOUBLE
#define PEER_REAL_DOUBLE
#endif
#include "pkm/layer_ref.h"

enum pkm_array {
    PKM_QUERY = 0,
    PKM_GAIN,
    PKM_BIAS,
    PKM_KEYS,
    PKM_VALUES,
    PKM_GATE,
    PKM_OUTPUT,
    PKM_TRAINED, /* those before have gradients */
    PKM_MEAN = PKM_TRAINED,
    PKM_VAR,
    PKM_ARRAYS
};

/* The layer's names of the arrays. */
extern const char *const pkm_array_names[PKM_ARRAYS];

struct pkm_pair {
    struct pkm_config config;
    bool alone;                /* a retrieval, not a layer */
    int64_t D, T, slots, outs; /* slots = H*k; outs = values that come out per token */

    struct peer_ctx *ctx;
    struct peer_ffw *layer;
    struct pkm_retrieval *retrieval;
    struct pkm_retrieval_cache *cache_of; /* of the retrieval */
    struct peer_params params;
    float *x, *dx;     /* [T, D] */
    float *out, *dout; /* [T, outs] */
    uint8_t *mask;     /* [T] or NULL */

    int64_t size[PKM_ARRAYS]; /* 0 where there is no such array */
    double *value[PKM_ARRAYS], *grad[PKM_TRAINED];
    double *twin_x, *twin_dx, *twin_out, *twin_dout;
    struct pkm_layer_cache_f64 cache;
};

/* For T tokens of width D, with random weights (running statistics too), x and dout from `seed`,
 * the same in the twin. mask is NULL. */
struct pkm_pair *pkm_pair_create(const struct pkm_config *config, bool alone, int64_t D, int64_t T,
                                 int threads, uint64_t seed);
void pkm_pair_destroy(struct pkm_pair *pair);

/* Masks every token t with t % period == 1. */
void pkm_pair_mask(struct pkm_pair *pair, int64_t period);

struct peer_routing pkm_pair_routing(const struct pkm_pair *pair);

/* Forward. */
void pkm_pair_forward(struct pkm_pair *pair, enum peer_mode mode);

/* Forward in training and backward, from zero gradients and zero dx. */
void pkm_pair_run(struct pkm_pair *pair);

/* The gradient of an array, dense [size], to be freed. */
float *pkm_pair_gradient(const struct pkm_pair *pair, enum pkm_array array);

/* From now on the twin uses the ids of the last forward pass. */
void pkm_pair_fix_routing(struct pkm_pair *pair);

/* The twin's forward pass; returns the sum of out * dout. */
double pkm_pair_twin_loss(struct pkm_pair *pair, bool train);

/* The twin's backward pass from zero gradients and zero dx, after pkm_pair_twin_loss(). */
void pkm_pair_twin_backward(struct pkm_pair *pair);

/* Expects every gradient of the twin to be its central difference, routing held fixed. */
void pkm_pair_expect_differences(struct pkm_pair *pair);

/* Expects the ids found to be the best, and what came out, dx and every gradient to be the twin's
 * with those ids, to rounding. */
void pkm_pair_expect_twin(struct pkm_pair *pair);

/* Expects the parts' counted FLOPs, forward and backward, to be T times those of `cost`. */
void pkm_pair_expect_cost(struct pkm_pair *pair, const struct peer_cost *cost);

#endif
