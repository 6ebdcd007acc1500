/* SPDX-License-Identifier: MIT */
/* Internal. Soft MoE in plain loops, in `real`. */
#ifndef PEER_MOE_SOFT_MOE_REF_H
#define PEER_MOE_SOFT_MOE_REF_H

#include "moe/moe.h"
#include "nn/real.h"

/* Shapes as in moe/moe.h; gate is NULL where not gated, mask [T] may be. */
struct REF(peer_soft_moe) {
    const struct peer_soft_moe_config *config;
    int64_t D;
    const real *phi, *scale, *in, *gate, *out;
    const uint8_t *mask;
};

/* Writes y [T, D]. It allocates, and asserts that it may. */
void REF(peer_soft_moe_forward)(real *y, const struct REF(peer_soft_moe) * m, const real *x,
                                int64_t T);

#endif
