/* SPDX-License-Identifier: MIT */
/* What generate.py writes: one layer's weights, input, output and gradients. */
#ifndef PEER_TESTS_GOLDEN_GOLDEN_H
#define PEER_TESTS_GOLDEN_GOLDEN_H

#include <stddef.h>
#include <stdint.h>

struct golden_array {
    const char *name; /* of the layer's parameter list */
    int64_t size;
    const float *weights;
    const double *gradient; /* of sum(y * dy); NULL for running statistics */
    const double *after;    /* running statistics after one training pass, else NULL */
};

struct golden {
    const char *name;
    double magnified; /* largest sum of |terms| of a query over the deviation its norm divides by */
    int64_t T, D;
    const uint8_t *mask;  /* [T] or NULL */
    const float *x, *dy;  /* [T, D] */
    const double *y, *dx; /* [T, D], in training */
    const double *y_eval; /* [T, D], at evaluation after one training pass */
    const int32_t *ids;   /* [T, H, k], best first; NULL for dense layers */
    const double *gates;  /* [T, H, k] */
    const struct golden_array *arrays;
    int count;
};

#endif
