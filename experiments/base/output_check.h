/* SPDX-License-Identifier: MIT */
/* What an output would destroy: asked before any work. */
#ifndef PEER_EXPERIMENTS_BASE_OUTPUT_CHECK_H
#define PEER_EXPERIMENTS_BASE_OUTPUT_CHECK_H

#include "nn/context.h"

/* What a folder holds, by the files that only such a folder has. */
enum {
    LAB_HOLDS_RUN = 1,   /* of `peerlab train` or `upscale` */
    LAB_HOLDS_DATA = 2,  /* of `peerlab data` */
    LAB_HOLDS_SWEEP = 4, /* of `peerlab sweep run`, `tune` or `reproduce` */
    LAB_HOLDS_ANY = 7
};

/* Whether files may be written into `folder`, which need not exist. Errors: PEER_ERR_ARGUMENT where
 * it holds one of `kinds`, with the file that tells. */
enum peer_status lab_output_check_folder(struct peer_ctx *ctx, const char *folder, int kinds);

/* Whether the file `path` may be written or replaced: nothing is there, or an earlier file of the
 * same kind, which begins with `start`; and it is no name that a run, a sweep or data need in their
 * folder. Pipes and devices may. Errors: PEER_ERR_ARGUMENT with the reason. */
enum peer_status lab_output_check_file(struct peer_ctx *ctx, const char *path, const char *start);

#endif
