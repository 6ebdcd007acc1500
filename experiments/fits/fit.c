/* SPDX-License-Identifier: MIT */
#include "experiments/fits/fit.h"

#include <gsl/gsl_errno.h>
#include <gsl/gsl_multifit.h>
#include <math.h>
#include <stdlib.h>

#include "nn/pool.h"
#include "nn/random.h"

struct point {
    double x, y;
};

/* Means over seeds, and the fit as a linear map from means to coefficients in
 * t = (x - center) / scale, -1 ... 1. */
struct grid {
    int64_t sizes, runs, spread; /* spread: deviations held */
    struct point *size;          /* [sizes], rising x, mean y */
    int64_t *seeds;              /* [sizes] */
    double *deviation;           /* [spread], of seeds from their mean, unbiased in variance */
    double center, scale;
    double *map;      /* [3, sizes] */
    double *residual; /* [sizes], unbiased in variance */
    double *noisy;    /* [sizes], scratch of the bootstrap */
};

/* How much noise a draw of the bootstrap gets. */
struct noise {
    double residual, seed; /* factors */
};

static int by_x_then_y(const void *left, const void *right)
{
    const struct point *a = left, *b = right;
    if (a->x != b->x)
        return a->x < b->x ? -1 : 1;
    return (a->y > b->y) - (a->y < b->y);
}

static void group_seeds(struct grid *grid, const struct point *points, int64_t count)
{
    for (int64_t i = 0, end; i < count; i = end) {
        double sum = 0;
        for (end = i; end < count && points[end].x == points[i].x; end++)
            sum += points[end].y;
        int64_t n = end - i, size = grid->sizes++;
        grid->size[size] = (struct point){points[i].x, sum / (double)n};
        grid->seeds[size] = n;
        for (int64_t j = i; n > 1 && j < end; j++)
            grid->deviation[grid->spread++] =
                (points[j].y - grid->size[size].y) * sqrt((double)n / (double)(n - 1));
    }
    grid->runs = count;
}

static enum peer_status grid_build(struct grid *grid, struct peer_pool *pool, const double *x,
                                   const double *y, int64_t count)
{
    struct point *points = peer_pool_alloc(pool, "points", sizeof *points, count, 1, 1);
    grid->size = peer_pool_alloc(pool, "sizes", sizeof *grid->size, count, 1, 1);
    grid->seeds = peer_pool_alloc(pool, "seeds", sizeof *grid->seeds, count, 1, 1);
    grid->deviation = peer_pool_alloc(pool, "deviations", sizeof(double), count, 1, 1);
    grid->map = peer_pool_alloc(pool, "map", sizeof(double), 3, count, 1);
    grid->residual = peer_pool_alloc(pool, "residuals", sizeof(double), count, 1, 1);
    grid->noisy = peer_pool_alloc(pool, "noisy", sizeof(double), count, 1, 1);
    if (pool->failed)
        return PEER_ERR_MEMORY;
    for (int64_t i = 0; i < count; i++)
        points[i] = (struct point){x[i], y[i]};
    qsort(points, (size_t)count, sizeof *points, by_x_then_y);
    group_seeds(grid, points, count);
    if (grid->sizes > 0) {
        double low = grid->size[0].x, high = grid->size[grid->sizes - 1].x;
        grid->center = (low + high) / 2;
        grid->scale = (high - low) / 2;
    }
    return PEER_OK;
}

static double position(const struct grid *grid, int64_t size)
{
    return (grid->size[size].x - grid->center) / grid->scale;
}

/* Column i of the map is the least-squares solution for the i-th unit vector. */
static enum peer_status solve_map(struct grid *grid, struct peer_ctx *ctx)
{
    size_t n = (size_t)grid->sizes;
    gsl_multifit_linear_workspace *work = gsl_multifit_linear_alloc(n, 3);
    gsl_matrix *design = gsl_matrix_alloc(n, 3), *covariance = gsl_matrix_alloc(3, 3);
    gsl_vector *unit = gsl_vector_calloc(n), *c = gsl_vector_alloc(3);
    bool solved = work && design && covariance && unit && c;
    for (size_t i = 0; solved && i < n; i++)
        for (size_t power = 0; power < 3; power++)
            gsl_matrix_set(design, i, power, pow(position(grid, (int64_t)i), (double)power));
    for (size_t i = 0; solved && i < n; i++) {
        double chi_squared;
        gsl_vector_set_basis(unit, i);
        solved = !gsl_multifit_linear(design, unit, c, covariance, &chi_squared, work);
        for (size_t power = 0; solved && power < 3; power++)
            grid->map[power * n + i] = gsl_vector_get(c, power);
    }
    gsl_vector_free(c);
    gsl_vector_free(unit);
    gsl_matrix_free(covariance);
    gsl_matrix_free(design);
    gsl_multifit_linear_free(work);
    return solved ? PEER_OK
                  : peer_fail(ctx, PEER_ERR_MEMORY, "lab_fit_parabola: no memory for %zu sizes", n);
}

/* c = map y. */
static void coefficients(const struct grid *grid, const double *y, double c[3])
{
    for (int64_t power = 0; power < 3; power++) {
        c[power] = 0;
        for (int64_t i = 0; i < grid->sizes; i++)
            c[power] += grid->map[power * grid->sizes + i] * y[i];
    }
}

static double value(const double c[3], double t)
{
    return c[0] + t * (c[1] + t * c[2]);
}

static void find_residuals(struct grid *grid, const double c[3])
{
    for (int64_t i = 0; i < grid->sizes; i++) {
        double t = position(grid, i), leverage = 0;
        for (int64_t power = 0; power < 3; power++)
            leverage += grid->map[power * grid->sizes + i] * pow(t, (double)power);
        double rest = grid->size[i].y - value(c, t);
        grid->residual[i] = leverage < 1 - 1e-9 ? rest / sqrt(1 - leverage) : 0;
    }
}

static double mean_square(const double *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    return n > 0 ? sum / (double)n : 0;
}

/* The variance of a size's mean is that of seeds, plus what the residuals hold above it; its
 * degrees of freedom by Satterthwaite's formula. */
static struct noise noise_factors(const struct grid *grid)
{
    double free_residual = (double)(grid->sizes - 3);
    double free_seed = (double)(grid->runs - grid->sizes);
    double all = free_residual > 0 ? mean_square(grid->residual, grid->sizes) : 0, inverse = 0;
    for (int64_t i = 0; i < grid->sizes; i++)
        inverse += 1 / ((double)grid->seeds[i] * (double)grid->sizes);
    double seed = mean_square(grid->deviation, grid->spread) * inverse;
    double excess = fmax(0, all - seed);
    double freedom = lab_satterthwaite(excess, free_residual, seed, free_seed);
    if (freedom <= 0)
        return (struct noise){0, 0};
    double wider = lab_interval_widening(freedom);
    return (struct noise){all > 0 ? wider * sqrt(excess / all) : 0, wider};
}

/* One draw: noisy = the fitted curve plus noise. Takes the stream on from *index. */
static void draw(const struct grid *grid, const double c[3], struct noise noise, uint64_t seed,
                 uint64_t *index)
{
    uint64_t stream = peer_stream("fit");
    for (int64_t i = 0; i < grid->sizes; i++) {
        uint32_t chosen = peer_random_below(seed, stream, (*index)++, 2 * (uint32_t)grid->sizes);
        double rest = grid->residual[chosen / 2] * (chosen % 2 ? -noise.residual : noise.residual);
        double sum = 0;
        for (int64_t j = 0; grid->spread > 0 && j < grid->seeds[i]; j++)
            sum += grid->deviation[peer_random_below(seed, stream, (*index)++,
                                                     (uint32_t)grid->spread)];
        grid->noisy[i] =
            value(c, position(grid, i)) + rest + noise.seed * sum / (double)grid->seeds[i];
    }
}

static void bootstrap(struct lab_fit *fit, const struct grid *grid, const double c[3],
                      uint64_t seed)
{
    struct noise noise = noise_factors(grid);
    double x[LAB_FIT_DRAWS], y[LAB_FIT_DRAWS];
    uint64_t index = 0;
    for (int64_t i = 0; i < LAB_FIT_DRAWS; i++) {
        double again[3];
        draw(grid, c, noise, seed, &index);
        coefficients(grid, grid->noisy, again);
        double t = again[2] > 0 ? -again[1] / (2 * again[2]) : NAN;
        x[i] = grid->center + grid->scale * t;
        y[i] = fit->draws[i] = value(again, t);
    }
    fit->x_interval = lab_interval_draws(x, LAB_FIT_DRAWS);
    fit->y_interval = lab_interval_draws(y, LAB_FIT_DRAWS);
    if (!fit->x_interval.known || !fit->y_interval.known)
        fit->x_interval = fit->y_interval = lab_interval_unknown();
}

/* "" where the parabola, in t, has its minimum inside -1 ... 1. */
static const char *no_minimum(const double c[3])
{
    static const char smallest[] = "minimum at the grid's edge: the smallest size is best";
    static const char largest[] = "minimum at the grid's edge: the largest size is best";
    double rounding = 1e-12 * fmax(1, fabs(c[0]));
    if (fabs(c[2]) <= rounding && fabs(c[1]) <= rounding)
        return "flat: all sizes have the same loss";
    if (c[2] < -rounding)
        return "opens downward";
    if (c[2] <= rounding || fabs(c[1]) >= 2 * c[2])
        return c[1] > 0 ? smallest : largest;
    return "";
}

static const char *basis(const struct grid *grid, const struct lab_fit *fit)
{
    bool seeds = grid->spread > 0, residuals = grid->sizes > 3;
    if (!seeds && !residuals)
        return "no interval: 3 sizes with 1 seed each leave no degrees of freedom";
    if (!fit->x_interval.known)
        return "no interval: too many bootstrap draws have no minimum";
    if (!seeds)
        return "from residuals only: 1 seed per size, their noise is unknown";
    return residuals ? "from residuals and the noise of seeds"
                     : "from the noise of seeds only: 3 sizes leave no residuals";
}

static void fit_grid(struct lab_fit *fit, struct grid *grid, uint64_t seed)
{
    double c[3];
    for (int64_t i = 0; i < grid->sizes; i++)
        grid->noisy[i] = grid->size[i].y;
    coefficients(grid, grid->noisy, c);
    find_residuals(grid, c);
    fit->fitted = true;
    for (int power = 0; power < 3; power++)
        fit->c[power] = c[power] / pow(grid->scale, power);
    fit->reason = no_minimum(c);
    fit->minimum = !*fit->reason;
    if (!fit->minimum)
        return;
    double t = -c[1] / (2 * c[2]);
    fit->x = grid->center + grid->scale * t;
    fit->y = value(c, t);
    if (grid->sizes > 3 || grid->spread > 0)
        bootstrap(fit, grid, c, seed);
    fit->note = basis(grid, fit);
}

enum peer_status lab_fit_parabola(struct lab_fit *ret, struct peer_ctx *ctx, const double *x,
                                  const double *y, int64_t count, uint64_t seed)
{
    struct lab_interval none = lab_interval_unknown();
    struct lab_fit fit = {.low = NAN,
                          .high = NAN,
                          .best_x = NAN,
                          .best_y = NAN,
                          .x = NAN,
                          .y = NAN,
                          .x_interval = none,
                          .y_interval = none,
                          .note = "",
                          .reason = count ? "fewer than 3 sizes" : "no finished run"};
    struct peer_pool pool = {.ctx = ctx};
    struct grid grid = {0};
    enum peer_status status = grid_build(&grid, &pool, x, y, count);
    for (int64_t i = 0; i < LAB_FIT_DRAWS; i++)
        fit.draws[i] = NAN;
    if (status == PEER_OK && grid.sizes >= 3) {
        gsl_error_handler_t *handler = gsl_set_error_handler_off();
        status = solve_map(&grid, ctx);
        gsl_set_error_handler(handler);
    }
    if (status == PEER_OK && grid.sizes > 0) {
        fit.runs = grid.runs;
        fit.sizes = grid.sizes;
        fit.low = grid.size[0].x;
        fit.high = grid.size[grid.sizes - 1].x;
        fit.center = grid.center;
        for (int64_t i = 0; i < grid.sizes; i++)
            if (!(grid.size[i].y >= fit.best_y)) {
                fit.best_x = grid.size[i].x;
                fit.best_y = grid.size[i].y;
            }
        if (grid.sizes >= 3)
            fit_grid(&fit, &grid, seed);
    }
    peer_pool_free(&pool);
    if (status == PEER_OK)
        *ret = fit;
    return status;
}

struct lab_interval lab_fit_difference(const struct lab_fit *fit, const struct lab_fit *base)
{
    double draws[LAB_FIT_DRAWS];
    for (int64_t i = 0; i < LAB_FIT_DRAWS; i++)
        draws[i] = fit->draws[i] - base->draws[i];
    return lab_interval_draws(draws, LAB_FIT_DRAWS);
}
