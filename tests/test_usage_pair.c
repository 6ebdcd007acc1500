/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>

#include "lm/usage_pair.h"
#include "nn/random.h"
#include "tests/support/failing.h"

enum { SEED = 41 };

static struct peer_ctx *ctx;

static void set_up(void)
{
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
}

static void tear_down(void)
{
    peer_ctx_destroy(&ctx);
}

TestSuite(usage_pair, .init = set_up, .fini = tear_down);

static void near(double got, double expected, const char *what)
{
    cr_expect_lt(fabs(got - expected), 1e-12, "%s = %.17g, expected %.17g", what, got, expected);
}

static struct lm_usage_pair pair_of(const double *a, const double *b, int64_t N)
{
    struct lm_usage_pair pair;
    cr_assert_eq(lm_usage_compare(&pair, ctx, a, b, N), PEER_OK, "%s", peer_ctx_error(ctx));
    return pair;
}

/* Ranks 1.5 1.5 3 4 5 and 3 4.5 1.5 1.5 4.5 less 3: squares 9.5 and 9, products of
 * (-1.5 -1.5 0 1 2) and (0 1.5 -1.5 -1.5 1.5): -0.75. */
Test(usage_pair, five_experts_by_hand)
{
    static const double a[] = {0, 0, 1, 2, 5}, b[] = {1, 3, 0, 0, 3};
    struct lm_usage_pair pair = pair_of(a, b, 5);
    near(pair.jaccard, 1.0 / 5, "jaccard"); /* {2 3 4} and {0 1 4} */
    near(pair.chance, 0.36 / 0.84, "chance");
    near(pair.spearman, -0.75 / sqrt(9.5 * 9), "spearman");
    near(pair.distance, (8.0 + 24 + 7 + 14 + 11) / 56 / 2, "distance"); /* of 8 and of 7 */
}

Test(usage_pair, alike_reversed_and_apart)
{
    for (int N = 2; N <= 33; N += 31) {
        double rising[33], falling[33], left[33] = {0}, right[33] = {0};
        for (int i = 0; i < N; i++) {
            rising[i] = 1 + 0.3 * i * i;
            falling[i] = 1 / rising[i];
        }
        struct lm_usage_pair same = pair_of(rising, rising, N);
        near(same.jaccard, 1, "jaccard");
        near(same.chance, 1, "chance");
        near(same.spearman, 1, "spearman");
        near(same.distance, 0, "distance");
        near(pair_of(rising, falling, N).spearman, -1, "spearman");
        left[0] = 3;
        right[N - 1] = 0.25;
        near(pair_of(left, right, N).distance, 1, "distance");
        near(pair_of(left, right, N).jaccard, 0, "jaccard");
    }
}

/* Against ranks counted pair by pair, with many ties. */
Test(usage_pair, ranks_are_those_of_all_pairs)
{
    enum { N = 257 };
    double mass[2][N], ranks[2][N], products[3] = {0};
    for (int side = 0; side < 2; side++)
        for (int i = 0; i < N; i++)
            mass[side][i] = peer_random_below(SEED, 1 + side, (uint64_t)i, 19);
    for (int side = 0; side < 2; side++)
        for (int i = 0; i < N; i++) {
            ranks[side][i] = -0.5 * N;
            for (int j = 0; j < N; j++)
                ranks[side][i] +=
                    (mass[side][j] < mass[side][i]) + 0.5 * (mass[side][j] == mass[side][i]);
        }
    for (int i = 0; i < N; i++) {
        products[0] += ranks[0][i] * ranks[0][i];
        products[1] += ranks[1][i] * ranks[1][i];
        products[2] += ranks[0][i] * ranks[1][i];
    }
    near(pair_of(mass[0], mass[1], N).spearman, products[2] / sqrt(products[0] * products[1]),
         "spearman");
}

/* Independent draws agree as often as chance says: 20000 experts, standard deviation of the share
 * below 0.004. */
Test(usage_pair, independent_sets_share_what_chance_says)
{
    enum { N = 20000 };
    static double a[N], b[N];
    for (int i = 0; i < N; i++) {
        a[i] = peer_random_below(SEED, 5, (uint64_t)i, 10) < 3;
        b[i] = peer_random_below(SEED, 6, (uint64_t)i, 10) < 7;
    }
    struct lm_usage_pair pair = pair_of(a, b, N);
    cr_expect_lt(fabs(pair.chance - 0.21 / 0.79), 5 * 0.005, "%g", pair.chance);
    cr_expect_lt(fabs(pair.jaccard - pair.chance), 5 * 0.004, "%g, %g", pair.jaccard, pair.chance);
    cr_expect_lt(fabs(pair.spearman), 5 / sqrt(N), "%g", pair.spearman);
}

Test(usage_pair, says_what_has_no_value)
{
    static const double none[] = {0, 0, 0}, some[] = {1, 0, 2};
    struct lm_usage_pair pair = pair_of(none, none, 3);
    cr_expect(isnan(pair.jaccard) && isnan(pair.chance) && isnan(pair.spearman) &&
              isnan(pair.distance));
    pair = pair_of(none, some, 3);
    near(pair.jaccard, 0, "jaccard");
    near(pair.chance, 0, "chance");
    cr_expect(isnan(pair.spearman) && isnan(pair.distance));
    pair = pair_of(some, some, 1);
    near(pair.jaccard, 1, "jaccard");
    cr_expect(isnan(pair.spearman), "one expert has no ranks");
    near(pair.distance, 0, "distance");
}

Test(usage_pair, survives_failing_allocations)
{
    struct failing failing = {.granted = -1};
    struct peer_ctx *small = failing_ctx(&failing, 1);
    static const double masses[] = {1, 2, 3};
    struct lm_usage_pair pair = {.jaccard = 7};
    for (int granted = 0; granted < 2; granted++) {
        failing.asked = 0;
        failing.granted = granted;
        cr_expect_eq(lm_usage_compare(&pair, small, masses, masses, 3), PEER_ERR_MEMORY);
        cr_expect_eq(pair.jaccard, 7);
        cr_expect_eq(failing.held, 0);
    }
    peer_ctx_destroy(&small);
}
