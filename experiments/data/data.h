/* SPDX-License-Identifier: MIT */
/* Text to tokens: what `peerlab data prepare` does, as one call. */
#ifndef PEER_EXPERIMENTS_DATA_H
#define PEER_EXPERIMENTS_DATA_H

#include "experiments/data/data_child.h"
#include "experiments/data/data_spool.h"
#include "experiments/data/text_documents.h"

struct lab_data_options {
    const char *out;           /* folder to make (lm/dataset.h) */
    const char *const *inputs; /* [input_count] files, folders, "-" */
    int input_count;           /* >= 1 */
    const char *const *valid;  /* [valid_count] what to hold out, in place of a share */
    int valid_count;           /* 0 = hold out a share of the input */
    double valid_share;        /* of documents, 0 ... 0.5; 0 = hold out nothing. Default 0.02 */
    uint64_t seed;             /* of the choice of documents. Default 1 */
    int64_t vocab;             /* 260 ... 65536, or 0 = bytes. Default 4096 */
    const char *model;         /* "bpe" or "unigram". Default "bpe" */
    const char *tokenizer; /* folder whose tokenizer to use in place of a new one; NULL = none */
    struct lab_document_options documents; /* default: by name, a file is one document, "text" */
    bool force; /* replace a prepared folder called `out`. Default false */
};

struct lab_data_split {
    int64_t tokens, bytes, documents;
    uint32_t crc;
};

/* What came of it. */
struct lab_data_report {
    int64_t vocab;
    const char *tokenizer; /* "sentencepiece", "words", "bytes" */
    struct lab_data_split split[LAB_SPLITS];
    int64_t files, passed_over; /* read; in folders and not called like text */
    int64_t empty;              /* documents left out, being empty */
    struct lab_document_notes notes;
    enum lab_unit unit; /* what was held out */
};

struct lab_data_options lab_data_options_default(void);

/* Reads the inputs, chooses what to hold out, trains the tokenizer on the rest, and writes
 * train.bin, valid.bin, data.json, tokenizer.model and .vocab. Memory does not grow with the text,
 * but for one line of JSON; the folder's disk holds the text once besides. Nothing is left behind
 * on failure. Equal input, options and sentencepiece give equal files, but for the date in
 * data.json. Errors: PEER_ERR_ARGUMENT, PEER_ERR_IO, PEER_ERR_FORMAT, PEER_ERR_MEMORY,
 * PEER_ERR_STOPPED. */
enum peer_status lab_data_prepare(struct lab_data_report *ret, struct peer_ctx *ctx,
                                  const struct lab_data_options *options,
                                  const struct lab_work *work);

#endif
