/* SPDX-License-Identifier: MIT */
/* Folders that appear whole or not at all: made under a temporary name beside the final one, and
 * renamed at the end. */
#ifndef PEER_EXPERIMENTS_DATA_FOLDER_H
#define PEER_EXPERIMENTS_DATA_FOLDER_H

#include "nn/context.h"

enum { LAB_PATH = 4096 };

struct lab_folder {
    struct peer_ctx *ctx;
    char final[LAB_PATH - 64];
    char temporary[LAB_PATH - 64]; /* final and .partial-HOST-PID; "" = none */
    bool replace;
};

/* Makes the temporary folder, and removes what killed processes of this machine left of the same
 * kind. A final folder that is there already and not empty is refused, unless `force` is set and it
 * holds a file called `mark`, as the ones do that this program made. Errors: PEER_ERR_ARGUMENT,
 * PEER_ERR_IO. */
enum peer_status lab_folder_create(struct lab_folder *ret, struct peer_ctx *ctx, const char *path,
                                   const char *mark, bool force);

/* Writes "TEMPORARY/name" to path[LAB_PATH]. */
void lab_folder_path(const struct lab_folder *folder, char *path, const char *name);

/* `status` is how the work went: PEER_OK gives the folder its name, in one step, and removes the
 * one it replaces; anything else removes the temporary folder and is returned. */
enum peer_status lab_folder_finish(struct lab_folder *folder, enum peer_status status);

#endif
