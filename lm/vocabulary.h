/* SPDX-License-Identifier: MIT */
/* What token ids mean: the bytes of each, for bits per byte and for showing text. */
#ifndef PEER_LM_VOCABULARY_H
#define PEER_LM_VOCABULARY_H

#include "nn/context.h"

struct lm_vocabulary;

/* Reads a sentencepiece vocabulary (lines "piece TAB score", as spm_train writes beside the model):
 * U+2581 stands for a space, <0xNN> for one byte, <unk>, <s>, </s> for no bytes. Errors:
 * PEER_ERR_IO, PEER_ERR_FORMAT with file and line. */
enum peer_status lm_vocabulary_open(struct lm_vocabulary **ret, struct peer_ctx *ctx,
                                    const char *path);

/* Bytes: id b < 256 is byte b, id 256 ends a document. V = 257. */
enum peer_status lm_vocabulary_bytes(struct lm_vocabulary **ret, struct peer_ctx *ctx);

void lm_vocabulary_close(struct lm_vocabulary **vocabulary);

int64_t lm_vocabulary_size(const struct lm_vocabulary *vocabulary);

/* CRC-32 of what the ids stand for, in order, bytes and their number: two vocabularies of one sum
 * give ids one meaning. */
uint32_t lm_vocabulary_crc(const struct lm_vocabulary *vocabulary);

/* The bytes that `id` stands for (not terminated) and their number; ids beyond the vocabulary and
 * special tokens stand for none. */
const char *lm_vocabulary_text(const struct lm_vocabulary *vocabulary, int64_t id, int64_t *bytes);

#endif
