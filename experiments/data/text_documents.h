/* SPDX-License-Identifier: MIT */
/* Documents out of files: plain text and JSON lines, packed or not. */
#ifndef PEER_EXPERIMENTS_DATA_TEXT_DOCUMENTS_H
#define PEER_EXPERIMENTS_DATA_TEXT_DOCUMENTS_H

#include <stdio.h>

#include "nn/context.h"

enum lab_text_format {
    LAB_TEXT_AUTO = 0, /* by the file's name; standard input is plain text */
    LAB_TEXT_PLAIN,
    LAB_TEXT_JSON, /* one JSON object a line */
};

struct lab_document_options {
    enum lab_text_format format;
    const char *mark;  /* plain text: a line that is just this ends a document; "" = an empty line;
                        * NULL = a file is one document. Less than 200 bytes. */
    const char *field; /* JSON: the string field that holds the text; NULL = "text" */
    bool strict;       /* JSON: a record that cannot be used is an error; else it is left out */
};

/* What was not as it should be. */
struct lab_document_notes {
    int64_t repaired; /* U+FFFD put in for what is not UTF-8 */
    int64_t skipped;  /* JSON records left out */
    char first[400];  /* the first of them: "file:line: why" */
};

/* A record is wrong, as the context says. Notes it and returns PEER_OK, or PEER_ERR_FORMAT where
 * `strict`. */
enum peer_status lab_notes_skip(struct lab_document_notes *notes, struct peer_ctx *ctx,
                                bool strict);

/* Adds the notes of one file to those of all. */
void lab_notes_add(struct lab_document_notes *all, const struct lab_document_notes *file);

/* A line for people on `file` for each kind of note that there is. */
void lab_notes_print(FILE *file, const struct lab_document_notes *notes);

/* Takes documents in parts. A document may be empty. The text is well-formed UTF-8. */
struct lab_document_sink {
    void (*begins)(void *user, int64_t line); /* JSON: a document stands on this line of the file;
                                               * may be NULL */
    enum peer_status (*text)(void *user, const uint8_t *bytes, int64_t count);
    enum peer_status (*end)(void *user);
    void (*taken)(void *user, int64_t bytes); /* so many bytes of the file are read; may be NULL */
    void *user;
};

/* Reads one file ("-" = standard input) and gives its documents to the sink. Bytes that are not
 * UTF-8 become U+FFFD, a byte order mark at the start is dropped; JSON records that cannot be read
 * or have no such field are left out; *notes counts both in addition. Memory holds one line of JSON
 * at most, of at most 256 MiB. Errors: those of lab_stream_read and of the sink; PEER_ERR_FORMAT
 * with file and line where all records were left out, or one and the options are strict, and for
 * UTF-16. */
enum peer_status lab_documents_read(struct peer_ctx *ctx, const char *path,
                                    const struct lab_document_options *options,
                                    const struct lab_document_sink *sink,
                                    struct lab_document_notes *notes);

#endif
