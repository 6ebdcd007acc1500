/* SPDX-License-Identifier: MIT */
/* Figures drawn by gnuplot from the tables of a stage. */
#ifndef PEER_EXPERIMENTS_REPORT_GNUPLOT_H
#define PEER_EXPERIMENTS_REPORT_GNUPLOT_H

#include "experiments/report/report.h"
#include "experiments/report/stage.h"

/* What is drawn. */
struct lab_picture {
    const char *name;     /* of its files, without an ending */
    const char *script;   /* in the folder of scripts */
    const char *settings; /* gnuplot commands before it, "" = none */
    const char *title;    /* what it shows, for those who do not see it */
    bool narrow;          /* has a version with one panel per row */
};

/* What was. */
struct lab_figure {
    const char *title; /* the picture's */
    char *wide;        /* SVG text, malloc()ed; NULL = not drawn */
    char *narrow;      /* the same with panels one above the other; NULL = as wide */
};

struct lab_drawing {
    struct lab_stage *stage;
    const char *tables, *figures; /* folders of the stage */
    const char *gnuplot;
    char note[512];             /* why figures are missing; "" = none is */
    char plots[LAB_STAGE_PATH]; /* the scripts; absolute */
    bool stopped;               /* gnuplot cannot be run, or there are no scripts */
};

/* Looks for the scripts; where they are not to be found, drawing->note tells. `tools` may be NULL.
 */
void lab_drawing_start(struct lab_drawing *drawing, struct lab_stage *stage,
                       const struct lab_report_tools *tools, const char *tables,
                       const char *figures);

/* Draws FIGURES/NAME.svg and NAME.pdf, and the texts of *ret. A gnuplot that is missing or fails is
 * no error: drawing->note tells. Errors: PEER_ERR_IO (of writing);
 * PEER_ERR_STOPPED where a stop was asked for, which ends gnuplot. */
enum peer_status lab_drawing_figure(struct lab_drawing *drawing, struct lab_figure *ret,
                                    const struct lab_picture *picture);
void lab_figure_free(struct lab_figure *figure);

/* Draws the file `name` alone, an SVG, with panels side by side in `columns`. */
enum peer_status lab_drawing_svg(struct lab_drawing *drawing, const struct lab_picture *picture,
                                 int columns, const char *name);

/* Writes a drawn figure as an element of an HTML page, both versions of which its style shows one.
 * `id` tells the figures of a page apart. The caption is HTML. */
void lab_figure_inline(FILE *file, const struct lab_figure *figure, int id, const char *caption);

#endif
