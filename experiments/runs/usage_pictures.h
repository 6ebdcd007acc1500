/* SPDX-License-Identifier: MIT */
/* Internal to experiments. Pictures of the utilization of several blocks, side by side. */
#ifndef PEER_EXPERIMENTS_RUNS_USAGE_PICTURES_H
#define PEER_EXPERIMENTS_RUNS_USAGE_PICTURES_H

#include "experiments/runs/usage_source.h"

/* A block, and how it is called and coloured. */
struct lab_usage_view {
    const char *name;
    int64_t number; /* of its colour, from 1 */
    const struct lab_usage_block *block;
};

/* Writes into `folder`, making it where it is not there, of what there are data for:
 *   lorenz.svg           Lorenz curves of all
 *   maps.svg, loads.svg  retrievals of each expert, two blocks side by side: of those with a grid,
 *                        and of those without and few experts
 *   timeline.svg, steps.svg  utilization and maps over the training
 *   tables/NAME.csv      their data
 * Without gnuplot `note` (of `size` bytes) says so. Older files are replaced together. Errors:
 * PEER_ERR_IO, PEER_ERR_MEMORY. */
enum peer_status lab_usage_pictures(struct peer_ctx *ctx, const char *folder,
                                    const struct lab_usage_view *views, int64_t count, char *note,
                                    size_t size);

#endif
