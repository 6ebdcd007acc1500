/* SPDX-License-Identifier: MIT */
/* Files that the program writes. All are opened here: under a name of their own beside the final
 * one, which they get when they are whole and on the disk, so that a full disk or a stop leaves the
 * old file. No link is followed: who else may write to the folder cannot lead the program to
 * another file. */
#ifndef PEER_EXPERIMENTS_BASE_OUTPUT_H
#define PEER_EXPERIMENTS_BASE_OUTPUT_H

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>

#include "nn/context.h"

struct lab_output {
    struct peer_ctx *ctx;
    FILE *file; /* NULL = not open. Errors of writing stay in it */
    char path[PATH_MAX];
    char temporary[PATH_MAX]; /* "" where `path` is no file that could be replaced: a pipe */
};

/* Opens a file to be written. Errors: PEER_ERR_IO with path and reason; *ret is not open then. */
enum peer_status lab_output_open(struct lab_output *ret, struct peer_ctx *ctx, const char *path);

/* With PEER_OK as `status`: brings every byte to the disk and gives the file its name. Else, or
 * where that fails, there is no new file. Returns `status`, or PEER_ERR_IO. Does nothing where it
 * is not open. */
enum peer_status lab_output_close(struct lab_output *output, enum peer_status status);

/* A whole file at once. Errors: PEER_ERR_IO. */
enum peer_status lab_write_file(struct peer_ctx *ctx, const char *path, const char *text,
                                size_t size);

/* A new file that may be seen while it grows, in place of an older one or a link of that name, to
 * be read and written: a log. A descriptor, or -1 with errno set; and the same as a stream, or
 * NULL. */
int lab_output_new(const char *path);
FILE *lab_output_stream(const char *path);

/* Opens a file that is kept, to be locked, or makes it; -1 with errno set, ELOOP for a link. */
int lab_output_lock(const char *path);

/* Makes the folder BASE/NAME (one part), where it is not there. Errors: PEER_ERR_IO, also where it
 * is a link. */
enum peer_status lab_output_folder(struct peer_ctx *ctx, const char *base, const char *name);

#endif
