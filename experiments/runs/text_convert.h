/* SPDX-License-Identifier: MIT */
/* A text for evaluation as JSON lines, and what its form counts. */
#ifndef PEER_EXPERIMENTS_RUNS_TEXT_CONVERT_H
#define PEER_EXPERIMENTS_RUNS_TEXT_CONVERT_H

#include <stdio.h>

#include "experiments/runs/text_form.h"

struct lab_text_counts {
    int64_t words, bytes;         /* WikiText, as it came; else 0 */
    int64_t written;              /* bytes of text that were written */
    struct lab_buffer last_words; /* LAMBADA: int32 bytes of each; lab_last_word() */
};

/* Writes the documents of the file at `path` ("-" = standard input) to `file`, as `form` changes
 * them: wikitext, detok or lambada. *ret is zeroed before; free its buffer in any case. Errors:
 * those of lab_documents_read(); PEER_ERR_FORMAT with file and line for a passage without a last
 * word; PEER_ERR_IO. */
enum peer_status lab_text_convert(struct lab_text_counts *ret, struct peer_ctx *ctx, FILE *file,
                                  enum lab_form form, const char *path);

#endif
