/* SPDX-License-Identifier: MIT */
#include "pkm/select.h"

#include <assert.h>

#include "nn/parallel.h"

static bool worse(float sum, int32_t id, float other_sum, int32_t other_id)
{
    return sum < other_sum || (sum == other_sum && id > other_id);
}

/* Puts (id, sum) where the root was and restores the heap of `size`. */
static void sift_down(struct pkm_best *best, int64_t size, int32_t id, float sum)
{
    float *sums = best->sums;
    int32_t *ids = best->ids;
    int64_t at = 0;
    for (int64_t child = 1; child < size; child = 2 * at + 1) {
        if (child + 1 < size && worse(sums[child + 1], ids[child + 1], sums[child], ids[child]))
            child++;
        if (!worse(sums[child], ids[child], sum, id))
            break;
        sums[at] = sums[child];
        ids[at] = ids[child];
        at = child;
    }
    sums[at] = sum;
    ids[at] = id;
}

static void sift_up(struct pkm_best *best, int32_t id, float sum)
{
    int64_t at = best->kept++;
    while (at > 0) {
        int64_t parent = (at - 1) / 2;
        if (!worse(sum, id, best->sums[parent], best->ids[parent]))
            break;
        best->sums[at] = best->sums[parent];
        best->ids[at] = best->ids[parent];
        at = parent;
    }
    best->sums[at] = sum;
    best->ids[at] = id;
}

void pkm_best_offer(struct pkm_best *best, int32_t id, float sum)
{
    if (best->kept < best->k)
        sift_up(best, id, sum);
    else if (worse(best->sums[0], best->ids[0], sum, id))
        sift_down(best, best->k, id, sum);
}

void pkm_best_sort(struct pkm_best *best)
{
    for (int64_t size = best->kept - 1; size > 0; size--) {
        float sum = best->sums[size];
        int32_t id = best->ids[size];
        best->sums[size] = best->sums[0];
        best->ids[size] = best->ids[0];
        sift_down(best, size, id, sum);
    }
}

int64_t pkm_select_scratch(int64_t n, int64_t k)
{
    return 2 * peer_min(n, k);
}

int64_t pkm_select_pairs(int64_t n, int64_t k)
{
    int64_t pairs = 0;
    for (int64_t i = 0; i < peer_min(n, k); i++)
        pairs += peer_min(n, k / (i + 1));
    return pairs;
}

void pkm_select(const struct peer_kernels *kernels, int32_t *ids, float *sums, const float *left,
                const float *right, int64_t n, int64_t k, float *scratch, int32_t *id_scratch)
{
    assert(n >= 1 && k >= 1 && k <= n * n);
    int64_t half = peer_min(n, k);
    float *left_scores = scratch, *right_scores = scratch + half;
    int32_t *left_ids = id_scratch, *right_ids = id_scratch + half;
    kernels->topk(left_scores, left_ids, left, n, half);
    kernels->topk(right_scores, right_ids, right, n, half);
    struct pkm_best best = {.ids = ids, .sums = sums, .k = k};
    for (int64_t i = 0; i < half; i++) {
        int64_t pairs = peer_min(n, k / (i + 1));
        for (int64_t j = 0; j < pairs; j++) {
            float sum = pkm_sum(left_scores[i], right_scores[j]);
            /* The rest of the row is no better; it can still tie with a lower id. */
            if (best.kept == k && sum < best.sums[0])
                break;
            pkm_best_offer(&best, (int32_t)(left_ids[i] * n + right_ids[j]), sum);
        }
    }
    pkm_best_sort(&best);
}
