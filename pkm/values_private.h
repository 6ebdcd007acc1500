/* SPDX-License-Identifier: MIT */
/* Internal. What is inside a lookup of memories, for the layer that contains one. */
#ifndef PEER_PKM_VALUES_PRIVATE_H
#define PEER_PKM_VALUES_PRIVATE_H

#include "nn/pool.h"
#include "pkm/values.h"

struct pkm_values {
    struct peer_pool pool; /* empty where it lies in a layer's */
    struct pkm_values_config config;
    int64_t D;
    int64_t tokens_per_step;
    struct peer_table table; /* [N, D] */
    struct peer_rows *rows;  /* its gradient; NULL where it is not trained */
};

/* For a config that is right, from the pool of a layer. */
enum peer_status pkm_values_build(struct pkm_values *values, struct peer_pool *pool,
                                  const struct pkm_values_config *config,
                                  const struct peer_ffw_shape *shape);

/* Where the gradient keeps dy of the next backward pass [T, D]: NULL where there is no gradient.
 * The caller writes it there before pkm_values_backward_at(), or says where it is copied from. */
struct pkm_values_room {
    struct peer_rows_block block;
    float *dy;         /* [T, D], of the block or the caller's */
    const float *from; /* [T, D], what dy is a copy of, still to be made; NULL = it is written */
};
struct pkm_values_room pkm_values_reserve(struct pkm_values *values, int64_t T);
void pkm_values_backward_at(struct peer_ctx *ctx, struct pkm_values *values, float *dgates,
                            const struct pkm_values_room *room, const int32_t *ids,
                            const float *gates, int64_t T);

#endif
