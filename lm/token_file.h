/* SPDX-License-Identifier: MIT */
/* Internal. One file of token ids, mapped: what kind it is, and where its ids lie. */
#ifndef PEER_LM_TOKEN_FILE_H
#define PEER_LM_TOKEN_FILE_H

#include "lm/corpus.h"

struct lm_token_file {
    const char *path; /* borrowed */
    void *map;
    int64_t bytes;
    const uint8_t *ids; /* little-endian, aligned to their width */
    int64_t tokens;
    int width;   /* bytes of an id: 2 or 4 */
    bool stated; /* a header says the width; else it is `dtype`'s, or taken to be 2 */
    bool asked;  /* `dtype` says it */
};

/* Maps a file and finds its ids. `known`: our own program wrote it, so that nothing is guessed from
 * its bytes. Errors: PEER_ERR_IO; PEER_ERR_FORMAT with the file's name, what it is and what to do:
 * another kind of file, another version, a size that is not what the header says, a header that
 * disagrees with `dtype`. */
enum peer_status lm_token_file_open(struct lm_token_file *ret, struct peer_ctx *ctx,
                                    const char *path, enum lm_dtype dtype, bool known);
void lm_token_file_close(struct lm_token_file *file);

/* What the bytes of a file show it to be, and what to do about it; NULL = nothing known. Ids do not
 * begin so, but by a chance of less than one in a million. */
const char *lm_token_foreign(const uint8_t *bytes, int64_t size);

/* Sets ids, tokens and width of a .npy file that is mapped already. Errors: PEER_ERR_FORMAT. */
enum peer_status lm_token_npy(struct lm_token_file *file, struct peer_ctx *ctx);
bool lm_token_is_npy(const uint8_t *bytes, int64_t count);

/* Reads all ids of `files` [count] once, in parallel. Writes the CRC-32 of their bytes, one file
 * after the other. Errors: PEER_ERR_FORMAT naming file, position and id where one is not below
 * `vocab` (0: below 2^31), and, of a file whose width nothing states, where its ids look like
 * another width; PEER_ERR_MEMORY. */
enum peer_status lm_token_scan(uint32_t *crc, struct peer_ctx *ctx,
                               const struct lm_token_file *files, int64_t count, int64_t vocab,
                               bool known);

#endif
