/* SPDX-License-Identifier: MIT */
/* As many searches as a vector has lanes, side by side. */
#include <assert.h>
#include <math.h>
#include <stdbool.h>

#include "nn/kernels/kernels_ref.h"
#include "nn/kernels/simd.h"
#include "nn/kernels/topk_sort.h"

enum {
    K_MOST = 64,             /* largest k of the fast path */
    LIST = 4 * K_MOST * VEC, /* most candidates of a vector of columns */
};

/* Puts the larger of each lane first. */
static inline __attribute__((always_inline)) void exchange(vec *a, vec *b)
{
    vec more = vec_max(*a, *b);
    *b = vec_min(*a, *b);
    *a = more;
}

/* Sorts each lane of x [size], a power of 2, largest first: Batcher's odd-even merge sort. */
static inline __attribute__((always_inline)) void sort_lanes(vec *x, const int size)
{
#pragma GCC unroll 8
    for (int p = 1; p < size; p *= 2)
#pragma GCC unroll 8
        for (int k = p; k >= 1; k /= 2)
            for (int j = k % p; j + k < size; j += 2 * k)
                for (int i = 0; i < k && i + j + k < size; i++)
                    if ((i + j) / (2 * p) == (i + j + k) / (2 * p))
                        exchange(&x[i + j], &x[i + j + k]);
}

/* For each lane a score that at least `size` of the column's reach, and not many more. Scores are
 * dealt to 2 size slots; what size slots' largest reach, size scores reach. */
static inline __attribute__((always_inline)) vec bounds_of(const float *scores, int64_t ld,
                                                           int64_t n, const int size)
{
    vec most[2 * K_MOST];
    int64_t i = 0;
    for (int s = 0; s < 2 * size; s++)
        most[s] = vec_set(-INFINITY);
    for (; i + 2 * size <= n; i += 2 * size)
        for (int s = 0; s < 2 * size; s++)
            most[s] = vec_max(vec_load(scores + (i + s) * ld), most[s]);
    for (int s = 0; i + s < n; s++)
        most[s] = vec_max(vec_load(scores + (i + s) * ld), most[s]);
    sort_lanes(most, size);
    sort_lanes(most + size, size);
    vec least = vec_set(INFINITY);
    for (int s = 0; s < size; s++) /* of two sorted lists the `size` largest */
        least = vec_min(least, vec_max(most[s], most[2 * size - 1 - s]));
    return least;
}

/* Appends i * VEC + lane for every score that reaches its column's bound, by i. Returns how many,
 * or -1 when there are too many. */
static int64_t collect(int32_t *list, const float *scores, int64_t ld, int64_t n, vec least)
{
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        if (count > LIST - VEC)
            return -1;
        count += vec_append_ge(list + count, vec_load(scores + i * ld), least, (int32_t)(i * VEC));
    }
    return count;
}

/* One column. */
static void search_column(float *values, int32_t *ids, const float *scores, int64_t ld, int64_t n,
                          int64_t k)
{
    if (k > K_MOST && k <= TOPK_SORT_MOST)
        topk_by_sorting(values, ids, scores, ld, n, k);
    else
        peer_topk_columns_ref(values, ids, scores, ld, n, 1, k);
}

/* The bound of each of m <= VEC columns, less a margin; NaN, which no score reaches, for the other
 * lanes and where it is -infinity. */
static vec least_of(const float *scores, int64_t ld, int64_t n, int64_t m, int64_t k,
                    const float *margins)
{
    float bounds[VEC];
    vec_store(bounds, k <= 8    ? bounds_of(scores, ld, n, 8)
                      : k <= 16 ? bounds_of(scores, ld, n, 16)
                      : k <= 32 ? bounds_of(scores, ld, n, 32)
                                : bounds_of(scores, ld, n, 64));
    for (int64_t q = 0; q < VEC; q++)
        bounds[q] = q < m && bounds[q] > -INFINITY ? bounds[q] - (margins ? margins[q] : 0) : NAN;
    return vec_load(bounds);
}

/* m <= VEC columns; false if their scores are such that candidates are too many. */
static bool search_lanes(float *values, int32_t *ids, const float *scores, int64_t ld, int64_t n,
                         int64_t m, int64_t k)
{
    int32_t list[LIST];
    struct topk_candidates candidates[VEC];
    int64_t kept[VEC] = {0};
    int64_t count = collect(list, scores, ld, n, least_of(scores, ld, n, m, k, NULL));
    for (int64_t c = 0; c < count; c++) {
        int32_t lane = list[c] % VEC, i = list[c] / VEC;
        candidates[lane].score[kept[lane]] = scores[i * ld + lane];
        candidates[lane].id[kept[lane]] = i;
        kept[lane] += kept[lane] < TOPK_CANDIDATES - 1;
    }
    for (int64_t q = 0; q < m && count >= 0; q++)
        if (kept[q] >= k && kept[q] < TOPK_CANDIDATES - 1)
            topk_place(values + q * k, ids + q * k, &candidates[q], kept[q], k);
        else /* many ties, much -infinity */
            search_column(values + q * k, ids + q * k, scores + q, ld, n, k);
    return count >= 0;
}

void ISA(peer_topk_columns)(float *values, int32_t *ids, const float *scores, int64_t ld, int64_t n,
                            int64_t m, int64_t k)
{
    assert(k >= 1 && k <= n);
    for (int64_t q = 0; q < m; q += VEC) {
        int64_t lanes = m - q < VEC ? m - q : VEC;
        if (k <= K_MOST && search_lanes(values + q * k, ids + q * k, scores + q, ld, n, lanes, k))
            continue;
        for (int64_t l = q; l < q + lanes; l++)
            search_column(values + l * k, ids + l * k, scores + l, ld, n, k);
    }
}

void ISA(peer_screen_columns)(int32_t *ids, int32_t *counts, const float *scores, int64_t ld,
                              int64_t n, int64_t m, int64_t k, const float *margins)
{
    assert(k >= 1 && k <= n && k <= K_MOST);
    int32_t list[LIST];
    for (int64_t q = 0; q < m; q += VEC) {
        int64_t lanes = m - q < VEC ? m - q : VEC;
        int32_t kept[VEC] = {0};
        vec least = least_of(scores + q, ld, n, lanes, k, margins + q);
        int64_t count = collect(list, scores + q, ld, n, least);
        for (int64_t c = 0; c < count; c++) {
            int32_t lane = list[c] % VEC;
            if (kept[lane] < PEER_SCREEN_MOST)
                ids[(q + lane) * PEER_SCREEN_MOST + kept[lane]] = list[c] / VEC;
            kept[lane]++;
        }
        for (int64_t l = 0; l < lanes; l++)
            counts[q + l] = kept[l] >= k && kept[l] <= PEER_SCREEN_MOST ? kept[l] : -1;
    }
}
