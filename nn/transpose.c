/* SPDX-License-Identifier: MIT */
#include "nn/transpose.h"

#include "nn/parallel.h"

/* Rows at a time: their lines stay in the first-level cache while columns run, and what is written
 * fills a line. */
enum { STRIP = 16 };

void peer_transpose(float *to, int64_t ldto, const float *from, int64_t ldfrom, int64_t rows,
                    int64_t columns)
{
    for (int64_t begin = 0; begin < rows; begin += STRIP) {
        int64_t end = peer_min(begin + STRIP, rows);
        for (int64_t j = 0; j < columns; j++)
            for (int64_t i = begin; i < end; i++)
                to[j * ldto + i] = from[i * ldfrom + j];
    }
}
