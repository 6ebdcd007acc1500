/* SPDX-License-Identifier: MIT */
/* Internal. Attention of lm/attention.h as plain loops. */
#ifndef PEER_LM_ATTENTION_REF_H
#define PEER_LM_ATTENTION_REF_H

#include "nn/real.h"

/* Writes y [B, S, D] and the weights [B, heads, S, S] (0 above the diagonal) from qkv
 * [B, S, 3, D], in which it rotates q and k in place. */
void REF(lm_attention_forward)(real *y, real *weights, real *qkv, int64_t B, int64_t S, int64_t D,
                               int64_t heads);

/* Writes dqkv [B, S, 3, D], of qkv before its rotation; weights and qkv as forward left them. */
void REF(lm_attention_backward)(real *dqkv, const real *dy, const real *weights, const real *qkv,
                                int64_t B, int64_t S, int64_t D, int64_t heads);

#endif
