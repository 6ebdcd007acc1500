/* SPDX-License-Identifier: MIT */
/* How the entries of a list are called, and lie, in somebody else's file of weights. An entry for
 * which the map has nothing keeps its own name and shape. An entry may be in several tensors (u and
 * v of an expert's row [u | v]), in another shape, in another order of its sizes, or as a tensor
 * that repeats it. */
#ifndef PEER_NN_NAMES_H
#define PEER_NN_NAMES_H

#include "nn/params/param.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { PEER_NAME_LENGTH = 160, PEER_NAME_DIMS = 6 };

/* A tensor called `tensor`, of shape [shape], whose values, row-major, are those of the entry that
 * a walk meets: view[0] x view[1] x ... steps, the last fastest, of stride[i] values each, from
 * value `offset` on. For v of a table [N, 2 D]:
 *     {.entry = "experts", .tensor = "v", .dims = 2, .shape = {N, D},
 *      .steps = 2, .view = {N, D}, .stride = {2 * D, 1}, .offset = D} */
struct peer_name {
    char entry[PEER_PARAM_NAME];   /* "" = a tensor that is known, and left aside on loading */
    char tensor[PEER_NAME_LENGTH]; /* in the file */
    int dims;                      /* of the tensor; 0 = the entry as it is */
    int64_t shape[PEER_PARAM_DIMS];
    int steps; /* sizes of the view, 1 ... PEER_NAME_DIMS, of as many values as the shape. Of a
                  table that is not f32 in memory the first is its rows */
    int64_t view[PEER_NAME_DIMS];
    int64_t stride[PEER_NAME_DIMS]; /* >= 0; 0 repeats values, and such a tensor is saved only */
    int64_t offset;
};

struct peer_name_map {
    struct peer_ctx *ctx;
    struct peer_name *items; /* [count], owned */
    int64_t count, capacity;
};

/* An empty map; never fails. Free it with peer_name_map_free(). */
PEER_API struct peer_name_map peer_name_map_empty(struct peer_ctx *ctx);
PEER_API void peer_name_map_free(struct peer_name_map *map);

/* Appends a copy. Errors: PEER_ERR_ARGUMENT for sizes out of range or a view of another number of
 * values than the shape; PEER_ERR_MEMORY. */
PEER_API enum peer_status peer_name_map_add(struct peer_name_map *map,
                                            const struct peer_name *name);

/* Appends `entry` under another name, as it is. Errors: as above, also for names that are too
 * long. */
PEER_API enum peer_status peer_name_map_rename(struct peer_name_map *map, const char *entry,
                                               const char *tensor);

#ifdef __cplusplus
}
#endif

#endif
