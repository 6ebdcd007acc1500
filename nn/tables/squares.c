/* SPDX-License-Identifier: MIT */
#include "nn/tables/squares.h"

/* Sums apart, so that the order is fixed and the compiler can use vectors. */
enum { LANES = 8 };

double peer_sum_squares(const float *g, int64_t n)
{
    double lane[LANES] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++)
            lane[l] += (double)g[i + l] * g[i + l];
    for (; i < n; i++)
        lane[i % LANES] += (double)g[i] * g[i];
    for (int l = 0; l < LANES; l++)
        sum += lane[l];
    return sum;
}
