/* SPDX-License-Identifier: MIT */
/* Internal. For sources *_simd.c: a top-k whose k is too large to count who comes before whom.
 * Scores that can still be among the k best are gathered and sorted by radix as often as there are
 * twice as many as are kept. */
#ifndef PEER_NN_TOPK_SORT_H
#define PEER_NN_TOPK_SORT_H

#include <math.h>
#include <string.h>

#include "nn/kernels/topk_place.h"

/* Largest k, and the bits that are sorted by at a time. */
enum { TOPK_SORT_MOST = 2048, TOPK_DIGIT = 8, TOPK_DIGITS = 32 / TOPK_DIGIT };

/* The key falls as the score rises. */
struct topk_item {
    uint32_t key;
    int32_t id;
};

/* Of equal keys the first stays first. */
static inline void topk_sort(struct topk_item *item, struct topk_item *spare, int64_t count)
{
    enum { VALUES = 1 << TOPK_DIGIT };
    int32_t place[TOPK_DIGITS][VALUES] = {{0}};
    for (int64_t i = 0; i < count; i++)
        for (int d = 0; d < TOPK_DIGITS; d++)
            place[d][item[i].key >> (TOPK_DIGIT * d) & (VALUES - 1)]++;
    for (int d = 0; d < TOPK_DIGITS; d++) { /* an even number: what is sorted ends in `item` */
        int32_t before = 0;
        for (int v = 0; v < VALUES; v++) {
            int32_t here = place[d][v];
            place[d][v] = before;
            before += here;
        }
        for (int64_t i = 0; i < count; i++)
            spare[place[d][item[i].key >> (TOPK_DIGIT * d) & (VALUES - 1)]++] = item[i];
        struct topk_item *sorted = spare;
        spare = item;
        item = sorted;
    }
}

/* The k <= TOPK_SORT_MOST best of the n scores at scores[i * step], as the kernel topk. */
static inline void topk_by_sorting(float *values, int32_t *ids, const float *scores, int64_t step,
                                   int64_t n, int64_t k)
{
    struct topk_item item[2 * TOPK_SORT_MOST], spare[2 * TOPK_SORT_MOST];
    uint32_t worst = UINT32_MAX; /* key of the k-th best so far; a later equal one is no better */
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        item[count].key = (uint32_t)INT32_MAX - (uint32_t)topk_key(scores[i * step]);
        item[count].id = (int32_t)i;
        count += item[count].key < worst;
        if (count < 2 * k && i + 1 < n)
            continue;
        topk_sort(item, spare, count);
        count = count < k ? count : k;
        worst = count == k ? item[k - 1].key : UINT32_MAX;
    }
    for (int64_t j = 0; j < k; j++) {
        float score = scores[item[j].id * step];
        values[j] = score == score ? score : -INFINITY;
        ids[j] = item[j].id;
    }
}

#endif
