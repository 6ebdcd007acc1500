/* SPDX-License-Identifier: MIT */
/* Documents out of files: plain text and JSON lines, packed or not. */
#ifndef PEER_EXPERIMENTS_DATA_TEXT_DOCUMENTS_H
#define PEER_EXPERIMENTS_DATA_TEXT_DOCUMENTS_H

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
};

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
 * UTF-8 become U+FFFD, *repaired counts them; a byte order mark at the start is dropped. Memory
 * holds one line of JSON at most. Errors: those of lab_stream_read and of the sink; PEER_ERR_FORMAT
 * with file and line for lines that are not a JSON object or have no such field, and for UTF-16. */
enum peer_status lab_documents_read(struct peer_ctx *ctx, const char *path,
                                    const struct lab_document_options *options,
                                    const struct lab_document_sink *sink, int64_t *repaired);

#endif
