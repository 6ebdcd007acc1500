/* SPDX-License-Identifier: MIT */
/* A set of files that replaces an older one only when all of it is written: everything goes to a
 * hidden folder beside its place first. A full disk or a stop leaves the old files whole. */
#ifndef PEER_EXPERIMENTS_REPORT_STAGE_H
#define PEER_EXPERIMENTS_REPORT_STAGE_H

#include <stdbool.h>
#include <stdio.h>

#include "nn/context.h"

enum { LAB_STAGE_PATH = 4096 };

struct lab_stage {
    struct peer_ctx *ctx;
    char folder[LAB_STAGE_PATH]; /* where the files will be */
    char hidden[LAB_STAGE_PATH]; /* where they are until lab_stage_commit() */
};

/* Makes a folder and its parents where they are not there. Errors: PEER_ERR_IO. */
enum peer_status lab_make_folder(struct peer_ctx *ctx, const char *folder);

/* Whether a folder can be written to, or made where it is not there. False, with errno set, where
 * it cannot; nothing is made. */
bool lab_may_write(const char *folder);

/* Removes a folder with all that is in it, without following links. False, with errno set, where
 * something could not be removed. */
bool lab_remove_tree(const char *path);

/* Makes `folder` (and its parents) where it is not there. Errors: PEER_ERR_IO; nothing is to be
 * discarded then. */
enum peer_status lab_stage_open(struct lab_stage *stage, struct peer_ctx *ctx, const char *folder);

/* Whether a set may be put into `folder`, which is made where it is not there: asked before the
 * work. Errors: PEER_ERR_IO; PEER_ERR_ARGUMENT where the folder is a run's, data's or a sweep's. */
enum peer_status lab_stage_try(struct peer_ctx *ctx, const char *folder);

/* The hidden path of `name`, which may hold one '/'; makes its folder. Errors: PEER_ERR_IO. */
enum peer_status lab_stage_path(struct lab_stage *stage, char path[LAB_STAGE_PATH],
                                const char *name);

/* A new file of the set, or NULL with the context's error set. */
FILE *lab_stage_create(struct lab_stage *stage, const char *name);

/* Closes it after making sure that every byte is on the disk. Errors: PEER_ERR_IO, also where an
 * earlier write to it failed. */
enum peer_status lab_stage_close(struct lab_stage *stage, FILE *file, const char *name);

/* Moves each of `names` (NULL-terminated) into place, in this order; where this set has none, the
 * older file of that name is removed. Errors: PEER_ERR_IO. */
enum peer_status lab_stage_commit(struct lab_stage *stage, const char *const *names);

/* Removes what was not committed. */
void lab_stage_discard(struct lab_stage *stage);

#endif
