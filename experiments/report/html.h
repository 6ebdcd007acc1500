/* SPDX-License-Identifier: MIT */
/* Text from outside on its way into HTML, SVG and CSV, and the quantities of a page. */
#ifndef PEER_EXPERIMENTS_REPORT_HTML_H
#define PEER_EXPERIMENTS_REPORT_HTML_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Copies the next character of `text` to `out` (at most 4 bytes and a NUL) and returns its length
 * in `text`, 0 at the end. What no XML file may hold (broken UTF-8, control characters), and what
 * turns the direction of writing, becomes U+FFFD, tabs and line ends stay. */
int lab_next_character(char out[5], const char *text);

/* Writes text so that it is text: & < > " ' are escaped. Fit for elements and quoted attributes. */
void lab_html_text(FILE *file, const char *text);

/* Cells of a table row, each a <td>; NaN and values that are not there are a dash. */
void lab_html_cell(FILE *file, const char *text);
/* "401k". */
void lab_html_count(FILE *file, double count);
void lab_html_bytes(FILE *file, double bytes);
void lab_html_seconds(FILE *file, double seconds);
void lab_html_number(FILE *file, int digits, double value);
/* A share 0 ... 1 as "98.1 %". */
void lab_html_share(FILE *file, double share);

/* A table that scrolls where it is wide, and where it is `tall`; `header` holds its <th>s. */
void lab_html_table(FILE *file, bool tall, const char *header);
void lab_html_table_end(FILE *file);

/* "1.25×10¹³"; "0" of what is not positive. */
void lab_power_text(char text[48], double value);
/* The same, outside of cells. */
void lab_html_power(FILE *file, double value);

#endif
