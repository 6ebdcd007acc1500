/* SPDX-License-Identifier: MIT */
/* Internal. Token embeddings E [V, D]: x_t = E[id_t]. */
#ifndef PEER_LM_EMBEDDING_H
#define PEER_LM_EMBEDDING_H

#include "nn/context.h"

/* Writes x [T, D]; ids of -1 give rows of 0. */
void lm_embedding_forward(const struct peer_ctx *ctx, float *x, const float *embed,
                          const int32_t *ids, int64_t T, int64_t D);

/* Where the tokens of each id are: those of id v are order[first[v]] ... order[first[v+1]-1],
 * ascending. first [V + 1], order [T]; ids of -1 are left out. */
void lm_embedding_group(int32_t *first, int32_t *order, const int32_t *ids, int64_t T, int64_t V);

/* Adds scale * dhead[v] + (sum of dx[t] over the tokens t of v, in order) to each dembed[v];
 * dembed, dhead [V, D], dx [T, D]. */
void lm_embedding_backward(const struct peer_ctx *ctx, float *dembed, const float *dhead,
                           float scale, const float *dx, const int32_t *first, const int32_t *order,
                           int64_t V, int64_t D);

#endif
