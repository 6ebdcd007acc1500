/* SPDX-License-Identifier: MIT */
/* Normalisations: RMSNorm for the backbone, and the four norms of queries (none, layer, rms,
 * batch).
 *
 *   rms    y = g * x / sqrt(mean(x^2) + eps)                       (Zhang and Sennrich 2019)
 *   layer  y = g * (x - mean) / sqrt(var + eps) + b                (Ba et al. 2016)
 *   batch  the same with mean and variance over the unmasked tokens of the batch, per feature
 *          (Ioffe and Szegedy 2015); running statistics at evaluation. Variances are biased (/T) in
 *          the batch; the running variance is unbiased (/(T-1)), as torch's. From a single token
 *          the running mean learns and the running variance does not: it has none.
 *
 * What is not finite. A token of rms or layer whose values, or squares of them, are too large for a
 * float (from about 1e19 / sqrt(D) on) or not finite gives NaN in its own y and nowhere else: an
 * overflow is never taken for a large deviation, by which all would become 0. So does any
 * token under batch with running statistics. Batch statistics are of all tokens: one such token
 * makes that feature NaN in the y of the whole batch. Running statistics, feature by feature,
 * skip a batch whose own are not finite, and go no further than 2^10 running deviations from where
 * they are (the variance: 2^20 times itself), so that no batch spoils them for good; running
 * statistics that are not finite are replaced by the next batch's.
 *
 * A mask [T] holds 0 for padding; NULL means that there is none. */
#ifndef PEER_NN_NORM_H
#define PEER_NN_NORM_H

#include "nn/context.h"

#ifdef __cplusplus
extern "C" {
#endif

enum peer_norm {
    PEER_NORM_NONE = 0,
    PEER_NORM_LAYER,
    PEER_NORM_RMS,
    PEER_NORM_BATCH,
    PEER_NORM_COUNT
};

/* "none", "layer", "rms", "batch", NULL. */
PEER_API extern const char *const peer_norm_names[];

#define PEER_RMSNORM_EPSILON 1e-5f

/* Writes y [T, D] = g [D] * x / rms and inv_rms [T], which backward needs. */
PEER_API void peer_rmsnorm_forward(struct peer_ctx *ctx, float *y, float *inv_rms, const float *x,
                                   const float *g, int64_t T, int64_t D);

/* Adds to dx [T, D] and, if not NULL, dg [D]; `partial` is scratch of peer_norm_partials(T) * D
 * floats. */
PEER_API void peer_rmsnorm_backward(struct peer_ctx *ctx, float *dx, float *dg, float *partial,
                                    const float *dy, const float *x, const float *g,
                                    const float *inv_rms, int64_t T, int64_t D);

/* Token tiles over which gradients of gains are summed apart, before one ordered sum. */
PEER_API int64_t peer_norm_partials(int64_t T);

/* A norm over queries [T, G, K]: layer and rms per group over its K features, gain and bias [G, K];
 * batch per feature over tokens. Arrays not used by `kind` may be NULL. */
struct peer_query_norm {
    enum peer_norm kind;
    int64_t groups, width;     /* G, K */
    float epsilon;             /* > 0. Default 1e-5 */
    float momentum;            /* of the running statistics, 0 ... 1. Default 0.1 */
    const float *gain, *bias;  /* [G, K]; rms has no bias */
    float *dgain, *dbias;      /* [G, K], added to; NULL = not wanted */
    float *run_mean, *run_var; /* [G, K], batch only, updated by training forward passes */
    float *mean, *inv_dev;     /* cache: layer, rms [T, G]; batch [G, K] */
    int64_t *skipped;          /* += 1 by a training pass that skips or limits a running statistic;
                                  NULL = not wanted */
    float *partial;            /* scratch [2, peer_norm_partials(T), G*K] */
    bool frozen;               /* batch: passes in training use and keep the running statistics too,
                                  which are constants in backward */
};

/* Writes y [T, G, K]. mask [T] or NULL: masked tokens enter no statistic; their y is normalised
 * like any other. With `train`, batch statistics of the unmasked tokens are used and the running
 * ones updated; with none unmasked, running statistics are used and kept. What padding holds
 * touches no other token. y may not be x. */
PEER_API void peer_query_norm_forward(struct peer_ctx *ctx, float *y,
                                      const struct peer_query_norm *norm, const float *x,
                                      const uint8_t *mask, int64_t T, bool train);

/* Writes dx [T, G, K] (0 for masked tokens, whose dy must be 0) and adds to dgain and dbias, after
 * a training forward pass of the same x and mask. */
PEER_API void peer_query_norm_backward(struct peer_ctx *ctx, float *dx,
                                       const struct peer_query_norm *norm, const float *dy,
                                       const float *x, const uint8_t *mask, int64_t T);

#ifdef __cplusplus
}
#endif

#endif
