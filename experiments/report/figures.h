/* SPDX-License-Identifier: MIT */
/* The figures of a report, drawn by gnuplot from its tables. */
#ifndef PEER_EXPERIMENTS_REPORT_FIGURES_H
#define PEER_EXPERIMENTS_REPORT_FIGURES_H

#include "experiments/report/gnuplot.h"
#include "experiments/report/usage_tables.h"

enum lab_figure_id {
    LAB_FIGURE_ACTIVE = 0, /* isoFLOP, against active parameters */
    LAB_FIGURE_TOTAL,      /* against total parameters */
    LAB_FIGURE_UTILIZATION,
    LAB_FIGURE_MAPS,
    LAB_FIGURE_LOADS, /* bars of few experts */
    LAB_FIGURE_TRAINING,
    LAB_FIGURE_LORENZ,
    LAB_FIGURE_TIMELINE, /* utilization over training */
    LAB_FIGURE_STEPS,    /* maps over training */
    LAB_FIGURE_COUNT
};

struct lab_figures {
    struct lab_figure figure[LAB_FIGURE_COUNT];
    char note[512]; /* why figures are missing; "" = none is */
};

/* Draws what there is data for into figures/NAME.svg and NAME.pdf of `stage`, whose tables are
 * written. A gnuplot that is missing or fails is no error: ret->note tells. Release with
 * lab_figures_free(). Errors: PEER_ERR_IO (of writing). */
enum peer_status lab_figures_draw(struct lab_figures *ret, struct lab_stage *stage,
                                  const struct lab_report_tools *tools,
                                  const struct lab_minima *minima, const struct lab_shown *shown);
void lab_figures_free(struct lab_figures *figures);

/* Draws one figure of which the tables are written as the file `name`, an SVG; panels side by side
 * in `columns`. Where gnuplot is missing or fails, `note` tells. Errors: PEER_ERR_IO (of writing).
 */
enum peer_status lab_figure_one_draw(struct lab_stage *stage, enum lab_figure_id id, int columns,
                                     const char *name, char *note, size_t size);

#endif
