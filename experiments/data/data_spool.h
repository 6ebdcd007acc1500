/* SPDX-License-Identifier: MIT */
/* Text on its way from documents to tokens: well-formed UTF-8 in one temporary file, 0xff (no byte
 * of UTF-8) behind each document; and the decision which documents are held out. */
#ifndef PEER_EXPERIMENTS_DATA_SPOOL_H
#define PEER_EXPERIMENTS_DATA_SPOOL_H

#include <stdio.h>

#include "nn/context.h"

enum { LAB_TRAIN = 0, LAB_VALID = 1, LAB_SPLITS = 2 };

enum lab_unit {
    LAB_UNIT_DOCUMENT = 0, /* documents are held out whole */
    LAB_UNIT_PARAGRAPH,    /* one document: runs of whole paragraphs are */
    LAB_UNIT_LINE,         /* one paragraph: runs of whole lines are */
};

struct lab_spool {
    struct peer_ctx *ctx;
    char path[4096];
    FILE *file;           /* while it is written */
    const uint8_t *bytes; /* once it is mapped */
    int64_t size;         /* with the 0xff */
    int64_t documents;    /* that are not empty */
    int64_t empty;        /* documents that were, and are left out */
    int64_t pending;      /* bytes of the document that is being written */
    int64_t trained;      /* documents from here on are held out, whatever their hash; -1 = none */
    enum lab_unit unit;
    int64_t run_bytes;        /* a run of paragraphs or lines has at least so many */
    uint64_t seed, threshold; /* a unit is held out where its hash is below */
};

/* Errors of all: PEER_ERR_IO, with the file's name. */
enum peer_status lab_spool_create(struct lab_spool *ret, struct peer_ctx *ctx, const char *path);
enum peer_status lab_spool_text(struct lab_spool *spool, const uint8_t *bytes, int64_t count);
enum peer_status lab_spool_end_document(struct lab_spool *spool);

/* What follows is held out. */
void lab_spool_hold_out(struct lab_spool *spool);

/* Ends writing and decides: unit i is held out where hash(seed, i) < share * 2^64. Where that takes
 * none or all, the unit of the lowest hash is taken, or the one of the highest is not. share in
 * [0, 1); 0 holds nothing out. Errors: PEER_ERR_ARGUMENT where there is no text, or nothing that
 * could be held out. */
enum peer_status lab_spool_split(struct lab_spool *spool, double share, uint64_t seed);

/* Closes and removes the file. */
void lab_spool_remove(struct lab_spool *spool);

/* Text of one split: at most 256 KiB, cut between words (lab_word_next) where it can be. */
struct lab_slice {
    const uint8_t *text;
    int64_t bytes;
    int split;
    bool ends; /* a document ends behind it: the text that follows does not belong to it */
};

enum { LAB_SLICE_BYTES = 1 << 18 };

/* Position of a walk through the slices; zero at first. Copies are fine. */
struct lab_spool_cursor {
    int64_t at;    /* byte of the spool */
    int64_t unit;  /* number of the unit that it lies in */
    int64_t limit; /* where that unit ends; 0 = not known yet */
};

/* False at the end. Each split's slices come in the order of the text. */
bool lab_spool_next(const struct lab_spool *spool, struct lab_spool_cursor *cursor,
                    struct lab_slice *slice);

#endif
