/* SPDX-License-Identifier: MIT */
/* The gradient of a table of rows, of which a step touches few.
 *
 * It is kept in factored form. Token t that used row r with some slot left an entry (r, t, c), and
 * column segment s of row r has the gradient
 *     sum over entries e of row r, in token order:  c[s][e] * source[s][token[e]]
 * where a source is an array of activations [tokens, segment width] (a PEER expert row [u | v] has
 * source x for u and dy for v). Entries are a few bytes each, so memory follows the rows touched,
 * never N, and a row's gradient is formed where it is applied, by one writer in one order.
 *
 * Life of a step: clear, then backward passes (reserve and fill), then group, then read
 * gradients row by row, in any order. Thread-safety: one thread drives; gradients may be read from
 * many. */
#ifndef PEER_NN_ROWS_H
#define PEER_NN_ROWS_H

#include "nn/context.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { PEER_ROWS_SEGMENTS = 3 };

struct peer_rows_segment {
    int64_t offset; /* first column in the row */
    int64_t width;  /* columns */
    int source;     /* which source multiplies it: 0 ... PEER_ROWS_SEGMENTS-1 */
};

struct peer_rows_config {
    int64_t rows;    /* N >= 1: rows of the table; at most 2^31 - 1 */
    int64_t width;   /* columns of a row */
    int64_t tokens;  /* most tokens between two clears >= 1 */
    int64_t entries; /* most entries between two clears >= 1; at most 2^31 - 1 */
    int segments;    /* 1 ... PEER_ROWS_SEGMENTS */
    struct peer_rows_segment segment[PEER_ROWS_SEGMENTS];
};

/* Arrays are owned by the object; `row`, `token` and `coef` stay in entry order. */
struct peer_rows {
    struct peer_rows_config config;
    int64_t tokens, entries;         /* in use since the last clear */
    int32_t *row;                    /* [entries], -1 = no row (padding); else below config.rows */
    int32_t *token;                  /* [entries] */
    float *coef[PEER_ROWS_SEGMENTS]; /* [entries] each */
    float *source[PEER_ROWS_SEGMENTS]; /* [tokens, width]; NULL where no segment uses it */
    int64_t touched;                   /* rows touched; after grouping */
    int32_t *ids;                      /* [touched], ascending; after grouping */
    int32_t *first;                    /* [touched + 1], into `order`; after grouping */
    int32_t *order; /* [entries], entries by row, in token order; after grouping */
    bool grouped;
    void *owner; /* internal */

    /* Set by an optimizer that lets rows fall behind; else NULL. */
    void (*catch_up)(void *user, const int32_t *ids, int64_t n);
    void *catch_up_user;
};

/* What one backward pass fills: `tokens` tokens of `slots` entries each; entry j of token t is
 * t*slots + j. The caller fills row, coef (of segments in use) and source; token is filled. */
struct peer_rows_block {
    int32_t *row;                      /* [tokens, slots] */
    float *coef[PEER_ROWS_SEGMENTS];   /* [tokens, slots] */
    float *source[PEER_ROWS_SEGMENTS]; /* [tokens, width] */
};

/* Segments lie inside the row, do not overlap, and agree on the width of a shared source.
 * Errors: PEER_ERR_ARGUMENT (with the numbers), PEER_ERR_MEMORY; *ret untouched then. */
PEER_API enum peer_status peer_rows_create(struct peer_rows **ret, struct peer_ctx *ctx,
                                           const struct peer_rows_config *config);
PEER_API void peer_rows_destroy(struct peer_rows **rows);

/* How many columns are in a segment. */
PEER_API int64_t peer_rows_columns(const struct peer_rows_config *config);

/* Bytes that peer_rows_create() takes for a config; SIZE_MAX on overflow. */
PEER_API size_t peer_rows_memory(const struct peer_rows_config *config);

/* Brings rows ids[0 ... n-1] of the table (-1 = none, in any order and number) up to date where an
 * optimizer has let them fall behind. Every forward pass calls this with the ids that it is about
 * to read. `rows` may be NULL: a table that is not trained. */
PEER_API void peer_rows_catch_up(const struct peer_rows *rows, const int32_t *ids, int64_t n);

/* Forgets all entries. Costs nothing. */
PEER_API void peer_rows_clear(struct peer_rows *rows);

/* Room for a backward pass over `tokens` tokens with `slots` entries each. Asserts that the
 * capacity given at create holds them. */
PEER_API struct peer_rows_block peer_rows_reserve(struct peer_rows *rows, int64_t tokens,
                                                  int64_t slots);

/* Sorts entries by row, stably: fills touched, ids, first, order. Idempotent until the next
 * reserve or clear. Allocates nothing. */
PEER_API void peer_rows_group(struct peer_rows *rows);

/* Writes the gradient [width] of touched row i (row number ids[i]) to g. Columns in no segment
 * get 0. Grouped rows only. */
PEER_API void peer_rows_gradient(float *g, const struct peer_rows *rows, int64_t i);

/* What one entry adds to the gradient of a segment: coef * values [width of the segment]. */
struct peer_rows_part {
    const float *values;
    float coef;
};

/* Writes the parts, one per segment, of the first entry of touched row i; returns how many entries
 * the row has. With one, as most touched rows of a large table have, they are its gradient. Grouped
 * rows only. */
PEER_API int64_t peer_rows_first(struct peer_rows_part *parts, const struct peer_rows *rows,
                                 int64_t i);

/* The sum of squares of a row's gradient, without forming it where the row has one entry, as most
 * touched rows of a large table have; g [width] is scratch. The square of a value formed in float
 * and that of the exact product differ by 2^-23 of it at most. Grouped rows only. */
PEER_API double peer_rows_gradient_squares(float *g, const struct peer_rows *rows, int64_t i);

#ifdef __cplusplus
}
#endif

#endif
