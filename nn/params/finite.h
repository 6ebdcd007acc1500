/* SPDX-License-Identifier: MIT */
/* Where the first value is that is NaN or infinite: for messages, once a norm or a loss has told
 * that there is one. Nothing here allocates. */
#ifndef PEER_NN_FINITE_H
#define PEER_NN_FINITE_H

#include "nn/params/param.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Index of the first value of x [n] that is not finite, or -1. */
PEER_API int64_t peer_first_nonfinite(const struct peer_ctx *ctx, const float *x, int64_t n);

/* An entry, and the place of its first value that is not finite, row-major in its shape. */
struct peer_nonfinite {
    const struct peer_param *param; /* in the list; NULL = all values are finite */
    int64_t index;
};

/* The first in a list's order, among the values, or among the gradients since the last step (for
 * tables those of touched rows, which it groups). Reads all values once: memory's rate. Integers,
 * int8 tables and mapped ones, which may be larger than memory, are passed over. */
PEER_API struct peer_nonfinite peer_params_nonfinite(const struct peer_params *list);
PEER_API struct peer_nonfinite peer_params_nonfinite_grad(const struct peer_params *list);

#ifdef __cplusplus
}
#endif

#endif
