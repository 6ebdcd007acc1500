/* SPDX-License-Identifier: MIT */
/* What a layer costs, counted by the layer itself; isoFLOP comparisons rest on it.
 *
 * The rule: one multiply-add is 2 FLOPs; every multiply-add of a matrix product, a score, an
 * expert's dot product, a weighted sum of rows, attention or the vocabulary counts, and so does
 * each addition of two sub-scores in the selection. Comparisons, activations, softmaxes, norms and
 * the optimizer do not. Backward counts the products that the gradients need: twice the forward
 * for a dense product; for retrieval, only the k kept scores have a gradient. Frozen parts count as
 * if they were trained, so that a budget buys the same tokens whatever is frozen. */
#ifndef PEER_NN_COST_H
#define PEER_NN_COST_H

#include "nn/status.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How often bytes_train counts a value. Dense: the weight is read forward and backward; its
 * gradient is read and written by backward and read by the step, which reads and writes the weight
 * and two moments. A value of a table's touched row: the same but for the gradient, which stays in
 * factored form (nn/tables/rows.h), a few bytes for a whole row; so its weight, which may be
 * narrower than a float, counts as often as its moments do. */
enum { PEER_STEP_PASSES_DENSE = 11, PEER_STEP_PASSES_ROWS = 4, PEER_STEP_PASSES_MOMENTS = 4 };

enum peer_part {
    PEER_PART_QUERY = 0, /* query projection */
    PEER_PART_SCORES,    /* queries against sub-keys */
    PEER_PART_SELECTION, /* sums of sub-scores */
    PEER_PART_EXPERTS,   /* experts' or values' rows */
    PEER_PART_OUTPUT,    /* projection or gating after the rows */
    PEER_PART_DENSE,     /* a dense FFW's matrices */
    PEER_PART_ATTENTION, /* projections, scores and weighted values of attention */
    PEER_PART_VOCAB,     /* logits */
    PEER_PART_COUNT
};

/* Names by value: "query", "scores", ..., NULL. */
PEER_API extern const char *const peer_part_names[];

struct peer_cost {
    int64_t params_total;             /* trained values, where nothing is frozen */
    int64_t params_router;            /* of these, what has PEER_ROLE_ROUTER (nn/params/param.h) */
    int64_t params_experts;           /* and PEER_ROLE_EXPERTS */
    int64_t table_rows;               /* rows of tables of which a step touches few, */
    int64_t table_values;             /* their values, */
    int64_t table_segments;           /* their segments (nn/tables/rows.h), */
    int64_t table_bytes;              /* and what they take as the table holds them */
    int64_t params_active;            /* values that one token's forward pass can use: of a table,
                                         no more rows than it has */
    double forward[PEER_PART_COUNT];  /* FLOPs per token */
    double backward[PEER_PART_COUNT]; /* FLOPs per token */
    double bytes_forward;             /* bytes of parameters read per token, no reuse assumed */
    double bytes_train; /* bytes of parameters, gradients and moments read and written per token
                           in a step with row-sparse Adam, no reuse assumed */
};

/* Adds the bytes of `used` rows of a table per token: `row_bytes` each as the table holds them,
 * `moment` bytes of one f32 moment of all their values. */
PEER_API void peer_cost_add_rows(struct peer_cost *cost, double used, double row_bytes,
                                 double moment);

/* sum += cost, field by field. */
PEER_API void peer_cost_add(struct peer_cost *sum, const struct peer_cost *cost);

/* Sums over parts, FLOPs per token. */
PEER_API double peer_cost_forward(const struct peer_cost *cost);
PEER_API double peer_cost_train(const struct peer_cost *cost); /* forward + backward */

#ifdef __cplusplus
}
#endif

#endif
