/* SPDX-License-Identifier: MIT */
/* What a page or picture must be. */
#ifndef PEER_TESTS_SUPPORT_MARKUP_H
#define PEER_TESTS_SUPPORT_MARKUP_H

/* Asserts that every element is closed in order and that & begins a reference; text from <! and <?
 * to > is skipped. */
void markup_check(const char *text);

/* Asserts that all rows of a CSV table have as many cells as the first; returns the rows. */
int markup_check_csv(const char *text);

#endif
