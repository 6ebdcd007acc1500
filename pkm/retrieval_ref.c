/* SPDX-License-Identifier: MIT */
#include "pkm/retrieval_ref.h"

#include <math.h>
#include <string.h>
#include <tgmath.h>

#include "nn/kernels/kernels_ref.h"
#include "nn/layers/norm_ref.h"

/* Local sizes and one head's slices. */
struct head {
    int64_t H, K, n, k;
    const real *q;    /* [K] */
    const real *keys; /* [2, n, K/2] */
};

static int64_t side(int64_t experts)
{
    int64_t n = 1;
    while (n * n < experts)
        n++;
    return n;
}

static struct head head_at(const struct REF(pkm_retrieval_cache) * cache, const real *keys,
                           int64_t row, const struct pkm_retrieval_config *c)
{
    int64_t n = side(c->experts), K = c->query_width, H = c->heads;
    return (struct head){.H = H,
                         .K = K,
                         .n = n,
                         .k = c->kept,
                         .q = cache->q + row * K,
                         .keys = keys + (c->keys_per_head ? row % H * n * K : 0)};
}

static struct REF(peer_query_norm) norm_of(const struct REF(pkm_retrieval_cache) * cache,
                                           const struct REF(pkm_retrieval_weights) * weights,
                                           const struct REF(pkm_retrieval_grads) * grads,
                                           const struct pkm_retrieval_config *c, bool train)
{
    bool batch = train && !c->frozen; /* statistics are the batch's */
    return (struct REF(peer_query_norm)){.kind = c->query_norm,
                                         .groups = c->heads,
                                         .width = c->query_width,
                                         .epsilon = (real)PKM_NORM_EPSILON,
                                         .momentum = (real)PKM_NORM_MOMENTUM,
                                         .gain = weights->gain,
                                         .bias = weights->bias,
                                         .dgain = grads ? grads->gain : NULL,
                                         .dbias = grads ? grads->bias : NULL,
                                         .run_mean = batch ? NULL : (real *)weights->mean,
                                         .run_var = batch ? NULL : (real *)weights->var,
                                         .mean = cache->mean,
                                         .inv_dev = cache->inv_dev,
                                         .frozen = c->frozen};
}

/* sub [2, n]: each half of the query against its sub-keys. */
static void sub_scores(real *sub, const struct head *h)
{
    int64_t half = h->K / 2;
    for (int64_t i = 0; i < 2 * h->n; i++) {
        const real *q = h->q + (i < h->n ? 0 : half);
        sub[i] = 0;
        for (int64_t d = 0; d < half; d++) {
            sub[i] += q[d] * h->keys[i * half + d];
            COUNT(PEER_PART_SCORES, 2);
        }
    }
}

static real score_of(const real *sub, int64_t n, int64_t id)
{
    real sum = sub[id / n] + sub[n + id % n];
    return isnan(sum) ? -(real)INFINITY : sum;
}

/* The best id that comes after (id, score) in the order of pkm/search.h; any, where id < 0; -1 if
 * there is none. */
static int64_t next_best(const real *sub, int64_t n, int64_t id, real score)
{
    int64_t best = -1;
    real best_score = 0;
    for (int64_t i = 0; i < n * n; i++) {
        real s = score_of(sub, n, i);
        bool after = id < 0 || s < score || (s == score && i > id);
        if (after && (best < 0 || s > best_score)) {
            best = i;
            best_score = s;
        }
    }
    return best;
}

/* Fills ids and scores [k]; returns the gap to the next score. */
static real top_k(int32_t *ids, real *scores, const real *sub, const struct head *h)
{
    int64_t id = -1;
    real score = 0;
    for (int64_t j = 0; j < h->k; j++) {
        id = next_best(sub, h->n, id, score);
        score = score_of(sub, h->n, id);
        ids[j] = (int32_t)id;
        scores[j] = score;
    }
    id = next_best(sub, h->n, id, score);
    return id < 0 ? (real)INFINITY : score - score_of(sub, h->n, id);
}

/* Product-key search adds one pair of sub-scores for each pair of ranks that can win. */
static void count_selection(const struct head *h)
{
    for (int64_t i = 1; i <= h->n; i++)
        for (int64_t j = 1; j <= h->n; j++)
            if (i * j <= h->k)
                COUNT(PEER_PART_SELECTION, 1);
}

static void apply_gate(real *gates, const real *scores, int64_t k, enum peer_gate gate)
{
    for (int64_t j = 0; j < k; j++)
        gates[j] = gate == PEER_GATE_SIGMOID ? 1 / (1 + exp(-scores[j]))
                   : gate == PEER_GATE_RELU  ? (scores[j] > 0 ? scores[j] : 0)
                                             : scores[j];
    if (gate == PEER_GATE_SOFTMAX)
        REF(peer_softmax)(gates, 1, k);
}

static void retrieve(struct REF(pkm_retrieval_cache) * cache, const struct head *h, int64_t row,
                     enum peer_gate gate)
{
    int32_t *ids = cache->ids + row * h->k;
    real *scores = cache->scores + row * h->k;
    sub_scores(cache->sub, h);
    count_selection(h);
    if (cache->fixed)
        for (int64_t j = 0; j < h->k; j++)
            scores[j] = score_of(cache->sub, h->n, ids[j]);
    else
        cache->margin = fmin(cache->margin, top_k(ids, scores, cache->sub, h));
    apply_gate(cache->gates + row * h->k, scores, h->k, gate);
    for (int64_t j = 0; !isfinite(scores[0]) && j < h->k; j++)
        cache->gates[row * h->k + j] = (real)NAN;
}

static void query_forward(real *q, const real *x, const real *w, int64_t T, int64_t D, int64_t out)
{
    for (int64_t t = 0; t < T; t++)
        for (int64_t o = 0; o < out; o++) {
            real sum = 0;
            for (int64_t i = 0; i < D; i++) {
                sum += w[o * D + i] * x[t * D + i];
                COUNT(PEER_PART_QUERY, 2);
            }
            q[t * out + o] = sum;
        }
}

void REF(pkm_retrieval_forward)(struct REF(pkm_retrieval_cache) * cache,
                                const struct REF(pkm_retrieval_weights) * weights, const real *x,
                                const uint8_t *mask, int64_t T,
                                const struct pkm_retrieval_config *config, bool train)
{
    int64_t H = config->heads, k = config->kept, K = config->query_width;
    struct REF(peer_query_norm) norm = norm_of(cache, weights, NULL, config, train);
    query_forward(cache->q_raw, x, weights->query, T, config->width, H * K);
    REF(peer_query_norm_forward)(cache->q, &norm, cache->q_raw, mask, T, train);
    if (!cache->fixed)
        cache->margin = (real)INFINITY;
    for (int64_t row = 0; row < T * H; row++) {
        if (!mask || mask[row / H]) {
            struct head h = head_at(cache, weights->keys, row, config);
            retrieve(cache, &h, row, config->gate);
            continue;
        }
        for (int64_t j = 0; j < k; j++) {
            cache->ids[row * k + j] = -1;
            cache->scores[row * k + j] = cache->gates[row * k + j] = 0;
        }
    }
}

/* The score's gradient. Softmax: g_j (dg_j - sum_i g_i dg_i). */
static real dscore_of(const real *gates, const real *scores, const real *dgates, int64_t j,
                      int64_t k, enum peer_gate gate)
{
    real along = 0;
    switch (gate) {
    case PEER_GATE_SIGMOID:
        return dgates[j] * gates[j] * (1 - gates[j]);
    case PEER_GATE_RELU:
        return scores[j] > 0 ? dgates[j] : 0;
    default:
        for (int64_t i = 0; i < k; i++)
            along += gates[i] * dgates[i];
        return gates[j] * (dgates[j] - along);
    }
}

/* dq += dscore * key and dkey += dscore * q, for one half of one kept key. */
static void half_backward(real *dq, real *dkey, real dscore, const real *q, const real *key,
                          int64_t half)
{
    for (int64_t d = 0; d < half; d++) {
        dq[d] += dscore * key[d];
        dkey[d] += dscore * q[d];
        COUNT(PEER_PART_SCORES, 4);
    }
}

static void query_backward(real *dx, real *dw, const real *dq, const real *x, const real *w,
                           int64_t T, int64_t D, int64_t out)
{
    for (int64_t t = 0; t < T; t++)
        for (int64_t o = 0; o < out; o++)
            for (int64_t i = 0; i < D; i++) {
                dx[t * D + i] += dq[t * out + o] * w[o * D + i];
                dw[o * D + i] += dq[t * out + o] * x[t * D + i];
                COUNT(PEER_PART_QUERY, 4);
            }
}

void REF(pkm_retrieval_backward)(real *dx, const struct REF(pkm_retrieval_grads) * grads,
                                 const struct REF(pkm_retrieval_cache) * cache,
                                 const struct REF(pkm_retrieval_weights) * weights,
                                 const real *dgates, const real *x, const uint8_t *mask, int64_t T,
                                 const struct pkm_retrieval_config *config)
{
    int64_t H = config->heads, K = config->query_width, k = config->kept, half = K / 2;
    memset(cache->dq, 0, (size_t)(T * H * K) * sizeof *cache->dq);
    for (int64_t row = 0; row < T * H; row++) {
        struct head h = head_at(cache, weights->keys, row, config);
        real *dkeys = grads->keys + (h.keys - weights->keys), *dq = cache->dq + row * K;
        for (int64_t j = 0; j < k && cache->ids[row * k] >= 0; j++) {
            int64_t id = cache->ids[row * k + j];
            int64_t left = id / h.n * half, right = (h.n + id % h.n) * half;
            real dscore = dscore_of(cache->gates + row * k, cache->scores + row * k,
                                    dgates + row * k, j, k, config->gate);
            half_backward(dq, dkeys + left, dscore, h.q, h.keys + left, half);
            half_backward(dq + half, dkeys + right, dscore, h.q + half, h.keys + right, half);
        }
    }
    struct REF(peer_query_norm) norm = norm_of(cache, weights, grads, config, true);
    REF(peer_query_norm_backward)(cache->dq_raw, &norm, cache->dq, cache->q_raw, mask, T);
    query_backward(dx, grads->query, cache->dq_raw, x, weights->query, T, config->width, H * K);
}
