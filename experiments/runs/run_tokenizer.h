/* SPDX-License-Identifier: MIT */
/* Internal to experiments. What a run keeps of its text's tokenizer, so that it can read and write
 * without the text: the folder RUN/tokenizer with
 *   data.json               {"format": "peerlab-data", "version": 1, "tokenizer", "vocab",
 *                            "vocabulary": checksum of what ids mean, "model_crc32": of
 *                            tokenizer.model, "begin": the first id of the training text}
 *   tokenizer.model, .vocab as in a prepared folder (lm/dataset.h); links to the same files where
 *                           the disk can, so that the many runs of a sweep take no room
 * It stands in for a prepared folder as the tokenizer of texts. */
#ifndef PEER_EXPERIMENTS_RUNS_RUN_TOKENIZER_H
#define PEER_EXPERIMENTS_RUNS_RUN_TOKENIZER_H

#include "lm/dataset.h"

/* Keeps the tokenizer of the prepared folder `data`, opened as `dataset`, in the run's folder,
 * unless it is kept already or the folder has none. Errors: PEER_ERR_IO, PEER_ERR_MEMORY. */
enum peer_status lab_run_tokenizer_keep(struct peer_ctx *ctx, const char *run, const char *data,
                                        const struct lm_dataset *dataset);

/* Keeps in the run's folder what another run keeps in the folder `tokenizer`. Errors: as above. */
enum peer_status lab_run_tokenizer_copy(struct peer_ctx *ctx, const char *run,
                                        const char *tokenizer);

/* Whether `folder` is a kept tokenizer, without a text. Errors: PEER_ERR_IO; *ret = false then. */
enum peer_status lab_is_run_tokenizer(bool *ret, struct peer_ctx *ctx, const char *folder);

/* Opens a kept tokenizer: what its ids mean, their number, and the first id of the training text.
 * Errors: PEER_ERR_IO; PEER_ERR_FORMAT where a checksum is another. */
enum peer_status lab_run_tokenizer_open(struct lm_vocabulary **vocabulary, int64_t *vocab,
                                        int64_t *begin, struct peer_ctx *ctx, const char *folder);

#endif
