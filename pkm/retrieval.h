/* SPDX-License-Identifier: MIT */
/* Retrieval as PKM and PEER layers share it: queries, product-key search, gates.
 *
 *   q  = norm(x Wq^T)                 [T, H, K]
 *   s1 = q[.., :K/2] C^T,  s2 = q[.., K/2:] C'^T      [T, H, n] each
 *   I  = top-k of s1[i] + s2[j]       [T, H, k]
 *   g  = gate(scores of I)            softmax over the k, or sigmoid, or relu of each
 *
 * (PEER eqs. 1, 2, 5 and Algorithm 1.) Keys C, C' are shared by all heads, as in PEER, or per head,
 * as in PKM. A retrieval is weights and gradients; a cache is what one forward pass leaves for its
 * backward pass. Thread-safety: as that of layers (nn/layers/ffw.h). */
#ifndef PEER_PKM_RETRIEVAL_H
#define PEER_PKM_RETRIEVAL_H

#include "nn/activation.h"
#include "nn/cost.h"
#include "nn/layers/ffw.h"
#include "nn/layers/norm.h"
#include "nn/params/param.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of the query norms: the variance's floor, and the weight of a batch in the running statistics. */
#define PKM_NORM_EPSILON 1e-5f
#define PKM_NORM_MOMENTUM 0.1f

enum { PKM_WIDTH_MAX = 1 << 24, PKM_HEADS_MAX = 1024, PKM_QUERY_WIDTH_MAX = 1 << 16 };

struct pkm_retrieval_config {
    int64_t width;       /* D, width of x, 1 ... 2^24 */
    int64_t experts;     /* N = n*n, a square, 1 ... 2^31 - 1 */
    int64_t heads;       /* H, 1 ... 1024 */
    int64_t kept;        /* k per head, 1 ... N */
    int64_t query_width; /* K per head, even, 2 ... 2^16 */
    enum peer_gate gate;
    enum peer_norm query_norm;
    bool keys_per_head; /* false: one pair of sub-key tables for all heads */
    bool frozen; /* a frozen router, as nn/layers/ffw.h says: entries are buffers without gradients,
                    and running statistics are used and kept in training too */
};

struct pkm_retrieval;
struct pkm_retrieval_cache;

/* The reason a config is refused, through ctx; `who` names the layer in the text. */
PEER_API enum peer_status pkm_retrieval_check(struct peer_ctx *ctx, const char *who,
                                              const struct pkm_retrieval_config *config);

/* Most tokens in one call, and between two optimizer steps of a layer on top: what they keep, H*k
 * each, is counted in 32 bits. */
PEER_API int64_t pkm_retrieval_tokens_max(const struct pkm_retrieval_config *config);

/* The reason that a layer on top of a checked config refuses a shape, likewise. */
PEER_API enum peer_status pkm_retrieval_check_shape(struct peer_ctx *ctx, const char *who,
                                                    const struct pkm_retrieval_config *config,
                                                    const struct peer_ffw_shape *shape);

/* Weights, zero until peer_params_init(), and gradients. Errors: as check; PEER_ERR_MEMORY; *ret
 * untouched then. */
PEER_API enum peer_status pkm_retrieval_create(struct pkm_retrieval **ret, struct peer_ctx *ctx,
                                               const struct pkm_retrieval_config *config);
/* Its caches go first. */
PEER_API void pkm_retrieval_destroy(struct pkm_retrieval **retrieval);

/* A cache for passes of up to `tokens` tokens, 1 ... pkm_retrieval_tokens_max(), in a context that
 * may be another than the retrieval's. Errors: PEER_ERR_ARGUMENT, PEER_ERR_MEMORY; *ret untouched
 * then. */
PEER_API enum peer_status pkm_retrieval_cache_create(struct pkm_retrieval_cache **ret,
                                                     struct peer_ctx *ctx,
                                                     struct pkm_retrieval *retrieval,
                                                     int64_t tokens);
PEER_API void pkm_retrieval_cache_destroy(struct pkm_retrieval_cache **cache);

/* Entries: "query" [H*K, D]; "query_norm.gain", "query_norm.bias" [H*K] where the norm has them,
 * buffers "query_norm.mean", "query_norm.var" [H*K] for batch; "keys" [1 or H, 2, n, K/2]. All or
 * none, all of the router's role. Errors: those of peer_params_add(). */
PEER_API enum peer_status pkm_retrieval_params(struct pkm_retrieval *retrieval,
                                               struct peer_params *list, const char *prefix);

/* Retrieves for x [T, D]; results by pkm_retrieval_result(). mask [T]: tokens with 0 are padding;
 * NULL = none; they get ids -1 and gates 0. Where a head's best score is not finite (a NaN counts
 * as -infinity in the search), its gates are NaN and its ids any: a query that is not finite is not
 * taken for one that finds nothing. In PEER_MODE_TRAIN batch statistics are used and what backward
 * needs is kept. */
PEER_API void pkm_retrieval_forward(struct pkm_retrieval_cache *cache, const float *x,
                                    const uint8_t *mask, int64_t T, enum peer_mode mode);

/* What the last forward pass found: ids, gates [T, H, k], in each head by descending score. Owned
 * by the cache, valid until its next forward. Sizes are known before the first. */
PEER_API struct peer_routing pkm_retrieval_result(const struct pkm_retrieval_cache *cache);

/* Training passes since create in which batch norm skipped or limited a running statistic
 * (nn/layers/norm.h); 0 with other norms. It is not saved. */
PEER_API int64_t pkm_retrieval_skipped(const struct pkm_retrieval *retrieval);

/* After a training forward pass of the same x, mask and T: given dgates [T, H, k], adds to dx
 * [T, D] and to the gradients of queries, norm and keys. Routing is held fixed: only the kept
 * scores have a gradient. Once per forward pass: it uses up the queries. */
PEER_API void pkm_retrieval_backward(struct pkm_retrieval_cache *cache, float *dx,
                                     const float *dgates, const float *x, const uint8_t *mask,
                                     int64_t T);

/* Parts query, scores, selection; bytes; parameters. */
PEER_API void pkm_retrieval_cost(struct peer_cost *ret, const struct pkm_retrieval_config *config);

/* Bytes that create takes, and those of a cache in a context of one thread; each further thread
 * adds its scratch, pkm_retrieval_thread_memory(). SIZE_MAX on overflow. */
PEER_API size_t pkm_retrieval_memory(const struct pkm_retrieval_config *config);
PEER_API size_t pkm_retrieval_cache_memory(const struct pkm_retrieval_config *config,
                                           int64_t tokens);
PEER_API size_t pkm_retrieval_thread_memory(const struct pkm_retrieval_config *config);

#ifdef __cplusplus
}
#endif

#endif
