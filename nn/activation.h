/* SPDX-License-Identifier: MIT */
/* Activations and gates, by name. */
#ifndef PEER_NN_ACTIVATION_H
#define PEER_NN_ACTIVATION_H

#include "nn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* sigma in e_i(x) = sigma(u_i . x) v_i. The derivative of relu at 0 is 0. */
enum peer_act {
    PEER_ACT_GELU = 0,  /* x Phi(x), exact (Hendrycks and Gimpel 2016) */
    PEER_ACT_GELU_TANH, /* its tanh approximation, same paper */
    PEER_ACT_RELU,
    PEER_ACT_SILU, /* x sigmoid(x) */
    PEER_ACT_IDENTITY,
    PEER_ACT_COUNT
};

/* s in g_i(x) = s(q(x) . k_i), over the k scores that one head retrieved. */
enum peer_gate {
    PEER_GATE_SOFTMAX = 0, /* competing: sums to one over the k kept */
    PEER_GATE_SIGMOID,
    PEER_GATE_RELU,
    PEER_GATE_COUNT
};

/* "gelu", "gelu_tanh", "relu", "silu", "identity", NULL: names by value, for options and help. */
PEER_API extern const char *const peer_act_names[];

/* "softmax", "sigmoid", "relu", NULL. */
PEER_API extern const char *const peer_gate_names[];

#ifdef __cplusplus
}
#endif

#endif
