/* SPDX-License-Identifier: MIT */
#include "tests/support/ranking.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/random.h"

bool values_exact(enum values values)
{
    return values == VALUES_QUANTISED || values == VALUES_ZEROS;
}

static float value_of(float z, uint32_t draw, enum values values)
{
    switch (values) {
    case VALUES_QUANTISED:
        return (float)(draw % 5) - 2;
    case VALUES_HUGE:
        return z * 2e38f;
    case VALUES_TINY:
        return z * 1e-41f;
    case VALUES_MIXED:
        return z * powf(10, (float)(draw % 17) - 8);
    case VALUES_INFINITE:
        return draw % 4 ? z : draw % 8 ? INFINITY : -INFINITY;
    case VALUES_NAN:
        return draw % 4 ? z : NAN;
    case VALUES_ZEROS:
        return draw % 2 ? 0.0f : -0.0f;
    default:
        return z;
    }
}

void values_fill(float *x, int64_t n, enum values values, uint64_t seed, uint64_t stream)
{
    peer_fill_normal(x, n, 0, 1, seed, stream);
    for (int64_t i = 0; i < n; i++)
        x[i] = value_of(x[i], peer_random_bits(seed, stream + 1, (uint64_t)i), values);
}

struct ranked {
    float sum;
    int32_t id;
};

static int compare(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->sum != y->sum)
        return x->sum < y->sum ? 1 : -1;
    return x->id < y->id ? -1 : x->id > y->id;
}

void ranking_by_sorting(int32_t *ids, float *sums, const float *left, const float *right, int64_t n,
                        int64_t k)
{
    struct ranked *all = malloc((size_t)(n * n) * sizeof *all);
    cr_assert_not_null(all);
    for (int64_t i = 0; i < n * n; i++) {
        float sum = left[i / n] + right[i % n];
        all[i] = (struct ranked){isnan(sum) ? -INFINITY : sum, (int32_t)i};
    }
    qsort(all, (size_t)(n * n), sizeof *all, compare);
    for (int64_t j = 0; j < k; j++) {
        ids[j] = all[j].id;
        sums[j] = all[j].sum == 0 ? 0 : all[j].sum;
    }
    free(all);
}

bool ranking_agrees(const int32_t *ids, const float *sums, const int32_t *expected_ids,
                    const float *expected_sums, int64_t k, bool exact)
{
    for (int64_t j = 0; j < k; j++) {
        bool last = expected_sums[j] == expected_sums[k - 1];
        bool ascends = j == 0 || sums[j] != sums[j - 1] || ids[j] > ids[j - 1];
        bool same_sum = memcmp(&sums[j], &expected_sums[j], sizeof *sums) == 0;
        bool same_id = last && !exact ? ids[j] >= expected_ids[j] : ids[j] == expected_ids[j];
        if (ascends && same_sum && same_id)
            continue;
        cr_log_error("rank %d of %d: id %d score %a, expected id %d score %a", (int)j, (int)k,
                     ids[j], (double)sums[j], expected_ids[j], (double)expected_sums[j]);
        return false;
    }
    return true;
}
