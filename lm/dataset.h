/* SPDX-License-Identifier: MIT */
/* A prepared data folder, as `peerlab data prepare` writes it:
 *   train.bin, valid.bin    token ids, nanoGPT format
 *   data.json               format, version, tokenizer ("sentencepiece" or "bytes"), vocab, and for
 *                           each split: tokens, bytes of text, documents, crc32
 *   tokenizer.model, .vocab sentencepiece's, where it was used
 * or, with no data.json, files in nanoGPT's or llm.c's format named train.bin and val.bin or
 * valid.bin, whose vocabulary the caller states and whose text is unknown (no bits per byte). */
#ifndef PEER_LM_DATASET_H
#define PEER_LM_DATASET_H

#include "lm/corpus.h"
#include "lm/vocabulary.h"

struct lm_dataset {
    struct lm_corpus *train, *valid;  /* valid may be NULL */
    struct lm_vocabulary *vocabulary; /* NULL where unknown */
    int64_t vocab;                    /* V */
    char name[64];                    /* last part of the folder's path */
};

/* `vocab` is used where the folder does not say; 0 = it must say. Errors: PEER_ERR_IO,
 * PEER_ERR_FORMAT naming file and field; PEER_ERR_ARGUMENT where V is not known. */
enum peer_status lm_dataset_open(struct lm_dataset *ret, struct peer_ctx *ctx, const char *folder,
                                 int64_t vocab);
void lm_dataset_close(struct lm_dataset *dataset);

#endif
