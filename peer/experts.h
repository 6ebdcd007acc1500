/* SPDX-License-Identifier: MIT */
/* Experts of one hidden neuron, looked up by given ids and gates: the second half of a PEER layer,
 * for routing that comes from elsewhere.
 *   y_t = sum over slots s of  g_ts e_i(x_t),  i = ids[t, s]
 *   single neuron   e_i(x) = act(u_i . x) v_i                 (He 2024, eq. 6)
 *   GLU             e_i(x) = act(g_i . x) (u_i . x) v_i       (He 2024, Sec. 2.3)
 * One row of the table holds [u | v], or [g | u | v], of one expert. Thread-safety: as that of
 * layers (nn/layers/ffw.h). */
#ifndef PEER_PEER_EXPERTS_H
#define PEER_PEER_EXPERTS_H

#include "nn/activation.h"
#include "nn/layers/ffw.h"
#include "nn/params/param.h"
#include "nn/tables/table.h"

#ifdef __cplusplus
extern "C" {
#endif

enum peer_expert { PEER_EXPERT_SINGLE = 0, PEER_EXPERT_GLU, PEER_EXPERT_COUNT };

/* "single", "glu", NULL. */
PEER_API extern const char *const peer_expert_names[];

struct peer_experts_config {
    int64_t experts; /* N rows of the table, 1 ... 2^31 - 1 */
    int64_t slots;   /* S experts of each token in a call, at least 1; T S < 2^31 */
    enum peer_expert expert;
    enum peer_act activation;
    enum peer_table_type table; /* int8 only where the table does not train */
    float table_lr_scale;       /* learning rate of the table relative to the rest */
};

struct peer_experts;
struct peer_experts_cache;

/* PEER_OK, or PEER_ERR_ARGUMENT with the reason; `who` names the layer in the text. Of the shape
 * width, tokens, tokens_per_step, forward_only, frozen (the role of experts) and table count. */
PEER_API enum peer_status peer_experts_check(struct peer_ctx *ctx, const char *who,
                                             const struct peer_experts_config *config,
                                             const struct peer_ffw_shape *shape);

/* The table, zero until peer_params_init(), and its gradient. Errors: as check; PEER_ERR_MEMORY;
 * *ret untouched then. */
PEER_API enum peer_status peer_experts_create(struct peer_experts **ret, struct peer_ctx *ctx,
                                              const struct peer_experts_config *config,
                                              const struct peer_ffw_shape *shape);
/* Its caches go first. */
PEER_API void peer_experts_destroy(struct peer_experts **experts);

/* One entry, "experts" [N, 2 D or 3 D] (rows). The paper leaves open how experts start and decay:
 * here every value is normal with deviation D^-0.5, so that u.x of an x of unit variance has unit
 * variance and v is as long, and the table decays as other weights do, which under lazy Adam means
 * a row in the steps that touch it. Errors: those of peer_params_add(). */
PEER_API enum peer_status peer_experts_params(struct peer_experts *experts,
                                              struct peer_params *list, const char *prefix);

/* For calls of up to `tokens` tokens, in a context that may be another. Errors: PEER_ERR_ARGUMENT,
 * PEER_ERR_MEMORY; *ret untouched then. */
PEER_API enum peer_status peer_experts_cache_create(struct peer_experts_cache **ret,
                                                    struct peer_ctx *ctx,
                                                    struct peer_experts *experts, int64_t tokens);
PEER_API void peer_experts_cache_destroy(struct peer_experts_cache **cache);

/* Writes y [T, D] from x [T, D], ids [T, S], each in 0 ... N-1 or -1 = none, and gates [T, S]. */
PEER_API void peer_experts_forward(struct peer_experts_cache *cache, float *y, const float *x,
                                   const int32_t *ids, const float *gates, int64_t T);

/* Once after a forward pass of the same x, ids, gates and T: adds to dx [T, D] and to the table's
 * gradient, and writes dgates [T, S], 0 where ids are -1. */
PEER_API void peer_experts_backward(struct peer_experts_cache *cache, float *dx, float *dgates,
                                    const float *dy, const float *x, const int32_t *ids,
                                    const float *gates, int64_t T);

#ifdef __cplusplus
}
#endif

#endif
