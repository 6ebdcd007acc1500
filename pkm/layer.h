/* SPDX-License-Identifier: MIT */
/* The product-key memory layer (Lample et al. 2019, "Large Memory Layers with Product Keys"):
 *   y_t = sum over heads h and kept memories i of  g_thi value_i
 * and its gated form (Berges et al. 2024, "Memory Layers at Scale"):
 *   y = (memory(x) * silu(x W1^T)) W2^T,  W1, W2 [D, D]. */
#ifndef PEER_PKM_LAYER_H
#define PEER_PKM_LAYER_H

#include "pkm/retrieval.h"
#include "pkm/values.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pkm_config {
    int64_t memories;           /* N, a square, 1 ... 2^31 - 1. Default 128^2 */
    int64_t heads;              /* H, 1 ... 1024. Default 8 */
    int64_t kept;               /* k per head, 1 ... N. Default 32 */
    int64_t query_width;        /* K per head, even, 2 ... 2^16. Default D rounded up to even */
    enum peer_gate gate;        /* default softmax */
    enum peer_norm query_norm;  /* default batch */
    bool keys_per_head;         /* default true, as in the paper */
    bool gated;                 /* default false */
    enum peer_table_type table; /* default f32; int8 only in a layer that is forward_only */
    float table_lr_scale;       /* learning rate of the values relative to the rest, 1e-6 ... 1e6.
                                   Default 1 */
};

PEER_API struct pkm_config pkm_config_default(int64_t width);

/* The slot's type, "pkm"; its config is struct pkm_config. Entries: those of retrieval, and of the
 * lookup of memories (pkm/values.h) unless the table is another layer's; "gate", "output" [D, D]
 * where gated, normal with deviation D^-0.5. */
PEER_API extern const struct peer_ffw_type peer_ffw_pkm;

/* peer_ffw_create() of that type. */
static inline enum peer_status pkm_layer_create(struct peer_ffw **ret, struct peer_ctx *ctx,
                                                const struct pkm_config *config,
                                                const struct peer_ffw_shape *shape)
{
    return peer_ffw_create(ret, ctx, &peer_ffw_pkm, config, shape);
}

#ifdef __cplusplus
}
#endif

#endif
