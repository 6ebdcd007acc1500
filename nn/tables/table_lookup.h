/* SPDX-License-Identifier: MIT */
/* Internal. A layer's table: memory, and the kernels rows_dot and rows_axpy (KERNELS.md) on one
 * segment of its rows, whatever their type. */
#ifndef PEER_NN_TABLE_LOOKUP_H
#define PEER_NN_TABLE_LOOKUP_H

#include "nn/kernels/bf16.h"
#include "nn/kernels/kernels.h"
#include "nn/pool.h"
#include "nn/tables/table_file.h"

/* The nearest bfloat16, of two the even one: within 2^-9 |x|, above 2^-126. */
static inline uint16_t peer_bf16_nearest(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return peer_bf16_up(x, 0x7fff + (bits >> 16 & 1));
}

/* Takes values for a table of known type and sizes: zeros from the pool, NULL where that fails or
 * measures; with `file`, which peer_table_check() has seen, its rows. */
void peer_table_alloc(struct peer_table *table, struct peer_pool *pool, const char *what,
                      const struct peer_table_file *file);

/* PEER_OK, or PEER_ERR_ARGUMENT where a layer called `who` would train an int8 table, or where
 * `file` (NULL = none) is not the file of such a table or cannot be written although it trains. */
enum peer_status peer_table_check(struct peer_ctx *ctx, const char *who,
                                  const struct peer_table *table,
                                  const struct peer_table_file *file, bool trains);

/* Writes a row of bf16 after step number `step`, rounded up or down at random. */
void peer_table_round(struct peer_table *table, const struct peer_kernels *kernels,
                      const float *values, int64_t row, int64_t step);

/* Before a forward pass reads rows ids [count] (< 0: none): draws those of a file that are new. */
void peer_table_prepare(const struct peer_table *table, const int32_t *ids, int64_t count);

/* out[j] = row ids[j] . x, x [width / segments]. */
void peer_table_dot(float *out, const struct peer_table *table, const struct peer_kernels *kernels,
                    int segment, const int32_t *ids, int64_t m, int64_t ahead, const float *x);

/* y += sum over j of coef[j] * row ids[j], y [width / segments]. */
void peer_table_axpy(float *y, const struct peer_table *table, const struct peer_kernels *kernels,
                     int segment, const int32_t *ids, int64_t m, int64_t ahead, const float *coef);

#endif
