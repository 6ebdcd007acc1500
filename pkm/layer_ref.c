/* SPDX-License-Identifier: MIT */
#include "pkm/layer_ref.h"

#include <string.h>

#include "nn/kernels/kernels_ref.h"
#include "pkm/config.h"

/* y [D] = W [D, D] x. */
static void matrix_times(real *y, const real *w, const real *x, int64_t D)
{
    for (int64_t o = 0; o < D; o++) {
        y[o] = 0;
        for (int64_t i = 0; i < D; i++) {
            y[o] += w[o * D + i] * x[i];
            COUNT(PEER_PART_OUTPUT, 2);
        }
    }
}

/* dx += W^T dy and dW += dy x^T. */
static void matrix_backward(real *dx, real *dw, const real *dy, const real *x, const real *w,
                            int64_t D)
{
    for (int64_t o = 0; o < D; o++)
        for (int64_t i = 0; i < D; i++) {
            dx[i] += dy[o] * w[o * D + i];
            dw[o * D + i] += dy[o] * x[i];
            COUNT(PEER_PART_OUTPUT, 4);
        }
}

/* y = W2 (memory * silu(W1 x)), of one token. */
static void gated_forward(real *y, real *z, const struct REF(pkm_layer_cache) * cache,
                          const struct REF(pkm_layer_weights) * weights, const real *memory,
                          const real *x, int64_t D)
{
    matrix_times(z, weights->w1, x, D);
    REF(peer_act_forward)(cache->scratch, z, D, PEER_ACT_SILU);
    for (int64_t i = 0; i < D; i++)
        cache->scratch[i] *= memory[i];
    matrix_times(y, weights->w2, cache->scratch, D);
}

void REF(pkm_layer_forward)(real *y, struct REF(pkm_layer_cache) * cache,
                            const struct REF(pkm_layer_weights) * weights, const real *x,
                            const uint8_t *mask, int64_t T, int64_t D,
                            const struct pkm_config *config, bool train)
{
    int64_t slots = config->heads * config->kept;
    struct pkm_retrieval_config retrieval = pkm_layer_retrieval(config, D);
    REF(pkm_retrieval_forward)
    (&cache->retrieval, &weights->retrieval, x, mask, T, &retrieval, train);
    memset(cache->memory, 0, (size_t)(T * D) * sizeof *y);
    for (int64_t s = 0; s < T * slots; s++) {
        int64_t t = s / slots, id = cache->retrieval.ids[s];
        for (int64_t i = 0; i < D && id >= 0; i++) {
            cache->memory[t * D + i] += cache->retrieval.gates[s] * weights->values[id * D + i];
            COUNT(PEER_PART_EXPERTS, 2);
        }
    }
    if (!config->gated)
        memcpy(y, cache->memory, (size_t)(T * D) * sizeof *y);
    for (int64_t at = 0; at < T * D && config->gated; at += D)
        gated_forward(y + at, cache->z + at, cache, weights, cache->memory + at, x + at, D);
}

/* dmemory = dmixed * silu(z), dz = dmixed * memory * silu'(z), of one token. */
static void gated_backward(real *dx, real *dmemory, const struct REF(pkm_layer_grads) * grads,
                           const struct REF(pkm_layer_cache) * cache,
                           const struct REF(pkm_layer_weights) * weights, const real *dy,
                           const real *x, int64_t at, int64_t D)
{
    const real *memory = cache->memory + at, *z = cache->z + at;
    real *mixed = cache->scratch;
    REF(peer_act_forward)(mixed, z, D, PEER_ACT_SILU);
    for (int64_t i = 0; i < D; i++) {
        mixed[i] *= memory[i];
        dmemory[i] = 0;
    }
    matrix_backward(dmemory, grads->w2, dy, mixed, weights->w2, D);
    real *dz = cache->scratch;
    for (int64_t i = 0; i < D; i++) {
        real silu, slope;
        REF(peer_act_forward)(&silu, &z[i], 1, PEER_ACT_SILU);
        REF(peer_act_slope)(&slope, &z[i], 1, PEER_ACT_SILU);
        dz[i] = dmemory[i] * memory[i] * slope;
        dmemory[i] *= silu;
    }
    matrix_backward(dx, grads->w1, dz, x, weights->w1, D);
}

void REF(pkm_layer_backward)(real *dx, const struct REF(pkm_layer_grads) * grads,
                             const struct REF(pkm_layer_cache) * cache,
                             const struct REF(pkm_layer_weights) * weights, const real *dy,
                             const real *x, const uint8_t *mask, int64_t T, int64_t D,
                             const struct pkm_config *config)
{
    int64_t slots = config->heads * config->kept;
    if (!config->gated)
        memcpy(cache->dmemory, dy, (size_t)(T * D) * sizeof *dy);
    for (int64_t at = 0; at < T * D && config->gated; at += D)
        gated_backward(dx + at, cache->dmemory + at, grads, cache, weights, dy + at, x + at, at, D);
    for (int64_t s = 0; s < T * slots; s++) {
        int64_t t = s / slots, id = cache->retrieval.ids[s];
        cache->dgates[s] = 0;
        for (int64_t i = 0; i < D && id >= 0; i++) {
            real dmemory = cache->dmemory[t * D + i];
            cache->dgates[s] += weights->values[id * D + i] * dmemory;
            grads->values[id * D + i] += cache->retrieval.gates[s] * dmemory;
            COUNT(PEER_PART_EXPERTS, 4);
        }
    }
    struct pkm_retrieval_config retrieval = pkm_layer_retrieval(config, D);
    REF(pkm_retrieval_backward)
    (dx, &grads->retrieval, &cache->retrieval, &weights->retrieval, cache->dgates, x, mask, T,
     &retrieval);
}
