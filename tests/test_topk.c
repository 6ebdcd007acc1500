/* SPDX-License-Identifier: MIT */
/* Every level that this machine runs, against a full sort; results are exact. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/kernels/kernels.h"
#include "nn/random.h"

enum { SEED = 88, MOST = 5000 };

struct entry {
    float score;
    int32_t id;
};

static int by_score_then_id(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

/* Columns of which one, `at`, is the one searched for; its neighbours hold the same turned round.
 */
static void columns_topk(const struct peer_kernels *kernels, float *values, int32_t *ids,
                         const float *scores, int64_t n, int64_t k, int64_t at)
{
    enum { LD = 2 * PEER_COLUMNS };
    static float columns[MOST * LD], all_values[LD * MOST];
    static int32_t all_ids[LD * MOST];
    for (int64_t i = 0; i < n; i++)
        for (int64_t q = 0; q < LD; q++)
            columns[i * LD + q] = scores[q == at ? i : n - 1 - i];
    kernels->topk_columns(all_values, all_ids, columns, LD, n, at + 1, k);
    memcpy(values, all_values + at * k, (size_t)k * sizeof *values);
    memcpy(ids, all_ids + at * k, (size_t)k * sizeof *ids);
}

static void expect_columns(const char *what, const struct entry *sorted, const float *scores,
                           int64_t n, int64_t k, enum peer_cpu cpu)
{
    static float values[MOST];
    static int32_t ids[MOST];
    columns_topk(peer_kernels_for(cpu), values, ids, scores, n, k, (n + k) % (2 * PEER_COLUMNS));
    for (int64_t j = 0; j < k; j++) {
        cr_assert_eq(ids[j], sorted[j].id, "columns of %s %s n %ld k %ld: id %ld is %d, not %d",
                     what, peer_cpu_name(cpu), (long)n, (long)k, (long)j, ids[j], sorted[j].id);
        cr_assert_eq(memcmp(values + j, &sorted[j].score, sizeof(float)), 0,
                     "columns of %s %s n %ld k %ld: value %ld is %a, not %a", what,
                     peer_cpu_name(cpu), (long)n, (long)k, (long)j, values[j], sorted[j].score);
    }
}

static void expect_topk(const char *what, const float *scores, int64_t n, int64_t k)
{
    static struct entry sorted[MOST];
    static float values[MOST + 2];
    static int32_t ids[MOST + 2];
    for (int64_t i = 0; i < n; i++)
        sorted[i] = (struct entry){isnan(scores[i]) ? -INFINITY : scores[i], (int32_t)i};
    qsort(sorted, (size_t)n, sizeof *sorted, by_score_then_id);
    for (enum peer_cpu cpu = PEER_CPU_REF; cpu <= peer_cpu_detect(); cpu++) {
        values[0] = values[k + 1] = 77;
        ids[0] = ids[k + 1] = 77;
        peer_kernels_for(cpu)->topk(values + 1, ids + 1, scores, n, k);
        for (int64_t j = 0; j < k; j++) {
            cr_assert_eq(ids[j + 1], sorted[j].id, "%s %s n %ld k %ld: id %ld is %d, sort has %d",
                         what, peer_cpu_name(cpu), (long)n, (long)k, (long)j, ids[j + 1],
                         sorted[j].id);
            cr_assert_eq(memcmp(values + 1 + j, &sorted[j].score, sizeof(float)), 0,
                         "%s %s n %ld k %ld: value %ld is %a, sort has %a", what,
                         peer_cpu_name(cpu), (long)n, (long)k, (long)j, values[j + 1],
                         sorted[j].score);
        }
        cr_assert(values[0] == 77 && values[k + 1] == 77 && ids[0] == 77 && ids[k + 1] == 77,
                  "%s writes out of bounds", peer_cpu_name(cpu));
        if (k <= 300)
            expect_columns(what, sorted, scores, n, k, cpu);
    }
}

static const int64_t sizes[] = {1,   2,   3,   7,   16,  17,  33,   63,   64,   65,
                                127, 129, 200, 255, 256, 257, 1000, 1024, 4096, 5000};
static const int64_t ks[] = {1, 2, 3, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 300, 2048, 2049, MOST};

#define EACH_SIZE(n, k)                                                                            \
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)                                      \
        for (size_t l = 0; l < sizeof ks / sizeof *ks; l++)                                        \
            for (int64_t n = sizes[s], k = ks[l] < n ? ks[l] : n; k; k = 0)

static float scores[MOST + 5];

Test(topk, equals_a_full_sort)
{
    EACH_SIZE (n, k) {
        peer_fill_normal(scores, n + 1, 0, 1, SEED, (uint64_t)(n * 100 + k));
        expect_topk("normal", scores + 1, n, k);
    }
}

Test(topk, ties_go_to_the_lower_index)
{
    EACH_SIZE (n, k)
        for (uint32_t distinct = 1; distinct <= 300; distinct *= 17) {
            for (int64_t i = 0; i < n; i++)
                scores[i] = (float)peer_random_below(SEED, 1, (uint64_t)i, distinct) - 3;
            expect_topk("ties", scores, n, k);
        }
}

Test(topk, zeros_of_both_signs_tie)
{
    EACH_SIZE (n, k) {
        for (int64_t i = 0; i < n; i++)
            scores[i] = (float)peer_random_below(SEED, 2, (uint64_t)i, 3) - 1;
        for (int64_t i = 0; i < n; i += 2)
            scores[i] = -scores[i];
        expect_topk("zeros", scores, n, k);
    }
}

Test(topk, nan_counts_as_minus_infinity)
{
    static const float special[] = {NAN, -INFINITY, INFINITY, -0.0f, 1e-42f, 3e38f, -3e38f};
    EACH_SIZE (n, k)
        for (uint32_t every = 1; every <= 64; every *= 4) {
            peer_fill_normal(scores, n, 0, 1, SEED, (uint64_t)k);
            for (int64_t i = 0; i < n; i++)
                if (peer_random_below(SEED, every, (uint64_t)i, every) == 0)
                    scores[i] = special[peer_random_below(SEED, 3, (uint64_t)i, 7)];
            expect_topk("special", scores, n, k);
        }
    for (int64_t i = 0; i < 300; i++)
        scores[i] = -NAN;
    expect_topk("all NaN", scores, 300, 16);
}

Test(topk, sorted_and_clustered_scores)
{
    EACH_SIZE (n, k) {
        for (int64_t i = 0; i < n; i++)
            scores[i] = 0.25f * (float)i;
        expect_topk("ascending", scores, n, k);
        for (int64_t i = 0; i < n; i++)
            scores[i] = -0.25f * (float)i;
        expect_topk("descending", scores, n, k);
        /* all of the best in one slot of a strided search */
        for (int64_t i = 0; i < n; i++)
            scores[i] = (float)(i % 64 == 5 ? i : -i);
        expect_topk("clustered", scores, n, k);
    }
}
