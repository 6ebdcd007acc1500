/* SPDX-License-Identifier: MIT */
/* The joint law by variable projection: at each (alpha, beta) the best E, A, B >= 0 follow by
 * linear least squares, so that the search has two dimensions and no valley of coupled constants.
 */
#include <gsl/gsl_errno.h>
#include <gsl/gsl_multimin.h>
#include <math.h>

#include "experiments/fits/law_data.h"
#include "experiments/fits/quiet.h"

enum { BASES = 3, SUBSETS = 1 << BASES }; /* 1, N^-alpha, D^-beta, each over the loss */

struct projection {
    const struct lab_law_data *data;
    double constant[BASES]; /* of E, A, B at the settings' centre */
};

static void bases_at(double base[BASES], const struct lab_law_data *data, int64_t setting,
                     double alpha, double beta)
{
    const double *x = data->setting[setting].x;
    base[0] = exp(-data->y[setting]);
    base[1] = exp(-alpha * x[0] - data->y[setting]);
    base[2] = exp(-beta * x[1] - data->y[setting]);
}

/* Solves the normal equations of the bases in `subset` by Gaussian elimination, which needs no
 * pivots: the matrix is positive definite. The other constants are 0. False where a constant would
 * be negative or the bases are alike. */
static bool solve_subset(double constant[BASES], double square[BASES][BASES],
                         const double side[BASES], int subset)
{
    double m[BASES][BASES + 1];
    for (int i = 0; i < BASES; i++) {
        bool in = subset >> i & 1;
        for (int j = 0; j < BASES; j++)
            m[i][j] = in && subset >> j & 1 ? square[i][j] : i == j;
        m[i][BASES] = in ? side[i] : 0;
    }
    for (int i = 0; i < BASES; i++) {
        if (subset >> i & 1 && !(m[i][i] > 1e-14 * square[i][i]))
            return false;
        for (int row = i + 1; row < BASES; row++)
            for (int j = BASES; j >= i; j--)
                m[row][j] -= m[i][j] * m[row][i] / m[i][i];
    }
    for (int i = BASES - 1; i >= 0; i--) {
        constant[i] = m[i][BASES];
        for (int j = i + 1; j < BASES; j++)
            constant[i] -= m[i][j] * constant[j];
        constant[i] /= m[i][i];
        if (constant[i] < 0)
            return false;
    }
    return true;
}

/* Squared relative residuals, added up. */
static double squares_of(const struct projection *p, const double constant[BASES], double alpha,
                         double beta)
{
    double sum = 0, base[BASES];
    for (int64_t i = 0; i < p->data->sizes.count; i++) {
        bases_at(base, p->data, i, alpha, beta);
        double rest = -1;
        for (int b = 0; b < BASES; b++)
            rest += constant[b] * base[b];
        sum += rest * rest;
    }
    return sum;
}

/* The least squares over constants >= 0: the problem is convex, so its solution is the best of the
 * subsets' own, of which seven are few enough to try. Sets p->constant. */
static double project(struct projection *p, double alpha, double beta)
{
    double square[BASES][BASES] = {{0}}, side[BASES] = {0}, base[BASES], lowest = INFINITY;
    for (int64_t s = 0; s < p->data->sizes.count; s++) {
        bases_at(base, p->data, s, alpha, beta);
        for (int i = 0; i < BASES; i++) {
            side[i] += base[i];
            for (int j = 0; j < BASES; j++)
                square[i][j] += base[i] * base[j];
        }
    }
    for (int subset = 1; subset < SUBSETS; subset++) {
        double constant[BASES];
        if (!solve_subset(constant, square, side, subset))
            continue;
        double squares = squares_of(p, constant, alpha, beta);
        if (squares < lowest) {
            lowest = squares;
            for (int b = 0; b < BASES; b++)
                p->constant[b] = constant[b];
        }
    }
    return lowest;
}

/* Of the logs of both exponents, which keeps them above zero. */
static double projected(const gsl_vector *at, void *projection)
{
    return project(projection, exp(gsl_vector_get(at, 0)), exp(gsl_vector_get(at, 1)));
}

/* Nelder-Mead from `at`, which it moves, until the simplex is smaller than rounding shows. */
static double descend(gsl_multimin_fminimizer *search, struct projection *p, gsl_vector *at,
                      gsl_vector *reach)
{
    gsl_multimin_function function = {projected, 2, p};
    gsl_vector_set_all(reach, 0.1);
    if (gsl_multimin_fminimizer_set(search, &function, at, reach) != GSL_SUCCESS)
        return INFINITY;
    for (int i = 0; i < 1000 && !gsl_multimin_fminimizer_iterate(search); i++)
        if (gsl_multimin_fminimizer_size(search) < 1e-10)
            break;
    gsl_vector_memcpy(at, gsl_multimin_fminimizer_x(search));
    return gsl_multimin_fminimizer_minimum(search);
}

/* From each of 25 pairs of exponents; `best` is the lowest end. */
static void search_all(struct lab_law *law, struct projection *p, gsl_multimin_fminimizer *search,
                       gsl_vector *at, gsl_vector *reach, double best[2])
{
    static const double start[] = {0.05, 0.15, 0.4, 0.9, 1.8};
    enum { STARTS = sizeof start / sizeof *start };
    double end[STARTS * STARTS], lowest = INFINITY;
    law->starts = STARTS * STARTS;
    for (int i = 0; i < STARTS * STARTS; i++) {
        gsl_vector_set(at, 0, log(start[i % STARTS]));
        gsl_vector_set(at, 1, log(start[i / STARTS]));
        end[i] = descend(search, p, at, reach);
        if (isfinite(lowest) && !(end[i] < lowest))
            continue;
        lowest = end[i];
        best[0] = exp(gsl_vector_get(at, 0));
        best[1] = exp(gsl_vector_get(at, 1));
    }
    for (int i = 0; i < STARTS * STARTS; i++)
        law->agree += end[i] <= lowest * (1 + 1e-6) + 1e-15;
}

static enum peer_status fit(struct lab_law *law, struct lab_law_data *data, struct peer_ctx *ctx)
{
    lab_fits_quiet();
    gsl_multimin_fminimizer *search =
        gsl_multimin_fminimizer_alloc(gsl_multimin_fminimizer_nmsimplex2, 2);
    gsl_vector *at = gsl_vector_alloc(2), *reach = gsl_vector_alloc(2);
    struct projection p = {.data = data};
    double best[2] = {NAN, NAN}, theta[LAB_LAW_CONSTANTS];
    bool held = search && at && reach;
    if (held) {
        search_all(law, &p, search, at, reach, best);
        project(&p, best[0], best[1]);
    }
    gsl_vector_free(reach);
    gsl_vector_free(at);
    if (search)
        gsl_multimin_fminimizer_free(search);
    if (!held)
        return peer_fail(ctx, PEER_ERR_MEMORY, "lab_law_vpnls: no memory for a simplex");
    for (int b = 0; b < BASES; b++) /* a constant of zero has no log: next to nothing instead */
        theta[LAB_LAW_E + b] = log(fmax(p.constant[b], 1e-12));
    theta[LAB_LAW_ALPHA] = best[0];
    theta[LAB_LAW_BETA] = best[1];
    return lab_law_describe(law, data, ctx, theta);
}

enum peer_status lab_law_vpnls(struct lab_law *ret, struct peer_ctx *ctx,
                               const struct lab_law_run *run, int64_t count)
{
    struct peer_pool pool = {.ctx = ctx};
    struct lab_law_data data;
    enum peer_status status = lab_law_data_build(&data, &pool, LAB_LAW_JOINT, run, count);
    struct lab_law law;
    if (status == PEER_OK) {
        law = lab_law_empty(&data);
        status = *law.reason ? PEER_OK : fit(&law, &data, ctx);
    }
    peer_pool_free(&pool);
    if (status == PEER_OK)
        *ret = law;
    return status;
}
