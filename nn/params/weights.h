/* SPDX-License-Identifier: MIT */
/* Weights in and out: a list's entries as a safetensors file, which other programs read, and such a
 * file of any program into a list. */
#ifndef PEER_NN_WEIGHTS_H
#define PEER_NN_WEIGHTS_H

#include "nn/params/names.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A pair of the metadata. */
struct peer_metadata {
    const char *key, *value; /* UTF-8; a key of NULL ends a list */
};

/* Writes every entry under its name in `map` (NULL = their own): F32, a table's or buffer's BF16,
 * I32; an int8 table as the F32 that it stands for. Metadata are "format": "pt" and `metadata`
 * (NULL = none), which must not have that key. The file appears whole or not at all: PATH.tmp is
 * written, flushed to disk and renamed; a large table is streamed. Rows that a deferred optimizer
 * has let fall behind catch up first. Errors: PEER_ERR_IO with the path and the system's reason,
 * or where another process is writing the same file; PEER_ERR_ARGUMENT for a map that is not of
 * this list, two tensors of one name, or text that is no UTF-8; PEER_ERR_MEMORY. */
PEER_API enum peer_status peer_params_save(const struct peer_params *list, const char *path,
                                           const struct peer_name_map *map,
                                           const struct peer_metadata *metadata);

enum peer_mismatch_kind {
    PEER_MISMATCH_MISSING = 0, /* the file has no such tensor */
    PEER_MISMATCH_LEFT_OVER,   /* the list asks for no such tensor */
    PEER_MISMATCH_SHAPE,
    PEER_MISMATCH_TYPE,
    PEER_MISMATCH_COUNT
};

/* One difference between a list and a file. */
struct peer_mismatch {
    enum peer_mismatch_kind kind;
    const char *entry;  /* of the list; NULL for what is left over */
    const char *tensor; /* its name in the file */
    const char *text;   /* both in words: "keys is F32 [4, 2, 16, 8], expected [4, 16, 2, 8]" */
};

struct peer_load_options {
    bool allow_missing;   /* entries that the file does not have keep their values. Default false */
    bool allow_left_over; /* what nobody asks for is passed over. Default false */
    void (*report)(void *user, const struct peer_mismatch *mismatch); /* is told of every
                             difference, allowed or not; its texts last until it returns. Default
                             NULL */
    void *user;
};

/* Fills every entry from its tensors in a safetensors file of any program: by name (those of `map`,
 * NULL = their own) and shape, F32, BF16 or F16, each value to the nearest of the entry's type, and
 * I32 for entries of integers; order, alignment and metadata as they come. `options` NULL = the
 * defaults. What an optimizer keeps for the entries stays. The file is checked whole, names, types,
 * shapes and places, before the first value is written: nothing is touched on an error, but where
 * the disk fails on the second reading. Errors: PEER_ERR_IO; PEER_ERR_FORMAT for a file that is cut
 * or contradicts itself, and for the first difference that is not allowed, with the number of
 * others; PEER_ERR_ARGUMENT for a map that is not of this list or repeats values, and for tables
 * mapped for reading; PEER_ERR_MEMORY. */
PEER_API enum peer_status peer_params_load(const struct peer_params *list, const char *path,
                                           const struct peer_name_map *map,
                                           const struct peer_load_options *options);

#ifdef __cplusplus
}
#endif

#endif
