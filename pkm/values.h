/* SPDX-License-Identifier: MIT */
/* Memories looked up by given ids and gates: the second half of a PKM layer, for routing that comes
 * from elsewhere.
 *   y_t = sum over slots s of  g_ts value_i,  i = ids[t, s]
 * Thread-safety: as that of layers (nn/layers/ffw.h). */
#ifndef PEER_PKM_VALUES_H
#define PEER_PKM_VALUES_H

#include "nn/layers/ffw.h"
#include "nn/params/param.h"
#include "nn/tables/table.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pkm_values_config {
    int64_t memories;           /* N rows of the table, 1 ... 2^31 - 1 */
    int64_t slots;              /* S memories of each token in a call, at least 1; T S < 2^31 */
    enum peer_table_type table; /* int8 only where the table does not train */
    float table_lr_scale;       /* learning rate of the table relative to the rest */
};

struct pkm_values;

/* PEER_OK, or PEER_ERR_ARGUMENT with the reason; `who` names the layer in the text. Of the shape
 * width, tokens, tokens_per_step, forward_only, frozen (the role of experts) and table count. */
PEER_API enum peer_status pkm_values_check(struct peer_ctx *ctx, const char *who,
                                           const struct pkm_values_config *config,
                                           const struct peer_ffw_shape *shape);

/* The table, zero until peer_params_init(), and its gradient. A pass needs no cache. Errors: as
 * check; PEER_ERR_MEMORY; *ret untouched then. */
PEER_API enum peer_status pkm_values_create(struct pkm_values **ret, struct peer_ctx *ctx,
                                            const struct pkm_values_config *config,
                                            const struct peer_ffw_shape *shape);
PEER_API void pkm_values_destroy(struct pkm_values **values);

/* One entry, "values" [N, D] (rows), normal with deviation D^-0.5, as in the paper's code. Errors:
 * those of peer_params_add(). */
PEER_API enum peer_status pkm_values_params(struct pkm_values *values, struct peer_params *list,
                                            const char *prefix);

/* Writes y [T, D] from ids [T, S], each in 0 ... N-1 or -1 = none, and gates [T, S]. */
PEER_API void pkm_values_forward(struct peer_ctx *ctx, struct pkm_values *values, float *y,
                                 const int32_t *ids, const float *gates, int64_t T);

/* Adds to the table's gradient and writes dgates [T, S], 0 where ids are -1. Of dy [T, D] a copy is
 * kept until the gradient is cleared. */
PEER_API void pkm_values_backward(struct peer_ctx *ctx, struct pkm_values *values, float *dgates,
                                  const float *dy, const int32_t *ids, const float *gates,
                                  int64_t T);

#ifdef __cplusplus
}
#endif

#endif
