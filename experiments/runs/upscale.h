/* SPDX-License-Identifier: MIT */
/* Depth up-scaling (Kim et al. 2023, SOLAR 10.7B, arXiv 2312.15166, Sec. 2): a deeper model from a
 * trained one. Its L blocks are taken twice; the last M of the first copy and the first M of the
 * second are dropped, and the rest is put on top of each other: 2 (L - M) blocks. Embedding and
 * final norm are copied. It is worse than the source until it has been trained further. */
#ifndef PEER_EXPERIMENTS_RUNS_UPSCALE_H
#define PEER_EXPERIMENTS_RUNS_UPSCALE_H

#include "lm/model.h"

/* The block of the source that block `block` of the result copies: block for the first L - M, then
 * block - L + 2 M. */
int64_t lab_upscale_source(int64_t block, int64_t blocks, int64_t drop);

/* Writes OUT/checkpoint.safetensors, from which a run of the same shapes starts (init), and, where
 * the folder of the source knows its text, OUT/start.yaml, such a run. `path` is a checkpoint or a
 * run folder; *ret is the number of its blocks, L. Errors: PEER_ERR_ARGUMENT unless 0 <= drop < L
 * and 2 (L - M) <= LM_MAX_BLOCKS, or where OUT has a checkpoint; those of
 * lab_checkpoint_model_open() and lm_checkpoint_save(); PEER_ERR_IO. */
enum peer_status lab_upscale(int64_t *ret, struct peer_ctx *ctx, const char *path, int64_t drop,
                             const char *out);

#endif
