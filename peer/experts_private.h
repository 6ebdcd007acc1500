/* SPDX-License-Identifier: MIT */
/* Internal. What is inside a lookup of experts, for the layer that contains one. */
#ifndef PEER_PEER_EXPERTS_PRIVATE_H
#define PEER_PEER_EXPERTS_PRIVATE_H

#include "nn/kernels/kernels.h"
#include "nn/pool.h"
#include "peer/experts.h"

struct peer_experts {
    struct peer_pool pool; /* empty where it lies in a layer's */
    struct peer_experts_config config;
    int64_t D;
    int64_t tokens_per_step;
    bool scratch;            /* passes train although the table does not */
    struct peer_table table; /* [N, 2 D or 3 D] */
    struct peer_rows *rows;  /* its gradient; NULL where it is not trained */
};

/* Arrays [tokens, S]. */
struct peer_experts_cache {
    struct peer_pool pool; /* empty where it lies in a layer's cache */
    struct peer_experts *of;
    struct peer_ctx *ctx;
    const struct peer_kernels *kernels;
    int64_t capacity;                /* most tokens */
    int64_t T;                       /* of the last forward pass, -1 after backward */
    int64_t vector_bytes;            /* of u or v, as the table holds them */
    float *pre;                      /* a = u.x, or g.x for GLU */
    float *linear;                   /* b = u.x for GLU, else NULL */
    float *hidden;                   /* act(a), or act(a) b */
    float *work;                     /* forward: gate * hidden; free afterwards */
    float *coef[PEER_ROWS_SEGMENTS]; /* without rows: what backward needs of their block */
};

/* Vectors of D values in a row: 2 in [u | v], 3 in [g | u | v]. */
int64_t peer_experts_vectors(enum peer_expert expert);

/* Both objects for a config that is right, from the pool of a layer and of its cache. */
enum peer_status peer_experts_build(struct peer_experts *experts, struct peer_pool *pool,
                                    const struct peer_experts_config *config,
                                    const struct peer_ffw_shape *shape);
void peer_experts_cache_build(struct peer_experts_cache *cache, struct peer_pool *pool,
                              struct peer_experts *of, int64_t tokens);

#endif
