/* SPDX-License-Identifier: MIT */
/* Optimizers over a parameter list.
 *
 *   AdamW    m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;
 *            p = (1 - lr decay) p - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
 *   Adagrad  s = s + mean(g^2);  p = (1 - lr decay) p - lr g / (sqrt(s) + eps)
 *   SGD      p = (1 - lr decay) p - lr g
 * with g the clipped gradient, lr scaled by the entry's lr_scale, decay the entry's times
 * weight_decay, and t the number of this step, from 1.
 *
 * Dense entries: AdamW (Loshchilov and Hutter 2019) or SGD. Tables of rows, where only touched rows
 * cost anything:
 *
 *   lazy AdamW      the formula applied to the rows that a step touches; weights and moments of
 *                   others stand still, and the bias correction uses the global step (as torch's
 *                   SparseAdam). Dense AdamW also moves rows that have no gradient.
 *   deferred AdamW  dense AdamW's weights, to rounding: before a row is read it is brought up to
 *                   date on the steps that it missed (nn/optim/optim_deferred.c).
 *   Adagrad         with one sum per row, of its mean squared gradients (Mudigere et al. 2021,
 *                   "row-wise AdaGrad").
 *   SGD             no state at all.
 *
 * The moments of both AdamWs can be kept in bfloat16, rounded stochastically by counter, and the
 * second moment can be shared by a segment of a row (v of the segment's mean squared gradient; all
 * columns must then be in segments). */
#ifndef PEER_NN_OPTIM_H
#define PEER_NN_OPTIM_H

#include "nn/params/param.h"

#ifdef __cplusplus
extern "C" {
#endif

enum peer_optim_kind { PEER_OPTIM_ADAMW = 0, PEER_OPTIM_SGD, PEER_OPTIM_COUNT };

/* "adamw", "sgd", NULL. */
PEER_API extern const char *const peer_optim_names[];

enum peer_optim_rows {
    PEER_ROWS_ADAMW = 0, /* lazy */
    PEER_ROWS_SGD,
    PEER_ROWS_DEFERRED_ADAMW,
    PEER_ROWS_ADAGRAD,
    PEER_ROWS_COUNT
};

/* "adamw", "sgd", "deferred_adamw", "adagrad", NULL. */
PEER_API extern const char *const peer_optim_rows_names[];

/* How a table's moments are kept: PEER_TYPE_F32 or PEER_TYPE_BF16. "f32", "bf16", NULL. */
PEER_API extern const char *const peer_optim_moments_names[];

/* For what a table has one second moment. */
enum peer_optim_second { PEER_SECOND_VALUE = 0, PEER_SECOND_ROW, PEER_SECOND_COUNT };

/* "value", "row", NULL. */
PEER_API extern const char *const peer_optim_second_names[];

/* What a step does with a gradient that it cannot take (peer_optim_takes()). */
enum peer_optim_nonfinite {
    PEER_NONFINITE_SKIP = 0, /* leaves weights, state and number of steps; zeroes the gradients */
    PEER_NONFINITE_HOLD,     /* the same, but keeps the gradients, for the caller to look at and to
                                zero */
    PEER_NONFINITE_APPLY,    /* steps as IEEE arithmetic has it: weights and moments become NaN */
    PEER_NONFINITE_COUNT
};

struct peer_optim_config {
    enum peer_optim_kind dense;         /* for dense entries. Default adamw */
    enum peer_optim_rows rows;          /* for tables. Default adamw, the lazy one */
    enum peer_type rows_moments;        /* of AdamW for tables. Default f32 */
    enum peer_optim_second rows_second; /* of AdamW for tables. Default value */
    float beta1, beta2;                 /* 0 <= beta < 1. Default 0.9, 0.95 */
    float epsilon;                      /* > 0. Default 1e-8 */
    float weight_decay;                 /* decoupled, >= 0. Default 0.1; each entry scales it */
    float clip;    /* largest global gradient norm, rows included; 0 = none. Default 1 */
    uint64_t seed; /* of stochastic rounding. Default 1 */
    enum peer_optim_nonfinite nonfinite; /* default skip. Without clipping, skip and hold take
                                            the norm in a pass of its own, apply in passing */
};

struct peer_optim;

PEER_API struct peer_optim_config peer_optim_config_default(void);

/* PEER_OK, or PEER_ERR_ARGUMENT with the field and the numbers. */
PEER_API enum peer_status peer_optim_config_check(struct peer_ctx *ctx,
                                                  const struct peer_optim_config *config);

/* Allocates the state of every trained entry, zeroed. What the entries point to must outlive the
 * optimizer; the list itself is copied. Errors: PEER_ERR_ARGUMENT, PEER_ERR_MEMORY; *ret untouched
 * then. Deferred AdamW wants beta1 <= 0.98 sqrt(beta2), so that an update fades in time. */
PEER_API enum peer_status peer_optim_create(struct peer_optim **ret, struct peer_ctx *ctx,
                                            const struct peer_params *params,
                                            const struct peer_optim_config *config);

/* Catches up first, as peer_optim_catch_up() does. */
PEER_API void peer_optim_destroy(struct peer_optim **optim);

/* One step at learning rate `lr`, then peer_params_zero_grad(). Returns the global
 * norm of the gradient before clipping, rows included, also where nothing is clipped. Of a gradient
 * whose norm peer_optim_takes() refuses, config.nonfinite says what becomes; a loop looks at the
 * norm, or at peer_optim_skipped(), and peer_params_nonfinite_grad() (nn/params/finite.h) says
 * where the first such value is, while the gradients are there. Allocates nothing. */
PEER_API double peer_optim_step(struct peer_optim *optim, float lr);

/* Whether a gradient of this norm can be applied: it is a finite float and, once clipped, so small
 * that no square of a value overflows, which would make second moments infinite and so the updates
 * 0 for good. */
PEER_API bool peer_optim_takes(const struct peer_optim *optim, double norm);

/* Steps skipped or held since create; not saved. */
PEER_API int64_t peer_optim_skipped(const struct peer_optim *optim);

/* Brings all rows of all tables up to date. To be called before a table's weights are read by
 * others than forward passes, such as when they are saved; it changes no bit of what further steps
 * do. Does nothing unless tables have deferred AdamW. */
PEER_API void peer_optim_catch_up(struct peer_optim *optim);

/* Steps taken, for checkpoints: saved after peer_optim_catch_up(), set after weights and state are
 * loaded. */
PEER_API int64_t peer_optim_steps(const struct peer_optim *optim);
PEER_API void peer_optim_set_steps(struct peer_optim *optim, int64_t steps);

/* Appends the optimizer's state as buffers that it owns, all or none. Errors: those of
 * peer_params_add().
 *   optim.m.NAME, optim.v.NAME   moments of a dense entry, in its shape
 *   optim.moments.NAME           of a table: [rows, m | v], or [rows, m] with shared v; F32 or BF16
 *   optim.second.NAME            [rows, segments]: shared v; [rows, 1]: Adagrad's sum
 *   optim.step.NAME              [rows, 1] I32, deferred AdamW: step of the row's last gradient,
 *                                which its moments are of; 0 = none. Dense AdamW's moments at step
 *                                t are b1^(t - step) m and b2^(t - step) v */
PEER_API enum peer_status peer_optim_state(struct peer_optim *optim, struct peer_params *list);

/* Bytes of optimizer state per row of a table whose rows have `width` values in `segments`. */
PEER_API int64_t peer_optim_row_bytes(const struct peer_optim_config *config, int64_t width,
                                      int segments);

#ifdef __cplusplus
}
#endif

#endif
