/* SPDX-License-Identifier: MIT */
/* Text that is cut where it does not fit, and text that is none. */
#ifndef PEER_EXPERIMENTS_BASE_TEXT_H
#define PEER_EXPERIMENTS_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Copies `text` into `ret` of `size` bytes, at least 1; what does not fit is left out, and with it
 * all of a UTF-8 character that does not fit whole. The two may overlap. */
void lab_text_cut(char *ret, size_t size, const char *text);

/* Whether it is well-formed UTF-8, as YAML and JSON files must be. */
bool lab_text_is_utf8(const char *text);

#endif
