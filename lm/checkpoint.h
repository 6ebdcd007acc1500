/* SPDX-License-Identifier: MIT */
/* Checkpoints: one file in safetensors' layout (8-byte header length, JSON header, raw tensors), so
 * that other tools read the weights. Metadata is a flat map of strings. Writing is atomic: a
 * temporary file beside it (PATH.tmp), flushed to disk, renamed over the old one; a full disk or a
 * killed process leaves the old file whole. CRC-32 sums of the tensors and of the header are in the
 * metadata. A large table is streamed: no second copy is made in memory. */
#ifndef PEER_LM_CHECKPOINT_H
#define PEER_LM_CHECKPOINT_H

#include <jansson.h>

#include "nn/params/param.h"

/* Writes every entry of `params`, F32 or a table's BF16, and the string map `metadata` (borrowed;
 * may be NULL; its own "crc32" is ignored). Errors: PEER_ERR_IO with the path and the system's
 * reason, or where another process is writing the same file; PEER_ERR_ARGUMENT for metadata that
 * are not strings and for tables of int8 or mapped from a file of their own; PEER_ERR_MEMORY. */
enum peer_status lm_checkpoint_save(struct peer_ctx *ctx, const char *path,
                                    const struct peer_params *params, json_t *metadata);

/* Reads only the metadata, which includes "crc32"; the caller json_decref()s it. Errors:
 * PEER_ERR_IO; PEER_ERR_FORMAT for a file that is cut, too long, damaged in its header, or not a
 * checkpoint. */
enum peer_status lm_checkpoint_metadata(json_t **ret, struct peer_ctx *ctx, const char *path);

/* Fills every entry of `params` from the file, which must hold each by name and shape; others are
 * ignored. A table takes F32 and BF16 and rounds to the nearest of its own type. The file is
 * checked whole (sizes, names, CRC) before the first value is written; only a disk that fails on
 * the second reading, or no memory for the few rows of a table being converted, leaves `params`
 * half filled. Errors: PEER_ERR_IO; PEER_ERR_FORMAT naming the file and the tensor with both
 * shapes; PEER_ERR_ARGUMENT for tables mapped from a file of their own; PEER_ERR_MEMORY. */
enum peer_status lm_checkpoint_load(struct peer_ctx *ctx, const char *path,
                                    const struct peer_params *params);

/* Whether the file begins as a checkpoint does, of which checksums are demanded; false for one that
 * another program wrote, or that is not there. Errors: PEER_ERR_IO. */
enum peer_status lm_checkpoint_is_own(bool *ret, struct peer_ctx *ctx, const char *path);

#endif
