/* SPDX-License-Identifier: MIT */
/* Internal. One block of the decoder: x + Wo attention(norm(x)), then x + ffw(norm(x)). */
#ifndef PEER_LM_BLOCK_H
#define PEER_LM_BLOCK_H

#include "lm/attention.h"
#include "lm/config.h"

/* The batch in flight. */
struct lm_batch {
    int64_t B, S;
    const int32_t *ids;    /* [B, S], -1 = padding */
    const int64_t *starts; /* [B]: first tokens of the sequences */
    const uint8_t *mask;   /* [B, S], 0 = padding; NULL = none */
    enum peer_mode mode;
    float scale; /* of the mean loss's gradient, in backward */
};

/* What all blocks share: their outputs and gradients on the way. */
struct lm_work {
    int64_t width; /* D */
    struct lm_attention attention;
    float *y;            /* [T, D], of a branch, before it joins x */
    float *dx;           /* [T, D], gradient of x */
    float *dbranch;      /* [T, D], of the input of a branch, and of attention's output */
    float *dqkv;         /* [T, 3 D] */
    float *norm_partial; /* of peer_rmsnorm_backward() */
};

/* What forward keeps for backward. Blocks of a model that is not trained share one. */
struct lm_trace {
    float *x, *inv_rms, *normed;                    /* [T, D], [T], [T, D] */
    float *qkv, *mixed;                             /* [T, 3 D], [T, D] of attention */
    float *middle, *middle_inv_rms, *middle_normed; /* x between the two branches */
};

struct lm_block {
    struct lm_weight norm, qkv, out, ffw_norm;
    struct lm_trace trace;
    struct peer_ffw *ffw;
};

void lm_trace_alloc(struct lm_trace *trace, struct peer_pool *pool, int64_t D, int64_t tokens);
void lm_block_alloc(struct lm_block *block, struct peer_pool *pool, int64_t D, bool trainable);

/* Appends "attention.norm.gain", "attention.qkv", "attention.out", "ffw.norm.gain", "ffw." + the
 * layer's own, behind `prefix`. `blocks` is L, for the scale of the initial values. */
enum peer_status lm_block_params(struct lm_block *block, struct peer_params *list,
                                 const char *prefix, int64_t D, int64_t blocks);

/* Writes `next` [T, D], the block's output, from its trace's x, which it may be. */
void lm_block_forward(struct peer_ctx *ctx, struct lm_block *block, float *next,
                      const struct lm_work *work, const struct lm_batch *batch);

/* The part of a block, as its parameters name it ("attention.norm", ..., "ffw.norm"), whose output
 * has the trace's first value that is not finite; NULL where there is none. *at: D times its token.
 */
const char *lm_block_nonfinite(const struct peer_ctx *ctx, const struct lm_trace *trace, int64_t T,
                               int64_t D, int64_t *at);

/* Turns work->dx from the gradient of the block's output into that of its input, and adds to the
 * parameters' gradients. */
void lm_block_backward(struct peer_ctx *ctx, struct lm_block *block, const struct lm_work *work,
                       const struct lm_batch *batch);

#endif
