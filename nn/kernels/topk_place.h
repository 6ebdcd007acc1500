/* SPDX-License-Identifier: MIT */
/* Internal. For sources *_simd.c: few candidates of a top-k, put in order by counting for each how
 * many come before it. */
#ifndef PEER_NN_TOPK_PLACE_H
#define PEER_NN_TOPK_PLACE_H

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "nn/kernels/simd.h"

/* Most candidates in all, and where their order is counted in floats. */
enum { TOPK_CANDIDATES = 256, TOPK_FEW = 64 };

/* Candidates with scores that are not NaN. */
struct topk_candidates {
    float score[TOPK_CANDIDATES];
    int32_t id[TOPK_CANDIDATES];
};

/* Ascends with the score; -0 and +0 get the same key, NaN gets -infinity's. */
static inline int32_t topk_key(float score)
{
    float value = score == score ? score + 0.0f : -INFINITY;
    int32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits ^ (int32_t)((uint32_t)(bits >> 31) >> 1);
}

/* As topk_place() for few candidates; false, having written nothing, if equal scores are among the
 * k + 1 largest. */
static inline bool topk_place_few(float *values, int32_t *ids, const struct topk_candidates *c,
                                  int64_t count, int64_t k)
{
    float score[TOPK_FEW];
    int32_t before[TOPK_FEW], id[TOPK_FEW];
    uint64_t seen = 0, wanted = ~UINT64_C(0) >> (63 - (k < count ? k : count - 1));
    for (int64_t i = 0; i < count; i += VEC) {
        vec own = vec_load(c->score + i);
        ivec larger = ivec_zero();
        for (int64_t other = 0; other < count; other++)
            larger = ivec_count_gt(larger, vec_set(c->score[other]), own);
        ivec_store(before + i, larger);
    }
    for (int64_t i = 0; i < count; i++) {
        score[before[i]] = c->score[i];
        id[before[i]] = c->id[i];
        seen |= UINT64_C(1) << before[i];
    }
    if ((seen & wanted) != wanted)
        return false;
    memcpy(values, score, (size_t)k * sizeof *values);
    memcpy(ids, id, (size_t)k * sizeof *ids);
    return true;
}

/* The k best of `count` >= k candidates, ids ascending: by score, then by lower id. */
static inline void topk_place(float *values, int32_t *ids, const struct topk_candidates *c,
                              int64_t count, int64_t k)
{
    if (count <= TOPK_FEW && topk_place_few(values, ids, c, count, k))
        return;
    enum { LANES = 8 };
    int64_t order[TOPK_CANDIDATES + LANES]; /* ascends with the score, and as the index falls */
    int32_t sorted[TOPK_CANDIDATES];
    int64_t full = (count + LANES - 1) / LANES * LANES;
    for (int64_t i = 0; i < full; i++)
        order[i] = i >= count
                       ? INT64_MIN
                       : (int64_t)((uint64_t)(uint32_t)topk_key(c->score[i]) << 32 | ~(uint32_t)i);
    for (int64_t i = 0; i < count; i++) {
        int64_t before = 0;
        for (int64_t other = 0; other < full; other++)
            before += order[other] > order[i];
        sorted[before] = (int32_t)i;
    }
    for (int64_t j = 0; j < k; j++) {
        values[j] = c->score[sorted[j]];
        ids[j] = c->id[sorted[j]];
    }
}

#endif
