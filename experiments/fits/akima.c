/* SPDX-License-Identifier: MIT */
#include "experiments/fits/akima.h"

#include <gsl/gsl_errno.h>
#include <gsl/gsl_interp.h>
#include <math.h>

#include "experiments/fits/quiet.h"
#include "experiments/fits/sizes.h"

/* One piece of the curve, a cubic in t = 0 ... 1, by its values and slopes (per t) at both ends. */
struct piece {
    double left, right, left_slope, right_slope;
};

static double value(struct piece p, double t)
{
    double c = 3 * (p.right - p.left) - 2 * p.left_slope - p.right_slope;
    double d = 2 * (p.left - p.right) + p.left_slope + p.right_slope;
    return p.left + t * (p.left_slope + t * (c + t * d));
}

/* Where the piece is lowest: at an end, or where its slope, left_slope + 2 c t + 3 d t^2, goes
 * through zero upward. */
static double lowest(struct piece p)
{
    double c = 3 * (p.right - p.left) - 2 * p.left_slope - p.right_slope;
    double d = 2 * (p.left - p.right) + p.left_slope + p.right_slope;
    double best = p.right < p.left ? 1 : 0, under = c * c - 3 * d * p.left_slope;
    if (under < 0)
        return best;
    /* (-c + sqrt(under)) / 3d, without the cancellation and for d = 0 as well */
    double root = sqrt(under);
    double t = c > 0 ? -p.left_slope / (c + root) : (root - c) / (3 * d);
    return t > 0 && t < 1 && value(p, t) < value(p, best) ? t : best;
}

static void find_lowest(struct lab_akima *akima, const gsl_interp *curve, const double *x,
                        const double *y)
{
    int64_t last = akima->sizes - 1;
    double best_x = x[0], best_y = y[0];
    for (int64_t i = 0; i < last; i++) {
        double width = x[i + 1] - x[i];
        struct piece p = {y[i], y[i + 1], width * gsl_interp_eval_deriv(curve, x, y, x[i], NULL),
                          width * gsl_interp_eval_deriv(curve, x, y, x[i + 1], NULL)};
        double t = lowest(p), low = value(p, t);
        if (low < best_y) {
            best_y = low;
            best_x = x[i] + width * t;
        }
    }
    akima->minimum = best_x > x[0] && best_x < x[last];
    if (akima->minimum) {
        akima->x = best_x;
        akima->y = best_y;
        akima->reason = "";
    } else {
        akima->reason = best_x == x[0] ? "minimum at the grid's edge: the smallest size is best"
                                       : "minimum at the grid's edge: the largest size is best";
    }
}

/* Splits the sizes into the arrays that GSL reads and asks for the curve's minimum. */
static enum peer_status interpolate(struct lab_akima *akima, struct peer_pool *pool,
                                    const struct lab_sizes *sizes)
{
    double *x = peer_pool_alloc(pool, "x", sizeof *x, sizes->count, 1, 1);
    double *y = peer_pool_alloc(pool, "y", sizeof *y, sizes->count, 1, 1);
    lab_fits_quiet();
    gsl_interp *curve = gsl_interp_alloc(gsl_interp_akima, (size_t)sizes->count);
    enum peer_status status = PEER_OK;
    if (!pool->failed && !curve)
        status = peer_fail(pool->ctx, PEER_ERR_MEMORY,
                           "lab_akima_minimum: no memory for %lld sizes", (long long)sizes->count);
    if (!pool->failed && curve) {
        for (int64_t i = 0; i < sizes->count; i++) {
            x[i] = sizes->size[i].x;
            y[i] = sizes->size[i].y;
        }
        if (gsl_interp_init(curve, x, y, (size_t)sizes->count) == GSL_SUCCESS)
            find_lowest(akima, curve, x, y);
        else
            akima->reason = "no curve through these sizes";
    }
    gsl_interp_free(curve);
    return pool->failed ? PEER_ERR_MEMORY : status;
}

enum peer_status lab_akima_minimum(struct lab_akima *ret, struct peer_ctx *ctx, const double *x,
                                   const double *y, int64_t count)
{
    struct peer_pool pool = {.ctx = ctx};
    struct lab_akima akima = {.reason = "fewer than 5 sizes", .x = NAN, .y = NAN};
    struct lab_sizes sizes;
    double *finite = peer_pool_alloc(&pool, "finite points", sizeof *finite, 2, count, 1);
    int64_t n = 0;
    for (int64_t i = 0; !pool.failed && i < count; i++)
        if (isfinite(y[i])) {
            finite[n] = x[i];
            finite[count + n++] = y[i];
        }
    enum peer_status status =
        pool.failed ? PEER_ERR_MEMORY : lab_sizes_group(&sizes, &pool, finite, finite + count, n);
    if (status == PEER_OK) {
        akima.sizes = sizes.count;
        if (sizes.count >= LAB_AKIMA_SIZES)
            status = interpolate(&akima, &pool, &sizes);
    }
    peer_pool_free(&pool);
    if (status == PEER_OK)
        *ret = akima;
    return status;
}
