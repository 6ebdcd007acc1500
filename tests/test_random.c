/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>

#include "nn/random.h"

/* Known answers of Random123 1.14, kat_vectors, philox 4x32 10. */
Test(philox, known_answers)
{
    static const struct {
        uint32_t counter[4], key[2], expected[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t out[4];
        peer_philox4x32(out, cases[i].counter, cases[i].key);
        for (int j = 0; j < 4; j++)
            cr_expect_eq(out[j], cases[i].expected[j], "case %zu word %d: %08x", i, j, out[j]);
    }
}

Test(random, a_draw_depends_on_its_index_alone)
{
    float all[103], tail[3];
    peer_fill_normal(all, 103, 2.5f, 0.75f, 41, peer_stream("a"));
    peer_fill_normal(tail, 3, 2.5f, 0.75f, 41, peer_stream("a"));
    cr_expect_arr_eq(all, tail, sizeof tail);
    peer_fill_normal(tail, 3, 2.5f, 0.75f, 41, peer_stream("b"));
    cr_expect_arr_neq(all, tail, sizeof tail);
}

Test(random, a_part_is_a_part_of_the_whole)
{
    float whole[103], part[103];
    for (int first = 0; first < 10; first++)
        for (int n = 0; n < 9; n++) {
            peer_fill_uniform(whole, 103, -1, 2, 5, 6);
            peer_fill_uniform_from(part, first, n, -1, 2, 5, 6);
            cr_expect_arr_eq(part, whole + first, (size_t)n * sizeof *part);
            peer_fill_normal(whole, 103, 1, 2, 5, 6);
            peer_fill_normal_from(part, 2 * first, n, 1, 2, 5, 6);
            cr_expect_arr_eq(part, whole + 2 * first, (size_t)n * sizeof *part);
        }
}

/* With n = 1e5 draws the mean's standard error is 0.00316 and the variance's 0.00447. */
Test(random, normal_has_its_moments)
{
    enum { n = 100000 };
    static float x[n];
    peer_fill_normal(x, n, 0, 1, 7, 11);
    double sum = 0, squares = 0;
    for (int i = 0; i < n; i++) {
        sum += x[i];
        squares += (double)x[i] * x[i];
    }
    cr_expect_lt(fabs(sum / n), 5 * 0.00316);
    cr_expect_lt(fabs(squares / n - 1), 5 * 0.00447);
}

Test(random, below_reaches_every_value_and_no_other)
{
    int seen[7] = {0};
    for (uint64_t i = 0; i < 700; i++) {
        uint32_t draw = peer_random_below(3, 5, i, 7);
        cr_assert_lt(draw, 7);
        seen[draw]++;
    }
    for (int i = 0; i < 7; i++)
        cr_expect_gt(seen[i], 50, "%d drawn %d times of 700", i, seen[i]);
}
