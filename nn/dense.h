/* SPDX-License-Identifier: MIT */
/* The dense FFW: y = act(x W1^T) W2^T, or gated (SwiGLU, Shazeer 2020, with silu)
 * y = (act(x Wg^T) * x W1^T) W2^T. No biases. */
#ifndef PEER_NN_DENSE_H
#define PEER_NN_DENSE_H

#include "nn/activation.h"
#include "nn/ffw.h"

#ifdef __cplusplus
extern "C" {
#endif

struct peer_dense_config {
    int64_t hidden;           /* F, 1 ... 2^20. Default 4 D */
    enum peer_act activation; /* default gelu_tanh */
    bool gated;               /* GLU: two input matrices. Default false */
};

/* The slot's type; its config is struct peer_dense_config. */
PEER_API extern const struct peer_ffw_type peer_ffw_dense;

#ifdef __cplusplus
}
#endif

#endif
