/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "nn/kernels/kernels_ref.h"
#include "nn/kernels/simd.h"
#include "nn/kernels/topk_sort.h"

/* Largest k of the fast path. */
enum { K_MOST = 64 };

static inline float score_of(int32_t key)
{
    int32_t bits = key ^ (int32_t)((uint32_t)(key >> 31) >> 1);
    float score;
    memcpy(&score, &bits, sizeof score);
    return score;
}

/* A score that at least k of the scores reach, and not many more. Scores are dealt to `slots`
 * slots; what k slots' largest reach, k scores reach. */
static inline __attribute__((always_inline)) float lower_bound(const float *scores, int64_t n,
                                                               int64_t k, const int slots)
{
    float most[4 * K_MOST];
    int32_t key[4 * K_MOST];
    for (int64_t s = 0; s < 4 * K_MOST; s++)
        most[s] = -INFINITY;
    int64_t i = 0;
    for (; i + slots <= n; i += slots)
        for (int64_t s = 0; s < slots; s += VEC)
            vec_store(most + s, vec_max(vec_load(scores + i + s), vec_load(most + s)));
    for (int64_t s = 0; i + s < n; s++)
        most[s] = scores[i + s] > most[s] ? scores[i + s] : most[s];

    int32_t low = INT32_MAX, high = INT32_MIN;
    for (int64_t s = 0; s < slots; s++) {
        key[s] = topk_key(most[s]);
        low = key[s] < low ? key[s] : low;
        high = key[s] > high ? key[s] : high;
    }
    /* At least k reach low, always; fewer than k reach high + 1. */
    int64_t bottom = low, top = (int64_t)high + 1;
    while (top - bottom > 1) {
        int64_t middle = bottom + (top - bottom) / 2;
        int32_t reached = 0, least = (int32_t)middle;
        for (int64_t s = 0; s < slots; s++)
            reached += key[s] >= least;
        if (reached < k)
            top = middle;
        else
            bottom = middle;
        if (reached >= k && reached <= k + k / 8)
            break;
    }
    return score_of((int32_t)bottom);
}

/* Ids of all scores >= least, ascending; more than TOPK_CANDIDATES - VEC: -1. */
static int64_t collect(int32_t *ids, const float *scores, int64_t n, float least)
{
    int64_t count = 0, i = 0;
    vec bound = vec_set(least);
    for (; i + VEC <= n; i += VEC) {
        if (count > TOPK_CANDIDATES - VEC)
            return -1;
        count += vec_append_ge(ids + count, vec_load(scores + i), bound, (int32_t)i);
    }
    if (count > TOPK_CANDIDATES - VEC)
        return -1;
    for (; i < n; i++)
        if (scores[i] >= least)
            ids[count++] = (int32_t)i;
    return count;
}

void ISA(peer_topk)(float *values, int32_t *ids, const float *scores, int64_t n, int64_t k)
{
    assert(k >= 1 && k <= n);
    struct topk_candidates candidates;
    int64_t count = -1;
    if (n <= TOPK_FEW) {
        for (count = 0; count < n; count++)
            candidates.id[count] = (int32_t)count;
    } else if (k <= K_MOST) {
        float least = k <= 16   ? lower_bound(scores, n, k, 64)
                      : k <= 32 ? lower_bound(scores, n, k, 128)
                                : lower_bound(scores, n, k, 256);
        if (least > -INFINITY)
            count = collect(candidates.id, scores, n, least);
    }
    if (count < 0) { /* many ties, much -infinity or a large k */
        if (k > K_MOST && k <= TOPK_SORT_MOST)
            topk_by_sorting(values, ids, scores, 1, n, k);
        else
            peer_topk_ref(values, ids, scores, n, k);
        return;
    }
    for (int64_t c = 0; c < count; c++) {
        float score = scores[candidates.id[c]];
        candidates.score[c] = score == score ? score : -INFINITY;
    }
    topk_place(values, ids, &candidates, count, k);
}
