/* SPDX-License-Identifier: MIT */
/* Any text as tokens, by the tokenizer of a prepared folder. */
#ifndef PEER_EXPERIMENTS_RUNS_TOKENIZE_H
#define PEER_EXPERIMENTS_RUNS_TOKENIZE_H

#include "experiments/data/text_documents.h"
#include "lm/corpus.h"

/* Reads the file, folder or standard input ("-") called `input` as `peerlab data prepare` does,
 * with the tokenizer of the folder `data`, and adds to *notes. Temporary files are gone when it
 * returns. Errors: those of lab_data_prepare() and lm_corpus_open(). */
enum peer_status lab_tokenize(struct lm_corpus **ret, struct peer_ctx *ctx, const char *data,
                              const char *input, const struct lab_document_options *options,
                              int64_t vocab, struct lab_document_notes *notes);

#endif
