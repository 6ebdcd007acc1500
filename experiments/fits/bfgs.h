/* SPDX-License-Identifier: MIT */
/* Internal to the fits. The minimum of a smooth function of a few variables. */
#ifndef PEER_EXPERIMENTS_FITS_BFGS_H
#define PEER_EXPERIMENTS_FITS_BFGS_H

enum { LAB_BFGS_MOST = 8 }; /* variables */

/* The value at x[n], its gradient into gradient[n]. A value that is not finite is a wall. */
typedef double lab_bfgs_fn(const void *job, const double *x, double *gradient);

/* Moves x[n] from where it stands to a local minimum by BFGS with a line search for the weak Wolfe
 * conditions (Nocedal and Wright 2006, 6.1; Lewis and Overton 2013), until the gradient vanishes,
 * no step goes down, or the next step promises less than rounding. Returns the value there; NaN
 * where x starts at a wall. */
double lab_bfgs(double *x, int n, lab_bfgs_fn *function, const void *job);

#endif
