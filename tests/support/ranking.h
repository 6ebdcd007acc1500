/* SPDX-License-Identifier: MIT */
/* Rankings as pkm/search.h orders them, and when two of them agree. */
#ifndef PEER_TESTS_SUPPORT_RANKING_H
#define PEER_TESTS_SUPPORT_RANKING_H

#include <stdbool.h>
#include <stdint.h>

/* How values of an input are drawn. */
enum values {
    VALUES_NORMAL = 0,
    VALUES_QUANTISED, /* integers from -2 to 2: many ties, sums exact */
    VALUES_HUGE,      /* sums overflow */
    VALUES_TINY,      /* subnormal */
    VALUES_MIXED,     /* magnitudes from 1e-8 to 1e8: unequal sums round to equal ones */
    VALUES_INFINITE,  /* one in four is infinite, of either sign */
    VALUES_NAN,       /* one in four is NaN */
    VALUES_ZEROS,     /* of either sign */
    VALUES_COUNT
};

/* True where sums of two such values are exact, so that rankings must agree in every id. */
bool values_exact(enum values values);

void values_fill(float *x, int64_t n, enum values values, uint64_t seed, uint64_t stream);

/* The ranking by sorting all n*n pairs: ids [k], sums [k]. */
void ranking_by_sorting(int32_t *ids, float *sums, const float *left, const float *right, int64_t n,
                        int64_t k);

/* Scores bit for bit; ids equal above the last score. In the group of the last score both ascend
 * and `expected`, which saw every key, is nowhere above `ids`; with `exact` they are equal there
 * too. Returns false, having said why, if not. */
bool ranking_agrees(const int32_t *ids, const float *sums, const int32_t *expected_ids,
                    const float *expected_sums, int64_t k, bool exact);

#endif
