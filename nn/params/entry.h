/* SPDX-License-Identifier: MIT */
/* Internal. An entry's values as floats, row by row, whatever holds them: arrays, tables of f32,
 * bf16 and int8, in memory or mapped, with rows that an optimizer has let fall behind. */
#ifndef PEER_NN_ENTRY_H
#define PEER_NN_ENTRY_H

#include "nn/params/param.h"

/* Values in a row: of all but the first size of its shape. */
int64_t peer_entry_width(const struct peer_param *param);

/* Brings rows first ... first+n-1 of a table up to date, before anybody reads or replaces them. */
void peer_entry_settle(const struct peer_param *param, int64_t first, int64_t n);

/* Reads rows to values [n, width], or writes them, each value to its nearest neighbour. Entries of
 * integers have neither. */
void peer_entry_read(float *values, const struct peer_param *param, int64_t first, int64_t n);
void peer_entry_write(const struct peer_param *param, const float *values, int64_t first,
                      int64_t n);

/* PEER_OK, or PEER_ERR_ARGUMENT where `who` cannot write it: a table mapped for reading. */
enum peer_status peer_entry_writable(struct peer_ctx *ctx, const char *who,
                                     const struct peer_param *param);

#endif
