/* SPDX-License-Identifier: MIT */
/* Internal. A mixture in plain loops, in `real`, for a routing that is given: which experts serve
 * a token is not differentiable, how much they count is. */
#ifndef PEER_MOE_MOE_REF_H
#define PEER_MOE_MOE_REF_H

#include "moe/moe.h"
#include "nn/real.h"

/* Shapes as in moe/moe.h; pointers to what the config has not are NULL. */
struct REF(peer_moe) {
    const struct peer_moe_config *config;
    int64_t D, R;
    const real *router, *router_noise; /* [E, D] */
    const real *in, *gate, *out;       /* [E, F, D], [E, F, D], [E, D, F] */
    const real *shared_in, *shared_gate, *shared_out;
    const real *jitter;    /* [T, D], factors of the router's input, or NULL */
    const real *normal;    /* [T, E], noise of noisy_topk, or NULL */
    const int32_t *choice; /* [T, R]: what gates are normalized over */
    const int32_t *ids;    /* [T, R]: choice, or -1 where dropped */
    const int32_t *top;    /* [T, k + 1]: largest noisy logits, of the load loss, or NULL */
    const uint8_t *mask;   /* [T] or NULL */
};

/* Writes y [T, D] and returns the sum of the auxiliary losses, 0 without `train`. It allocates, and
 * asserts that it may. */
real REF(peer_moe_forward)(real *y, const struct REF(peer_moe) * m, const real *x, int64_t T,
                           bool train);

#endif
