/* SPDX-License-Identifier: MIT */
/* Internal. A file that appears whole or not at all: a temporary file beside it (PATH.tmp), flushed
 * to disk, renamed over the old one. A full disk or a killed process leaves the old file whole. */
#ifndef PEER_NN_REPLACE_H
#define PEER_NN_REPLACE_H

#include <limits.h>

#include "nn/context.h"

struct peer_replace {
    struct peer_ctx *ctx;
    const char *who, *path; /* of messages: "`who`: `path`: reason"; borrowed */
    char temporary[PATH_MAX];
    int file;
};

/* Opens the temporary file, which only the holder of its lock may change: what a killed process
 * left is taken over, what a living one writes is not. Errors: PEER_ERR_IO with the path and the
 * system's reason, or where another process is writing the same file. */
enum peer_status peer_replace_begin(struct peer_replace *ret, struct peer_ctx *ctx, const char *who,
                                    const char *path);

/* Errors: PEER_ERR_IO. */
enum peer_status peer_replace_write(const struct peer_replace *replace, const void *bytes,
                                    size_t size);

/* Puts the file in its place where `status` is PEER_OK, and else removes the temporary one and
 * returns `status`. Once after every begin that succeeded. Errors: PEER_ERR_IO. */
enum peer_status peer_replace_end(struct peer_replace *replace, enum peer_status status);

#endif
