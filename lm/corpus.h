/* SPDX-License-Identifier: MIT */
/* A stream of token ids on disk, mapped, and batches of sequences from it.
 *
 * A stream is one file or several, read one after the other. What a file is, its first bytes say:
 *   llm.c    256 int32 of header: magic 20240520, version 1, token count; then uint16 ids; or magic
 *            20240801, version 7, token count; then uint32 ids
 *   .npy     numpy's, version 1 to 3: one dimension of little-endian uint16 or uint32
 *   plain    ids alone, little-endian: uint16 (nanoGPT) or, where `dtype` says so, uint32
 * Other files are refused: those known by name (packed, archives, pickles, text, JSON, ...), those
 * whose size is not what their header says, plain ones whose ids look like another width than
 * `dtype` says. Files must not shrink while they are open. Thread-safety: reading is pure. */
#ifndef PEER_LM_CORPUS_H
#define PEER_LM_CORPUS_H

#include "nn/context.h"

struct lm_corpus;

/* Ids of plain files. */
enum lm_dtype {
    LM_DTYPE_AUTO = 0, /* what a header says; else uint16 */
    LM_DTYPE_UINT16,   /* whatever ids look like; a header that says otherwise is an error */
    LM_DTYPE_UINT32,   /* a header that says otherwise is an error */
};

extern const char *const lm_dtype_names[]; /* NULL-terminated */

struct lm_corpus_source {
    const char *const *paths; /* [count] */
    int64_t count;            /* >= 1 */
    enum lm_dtype dtype;
    bool known; /* plain ids that our own program wrote: nothing is guessed from their bytes */
};

/* Maps the files and reads them once, in parallel, to check every id against `vocab` (0 = any below
 * 2^31) and to make the checksum: about 0.6 s of one core for 1 GB in memory, half of it
 * the checksum; else what the disk takes.
 * Errors: PEER_ERR_IO; PEER_ERR_FORMAT with the file's name and the numbers: what the file is, a
 * size that its header or its ids do not make, fewer than 2 tokens, the first id beyond the
 * vocabulary and its position; PEER_ERR_MEMORY. */
enum peer_status lm_corpus_open(struct lm_corpus **ret, struct peer_ctx *ctx,
                                const struct lm_corpus_source *source, int64_t vocab);
void lm_corpus_close(struct lm_corpus **corpus);

int64_t lm_corpus_tokens(const struct lm_corpus *corpus);

/* CRC-32 of the ids as they lie in the files, headers left out. */
uint32_t lm_corpus_crc(const struct lm_corpus *corpus);

/* The id at position `at`; ids [count] from `first` on. Both within 0 ... tokens-1. */
int32_t lm_corpus_id(const struct lm_corpus *corpus, int64_t at);
void lm_corpus_read(const struct lm_corpus *corpus, int32_t *ids, int64_t first, int64_t count);

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
