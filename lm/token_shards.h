/* SPDX-License-Identifier: MIT */
/* Internal. Which files of token ids a folder, or a pattern, stands for. */
#ifndef PEER_LM_TOKEN_SHARDS_H
#define PEER_LM_TOKEN_SHARDS_H

#include "nn/pool.h"

struct lm_shards {
    struct peer_pool pool;
    const char **train, **valid; /* paths, in the order of their numbers */
    int64_t trains, valids;
};

/* `where` is a folder, whose files end in .bin or .npy; a file; or a pattern such as
 * "f/fineweb_train_*.bin". A file whose name, cut at '_', '-' and '.', has the part val, valid or
 * validation is of the validation text; of a folder's others those that have the part train are of
 * the training text, of a pattern's all. Where a folder has a train.bin (valid.bin, val.bin), that
 * alone is the training (validation) text. A pattern with "train" that matches no validation files
 * stands for those also that it matches with "val" in its place. Names are ordered so that 2 comes
 * before 10. Errors: PEER_ERR_IO where there is nothing, or cannot be read; PEER_ERR_FORMAT where a
 * folder's files are of two sets; PEER_ERR_MEMORY. */
enum peer_status lm_shards_find(struct lm_shards *ret, struct peer_ctx *ctx, const char *where);
void lm_shards_free(struct lm_shards *shards);

/* Writes `where` as a pattern of glob(3): of a file or folder that is there every character stands
 * for itself, else those of the folder that it is in, where that is there. False: longer than
 * `size` - 1 bytes. */
bool lm_shards_pattern(char *ret, size_t size, const char *where);

#endif
