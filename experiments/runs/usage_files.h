/* SPDX-License-Identifier: MIT */
/* Internal to experiments. Utilization of a model's experts as files. */
#ifndef PEER_EXPERIMENTS_RUNS_USAGE_FILES_H
#define PEER_EXPERIMENTS_RUNS_USAGE_FILES_H

#include "lm/utilization.h"

/* Writes into `folder`, making it where it is not there:
 *   utilization.csv  a row for each block that routes; columns as lab_export_csv()
 *   usage-BLOCK.txt  retrievals of each expert: n lines of n numbers, or one line of N
 *   usage-BLOCK.svg  the same as a picture, where the experts form a grid and gnuplot is there;
 *                    else `note` (of `size` bytes) says why not
 * `usage` [blocks] has NULL for blocks that do not route. Older files are replaced together.
 * Errors: PEER_ERR_IO, PEER_ERR_MEMORY. */
enum peer_status lab_usage_files_write(struct peer_ctx *ctx, const char *folder,
                                       struct lm_usage *const *usage, int64_t blocks, char *note,
                                       size_t size);

#endif
