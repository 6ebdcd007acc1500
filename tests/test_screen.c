/* SPDX-License-Identifier: MIT */
/* Exact screening: its kernels at every level, and that it changes no bit of what is found. */
#define PEER_REAL_DOUBLE
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/kernels/kernels.h"
#include "nn/kernels/kernels_ref.h"
#include "nn/random.h"
#include "pkm/screen.h"
#include "pkm/search.h"
#include "tests/support/ranking.h"
#include "tests/support/twin.h"

enum { SEED = 50311 };

#define EACH_LEVEL(cpu) for (enum peer_cpu cpu = PEER_CPU_REF; cpu <= peer_cpu_detect(); cpu++)

/* 1 + 2^-8 lies between the bf16 values 1 and 1 + 2^-7 and goes to the even one, 1; 1 + 3 2^-8 goes
 * up to 1 + 2^-6, as even; 1.0039064 is nearer to 1 + 2^-7. */
Test(screen, rounds_to_the_nearest_even)
{
    const float x[] = {1.00390625f, 1.01171875f, 1.0039064f, -3.0f, 0.1f};
    const uint32_t expected[] = {0x3f823f80, 0xc0403f81, 0x00003dcd};
    EACH_LEVEL (cpu) {
        float pairs[3], squares[2];
        uint32_t bits[3];
        peer_kernels_for(cpu)->bf16_pairs(pairs, squares, x, 5);
        memcpy(bits, pairs, sizeof bits);
        for (int i = 0; i < 3; i++)
            cr_expect_eq(bits[i], expected[i], "%s pair %d: %08x", peer_cpu_name(cpu), i, bits[i]);
        cr_expect_float_eq(squares[0], 12.049231, 1e-5);
        double off[] = {0x1p-8, 0x1p-8, 1.0039064 - 1.0078125, 0, 0.1 - 0.10009765625}, sum = 0;
        for (int i = 0; i < 5; i++)
            sum += off[i] * off[i];
        cr_expect_float_eq(squares[1] / sum, 1, 1e-3, "%s: %g, %g", peer_cpu_name(cpu), squares[1],
                           sum);
    }
}

Test(screen, levels_round_alike)
{
    float x[131], squares[2], expected_squares[2], pairs[66], expected[66];
    for (int64_t n = 1; n <= 131; n += 1 + n / 7) {
        peer_fill_normal(x, n, 0, 3, SEED, (uint64_t)n);
        peer_kernels_for(PEER_CPU_REF)->bf16_pairs(expected, expected_squares, x, n);
        EACH_LEVEL (cpu) {
            peer_kernels_for(cpu)->bf16_pairs(pairs, squares, x, n);
            cr_expect(memcmp(pairs, expected, (size_t)(n + 1) / 2 * sizeof *pairs) == 0);
            for (int i = 0; i < 2; i++)
                cr_expect(fabsf(squares[i] - expected_squares[i]) <= 1e-5f * expected_squares[i]);
        }
    }
}

/* 2 K products of at most 2^16 ulp each are exact in float; their sum errs by 2 K u at most. */
Test(screen, product_bf16_matches_the_double_twin)
{
    static const int64_t sizes[][3] = {{1, 1, 1},    {3, 16, 2},   {13, 17, 7},
                                       {12, 32, 64}, {25, 33, 65}, {50, 49, 31}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        int64_t M = sizes[s][0], N = sizes[s][1], K = sizes[s][2], a_row = K + 1, ldb = N + 2;
        float *wide_a = twin_floats(M * a_row * 2, 0, 1, SEED, "a"), squares[2];
        float *wide_b = twin_floats(K * ldb * 2, 0, 1, SEED, "b");
        float *a = twin_floats(M * a_row, 0, 0, 1, "zero"), *b = twin_floats(K * ldb, 0, 0, 1, "0");
        float *c = malloc((size_t)(M * N) * sizeof *c);
        double *exact = twin_zeros(M * N), *sizes_of = twin_zeros(M * N);
        peer_kernels_for(PEER_CPU_REF)->bf16_pairs(a, squares, wide_a, M * a_row * 2);
        peer_kernels_for(PEER_CPU_REF)->bf16_pairs(b, squares, wide_b, K * ldb * 2);
        peer_product_bf16_f64(exact, N, a, a_row, b, ldb, M, N, K);
        for (int64_t i = 0; i < M * N; i++)
            for (int64_t k = 0; k < 2 * K; k++)
                sizes_of[i] += 1.01 * fabs(wide_a[i / N * 2 * a_row + k] *
                                           wide_b[(k / 2 * ldb + i % N) * 2 + k % 2]);
        EACH_LEVEL (cpu) {
            peer_kernels_for(cpu)->product_bf16(c, N, a, a_row, b, ldb, M, N, K);
            for (int64_t i = 0; i < M * N; i++)
                cr_expect(fabs(c[i] - exact[i]) <= (double)(4 * K) / (1 << 24) * sizes_of[i],
                          "%s %ld x %ld x %ld: %g, %g", peer_cpu_name(cpu), (long)M, (long)N,
                          (long)K, c[i], exact[i]);
        }
        void *const all[] = {wide_a, wide_b, a, b, c, exact, sizes_of};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            free(all[i]);
    }
}

/* Rows picked by id, each the very chain that `product` makes of it. */
Test(screen, rows_chain_is_product)
{
    enum { ROWS = 61, STRIDE = 150 };
    float *table = twin_floats(ROWS * STRIDE, 0, 1, SEED, "table"), x[STRIDE], out[70], all[ROWS];
    int32_t ids[70];
    peer_fill_normal(x, STRIDE, 0, 1, SEED, 3);
    for (uint64_t j = 0; j < 70; j++)
        ids[j] = (int32_t)peer_random_below(SEED, 4, j, ROWS);
    for (int64_t D = 1; D <= STRIDE; D += 1 + D / 5)
        for (int64_t m = 0; m <= 70; m += 1 + m / 3)
            EACH_LEVEL (cpu) {
                const struct peer_kernels *kernels = peer_kernels_for(cpu);
                kernels->product(all, 1, table, STRIDE, 1, x, 1, ROWS, 1, D, false);
                kernels->rows_chain(out, table, STRIDE, ids, m, x, D);
                for (int64_t j = 0; j < m; j++)
                    cr_assert_eq(out[j], all[ids[j]], "%s D %ld m %ld [%ld]", peer_cpu_name(cpu),
                                 (long)D, (long)m, (long)j);
            }
    free(table);
}

/* Every id within the margin is among the candidates, which ascend. */
Test(screen, candidates_include_all_within_the_margin)
{
    enum { N = 300, LD = 2 * PEER_COLUMNS, COLUMNS = 21 };
    float *scores = twin_floats(N * LD, 0, 1, SEED, "scores"), margins[COLUMNS];
    int32_t ids[COLUMNS * PEER_SCREEN_MOST], counts[COLUMNS], best[65];
    for (int q = 0; q < COLUMNS; q++)
        margins[q] = 0.02f * (float)q;
    for (int64_t k = 1; k <= 64; k += 1 + k / 2)
        EACH_LEVEL (cpu) {
            const struct peer_kernels *kernels = peer_kernels_for(cpu);
            kernels->screen_columns(ids, counts, scores, LD, N, COLUMNS, k, margins);
            for (int q = 0; q < COLUMNS; q++) {
                const int32_t *found = ids + q * PEER_SCREEN_MOST;
                float column[N], values[65];
                int count = 0;
                for (int i = 0; i < N; i++)
                    column[i] = scores[i * LD + q];
                kernels->topk(values, best, column, N, k);
                for (int i = 0; i < N && counts[q] >= 0; i++) {
                    bool listed = count < counts[q] && found[count] == i;
                    count += listed;
                    cr_assert(listed || column[i] < values[k - 1] - margins[q], "%s k %ld id %d",
                              peer_cpu_name(cpu), (long)k, i);
                }
                cr_assert(counts[q] == count || counts[q] == -1);
                cr_assert(k > 32 || counts[q] >= k, "%s k %ld column %d: %d candidates",
                          peer_cpu_name(cpu), (long)k, q, counts[q]);
            }
        }
    free(scores);
}

Test(screen, too_many_candidates_are_told)
{
    enum { N = 500, LD = PEER_COLUMNS };
    static float scores[N * LD];
    int32_t ids[2 * PEER_SCREEN_MOST], counts[2];
    const float margins[2] = {0, 0};
    for (int i = 0; i < N; i++)
        scores[i * LD] = i < 9 ? (float)i : -INFINITY; /* fewer than k; the other column ties */
    EACH_LEVEL (cpu) {
        peer_kernels_for(cpu)->screen_columns(ids, counts, scores, LD, N, 2, 10, margins);
        cr_expect_eq(counts[0], -1);
        cr_expect_eq(counts[1], -1);
    }
}

/* A call of many queries is screened, calls of few are not: same ids, same bits. */
static void expect_unchanged(struct pkm_index *index, const struct pkm_index_config *c,
                             const float *q, const char *what)
{
    size_t found = (size_t)(c->queries * c->kept);
    float *scores = malloc(found * sizeof *scores), *few_scores = malloc(found * sizeof *scores);
    int32_t *ids = malloc(found * sizeof *ids), *few_ids = malloc(found * sizeof *ids);
    pkm_index_search(index, ids, scores, q, c->queries);
    for (int64_t t = 0; t < c->queries; t += 20) {
        int64_t rows = c->queries - t < 20 ? c->queries - t : 20;
        pkm_index_search(index, few_ids + t * c->kept, few_scores + t * c->kept, q + t * c->width,
                         rows);
    }
    cr_expect(memcmp(ids, few_ids, found * sizeof *ids) == 0, "%s: ids", what);
    cr_expect(memcmp(scores, few_scores, found * sizeof *scores) == 0, "%s: scores", what);
    void *const all[] = {scores, few_scores, ids, few_ids};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

Test(screen, what_is_found_is_the_same_to_the_bit)
{
    enum { N = 1029, K = 30, T = 525 };
    struct peer_ctx *ctx = NULL;
    static float q[T * K];
    char what[32];
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    for (int values = 0; values < VALUES_COUNT; values++)
        for (int64_t k = 1; k <= 64; k += 21) {
            struct pkm_index_config c = {.n = N, .width = K, .kept = k, .queries = T};
            struct pkm_index *index = NULL;
            cr_assert(pkm_screen_pays(c.n, c.kept));
            cr_assert_eq(pkm_index_create(&index, ctx, &c), PEER_OK);
            values_fill(pkm_index_keys(index), N * K, (enum values)values, SEED, 1);
            values_fill(q, T * K, (enum values)values, SEED, 2);
            snprintf(what, sizeof what, "values %d, k %ld", values, (long)k);
            expect_unchanged(index, &c, q, what);
            pkm_index_destroy(&index);
        }
    peer_ctx_destroy(&ctx);
}

enum { N = 1024, K = 64, T = 600 };

/* Half of the sub-keys differ from the other half by less than bf16 can tell. */
static void fill_near_ties(float *keys, float *q)
{
    peer_fill_normal(keys, N * K, 0, 1, SEED, 1);
    peer_fill_normal(q, T * K, 0, 1, SEED, 2);
    for (int i = 0; i < N * K / 2; i++) /* in each half's table the second half of rows */
        keys[(i / (N * K / 4)) * (N * K / 2) + N * K / 4 + i % (N * K / 4)] =
            keys[(i / (N * K / 4)) * (N * K / 2) + i % (N * K / 4)] * (1 + 0x1p-20f);
}

/* Small enough for their squares to be 0, and alike to a bit of bf16. */
static void fill_tiny_keys(float *keys, float *q)
{
    peer_fill_normal(keys, N * K, 0x1p-80f, 0x1p-90f, SEED, 1);
    peer_fill_normal(q, T * K, 0, 1, SEED, 2);
}

static void fill_tiny_queries(float *keys, float *q)
{
    peer_fill_normal(keys, N * K, 1, 0x1p-10f, SEED, 1);
    peer_fill_normal(q, T * K, 0, 0x1p-80f, SEED, 2);
}

static void expect_told_apart(void (*fill)(float *keys, float *q), const char *what)
{
    struct peer_ctx *ctx = NULL;
    struct pkm_index *index = NULL;
    struct pkm_index_config c = {.n = N, .width = K, .kept = 16, .queries = T};
    static float q[T * K];
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    cr_assert_eq(pkm_index_create(&index, ctx, &c), PEER_OK);
    fill(pkm_index_keys(index), q);
    expect_unchanged(index, &c, q, what);
    pkm_index_destroy(&index);
    peer_ctx_destroy(&ctx);
}

Test(screen, what_bf16_confuses_is_told_apart)
{
    expect_told_apart(fill_near_ties, "near ties");
    expect_told_apart(fill_tiny_keys, "tiny sub-keys");
    expect_told_apart(fill_tiny_queries, "tiny queries");
}
