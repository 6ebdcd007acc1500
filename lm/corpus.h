/* SPDX-License-Identifier: MIT */
/* A stream of token ids on disk, mapped, and batches of sequences from it.
 *
 * Formats: nanoGPT (raw little-endian uint16 ids) and llm.c (256 int32 header: magic 20240520,
 * version 1, token count; then uint16 ids), told apart by the magic number. The file must not
 * shrink while it is open. Thread-safety: reading is pure. */
#ifndef PEER_LM_CORPUS_H
#define PEER_LM_CORPUS_H

#include "nn/context.h"

struct lm_corpus;

/* Maps a file and checks every id against `vocab` (0 = any uint16). Errors: PEER_ERR_IO;
 * PEER_ERR_FORMAT with the file's name and the numbers: odd size, a count that is not what follows,
 * another version, fewer than 2 tokens, the first id beyond the vocabulary and its position;
 * PEER_ERR_MEMORY. */
enum peer_status lm_corpus_open(struct lm_corpus **ret, struct peer_ctx *ctx, const char *path,
                                int64_t vocab);
void lm_corpus_close(struct lm_corpus **corpus);

int64_t lm_corpus_tokens(const struct lm_corpus *corpus);
const uint16_t *lm_corpus_ids(const struct lm_corpus *corpus);

/* Sequences of `length` inputs (and their next tokens as targets) that one epoch holds:
 * (tokens - 1) / length. */
int64_t lm_corpus_sequences(const struct lm_corpus *corpus, int64_t length);

/* Training batch: sequences number position ... position+B-1 of the endless shuffled stream that
 * (seed, length) defines; each epoch visits every window once, in an order of its own and shifted
 * by an offset of its own. The stream is taken as a ring, so at most one window of an epoch runs on
 * from the last token to the first; a target always is the token after its input. A pure function,
 * so that resuming needs the position only. Writes inputs, targets [B, S]. The corpus must hold at
 * least one sequence of S; position >= 0. Allocates nothing. */
void lm_corpus_batch(const struct lm_corpus *corpus, int32_t *inputs, int32_t *targets, int64_t B,
                     int64_t S, uint64_t seed, int64_t position);

/* Evaluation batch: windows first ... first+B-1 of length S in file order; windows past the end and
 * the tail of the last one are -1 in inputs and targets. Targets cover every token but the first
 * once. */
void lm_corpus_window(const struct lm_corpus *corpus, int32_t *inputs, int32_t *targets, int64_t B,
                      int64_t S, int64_t first);

#endif
