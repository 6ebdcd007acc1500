/* SPDX-License-Identifier: MIT */
/* The product-key memory layer (Lample et al. 2019, "Large Memory Layers with Product Keys"):
 *   y_t = sum over heads h and kept memories i of  g_thi value_i
 * and its gated form (Berges et al. 2024, "Memory Layers at Scale"):
 *   y = (memory(x) * silu(x W1^T)) W2^T,  W1, W2 [D, D]. */
#ifndef PEER_PKM_LAYER_H
#define PEER_PKM_LAYER_H

#include "nn/tables/table.h"
#include "pkm/retrieval.h"

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

struct pkm_layer;

PEER_API struct pkm_config pkm_config_default(int64_t width);

/* Weights, gradients, caches. Errors: PEER_ERR_ARGUMENT, PEER_ERR_MEMORY; *ret untouched then. */
PEER_API enum peer_status pkm_layer_create(struct pkm_layer **ret, struct peer_ctx *ctx,
                                           const struct pkm_config *config,
                                           const struct peer_ffw_shape *shape);
PEER_API void pkm_layer_destroy(struct pkm_layer **layer);

/* Entries of retrieval; "values" [N, D] (rows); "gate", "output" [D, D] where gated. All start
 * normal with deviation D^-0.5, the values as in the paper's code. */
PEER_API enum peer_status pkm_layer_params(struct pkm_layer *layer, struct peer_params *list,
                                           const char *prefix);

/* As the slot's forward and backward (nn/layers/ffw.h); backward once per forward pass. */
PEER_API void pkm_layer_forward(struct pkm_layer *layer, float *y, const float *x,
                                const uint8_t *mask, int64_t T, enum peer_mode mode);
PEER_API void pkm_layer_backward(struct pkm_layer *layer, float *dx, const float *dy,
                                 const float *x, int64_t T);

/* The slot's type, "pkm"; its config is struct pkm_config. */
PEER_API extern const struct peer_ffw_type peer_ffw_pkm;

/* As pkm_retrieval_skipped(). */
PEER_API int64_t pkm_layer_skipped(const struct pkm_layer *layer);

#ifdef __cplusplus
}
#endif

#endif
