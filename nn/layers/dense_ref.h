/* SPDX-License-Identifier: MIT */
/* Internal. The dense FFW in plain loops, in `real`. */
#ifndef PEER_NN_DENSE_REF_H
#define PEER_NN_DENSE_REF_H

#include <stdbool.h>

#include "nn/activation.h"
#include "nn/real.h"

/* Shapes as in nn/layers/dense.h; gate pointers are NULL where not gated. */
struct REF(peer_dense) {
    int64_t D, F;
    enum peer_act activation;
    const real *w_in, *w_gate, *w_out; /* [F, D], [F, D], [D, F] */
    real *dw_in, *dw_gate, *dw_out;    /* added to by backward */
    real *in, *gate, *hidden;          /* [T, F]: written by forward */
    real *din, *dgate, *dhidden;       /* [T, F]: written by backward */
};

/* Writes y [T, D]; rows whose mask is 0 get 0. */
void REF(peer_dense_forward)(const struct REF(peer_dense) * layer, real *y, const real *x,
                             const uint8_t *mask, int64_t T);

/* Adds to dx [T, D] and the weights' gradients. */
void REF(peer_dense_backward)(const struct REF(peer_dense) * layer, real *dx, const real *dy,
                              const real *x, const uint8_t *mask, int64_t T);

#endif
