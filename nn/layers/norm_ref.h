/* SPDX-License-Identifier: MIT */
/* Internal. The norms of nn/layers/norm.h in `real`, one plain loop per sum; the same contracts. */
#ifndef PEER_NN_NORM_REF_H
#define PEER_NN_NORM_REF_H

#include <stdbool.h>

#include "nn/layers/norm.h"
#include "nn/real.h"

void REF(peer_rmsnorm_forward)(real *y, real *inv_rms, const real *x, const real *g, int64_t T,
                               int64_t D);
void REF(peer_rmsnorm_backward)(real *dx, real *dg, const real *dy, const real *x, const real *g,
                                const real *inv_rms, int64_t T, int64_t D);

/* As struct peer_query_norm. run_mean and run_var may both be NULL in training passes with an
 * unmasked token, which then update nothing. */
struct REF(peer_query_norm) {
    enum peer_norm kind;
    int64_t groups, width; /* G, K */
    real epsilon, momentum;
    const real *gain, *bias;  /* [G, K] */
    real *dgain, *dbias;      /* [G, K] */
    real *run_mean, *run_var; /* [G, K] */
    real *mean, *inv_dev;     /* layer, rms [T, G]; batch [G, K] */
    bool frozen;
};

void REF(peer_query_norm_forward)(real *y, const struct REF(peer_query_norm) * norm, const real *x,
                                  const uint8_t *mask, int64_t T, bool train);
void REF(peer_query_norm_backward)(real *dx, const struct REF(peer_query_norm) * norm,
                                   const real *dy, const real *x, const uint8_t *mask, int64_t T);

#endif
