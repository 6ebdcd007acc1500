/* SPDX-License-Identifier: MIT */
/* A prepared data folder, as `peerlab data prepare` writes it:
 *   train.bin, valid.bin    token ids, nanoGPT format
 *   data.json               {"format": "peerlab-data", "version": 1,
 *                            "tokenizer": "sentencepiece", "words" or "bytes", "vocab": V,
 *                            "train": {"tokens", "bytes", "documents", "crc32"}, "valid": {...}}
 *                           with the ids, the bytes of text and the CRC-32 of each .bin file, all
 *                           integers; "valid" may be missing, and other fields are ignored
 *   tokenizer.model, .vocab sentencepiece's, where it was used; "words" has .vocab alone, in the
 *                           same format: its text was made up of ids
 * or, with no data.json, files of ids that other programs wrote (lm/corpus.h: llm.c, .npy, plain):
 * train.bin and val.bin or valid.bin, or shards such as fineweb_train_000001.bin and
 * fineweb_val_000000.bin, read in the order of their numbers as one stream; or in place of a folder
 * a pattern, "f/fineweb_train_*.bin" (lm/token_shards.h). Their vocabulary is stated by the caller,
 * and their text unknown (no bits per byte). */
#ifndef PEER_LM_DATASET_H
#define PEER_LM_DATASET_H

#include "lm/corpus.h"
#include "lm/vocabulary.h"

/* What a run file says of its data besides where they are. */
struct lm_data_config {
    enum lm_dtype dtype;
};

struct lm_dataset {
    struct lm_corpus *train, *valid;  /* valid may be NULL */
    struct lm_vocabulary *vocabulary; /* NULL where unknown */
    int64_t vocab;                    /* V */
    uint32_t train_crc;               /* CRC-32 of the training ids: lm_corpus_crc() */
    char name[64];                    /* last part of the folder's path */
};

/* `vocab` and `dtype` are used where the folder does not say; 0 = it must say. Errors: PEER_ERR_IO,
 * PEER_ERR_FORMAT naming file and field; PEER_ERR_ARGUMENT where V is not known. */
enum peer_status lm_dataset_open(struct lm_dataset *ret, struct peer_ctx *ctx, const char *folder,
                                 int64_t vocab, enum lm_dtype dtype);
void lm_dataset_close(struct lm_dataset *dataset);

#endif
