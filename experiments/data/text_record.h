/* SPDX-License-Identifier: MIT */
/* One record of JSON lines. Read are objects of JSON, and what many programs write in its place:
 * numbers of any size, NaN, Infinity, control bytes in strings, halves of surrogate pairs, a field
 * given twice. Nothing but the one field that holds the text is kept, and nothing is allocated. */
#ifndef PEER_EXPERIMENTS_DATA_TEXT_RECORD_H
#define PEER_EXPERIMENTS_DATA_TEXT_RECORD_H

#include "nn/context.h"

enum { LAB_RECORD_DEPTH = 4096 /* most lists and objects in one another */ };

struct lab_record {
    const uint8_t *text; /* [bytes], the field's string, within the line; NULL = none */
    int64_t bytes;
    int64_t repaired; /* halves of surrogate pairs in it that became U+FFFD */
    const char
        *wrong;       /* why this is no record, NULL = it is one; or: the line is none of objects */
    bool ambiguous;   /* the field is there twice, with two texts */
    char fields[160]; /* names of the fields, as far as they fit */
};

/* Reads the object at line[*at], up to `end`, and sets *at behind it, or where it is wrong. Strings
 * that matter are decoded in place. line[*at] is '{'. */
void lab_record_read(struct lab_record *ret, uint8_t *line, int64_t *at, int64_t end,
                     const char *field);

#endif
