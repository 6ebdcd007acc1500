/* SPDX-License-Identifier: MIT */
/* rows_dot and rows_axpy (nn/kernels/gather_ref.c) on rows of narrower values, each widened
 * exactly. */
#include "nn/cost.h"
#include "nn/kernels/bf16.h"
#include "nn/kernels/kernels_ref.h"

static real widen_bf16(uint16_t x)
{
    return peer_bf16_value(x);
}

static real widen_int8(int8_t x)
{
    return x;
}

#define NARROW_KERNELS(type, value)                                                                \
    void REF(peer_rows_dot_##type)(real * out, const value *table, int64_t stride,                 \
                                   const int32_t *ids, int64_t m, int64_t ahead, const real *x,    \
                                   int64_t D)                                                      \
    {                                                                                              \
        (void)ahead;                                                                               \
        for (int64_t j = 0; j < m; j++) {                                                          \
            int64_t n = ids[j] < 0 ? 0 : D;                                                        \
            const value *row = table + (n ? ids[j] * stride : 0);                                  \
            real sum = 0;                                                                          \
            for (int64_t i = 0; i < n; i++)                                                        \
                sum += widen_##type(row[i]) * x[i];                                                \
            COUNT(PEER_PART_EXPERTS, 2 * n);                                                       \
            out[j] = sum;                                                                          \
        }                                                                                          \
    }                                                                                              \
                                                                                                   \
    void REF(peer_rows_axpy_##type)(real * y, const value *table, int64_t stride,                  \
                                    const int32_t *ids, int64_t m, int64_t ahead,                  \
                                    const real *coef, int64_t D)                                   \
    {                                                                                              \
        (void)ahead;                                                                               \
        for (int64_t j = 0; j < m; j++) {                                                          \
            int64_t n = ids[j] < 0 ? 0 : D;                                                        \
            const value *row = table + (n ? ids[j] * stride : 0);                                  \
            for (int64_t i = 0; i < n; i++)                                                        \
                y[i] += coef[j] * widen_##type(row[i]);                                            \
            COUNT(PEER_PART_EXPERTS, 2 * n);                                                       \
        }                                                                                          \
    }

NARROW_KERNELS(bf16, uint16_t)
NARROW_KERNELS(int8, int8_t)
