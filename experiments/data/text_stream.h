/* SPDX-License-Identifier: MIT */
/* The bytes of a file, gzip and zstd unpacked on the way. */
#ifndef PEER_EXPERIMENTS_DATA_TEXT_STREAM_H
#define PEER_EXPERIMENTS_DATA_TEXT_STREAM_H

#include "nn/context.h"

struct lab_stream;

enum { LAB_STREAM_WINDOW_LOG = 27 /* 2^27 bytes, as zstd -d: the largest window of a frame */ };

/* Opens a file, or standard input for "-". What it holds is told by its first bytes: gzip (RFC
 * 1952, any number of members), zstd (RFC 8878, any number of frames), otherwise the bytes as they
 * are. Memory does not grow with what is unpacked. Errors: PEER_ERR_IO, PEER_ERR_MEMORY. */
enum peer_status lab_stream_open(struct lab_stream **ret, struct peer_ctx *ctx, const char *path);
void lab_stream_close(struct lab_stream **stream);

/* Reads up to `room` >= 1 bytes; *got = 0 at the end only. Errors: PEER_ERR_IO; PEER_ERR_FORMAT
 * where compressed data is damaged, ends early, or asks for a larger window. */
enum peer_status lab_stream_read(struct lab_stream *stream, void *bytes, int64_t room,
                                 int64_t *got);

/* Bytes taken from the file so far, as they lie there. */
int64_t lab_stream_taken(const struct lab_stream *stream);

#endif
