/* SPDX-License-Identifier: MIT */
/* The minimum of a curve through the means, as a check of the parabola's: it assumes no shape, and
 * follows noise. */
#ifndef PEER_EXPERIMENTS_FITS_AKIMA_H
#define PEER_EXPERIMENTS_FITS_AKIMA_H

#include "nn/context.h"

enum { LAB_AKIMA_SIZES = 5 }; /* fewest */

struct lab_akima {
    int64_t sizes;      /* distinct x */
    bool minimum;       /* below the first and last mean, inside the grid */
    const char *reason; /* why there is none; "" otherwise */
    double x, y;        /* NaN without a minimum */
};

/* The lowest point of Akima's interpolation (Akima 1970) of the mean of y[i] over equal x[i], such
 * as loss over log10 parameters. Points in any order; those with a y that is not finite do not
 * count. Errors: PEER_ERR_MEMORY; *ret is untouched then. */
enum peer_status lab_akima_minimum(struct lab_akima *ret, struct peer_ctx *ctx, const double *x,
                                   const double *y, int64_t count);

#endif
