/* SPDX-License-Identifier: MIT */
/* Optimizers over a parameter list.
 *
 *   AdamW  m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;
 *          p = (1 - lr decay) p - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
 *   SGD    p = (1 - lr decay) p - lr g
 * with g the clipped gradient, lr scaled by the entry's lr_scale, decay the entry's times
 * weight_decay, and t the number of this step, from 1.
 *
 * Dense entries: AdamW (Loshchilov and Hutter 2019) or SGD. Tables of rows: only touched rows cost
 * anything. Lazy Adam is AdamW's formula applied to the touched rows of a step; the moments and
 * weights of untouched rows stand still, and the bias correction uses the global step (as torch's
 * SparseAdam). It differs from dense Adam, which also moves rows that have no gradient. */
#ifndef PEER_NN_OPTIM_H
#define PEER_NN_OPTIM_H

#include "nn/param.h"

#ifdef __cplusplus
extern "C" {
#endif

enum peer_optim_kind { PEER_OPTIM_ADAMW = 0, PEER_OPTIM_SGD, PEER_OPTIM_COUNT };

/* "adamw", "sgd", NULL. */
PEER_API extern const char *const peer_optim_names[];

struct peer_optim_config {
    enum peer_optim_kind dense; /* for dense entries. Default adamw */
    enum peer_optim_kind rows;  /* for tables; adamw means lazy Adam. Default adamw */
    float beta1, beta2;         /* 0 <= beta < 1. Default 0.9, 0.95 */
    float epsilon;              /* > 0. Default 1e-8 */
    float weight_decay;         /* decoupled, >= 0. Default 0.1; each entry scales it */
    float clip; /* largest global gradient norm, rows included; 0 = none. Default 1 */
};

struct peer_optim;

PEER_API struct peer_optim_config peer_optim_config_default(void);

/* Allocates the moments of every trained entry, zeroed. What the entries point to must outlive the
 * optimizer; the list itself is copied. Errors: PEER_ERR_ARGUMENT, PEER_ERR_MEMORY; *ret untouched
 * then. */
PEER_API enum peer_status peer_optim_create(struct peer_optim **ret, struct peer_ctx *ctx,
                                            const struct peer_params *params,
                                            const struct peer_optim_config *config);
PEER_API void peer_optim_destroy(struct peer_optim **optim);

/* One step at learning rate `lr`, then zeroes dense gradients and clears rows'. Returns the global
 * norm of the gradient before clipping, rows included, also where nothing is clipped. A gradient
 * whose norm is NaN or infinite is a result, and is applied as it is. Allocates nothing. */
PEER_API double peer_optim_step(struct peer_optim *optim, float lr);

/* Steps taken, for checkpoints. */
PEER_API int64_t peer_optim_steps(const struct peer_optim *optim);
PEER_API void peer_optim_set_steps(struct peer_optim *optim, int64_t steps);

/* Appends the moments of AdamW entries as buffers "optim.m.NAME" and "optim.v.NAME", owned by the
 * optimizer, all or none. Errors: those of peer_params_add(). */
PEER_API enum peer_status peer_optim_state(struct peer_optim *optim, struct peer_params *list);

/* Bytes of optimizer state per row of width `width`. */
PEER_API int64_t peer_optim_row_bytes(const struct peer_optim_config *config, int64_t width);

#ifdef __cplusplus
}
#endif

#endif
