/* SPDX-License-Identifier: MIT */
/* gnuplot's SVG made fit for light and dark pages. */
#ifndef PEER_EXPERIMENTS_REPORT_SVG_H
#define PEER_EXPERIMENTS_REPORT_SVG_H

#include <stdio.h>

/* Writes `svg`, gnuplot's output, as a file of its own: `title` in place of gnuplot's, black drawn
 * light where the reader prefers dark. */
void lab_svg_write(FILE *file, const char *svg, const char *title);

/* Writes it as an element of an HTML page: no prologue, `title` as its label, and `prefix` before
 * every id, so that several fit into one page. The page's style says what black is (svg.plot). */
void lab_svg_inline(FILE *file, const char *svg, const char *title, const char *prefix);

#endif
