/* SPDX-License-Identifier: MIT */
/* Internal. Causal attention with rotary positions, between its two projections.
 *
 *   q, k rotated: (a, b) -> (a cos w - b sin w, a sin w + b cos w),  w = position * 10000^(-2i/d)
 *                 for the i-th pair of neighbours in a head of width d   (Su et al. 2021, eq. 34)
 *   y_t = sum over u <= t of  softmax_u(q_t . k_u / sqrt(d)) v_u         (Vaswani et al. 2017) */
#ifndef PEER_LM_ATTENTION_H
#define PEER_LM_ATTENTION_H

#include "nn/context.h"

struct lm_attention {
    int64_t width, heads; /* D; heads of width d = D / heads, even */
    float *rotation;      /* [most tokens of a sequence, d / 2, 2]: cos w, sin w */
    float *scratch;       /* [threads, lm_attention_scratch(most tokens of a sequence, d)] */
    int64_t scratch_size; /* of one thread */
};

/* Writes the table of rotations [length, head_width / 2, 2]. */
void lm_attention_rotations(float *rotation, int64_t length, int64_t head_width);

/* Floats of scratch per thread for sequences of up to S tokens. */
int64_t lm_attention_scratch(int64_t S, int64_t head_width);

/* Writes y [B, S, D] from qkv [B, S, 3, D]. */
void lm_attention_forward(const struct peer_ctx *ctx, float *y, const float *qkv,
                          const struct lm_attention *attention, int64_t B, int64_t S);

/* Writes dqkv [B, S, 3, D]. Scores are computed anew, block by block: nothing of size S * S is
 * kept. */
void lm_attention_backward(const struct peer_ctx *ctx, float *dqkv, const float *dy,
                           const float *qkv, const struct lm_attention *attention, int64_t B,
                           int64_t S);

#endif
