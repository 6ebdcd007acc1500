/* SPDX-License-Identifier: MIT */
/* Tokens by sentencepiece's programs, without loss: every text is given back byte for byte by the
 * bytes that its tokens stand for (lm_vocabulary_text). Ids: 0 <unk>, 1 <s>, 2 </s>, which ends
 * each document, 3 ... 258 the bytes 0 ... 255, then the pieces. Control bytes and U+2581 are
 * always byte ids. */
#ifndef PEER_EXPERIMENTS_DATA_TOKENIZER_H
#define PEER_EXPERIMENTS_DATA_TOKENIZER_H

#include "experiments/data/data_bin.h"
#include "experiments/data/data_child.h"
#include "experiments/data/data_spool.h"

enum {
    LAB_TOKEN_END = 2,    /* </s> */
    LAB_TOKEN_BYTES = 3,  /* id of byte 0 */
    LAB_VOCAB_MIN = 260,  /* marks, bytes, one piece */
    LAB_VOCAB_MAX = 65536 /* ids are uint16 */
};

/* Makes tokenizer.model and tokenizer.vocab in `folder` from the words of the training split with
 * their counts (at most the 2^17 most frequent; a word is what lab_word_next() says). `model` is
 * "bpe" or "unigram". Errors: PEER_ERR_IO where spm_train is missing or fails;
 * PEER_ERR_ARGUMENT with the largest or smallest vocabulary that this text allows. */
enum peer_status lab_tokenizer_train(struct peer_ctx *ctx, const struct lab_spool *spool,
                                     const char *folder, int64_t vocab, const char *model,
                                     const struct lab_work *work);

/* Writes the tokens of each split to bins[split], by the model in `folder`, which was made as
 * above. Errors: PEER_ERR_IO, PEER_ERR_FORMAT where the tokenizer is of another kind. */
enum peer_status lab_tokenizer_encode(struct peer_ctx *ctx, const struct lab_spool *spool,
                                      const char *folder, struct lab_bin bins[LAB_SPLITS],
                                      const struct lab_work *work);

/* Ids 0 ... 255 are bytes, 256 ends a document. */
enum peer_status lab_bytes_encode(struct peer_ctx *ctx, const struct lab_spool *spool,
                                  struct lab_bin bins[LAB_SPLITS], const struct lab_work *work);

#endif
