/* SPDX-License-Identifier: MIT */
/* A text for evaluation as JSON lines, and what its form counts. */
#ifndef PEER_EXPERIMENTS_RUNS_TEXT_CONVERT_H
#define PEER_EXPERIMENTS_RUNS_TEXT_CONVERT_H

#include <stdio.h>

#include "experiments/data/text_documents.h"
#include "experiments/runs/text_form.h"

struct lab_text_counts {
    int64_t words, bytes;         /* WikiText, as it came; else 0 */
    int64_t written;              /* bytes of text that were written */
    struct lab_buffer last_words; /* LAMBADA: int32 bytes of each; lab_last_word() */
};

/* Writes the documents of `source` to `file`, as its form changes them: wikitext, detok or lambada.
 * A passage without a last word is left out, and noted in addition to *notes. *ret is zeroed
 * before; free its buffer in any case. Errors: those of lab_documents_read(); PEER_ERR_FORMAT with
 * file and line where all passages are without, or one and the source is strict; PEER_ERR_IO. */
enum peer_status lab_text_convert(struct lab_text_counts *ret, struct peer_ctx *ctx, FILE *file,
                                  const struct lab_text_source *source,
                                  struct lab_document_notes *notes);

#endif
