/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "nn/parallel.h"
#include "pkm/select.h"
#include "tests/support/ranking.h"

enum { N_MAX = 200, K_MAX = N_MAX * N_MAX, SCRATCH = K_MAX };

struct selection {
    float left[N_MAX], right[N_MAX];
    float sums[K_MAX], expected_sums[K_MAX];
    int32_t ids[K_MAX], expected_ids[K_MAX];
    float scratch[SCRATCH];
    int32_t id_scratch[SCRATCH];
};

static void select_into(struct selection *s, enum peer_cpu cpu, int64_t n, int64_t k)
{
    const struct peer_kernels *kernels = peer_kernels_for(cpu);
    float best[2][N_MAX];
    int32_t ids[2][N_MAX];
    const struct pkm_halves halves = {
        .n = n, .k = k, .best = {best[0], best[1]}, .ids = {ids[0], ids[1]}};
    cr_assert_leq(pkm_merge_scratch(n, k), SCRATCH);
    kernels->topk(best[0], ids[0], s->left, n, peer_min(n, k));
    kernels->topk(best[1], ids[1], s->right, n, peer_min(n, k));
    pkm_merge(kernels, s->ids, s->sums, &halves, s->scratch, s->id_scratch);
}

/* Every way of drawing values, awkward n, and k from 1 by way of n to n*n. */
Test(select, agrees_with_sorting_all_pairs)
{
    static const int64_t sides[] = {1, 2, 3, 7, 17, 33};
    struct selection *s = malloc(sizeof *s);
    for (uint64_t seed = 0; seed < 6; seed++)
        for (int values = 0; values < VALUES_COUNT; values++)
            for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
                int64_t n = sides[i], kept[] = {1, 2, n, 16, n + 1, 64, 65, n * n - 1, n * n};
                values_fill(s->left, n, values, seed, 10);
                values_fill(s->right, n, values, seed, 20);
                for (size_t j = 0; j < sizeof kept / sizeof *kept; j++) {
                    int64_t k = kept[j] < 1 ? 1 : peer_min(kept[j], n * n);
                    ranking_by_sorting(s->expected_ids, s->expected_sums, s->left, s->right, n, k);
                    for (int cpu = 0; cpu <= (int)peer_cpu_detect(); cpu++) {
                        select_into(s, cpu, n, k);
                        cr_expect(ranking_agrees(s->ids, s->sums, s->expected_ids, s->expected_sums,
                                                 k, values_exact(values)),
                                  "seed %d, values %d, n %d, k %d, %s", (int)seed, values, (int)n,
                                  (int)k, peer_cpu_name(cpu));
                    }
                }
            }
    free(s);
}

/* Of many pairs: those that cannot win are left out, and a k beyond the kernel's is merged too. */
Test(select, many_agree_with_sorting_all_pairs)
{
    static const int64_t kept[] = {65, 128, 200, 201, 512, 2048, 2049};
    struct selection *s = malloc(sizeof *s);
    int64_t n = N_MAX;
    for (int values = 0; values < VALUES_COUNT; values++) {
        values_fill(s->left, n, values, 5, 30);
        values_fill(s->right, n, values, 5, 40);
        for (size_t j = 0; j < sizeof kept / sizeof *kept; j++) {
            int64_t k = kept[j];
            ranking_by_sorting(s->expected_ids, s->expected_sums, s->left, s->right, n, k);
            for (int cpu = 0; cpu <= (int)peer_cpu_detect(); cpu++) {
                select_into(s, cpu, n, k);
                cr_expect(ranking_agrees(s->ids, s->sums, s->expected_ids, s->expected_sums, k,
                                         values_exact(values)),
                          "values %d, k %d, %s", values, (int)k, peer_cpu_name(cpu));
            }
        }
    }
    free(s);
}

/* An id stands beside its own score, also where rounded sums tie. */
Test(select, ids_and_scores_belong_together)
{
    struct selection *s = malloc(sizeof *s);
    int64_t n = 33, k = 100;
    for (int values = 0; values < VALUES_COUNT; values++) {
        values_fill(s->left, n, values, 77, 1);
        values_fill(s->right, n, values, 77, 2);
        select_into(s, peer_cpu_detect(), n, k);
        for (int64_t j = 0; j < k; j++)
            cr_expect_eq(s->sums[j], pkm_sum(s->left[s->ids[j] / n], s->right[s->ids[j] % n]));
    }
    free(s);
}

/* left = (1, 3, 2), right = (10, 30, 20): 33, then 32 before 31 and 23 before 22 and 21, ... */
Test(select, a_case_by_hand)
{
    struct selection *s = malloc(sizeof *s);
    static const float left[] = {1, 3, 2}, right[] = {10, 30, 20};
    static const int32_t ids[] = {4, 7, 1, 5, 8, 2, 3, 6, 0};
    static const float sums[] = {33, 32, 31, 23, 22, 21, 13, 12, 11};
    for (int i = 0; i < 3; i++) {
        s->left[i] = left[i];
        s->right[i] = right[i];
    }
    for (int64_t k = 1; k <= 9; k++) {
        select_into(s, PEER_CPU_REF, 3, k);
        for (int64_t j = 0; j < k; j++) {
            cr_expect_eq(s->ids[j], ids[j], "k %d rank %d: id %d", (int)k, (int)j, s->ids[j]);
            cr_expect_eq(s->sums[j], sums[j]);
        }
    }
    free(s);
}

/* Pairs of ranks with (i+1)(j+1) <= k: for k = 4, 4+2+1+1; for k = 16, 16+8+5+4+3+2+2+2 and eight
 * times 1. */
Test(select, counts_the_pairs_that_can_win)
{
    cr_expect_eq(pkm_select_pairs(1, 1), 1);
    cr_expect_eq(pkm_select_pairs(4, 4), 8);
    cr_expect_eq(pkm_select_pairs(2, 4), 4);
    cr_expect_eq(pkm_select_pairs(2, 3), 3);
    cr_expect_eq(pkm_select_pairs(1000, 16), 50);
    cr_expect_eq(pkm_select_pairs(9, 81), 81);
}

Test(select, a_pair_of_sub_scores)
{
    cr_expect_eq(pkm_sum(INFINITY, -INFINITY), -INFINITY);
    cr_expect_eq(pkm_sum(NAN, INFINITY), -INFINITY);
    cr_expect_eq(pkm_sum(1, NAN), -INFINITY);
    cr_expect_eq(signbit(pkm_sum(-0.0f, -0.0f)), 0);
    cr_expect_eq(pkm_sum(3e38f, 3e38f), INFINITY);
}
