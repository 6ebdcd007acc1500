/* SPDX-License-Identifier: MIT */
#include "nn/cost.h"
#include "nn/kernels/kernels_ref.h"

void REF(peer_rows_dot)(real *out, const real *table, int64_t stride, const int32_t *ids, int64_t m,
                        int64_t ahead, const real *x, int64_t D)
{
    (void)ahead;
    for (int64_t j = 0; j < m; j++) {
        real sum = 0;
        if (ids[j] >= 0) {
            const real *row = table + ids[j] * stride;
            for (int64_t i = 0; i < D; i++)
                sum += row[i] * x[i];
            COUNT(PEER_PART_EXPERTS, 2 * D);
        }
        out[j] = sum;
    }
}

void REF(peer_rows_axpy)(real *y, const real *table, int64_t stride, const int32_t *ids, int64_t m,
                         int64_t ahead, const real *coef, int64_t D)
{
    (void)ahead;
    for (int64_t j = 0; j < m; j++) {
        if (ids[j] < 0)
            continue;
        const real *row = table + ids[j] * stride;
        for (int64_t i = 0; i < D; i++)
            y[i] += coef[j] * row[i];
        COUNT(PEER_PART_EXPERTS, 2 * D);
    }
}
