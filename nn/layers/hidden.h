/* SPDX-License-Identifier: MIT */
/* Internal. The hidden layer of an FFW, dense or expert: act(in), or gated act(gate) * in. */
#ifndef PEER_NN_HIDDEN_H
#define PEER_NN_HIDDEN_H

#include "nn/kernels/kernels.h"

/* Writes hidden [n]; gate is NULL where not gated. */
void peer_hidden_forward(const struct peer_kernels *kernels, float *hidden, const float *in,
                         const float *gate, int64_t n, enum peer_act act);

/* Turns in [n] and gate [n] (or NULL) into their gradients. */
void peer_hidden_backward(const struct peer_kernels *kernels, float *in, float *gate,
                          const float *dhidden, int64_t n, enum peer_act act);

#endif
