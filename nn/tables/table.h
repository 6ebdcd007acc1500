/* SPDX-License-Identifier: MIT */
/* A table of rows, of which a token reads few: the experts of a PEER layer, the values of a PKM.
 * Rows lie in memory or in a mapped file (nn/tables/table_file.h), as
 *   f32    as they are
 *   bf16   8 bits of significand; sums are made in f32. An optimizer's new values are rounded up or
 *          down at random, so that steps smaller than half a unit are not lost on average: 16 bits
 *          of noise from Philox by (seed, step, row, column)
 *   int8   round(127 w / max |w|) and the scale max |w| / 127 for each segment of a row; made from
 *          trained values, for layers that only run forward
 * A segment is one of the equal parts of a row that are read on their own: u and v of [u | v]. */
#ifndef PEER_NN_TABLE_H
#define PEER_NN_TABLE_H

#include "nn/context.h"

#ifdef __cplusplus
extern "C" {
#endif

enum peer_table_type {
    PEER_TABLE_F32 = 0,
    PEER_TABLE_BF16,
    PEER_TABLE_INT8,
    PEER_TABLE_COUNT,
};

/* "f32", "bf16", "int8", NULL. */
PEER_API extern const char *const peer_table_names[];

struct peer_table {
    enum peer_table_type type;
    int64_t rows, width;          /* width: values in a row */
    int segments;                 /* parts of a row, each width / segments wide */
    float *f32;                   /* [rows, width] where that is the type, else NULL */
    uint16_t *bf16;               /* likewise */
    int8_t *int8;                 /* likewise */
    float *scales;                /* [rows, segments] of int8, else NULL */
    uint64_t seed;                /* of the noise that bf16 is rounded with */
    struct peer_table_file *file; /* where the rows are mapped from; NULL = they lie in memory */
};

/* Bytes of one row, scales included. */
PEER_API int64_t peer_table_row_bytes(enum peer_table_type type, int64_t width, int segments);

/* Writes the values of rows first ... first+n-1 to values [n, width], or reads them from there,
 * each to its nearest neighbour. In int8 an infinity or NaN makes its segment NaN. */
PEER_API void peer_table_read(float *values, const struct peer_table *table, int64_t first,
                              int64_t n);
PEER_API void peer_table_write(struct peer_table *table, const float *values, int64_t first,
                               int64_t n);

#ifdef __cplusplus
}
#endif

#endif
