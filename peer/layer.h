/* SPDX-License-Identifier: MIT */
/* The PEER layer (He 2024, "Mixture of A Million Experts", Algorithm 1):
 *   y_t = sum over heads h and kept experts i of  g_thi e_i(x_t)
 *   single neuron (eq. 6)   e_i(x) = act(u_i . x) v_i
 *   GLU (Sec. 2.3)          e_i(x) = act(g_i . x) (u_i . x) v_i
 * One row of the expert table holds [u | v], or [g | u | v], of one expert. */
#ifndef PEER_PEER_LAYER_H
#define PEER_PEER_LAYER_H

#include "peer/experts.h"
#include "pkm/retrieval.h"

#ifdef __cplusplus
extern "C" {
#endif

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

PEER_API struct peer_layer_config peer_layer_config_default(int64_t width);

/* The slot's type, "peer"; its config is struct peer_layer_config. Entries: those of retrieval, and
 * of the lookup of experts (peer/experts.h) unless the table is another layer's. With tables per
 * head the routing's ids are rows of the table, h*N + i, of H*N in all, which form no grid (side
 * 0): usage is counted per trained row. */
PEER_API extern const struct peer_ffw_type peer_ffw_peer;

/* peer_ffw_create() of that type. */
static inline enum peer_status peer_layer_create(struct peer_ffw **ret, struct peer_ctx *ctx,
                                                 const struct peer_layer_config *config,
                                                 const struct peer_ffw_shape *shape)
{
    return peer_ffw_create(ret, ctx, &peer_ffw_peer, config, shape);
}

#ifdef __cplusplus
}
#endif

#endif
