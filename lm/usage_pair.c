/* SPDX-License-Identifier: MIT */
#include "lm/usage_pair.h"

#include <math.h>
#include <stdlib.h>

#include "nn/pool.h"

struct place {
    double mass;
    int64_t expert;
};

static int compare_places(const void *left, const void *right)
{
    double a = ((const struct place *)left)->mass, b = ((const struct place *)right)->mass;
    return (a > b) - (a < b);
}

/* Ranks 1 ... N less their mean, ties sharing theirs. */
static void rank(double *ret, struct place *places, const double *mass, int64_t N)
{
    for (int64_t i = 0; i < N; i++)
        places[i] = (struct place){mass[i], i};
    qsort(places, (size_t)N, sizeof *places, compare_places);
    for (int64_t begin = 0, end; begin < N; begin = end) {
        for (end = begin + 1; end < N && places[end].mass == places[begin].mass;)
            end++;
        double shared = 0.5 * (double)(begin + 1 + end) - 0.5 * (double)(N + 1);
        for (int64_t i = begin; i < end; i++)
            ret[places[i].expert] = shared;
    }
}

static double correlation(const double *a, const double *b, int64_t N)
{
    double aa = 0, bb = 0, ab = 0;
    for (int64_t i = 0; i < N; i++) {
        aa += a[i] * a[i];
        bb += b[i] * b[i];
        ab += a[i] * b[i];
    }
    return aa > 0 && bb > 0 ? fmax(-1, fmin(1, ab / sqrt(aa) / sqrt(bb))) : NAN;
}

static struct lm_usage_pair overlap_of(const double *a, const double *b, int64_t N)
{
    double both = 0, either = 0, used_a = 0, used_b = 0, sum_a = 0, sum_b = 0, apart = 0;
    for (int64_t i = 0; i < N; i++) {
        both += a[i] != 0 && b[i] != 0;
        either += a[i] != 0 || b[i] != 0;
        used_a += a[i] != 0;
        used_b += b[i] != 0;
        sum_a += a[i];
        sum_b += b[i];
    }
    for (int64_t i = 0; i < N; i++)
        apart += fabs(a[i] / sum_a - b[i] / sum_b);
    double u = used_a / (double)N, v = used_b / (double)N;
    return (struct lm_usage_pair){
        .jaccard = either > 0 ? both / either : NAN,
        .chance = either > 0 ? u * v / (u + v - u * v) : NAN,
        .distance = sum_a > 0 && sum_b > 0 ? fmin(0.5 * apart, 1) : NAN,
    };
}

enum peer_status lm_usage_compare(struct lm_usage_pair *ret, struct peer_ctx *ctx, const double *a,
                                  const double *b, int64_t N)
{
    static const char who[] = "lm_usage_compare";
    struct peer_pool pool = {.ctx = ctx};
    struct place *places = peer_pool_alloc(&pool, who, sizeof *places, N, 1, 1);
    double *ranks = peer_pool_alloc(&pool, who, sizeof *ranks, 2, N, 1);
    if (!pool.failed) {
        rank(ranks, places, a, N);
        rank(ranks + N, places, b, N);
        *ret = overlap_of(a, b, N);
        ret->spearman = correlation(ranks, ranks + N, N);
    }
    bool failed = pool.failed;
    peer_pool_free(&pool);
    return failed ? PEER_ERR_MEMORY : PEER_OK;
}
