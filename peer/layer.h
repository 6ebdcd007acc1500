/* SPDX-License-Identifier: MIT */
/* The PEER layer (He 2024, "Mixture of A Million Experts", Algorithm 1):
 *   y_t = sum over heads h and kept experts i of  g_thi e_i(x_t)
 *   single neuron (eq. 6)   e_i(x) = act(u_i . x) v_i
 *   GLU (Sec. 2.3)          e_i(x) = act(g_i . x) (u_i . x) v_i
 * One row of the expert table holds [u | v], or [g | u | v], of one expert. */
#ifndef PEER_PEER_LAYER_H
#define PEER_PEER_LAYER_H

#include "nn/tables/table.h"
#include "pkm/retrieval.h"

#ifdef __cplusplus
extern "C" {
#endif

enum peer_expert { PEER_EXPERT_SINGLE = 0, PEER_EXPERT_GLU, PEER_EXPERT_COUNT };

/* "single", "glu", NULL. */
PEER_API extern const char *const peer_expert_names[];

struct peer_layer_config {
    int64_t experts;            /* N, a square, 1 ... 2^31 - 1. Default 128^2 */
    int64_t heads;              /* H, 1 ... 1024. Default 8 */
    int64_t kept;               /* k per head, 1 ... N. Default 16 */
    int64_t query_width;        /* K per head, even, 2 ... 2^16. Default D rounded up to even */
    enum peer_gate gate;        /* default softmax */
    enum peer_norm query_norm;  /* default batch */
    bool keys_per_head;         /* default false: shared, as in the paper */
    enum peer_expert expert;    /* default single */
    enum peer_act activation;   /* default gelu_tanh */
    bool tables_per_head;       /* default false; true: H tables of N experts, row h*N + i */
    enum peer_table_type table; /* default f32; int8 only in a layer that is forward_only */
    float table_lr_scale;       /* learning rate of the table relative to the rest, 1e-6 ... 1e6.
                                   Default 1 */
};

struct peer_layer;

PEER_API struct peer_layer_config peer_layer_config_default(int64_t width);

/* Weights, gradients, caches. Errors: PEER_ERR_ARGUMENT, PEER_ERR_MEMORY; *ret untouched then. */
PEER_API enum peer_status peer_layer_create(struct peer_layer **ret, struct peer_ctx *ctx,
                                            const struct peer_layer_config *config,
                                            const struct peer_ffw_shape *shape);
PEER_API void peer_layer_destroy(struct peer_layer **layer);

/* Entries of retrieval; "experts" [N or H*N, 2 D or 3 D] (rows). The paper leaves open how experts
 * start and decay: here every value is normal with deviation D^-0.5, so that u.x of an x of unit
 * variance has unit variance and v is as long, and the table decays as other weights do, which
 * under lazy Adam means a row in the steps that touch it. */
PEER_API enum peer_status peer_layer_params(struct peer_layer *layer, struct peer_params *list,
                                            const char *prefix);

/* As the slot's forward and backward (nn/layers/ffw.h); backward once per forward pass. */
PEER_API void peer_layer_forward(struct peer_layer *layer, float *y, const float *x,
                                 const uint8_t *mask, int64_t T, enum peer_mode mode);
PEER_API void peer_layer_backward(struct peer_layer *layer, float *dx, const float *dy,
                                  const float *x, int64_t T);

/* The experts that the last forward pass used. With tables per head ids are rows of the table,
 * h*N + i, of H*N in all, which form no grid (side 0): usage is counted per trained row. */
PEER_API struct peer_routing peer_layer_routing(const struct peer_layer *layer);

/* The slot's type, "peer"; its config is struct peer_layer_config. */
PEER_API extern const struct peer_ffw_type peer_ffw_peer;

/* As pkm_retrieval_skipped(). */
PEER_API int64_t peer_layer_skipped(const struct peer_layer *layer);

#ifdef __cplusplus
}
#endif

#endif
