/* SPDX-License-Identifier: MIT */
/* Internal. */
#ifndef PEER_NN_TRANSPOSE_H
#define PEER_NN_TRANSPOSE_H

#include <stdint.h>

/* to [columns, rows] = from [rows, columns] transposed; leading dimensions in values. */
void peer_transpose(float *to, int64_t ldto, const float *from, int64_t ldfrom, int64_t rows,
                    int64_t columns);

#endif
