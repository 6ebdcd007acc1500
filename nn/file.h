/* SPDX-License-Identifier: MIT */
/* Internal. Reading of files, with the same words for every failure: "`who`: `path`: reason".
 * With NULL as `who` it is left out. */
#ifndef PEER_NN_FILE_H
#define PEER_NN_FILE_H

#include <stdbool.h>
#include <stdio.h>

#include "nn/context.h"

/* Whether the path leads to something. A folder that cannot be asked is no answer. Errors:
 * PEER_ERR_IO. */
enum peer_status peer_file_there(bool *ret, struct peer_ctx *ctx, const char *who,
                                 const char *path);

/* Opens a file to be read, to be fclose()d; NULL where there is none. Errors: PEER_ERR_IO. */
enum peer_status peer_file_stream(FILE **ret, struct peer_ctx *ctx, const char *who,
                                  const char *path);

/* Opens a regular file, to be close()d, and gives its size. Errors: PEER_ERR_IO. */
enum peer_status peer_file_open(int *ret, int64_t *bytes, struct peer_ctx *ctx, const char *who,
                                const char *path);

/* Reads `size` bytes at `offset` to `bytes`. Errors: PEER_ERR_IO; PEER_ERR_FORMAT where the file
 * ends before. */
enum peer_status peer_file_read(void *bytes, int64_t size, int64_t offset, struct peer_ctx *ctx,
                                int file, const char *who, const char *path);

#endif
