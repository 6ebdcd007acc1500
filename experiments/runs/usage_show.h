/* SPDX-License-Identifier: MIT */
/* Internal to experiments. What a run's folder holds of its utilization, printed. */
#ifndef PEER_EXPERIMENTS_RUNS_USAGE_SHOW_H
#define PEER_EXPERIMENTS_RUNS_USAGE_SHOW_H

#include <jansson.h>

#include "experiments/runs/usage_source.h"

enum lab_usage_format { LAB_USAGE_TEXT = 0, LAB_USAGE_CSV, LAB_USAGE_JSON };

/* A point of a block's track: the columns of lab_track_columns. */
enum { LAB_TRACK_COLUMNS = 12 };
struct lab_track_row {
    double value[LAB_TRACK_COLUMNS]; /* NaN where a cell is empty */
};

/* The points of usage-BLOCK.csv at `path`, malloc()ed. Errors: PEER_ERR_IO; PEER_ERR_FORMAT with
 * the line that holds something else; PEER_ERR_MEMORY. */
enum peer_status lab_track_read(struct lab_track_row **ret, int64_t *count, struct peer_ctx *ctx,
                                const char *path);

/* Prints the timeline and the last values of every block of the run in the folder `path`, finished
 * or not, to `file`; as JSON, appends an object to `list` instead. CSV has one table for all
 * runs, of which the header is due with the `first`. Errors: those of lab_usage_source_read() and
 * lab_track_read(); PEER_ERR_ARGUMENT where the folder holds neither a result nor a track. */
enum peer_status lab_usage_show(FILE *file, json_t *list, struct peer_ctx *ctx, const char *path,
                                enum lab_usage_format format, bool first);

#endif
