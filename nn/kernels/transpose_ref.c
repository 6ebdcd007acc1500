/* SPDX-License-Identifier: MIT */
#include "nn/kernels/kernels_ref.h"

void REF(peer_transpose)(real *to, int64_t ldto, const real *from, int64_t ldfrom, int64_t rows,
                         int64_t columns)
{
    for (int64_t j = 0; j < columns; j++)
        for (int64_t i = 0; i < rows; i++)
            to[j * ldto + i] = from[i * ldfrom + j];
}
