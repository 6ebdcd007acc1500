/* SPDX-License-Identifier: MIT */
/* The data of the figures that show single runs: the best run of each variant and budget. */
#ifndef PEER_EXPERIMENTS_REPORT_USAGE_TABLES_H
#define PEER_EXPERIMENTS_REPORT_USAGE_TABLES_H

#include "experiments/fits/minima.h"
#include "experiments/report/stage.h"
#include "experiments/report/usage_timeline.h"

/* How much there is to draw. */
struct lab_shown {
    int64_t ranks;    /* sparse blocks in usage_rank.csv */
    int64_t maps;     /* panels in usage_panels.csv: blocks whose experts form a grid */
    int64_t bars;     /* panels in usage_loads.csv: blocks of few experts without a grid */
    int64_t left_out; /* maps and panels of bars beyond the most that are drawn */
    int64_t curves;   /* runs in training.csv */
    struct lab_tracked tracked;
    int64_t unread; /* files that are not there or hold something else */
};

enum { LAB_MOST_MAPS = 24, LAB_MOST_CELLS = 64, LAB_MOST_BARS = 256 };

/* Reads usage maps and training curves, whose paths are relative to `sweep`, and writes
 *   tables/usage_rank.csv    share of all retrievals that the most used experts get
 *   tables/usage_panels.csv  the maps' runs
 *   tables/usage_maps.csv    a block of lines per map, two empty lines between: load of an expert
 *                            relative to even use, first half's sub-key down, second half's across;
 *                            above LAB_MOST_CELLS sub-keys the mean of neighbours
 *   tables/usage_loads.csv   load of every expert relative to even use, of blocks without a grid
 *                            and with at most LAB_MOST_BARS experts
 *   those of lab_track_tables(), of what the runs have tracked
 *   tables/training.csv      training loss against tokens, steps averaged to some hundred
 * Errors: PEER_ERR_IO (of writing), PEER_ERR_MEMORY. */
enum peer_status lab_usage_tables(struct lab_shown *ret, struct lab_stage *stage, const char *sweep,
                                  const struct lab_minima *minima);

/* One map of n x n experts, or one panel of bars. */
struct lab_load_panel {
    const char *name;
    double flops;             /* budget of the run; 0 = it is of no sweep */
    int64_t run, block, side; /* side: n of a map; unused for bars */
    int64_t experts;
    const double *load; /* [experts], sums to 1 */
};

/* Writes tables/usage_panels.csv and usage_maps.csv of these maps, one at least. Errors:
 * PEER_ERR_IO. */
enum peer_status lab_map_tables(struct lab_stage *stage, const struct lab_load_panel *panels,
                                int64_t count);

/* Writes tables/usage_loads.csv of these panels of bars, one at least. Errors: PEER_ERR_IO. */
enum peer_status lab_bar_tables(struct lab_stage *stage, const struct lab_load_panel *panels,
                                int64_t count);

#endif
