/* SPDX-License-Identifier: MIT */
/* Comma-separated tables that spreadsheets, R, pandas and gnuplot split alike. */
#ifndef PEER_EXPERIMENTS_REPORT_CSV_H
#define PEER_EXPERIMENTS_REPORT_CSV_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* A row being written; start with {file, false}. Errors stay in the stream. */
struct lab_csv {
    FILE *file;
    bool open; /* the row has a cell */
};

/* A text with commas is quoted. Quotes become apostrophes and line ends spaces, because readers
 * disagree on both; broken UTF-8 becomes U+FFFD. Before what a spreadsheet would take for a formula
 * ("=1", "+1", "-1", "@x") stands an apostrophe; numbers are written by the functions below. */
void lab_csv_text(struct lab_csv *row, const char *text);
void lab_csv_integer(struct lab_csv *row, int64_t value);
/* Ten digits; NaN and infinity give an empty cell. */
void lab_csv_number(struct lab_csv *row, double value);
void lab_csv_end(struct lab_csv *row);

#endif
