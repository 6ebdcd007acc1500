/* SPDX-License-Identifier: MIT */
/* What may reach a terminal. Names, fields, dates and messages come from files of strangers, and a
 * terminal obeys some characters instead of showing them. All that the program prints passes the
 * filter here, whoever prints it: nothing is to be filtered where it is made. */
#ifndef PEER_EXPERIMENTS_CLI_TERMINAL_H
#define PEER_EXPERIMENTS_CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Text on its way out, whose bytes may come in any pieces; start with {0}. */
struct lab_filter {
    unsigned char part[4]; /* of a character that is not whole yet */
    unsigned used;
};

enum { LAB_FILTER_GROWTH = 6, LAB_FILTER_SLACK = 24 };

/* Writes what may be shown of text [size] to `out`, which holds LAB_FILTER_GROWTH * size +
 * LAB_FILTER_SLACK bytes, and returns how many it wrote. Control characters but line feeds and
 * tabs, marks that turn the direction of writing, and bytes that are not UTF-8 become visible:
 * \u001b, \x9b. With `end` nothing follows. */
size_t lab_filter(struct lab_filter *filter, char *out, const char *text, size_t size, bool end);

/* Puts the filter into stdout and stderr, once. False: no memory. */
bool lab_terminal_install(void);

/* Prints the text in a column of at least `width` characters, left-aligned: on one line, whatever
 * it holds. */
void lab_print_cell(FILE *file, int width, const char *text);
/* The columns that it takes at least. */
int lab_cell_width(const char *text);

/* Rewrites the last line of the terminal at stderr: at most `room` bytes of it, "" wipes it. */
void lab_terminal_line(const char *text, int room);

#endif
