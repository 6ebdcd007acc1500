/* SPDX-License-Identifier: MIT */
/* Internal. A tensor of a file as a walk over an entry's values, and the pairs of both that a list
 * and a map of names make. */
#ifndef PEER_NN_VIEW_H
#define PEER_NN_VIEW_H

#include "nn/params/names.h"
#include "nn/pool.h"

struct peer_view {
    const struct peer_param *param;
    const char *tensor; /* its name in the file; borrowed from the list or the map */
    int dims;           /* of the tensor */
    int64_t shape[PEER_PARAM_DIMS];
    int steps;
    int64_t size[PEER_NAME_DIMS], stride[PEER_NAME_DIMS], offset;
    bool whole;   /* the entry's values in their own order */
    bool repeats; /* some more than once */
};

struct peer_views {
    struct peer_view *items; /* [count], in the list's order, those of an entry together */
    int64_t count;
};

/* Makes the views of all entries, in the pool's memory. `map` may be NULL. Errors:
 * PEER_ERR_ARGUMENT where the map names an entry that the list does not have, walks out of one, or
 * is no walk by rows where the table wants that; PEER_ERR_MEMORY. */
enum peer_status peer_views_make(struct peer_views *ret, struct peer_pool *pool, const char *who,
                                 const struct peer_params *list, const struct peer_name_map *map);

/* Values of the tensor. */
int64_t peer_view_values(const struct peer_view *view);

/* Whether the entry's values are floats in memory, in its shape: else they are read and written by
 * rows (nn/params/entry.h). */
bool peer_view_direct(const struct peer_param *param);

/* How many values of a tensor are read at a time, and the room for the rows that they are of, in
 * floats. */
struct peer_view_piece {
    int64_t values, rows;
};
struct peer_view_piece peer_view_piece(const struct peer_view *view);

/* Reads values first ... first+n-1 of the tensor: a piece, from a multiple of its size on. `rows`
 * is scratch. Entries of integers give theirs, as they lie in memory. */
void peer_view_read(float *values, float *rows, const struct peer_view *view, int64_t first,
                    int64_t n);

/* Copies values first ... first+n-1 of the tensor between `values` and where they lie in the
 * entry's values `in`; peer_view_gather() reads `in`, peer_view_scatter() writes it. */
void peer_view_gather(float *values, const float *in, const struct peer_view *view, int64_t first,
                      int64_t n);
void peer_view_scatter(float *in, const float *values, const struct peer_view *view, int64_t first,
                       int64_t n);

#endif
