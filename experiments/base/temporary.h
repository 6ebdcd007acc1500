/* SPDX-License-Identifier: MIT */
/* What is there for a moment: files and folders of names that nobody else has, in TMPDIR or, where
 * that is not set, in /tmp. Who makes one removes it. */
#ifndef PEER_EXPERIMENTS_BASE_TEMPORARY_H
#define PEER_EXPERIMENTS_BASE_TEMPORARY_H

#include <limits.h>
#include <stdio.h>

#include "nn/context.h"

/* An empty file, to be written and then read by its name; NULL where there is none. Errors, in the
 * context: PEER_ERR_IO with path and reason. */
FILE *lab_temporary_file(char path[PATH_MAX], struct peer_ctx *ctx);

/* An empty folder. Errors: PEER_ERR_IO. */
enum peer_status lab_temporary_folder(char path[PATH_MAX], struct peer_ctx *ctx);

#endif
