/* SPDX-License-Identifier: MIT */
/* Pairs of float arrays and their doubles, drawn and compared. */
#ifndef PEER_TESTS_SUPPORT_TWIN_H
#define PEER_TESTS_SUPPORT_TWIN_H

#include <stdint.h>

/* n normal values of the stream `name`, in an array of its own; free() it. */
float *twin_floats(int64_t n, float mean, float deviation, uint64_t seed, const char *name);

/* The same values as doubles. */
double *twin_doubles(const float *x, int64_t n);

/* n zeros. */
double *twin_zeros(int64_t n);

/* Largest |x|, and largest |x - y|; NaN where there is one. */
double twin_largest(const double *x, int64_t n);
double twin_distance(const float *x, const double *y, int64_t n);

/* A scalar function of everything that `user` holds. */
typedef double twin_function(void *user);

/* Its slope along x[i], by the 4-point central difference with step h, whose error is of order
 * h^4; x[i] is as before afterwards. */
double twin_slope(twin_function *f, void *user, double *x, double h);

#endif
