/* SPDX-License-Identifier: MIT */
/* The data of the figures that show utilization over the course of training, and of Lorenz curves,
 * from the files of run folders (experiments/runs/usage_track.h). */
#ifndef PEER_EXPERIMENTS_REPORT_USAGE_TIMELINE_H
#define PEER_EXPERIMENTS_REPORT_USAGE_TIMELINE_H

#include <stdint.h>

#include "experiments/report/stage.h"
#include "experiments/sweeps/results.h"

/* Columns of a run's usage-BLOCK.csv. Shares are of N; used means retrieved by some head for some
 * token.
 *   step, tokens                 of training, before the point
 *   counted                      tokens of validation text that retrieved something
 *   score_used, count_used       usage by gate mass and by retrieval (lm/utilization.h)
 *   score_unevenness_nats, count_unevenness_nats
 *   top1_used, head_overlap
 *   born_dead                    used at no point up to this one
 *   died                         used at an earlier point, not at this one;
 *                                count_used + born_dead + died = 1
 *   revived                      used at this point and at an earlier one, but not at the last */
extern const char lab_track_columns[];

/* A side of n experts is kept in cells of this many, at most LAB_TRACK_CELLS of them. */
enum { LAB_TRACK_CELLS = 128 };
static inline int64_t lab_track_cell(int64_t n)
{
    return n > LAB_TRACK_CELLS ? (n + LAB_TRACK_CELLS - 1) / LAB_TRACK_CELLS : 1;
}

/* A block whose files are stem.csv, stem-maps.txt and stem-lorenz.csv, some of which may be
 * missing. Pointers are borrowed. */
struct lab_track {
    const char *name;   /* of its curve */
    int64_t number;     /* of its colour, from 1 */
    double flops;       /* budget of the run; 0 = it is of no sweep */
    int64_t run, block; /* run: 0 = of no sweep */
    int64_t experts, side;
    const char *stem; /* "runs/000001/usage-1" */
};

/* How much there is to draw. */
struct lab_tracked {
    int64_t timelines; /* blocks in usage_timeline.csv */
    int64_t maps;      /* panels in usage_steps.csv */
    int64_t curves;    /* blocks in usage_lorenz.csv */
    int64_t unread;    /* files that hold something else */
};

enum { LAB_MOST_STEPS = 6, LAB_MOST_STEP_ROWS = 6 };

/* The track of a run's block, its files named like the block's map; `stem` gets their path. */
struct lab_track lab_track_of(const char *sweep, const struct lab_result *result,
                              const struct lab_usage *usage, int64_t number,
                              char stem[LAB_STAGE_PATH]);

/* Writes into `folder` of the stage
 *   usage_timeline.csv  rows of all tracks: variant, number, budget_flops, run, block, and
 *                       lab_track_columns
 *   usage_steps.csv     the maps' panels: up to LAB_MOST_STEPS points of each of the first
 *                       LAB_MOST_STEP_ROWS tracks of the highest budget that have maps
 *   usage_step_maps.csv a block of lines per map, two empty lines between: load of a cell relative
 *                       to even use
 *   usage_lorenz.csv    Lorenz curves at the end of training, by gate and by retrieval
 * Errors: PEER_ERR_IO, of writing, and of a file that is there and cannot be read;
 * PEER_ERR_MEMORY. */
enum peer_status lab_track_tables(struct lab_tracked *ret, struct lab_stage *stage,
                                  const char *folder, const struct lab_track *tracks,
                                  int64_t count);

#endif
