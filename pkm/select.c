/* SPDX-License-Identifier: MIT */
#include "pkm/select.h"

#include <assert.h>

#include "nn/parallel.h"

/* Keys kept up to which the top-k kernel merges pairs faster than the heap, and from which it pays
 * to leave out pairs that cannot win. */
enum { TOPK_MOST = 2048, PRUNED = 65 };

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

int64_t pkm_select_pairs(int64_t n, int64_t k)
{
    int64_t pairs = 0;
    for (int64_t i = 0; i < peer_min(n, k); i++)
        pairs += peer_min(n, k / (i + 1));
    return pairs;
}

int64_t pkm_merge_scratch(int64_t n, int64_t k)
{
    return k <= TOPK_MOST ? pkm_select_pairs(n, k) : 0;
}

static int32_t id_of(const struct pkm_halves *h, int64_t i, int64_t j)
{
    return (int32_t)(h->ids[0][i] * h->n + h->ids[1][j]);
}

/* Any k, any ties. */
static void merge_by_heap(int32_t *ids, float *sums, const struct pkm_halves *h)
{
    struct pkm_best best = {.ids = ids, .sums = sums, .k = h->k};
    for (int64_t i = 0; i < peer_min(h->n, h->k); i++) {
        int64_t pairs = peer_min(h->n, h->k / (i + 1));
        for (int64_t j = 0; j < pairs; j++) {
            float sum = pkm_sum(h->best[0][i], h->best[1][j]);
            /* The rest of the row is no better; it can still tie with a lower id. */
            if (best.kept == h->k && sum < best.sums[0])
                break;
            pkm_best_offer(&best, id_of(h, i, j), sum);
        }
    }
    pkm_best_sort(&best);
}

/* A sum that k pairs reach: the a best of one half with the b best of the other, a b >= k, are all
 * at least the sum of the last two. */
static float bound_of(const struct pkm_halves *h)
{
    int64_t ranks = peer_min(h->n, h->k);
    float bound = -INFINITY;
    for (int64_t a = (h->k + ranks - 1) / ranks; a <= ranks; a++) {
        float sum = pkm_sum(h->best[0][a - 1], h->best[1][(h->k + a - 1) / a - 1]);
        bound = sum > bound ? sum : bound;
    }
    return bound;
}

/* Writes the pairs that can win, row by row. Returns their number, k at least. */
static int64_t list_pairs(float *pair_sums, int32_t *pair_ids, const struct pkm_halves *h)
{
    int64_t count = 0, pairs = h->n;
    float bound = h->k < PRUNED ? -INFINITY : bound_of(h);
    for (int64_t i = 0; i < peer_min(h->n, h->k); i++) {
        pairs = peer_min(pairs, h->k / (i + 1)); /* of a row no more than of the row before */
        while (pairs > 0 && pkm_sum(h->best[0][i], h->best[1][pairs - 1]) < bound)
            pairs--;
        for (int64_t j = 0; j < pairs; j++) {
            pair_sums[count + j] = pkm_sum(h->best[0][i], h->best[1][j]);
            pair_ids[count + j] = id_of(h, i, j);
        }
        count += pairs;
    }
    return count;
}

/* Orders ids of equal sums that stand side by side. */
static void order_ties(int32_t *ids, const float *sums, int64_t k)
{
    for (int64_t i = 1; i < k; i++) {
        int32_t id = ids[i];
        int64_t place = i;
        for (; place > 0 && sums[place - 1] == sums[i] && ids[place - 1] > id; place--)
            ids[place] = ids[place - 1];
        ids[place] = id;
    }
}

/* Ties go to the lower id, but top-k over a list of pairs goes by place in the list. False, having
 * written anything, if there are ties with the rest, or many. */
static bool merge_by_topk(const struct peer_kernels *kernels, int32_t *ids, float *sums,
                          const struct pkm_halves *h, float *pair_sums, int32_t *pair_ids)
{
    int64_t count = list_pairs(pair_sums, pair_ids, h), not_worse = 0, ties = 0;
    kernels->topk(sums, ids, pair_sums, count, h->k);
    for (int64_t p = 0; p < count; p++)
        not_worse += pair_sums[p] >= sums[h->k - 1];
    for (int64_t j = 1; j < h->k; j++)
        ties += sums[j] == sums[j - 1];
    if (not_worse != h->k || ties > h->k / 8)
        return false;
    for (int64_t j = 0; j < h->k; j++)
        ids[j] = pair_ids[ids[j]];
    if (ties)
        order_ties(ids, sums, h->k);
    return true;
}

void pkm_merge(const struct peer_kernels *kernels, int32_t *ids, float *sums,
               const struct pkm_halves *halves, float *pair_sums, int32_t *pair_ids)
{
    int64_t n = halves->n, k = halves->k;
    assert(n >= 1 && k >= 1 && k <= n * n);
    if (k > TOPK_MOST || !merge_by_topk(kernels, ids, sums, halves, pair_sums, pair_ids))
        merge_by_heap(ids, sums, halves);
}
