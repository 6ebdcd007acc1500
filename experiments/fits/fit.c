/* SPDX-License-Identifier: MIT */
#include "experiments/fits/fit.h"

#include <gsl/gsl_multifit.h>
#include <math.h>

#include "experiments/fits/quiet.h"
#include "experiments/fits/sizes.h"
#include "nn/random.h"

/* The fit as a linear map from means to coefficients in t = (x - center) / scale, -1 ... 1. */
struct grid {
    struct lab_sizes sizes;
    double center, scale;
    double *map;   /* [3, sizes] */
    double *noisy; /* [sizes], scratch of the bootstrap */
};

static enum peer_status grid_build(struct grid *grid, struct peer_pool *pool, const double *x,
                                   const double *y, int64_t count)
{
    enum peer_status status = lab_sizes_group(&grid->sizes, pool, x, y, count);
    grid->map = peer_pool_alloc(pool, "map", sizeof(double), 3, count, 1);
    grid->noisy = peer_pool_alloc(pool, "noisy", sizeof(double), count, 1, 1);
    if (status != PEER_OK || pool->failed)
        return PEER_ERR_MEMORY;
    if (grid->sizes.count > 0) {
        double low = grid->sizes.size[0].x, high = grid->sizes.size[grid->sizes.count - 1].x;
        grid->center = (low + high) / 2;
        grid->scale = (high - low) / 2;
    }
    return PEER_OK;
}

static double position(const struct grid *grid, int64_t size)
{
    return (grid->sizes.size[size].x - grid->center) / grid->scale;
}

/* False without memory: GSL's decomposition would go on with the vectors that it did not get. */
static bool solve(const gsl_matrix *design, const gsl_vector *unit, gsl_vector *c,
                  gsl_matrix *covariance, gsl_multifit_linear_workspace *work)
{
    double chi_squared;
    volatile bool solved = false;
    jmp_buf out;
    lab_fits_without_memory = &out;
    if (setjmp(out) == 0)
        solved = !gsl_multifit_linear(design, unit, c, covariance, &chi_squared, work);
    lab_fits_without_memory = NULL;
    return solved;
}

/* Column i of the map is the least-squares solution for the i-th unit vector. */
static enum peer_status solve_map(struct grid *grid, struct peer_ctx *ctx)
{
    lab_fits_quiet();
    size_t n = (size_t)grid->sizes.count;
    gsl_multifit_linear_workspace *work = gsl_multifit_linear_alloc(n, 3);
    gsl_matrix *design = gsl_matrix_alloc(n, 3), *covariance = gsl_matrix_alloc(3, 3);
    gsl_vector *unit = gsl_vector_calloc(n), *c = gsl_vector_alloc(3);
    bool solved = work && design && covariance && unit && c;
    for (size_t i = 0; solved && i < n; i++)
        for (size_t power = 0; power < 3; power++)
            gsl_matrix_set(design, i, power, pow(position(grid, (int64_t)i), (double)power));
    for (size_t i = 0; solved && i < n; i++) {
        gsl_vector_set_basis(unit, i);
        solved = solve(design, unit, c, covariance, work);
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
        for (int64_t i = 0; i < grid->sizes.count; i++)
            c[power] += grid->map[power * grid->sizes.count + i] * y[i];
    }
}

static double value(const double c[3], double t)
{
    return c[0] + t * (c[1] + t * c[2]);
}

static void find_residuals(struct grid *grid, const double c[3])
{
    for (int64_t i = 0; i < grid->sizes.count; i++) {
        double t = position(grid, i), leverage = 0;
        for (int64_t power = 0; power < 3; power++)
            leverage += grid->map[power * grid->sizes.count + i] * pow(t, (double)power);
        double rest = grid->sizes.size[i].y - value(c, t);
        grid->sizes.residual[i] = leverage < 1 - 1e-9 ? rest / sqrt(1 - leverage) : 0;
    }
}

/* One draw: noisy = the fitted curve plus noise. Takes the stream on from *index. */
static void draw(const struct grid *grid, const double c[3], uint64_t seed, uint64_t *index)
{
    uint64_t stream = peer_stream("fit");
    for (int64_t i = 0; i < grid->sizes.count; i++)
        grid->noisy[i] =
            value(c, position(grid, i)) + lab_sizes_noise(&grid->sizes, i, seed, stream, index);
}

static void bootstrap(struct lab_fit *fit, struct grid *grid, const double c[3], uint64_t seed)
{
    lab_sizes_weigh(&grid->sizes, 3);
    double x[LAB_FIT_DRAWS], y[LAB_FIT_DRAWS];
    uint64_t index = 0;
    for (int64_t i = 0; i < LAB_FIT_DRAWS; i++) {
        double again[3];
        draw(grid, c, seed, &index);
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
    bool seeds = grid->sizes.spread > 0, residuals = grid->sizes.count > 3;
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
    for (int64_t i = 0; i < grid->sizes.count; i++)
        grid->noisy[i] = grid->sizes.size[i].y;
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
    if (grid->sizes.count > 3 || grid->sizes.spread > 0)
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
    if (status == PEER_OK && grid.sizes.count >= 3)
        status = solve_map(&grid, ctx);
    if (status == PEER_OK && grid.sizes.count > 0) {
        fit.runs = grid.sizes.runs;
        fit.sizes = grid.sizes.count;
        fit.low = grid.sizes.size[0].x;
        fit.high = grid.sizes.size[grid.sizes.count - 1].x;
        fit.center = grid.center;
        for (int64_t i = 0; i < grid.sizes.count; i++)
            if (!(grid.sizes.size[i].y >= fit.best_y)) {
                fit.best_x = grid.sizes.size[i].x;
                fit.best_y = grid.sizes.size[i].y;
            }
        if (grid.sizes.count >= 3)
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
