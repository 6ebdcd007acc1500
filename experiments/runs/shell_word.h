/* SPDX-License-Identifier: MIT */
/* Words of commands that are shown to be typed again. */
#ifndef PEER_EXPERIMENTS_RUNS_SHELL_WORD_H
#define PEER_EXPERIMENTS_RUNS_SHELL_WORD_H

#include <stddef.h>

/* Writes `word` so that a shell reads it as one word: itself where it is plain, in quotes where it
 * is not. At most size - 1 bytes; returns how many there are in all, as snprintf() does. */
size_t lab_shell_word(char *ret, size_t size, const char *word);

/* The same behind what `ret` holds already. */
void lab_shell_append(char *ret, size_t size, const char *word);

#endif
