/* SPDX-License-Identifier: MIT */
/* Checkpoints: one file in safetensors' layout (8-byte header length, JSON header, raw tensors), so
 * that other tools read the weights. Metadata is a flat map of strings. Writing is atomic: a
 * temporary file in the same folder, flushed to disk, renamed over the old one; a full disk or a
 * killed process leaves the old file whole. A CRC-32 of the tensors is in the metadata. */
#ifndef PEER_LM_CHECKPOINT_H
#define PEER_LM_CHECKPOINT_H

#include <jansson.h>

#include "nn/param.h"

/* Writes every entry of `params` and the string map `metadata` (borrowed). Errors: PEER_ERR_IO with
 * the path and the system's reason. */
enum peer_status lm_checkpoint_save(struct peer_ctx *ctx, const char *path,
                                    const struct peer_params *params, json_t *metadata);

/* Reads only the metadata; the caller json_decref()s it. Errors: PEER_ERR_IO; PEER_ERR_FORMAT for a
 * file that is cut, too long, or not a checkpoint. */
enum peer_status lm_checkpoint_metadata(json_t **ret, struct peer_ctx *ctx, const char *path);

/* Fills every entry of `params` from the file, which must hold each by name and shape; others are
 * ignored. The file is checked whole (sizes, names, CRC) before the first value is written. Errors:
 * PEER_ERR_IO; PEER_ERR_FORMAT naming the file and the tensor with both shapes. */
enum peer_status lm_checkpoint_load(struct peer_ctx *ctx, const char *path,
                                    const struct peer_params *params);

#endif
