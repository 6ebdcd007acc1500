/* SPDX-License-Identifier: MIT */
/* Internal. Arrays that a layer has only where it trains: NULL elsewhere. */
#ifndef PEER_MOE_TRAINING_H
#define PEER_MOE_TRAINING_H

#include "nn/layers/ffw.h"
#include "nn/pool.h"

/* What any training needs. */
static inline float *peer_moe_training(struct peer_pool *pool, const struct peer_ffw_shape *shape,
                                       const char *what, int64_t n0, int64_t n1)
{
    return shape->forward_only ? NULL : peer_pool_floats(pool, what, n0, n1);
}

/* What only training of one role needs. */
static inline float *peer_moe_gradient(struct peer_pool *pool, const struct peer_ffw_shape *shape,
                                       enum peer_role role, const char *what, int64_t n0,
                                       int64_t n1)
{
    return peer_ffw_trains(shape, role) ? peer_pool_floats(pool, what, n0, n1) : NULL;
}

#endif
