/* SPDX-License-Identifier: MIT */
/* Internal. What every layer and every cache begins with, for the types of the slot. */
#ifndef PEER_NN_FFW_OBJECT_H
#define PEER_NN_FFW_OBJECT_H

#include "nn/layers/ffw.h"
#include "nn/pool.h"

struct peer_ffw {
    const struct peer_ffw_type *type;
    struct peer_pool pool; /* the layer's, this object included; without a context it measures */
    struct peer_ffw_shape shape;
    void *config; /* a copy, of type->config_size bytes */
    struct peer_ffw_cache *own;
};

struct peer_ffw_cache {
    struct peer_ffw *layer;
    struct peer_pool pool; /* as the layer's; its context is that of the passes */
    int64_t tokens;        /* most of a pass */
    int64_t T;             /* of the last forward pass */
    bool trained;          /* it was for training, and no backward pass has used it up */
    bool masked;           /* it had a mask */
    uint8_t *mask;         /* [tokens], a copy */
    float loss_scale;
};

/* Most bytes of either object of a type. */
enum { PEER_FFW_OBJECT_MOST = 4096 };

/* The mask of the last forward pass, or NULL. */
static inline const uint8_t *peer_ffw_cache_mask(const struct peer_ffw_cache *cache)
{
    return cache->masked ? cache->mask : NULL;
}

/* A table's gradient: *ret made, or measured. */
enum peer_status peer_ffw_rows(struct peer_rows **ret, struct peer_pool *pool,
                               const struct peer_rows_config *config);

#endif
