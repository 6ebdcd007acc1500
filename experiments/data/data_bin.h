/* SPDX-License-Identifier: MIT */
/* Token files in nanoGPT's format: little-endian uint16 ids, no header. */
#ifndef PEER_EXPERIMENTS_DATA_BIN_H
#define PEER_EXPERIMENTS_DATA_BIN_H

#include <stdio.h>

#include "nn/context.h"

struct lab_bin {
    struct peer_ctx *ctx;
    char path[4096];
    FILE *file;                       /* NULL where the split is not made */
    int64_t tokens, bytes, documents; /* written; bytes of text that they stand for */
    uint32_t crc;                     /* CRC-32 of the file */
};

/* Errors of all: PEER_ERR_IO with the file's name. */
enum peer_status lab_bin_create(struct lab_bin *ret, struct peer_ctx *ctx, const char *path);

/* Writes `count` ids that stand for `bytes` bytes and end `documents` documents. On machines that
 * are not little-endian `ids` is turned round in place. */
enum peer_status lab_bin_put(struct lab_bin *bin, uint16_t *ids, int64_t count, int64_t bytes,
                             int64_t documents);

/* Brings everything to the disk and closes. */
enum peer_status lab_bin_finish(struct lab_bin *bin);

/* Closes, whatever is in the file. */
void lab_bin_abandon(struct lab_bin *bin);

#endif
