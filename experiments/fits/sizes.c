/* SPDX-License-Identifier: MIT */
#include "experiments/fits/sizes.h"

#include <math.h>
#include <stdlib.h>

#include "experiments/fits/interval.h"
#include "nn/random.h"

static int by_x_then_y(const void *left, const void *right)
{
    const struct lab_point *a = left, *b = right;
    if (a->x != b->x)
        return a->x < b->x ? -1 : 1;
    return (a->y > b->y) - (a->y < b->y);
}

static void group_seeds(struct lab_sizes *sizes, const struct lab_point *points, int64_t count)
{
    for (int64_t i = 0, end; i < count; i = end) {
        double sum = 0;
        for (end = i; end < count && points[end].x == points[i].x; end++)
            sum += points[end].y;
        int64_t n = end - i, size = sizes->count++;
        sizes->size[size] = (struct lab_point){points[i].x, sum / (double)n};
        sizes->seeds[size] = n;
        for (int64_t j = i; n > 1 && j < end; j++)
            sizes->deviation[sizes->spread++] =
                (points[j].y - sizes->size[size].y) * sqrt((double)n / (double)(n - 1));
    }
    sizes->runs = count;
}

enum peer_status lab_sizes_group(struct lab_sizes *ret, struct peer_pool *pool, const double *x,
                                 const double *y, int64_t count)
{
    struct lab_point *points = peer_pool_alloc(pool, "points", sizeof *points, count, 1, 1);
    struct lab_sizes sizes = {
        .size = peer_pool_alloc(pool, "sizes", sizeof *sizes.size, count, 1, 1),
        .seeds = peer_pool_alloc(pool, "seeds", sizeof *sizes.seeds, count, 1, 1),
        .deviation = peer_pool_alloc(pool, "deviations", sizeof(double), count, 1, 1),
        .residual = peer_pool_alloc(pool, "residuals", sizeof(double), count, 1, 1)};
    if (pool->failed)
        return PEER_ERR_MEMORY;
    for (int64_t i = 0; i < count; i++)
        points[i] = (struct lab_point){x[i], y[i]};
    qsort(points, (size_t)count, sizeof *points, by_x_then_y);
    group_seeds(&sizes, points, count);
    *ret = sizes;
    return PEER_OK;
}

static double mean_square(const double *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    return n > 0 ? sum / (double)n : 0;
}

bool lab_sizes_weigh(struct lab_sizes *sizes, int64_t constants)
{
    double free_residual = (double)(sizes->count - constants);
    double free_seed = (double)(sizes->runs - sizes->count);
    double all = free_residual > 0 ? mean_square(sizes->residual, sizes->count) : 0, inverse = 0;
    for (int64_t i = 0; i < sizes->count; i++)
        inverse += 1 / ((double)sizes->seeds[i] * (double)sizes->count);
    double seed = mean_square(sizes->deviation, sizes->spread) * inverse;
    double excess = fmax(0, all - seed);
    double freedom = lab_satterthwaite(excess, free_residual, seed, free_seed);
    double wider = freedom > 0 ? lab_interval_widening(freedom) : 0;
    sizes->residual_factor = all > 0 ? wider * sqrt(excess / all) : 0;
    sizes->seed_factor = wider;
    return freedom > 0;
}

int64_t lab_sizes_draws(const struct lab_sizes *sizes, int64_t size)
{
    return 1 + (sizes->spread > 0 ? sizes->seeds[size] : 0);
}

double lab_sizes_noise(const struct lab_sizes *sizes, int64_t size, uint64_t seed, uint64_t stream,
                       uint64_t *index)
{
    uint32_t chosen = peer_random_below(seed, stream, (*index)++, 2 * (uint32_t)sizes->count);
    double sign = chosen % 2 ? -sizes->residual_factor : sizes->residual_factor, sum = 0;
    for (int64_t i = 1; i < lab_sizes_draws(sizes, size); i++)
        sum +=
            sizes->deviation[peer_random_below(seed, stream, (*index)++, (uint32_t)sizes->spread)];
    return sizes->residual[chosen / 2] * sign +
           sizes->seed_factor * sum / (double)sizes->seeds[size];
}
