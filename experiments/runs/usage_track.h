/* SPDX-License-Identifier: MIT */
/* Internal to experiments. Utilization over the course of a training, as files of a run folder, of
 * every block that routes:
 *   usage-BLOCK.csv       a row for each point: lab_track_columns
 *   usage-BLOCK-maps.txt  retrievals at each point, summed to at most 128 x 128 cells: a line
 *                         "# step STEP", lines of numbers as in usage-BLOCK.txt, two empty lines;
 *                         without a grid one line of at most 128 cells
 *   usage-BLOCK.used      which experts were retrieved, a bit each: "peerused", N as int64, then
 *                         for each point its step as int64 and (N + 7) / 8 bytes, expert i being
 *                         bit i % 8 of byte i / 8; little-endian
 * A point's row, map and bits depend on the model at its step alone, and on the bits before: points
 * at or after the step that is added are dropped, so that a run killed and resumed ends with the
 * files of an uninterrupted one. */
#ifndef PEER_EXPERIMENTS_RUNS_USAGE_TRACK_H
#define PEER_EXPERIMENTS_RUNS_USAGE_TRACK_H

#include "experiments/report/usage_timeline.h"
#include "lm/utilization.h"

/* Adds the point at `step` to the three files of the block, each replaced whole. `tokens`: trained
 * on so far. Errors: PEER_ERR_IO; PEER_ERR_FORMAT where a file holds something else or another
 * number of experts or points; PEER_ERR_MEMORY. */
enum peer_status lab_track_add(struct peer_ctx *ctx, const char *folder, int64_t block,
                               int64_t step, int64_t tokens, const struct lm_usage *usage);

#endif
