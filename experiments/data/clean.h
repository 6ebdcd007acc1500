/* SPDX-License-Identifier: MIT */
/* Text out of the files of Debian's packages: one cleaner per format. */
#ifndef PEER_EXPERIMENTS_DATA_CLEAN_H
#define PEER_EXPERIMENTS_DATA_CLEAN_H

#include "experiments/data/corpus_text.h"
#include "experiments/data/text_buffer.h"

/* White space before the next byte of text; the widest that was asked for is written. */
enum lab_gap { LAB_GAP_NONE = 0, LAB_GAP_SPACE, LAB_GAP_LINE, LAB_GAP_PARAGRAPH };

/* Writes documents byte by byte. The first failure stays in `status`, and nothing is done after. */
struct lab_cleaner {
    struct peer_ctx *ctx;
    struct lab_text_file *file;
    struct lab_buffer text;     /* of the document, so far */
    struct lab_buffer repaired; /* the same as UTF-8 */
    enum lab_gap gap;
    enum peer_status status;
};

struct lab_cleaner lab_cleaner_create(struct peer_ctx *ctx, struct lab_text_file *file);
void lab_cleaner_free(struct lab_cleaner *cleaner);

void lab_clean_gap(struct lab_cleaner *cleaner, enum lab_gap gap);

/* Writes the gap and the byte; a space, tab, line feed or carriage return is LAB_GAP_SPACE. */
void lab_clean_byte(struct lab_cleaner *cleaner, uint8_t byte);
void lab_clean_text(struct lab_cleaner *cleaner, const uint8_t *text, int64_t bytes);

/* The document is complete; without any text there is none. */
void lab_clean_end(struct lab_cleaner *cleaner);

/* The whole of a file, unpacked (lab_stream_open), followed by a 0 byte that is not counted.
 * Errors: those of lab_stream_read. */
enum peer_status lab_clean_read(struct lab_buffer *ret, struct peer_ctx *ctx, const char *path);

/* Cleans the file at `path` into documents. Errors: PEER_ERR_FORMAT where it is of another kind. */
typedef enum peer_status lab_clean_file(struct lab_cleaner *cleaner, const char *path);

/* Markdown as html2text makes it, hard-wrapped; a file is a document. Marks of emphasis, headings
 * and links go, paragraphs are unwrapped. */
lab_clean_file lab_clean_markdown;

/* A testament of a SWORD module: `path` is the index *.?zs, records of three little-endian uint32
 * (offset, packed bytes, bytes) into *.?zz beside it, zlib blocks of OSIS or ThML. A chapter is a
 * document. Tags and notes go. */
lab_clean_file lab_clean_sword;

/* An R lazy-load data base of character vectors, a line an element (R Internals, 1.8): big-endian
 * uint32 and zlib streams of serialized vectors. A chapter is a document; paragraphs are unwrapped.
 */
lab_clean_file lab_clean_rdata;

/* Entries between lines that are "%"; an entry is a document. Those that are not mostly ASCII
 * letters are left out. */
lab_clean_file lab_clean_fortunes;

/* The GNU dictionary of English in dict's text form; entries without their pronunciation and source
 * marks, about 32 kB of consecutive entries a document. */
lab_clean_file lab_clean_gcide;

#endif
