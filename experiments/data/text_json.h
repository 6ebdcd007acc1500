/* SPDX-License-Identifier: MIT */
/* JSON lines: one object a line, one of whose fields is a document's text. */
#ifndef PEER_EXPERIMENTS_DATA_TEXT_JSON_H
#define PEER_EXPERIMENTS_DATA_TEXT_JSON_H

#include <stdio.h>

#include "experiments/data/text_buffer.h"
#include "experiments/data/text_documents.h"

enum { LAB_LINE_MOST = 1 << 28 /* bytes */ };

struct lab_json_lines {
    const char *name; /* of the file, for messages */
    const char *field;
    bool strict;
    const struct lab_document_sink *sink;
    struct lab_document_notes *notes; /* of this file */
    struct lab_buffer line;           /* of which the end is not read yet */
    bool too_long;                    /* it has more than LAB_LINE_MOST bytes, which are dropped */
    int64_t number;                   /* of that line */
    int64_t documents;                /* given to the sink so far */
};

/* `name`, the options' field, `sink` and `notes` are borrowed. */
struct lab_json_lines lab_json_lines_start(struct peer_ctx *ctx, const char *name,
                                           const struct lab_document_options *options,
                                           const struct lab_document_sink *sink,
                                           struct lab_document_notes *notes);

/* Takes the next bytes of the file, and gives the documents of the lines that end in them to the
 * sink. A line holds one record, or several, also behind byte order marks; an empty one none. What
 * is no record, or has no such field, is left out and noted. Errors: PEER_ERR_FORMAT with file and
 * line where the options are strict. */
enum peer_status lab_json_lines_add(struct lab_json_lines *lines, const uint8_t *bytes,
                                    int64_t count);

/* The last line may lack its line feed. Errors: PEER_ERR_FORMAT where all records were left out. */
enum peer_status lab_json_lines_end(struct lab_json_lines *lines);
void lab_json_lines_free(struct lab_json_lines *lines);

/* Writes {"text": ...} and a line feed. False where memory or the disk is full. */
bool lab_json_write_line(FILE *file, const char *text, int64_t bytes);

#endif
