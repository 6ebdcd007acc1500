/* SPDX-License-Identifier: MIT */
/* Internal. Sums of squares, for the norms of gradients. */
#ifndef PEER_NN_SQUARES_H
#define PEER_NN_SQUARES_H

#include <stdint.h>

/* The sum of g[i]^2 in double, in an order that depends on n alone. */
double peer_sum_squares(const float *g, int64_t n);

#endif
