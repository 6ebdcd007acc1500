/* SPDX-License-Identifier: MIT */
/* The isoFLOP fit (Hoffmann et al. 2022, approach 2): a parabola of loss on log10 parameters, its
 * minimum, and bootstrap intervals. */
#ifndef PEER_EXPERIMENTS_FITS_FIT_H
#define PEER_EXPERIMENTS_FITS_FIT_H

#include "experiments/fits/interval.h"
#include "nn/context.h"

enum { LAB_FIT_DRAWS = 1000 };

/* loss = c[0] + c[1] (x - center) + c[2] (x - center)^2 in nats, x = log10 parameters. Constant
 * texts are never NULL; "" = nothing to say. */
struct lab_fit {
    int64_t runs, sizes;   /* points; distinct x among them */
    double low, high;      /* the grid: smallest and largest x; NaN without points */
    double best_x, best_y; /* size with the lowest mean loss; NaN without points */
    bool fitted;           /* three sizes or more */
    double center, c[3];
    bool minimum;       /* opens upward with its minimum inside the grid */
    const char *reason; /* why there is no minimum */
    double x, y;        /* the minimum; NaN without one */
    struct lab_interval x_interval, y_interval;
    const char *note;            /* what the intervals rest on, or why there are none */
    double draws[LAB_FIT_DRAWS]; /* of the bootstrap: loss at the minimum, NaN where a draw has
                                    none; all NaN without noise to resample */
};

/* Fits the points (x[i], y[i]), in any order; points of equal x are seeds of one size. Sizes count
 * equally, whatever their seeds.
 *
 * The intervals come from LAB_FIT_DRAWS refits to the fitted curve plus noise:
 *   residuals   r_i / sqrt(1 - leverage_i) of a size drawn at random, with a random sign;
 *   seed noise  for each size with n seeds the mean of n deviations from size means, drawn from all
 *               sizes with two seeds or more, each times sqrt(n / (n - 1)).
 * Where both exist the residuals are shrunk by the part of their variance that seed noise explains.
 * Few degrees of freedom (residuals: sizes - 3; seeds: runs - sizes; together by Satterthwaite)
 * widen the noise by the ratio of Student's to the normal quantile. Without degrees of freedom
 * there are no intervals. The same points, order and `seed` give the same bits.
 * Errors: PEER_ERR_MEMORY; *ret is untouched then. */
enum peer_status lab_fit_parabola(struct lab_fit *ret, struct peer_ctx *ctx, const double *x,
                                  const double *y, int64_t count, uint64_t seed);

/* Interval of `fit`'s minimum loss minus `base`'s, from both bootstraps; unknown where either has
 * none. */
struct lab_interval lab_fit_difference(const struct lab_fit *fit, const struct lab_fit *base);

#endif
