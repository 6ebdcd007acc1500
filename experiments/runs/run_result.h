/* SPDX-License-Identifier: MIT */
/* Internal to experiments. The files of a run folder that say how the run ended. */
#ifndef PEER_EXPERIMENTS_RUNS_RUN_RESULT_H
#define PEER_EXPERIMENTS_RUNS_RUN_RESULT_H

#include "experiments/base/output.h"
#include "experiments/sweeps/results.h"

enum { LAB_FILE_MOST = 1 << 30 /* bytes of a file that is read whole */ };

/* A file's text, NUL-terminated and malloc()ed, or NULL with the context's error set, also where it
 * has more than LAB_FILE_MOST bytes; and the same of bytes, with their number. */
char *lab_read_file(struct peer_ctx *ctx, const char *path);
char *lab_read_bytes(struct peer_ctx *ctx, const char *path, size_t *size);

/* Whether the folder holds a result. */
enum peer_status lab_run_finished(bool *ret, struct peer_ctx *ctx, const char *folder);

/* Writes result.json; result->id is not kept. */
enum peer_status lab_run_result_write(struct peer_ctx *ctx, const char *folder,
                                      const struct lab_result *result);

/* Parses the text of a result; `path` is for messages. As lab_run_result(). */
enum peer_status lab_run_result_parse(struct lab_result *ret, struct peer_ctx *ctx,
                                      const char *path, const char *text);

/* Writes usage-BLOCK-lorenz.csv: experts_share, score_share, count_share, the shares of the mass by
 * gate and by retrieval that the least loaded experts hold (lm_usage_lorenz()). */
enum peer_status lab_usage_lorenz_write(struct peer_ctx *ctx, const char *folder, int64_t block,
                                        const struct lm_usage *usage);

/* Writes the number of retrievals of each expert: n lines of n numbers, or one line of N. */
enum peer_status lab_usage_map_write(struct peer_ctx *ctx, const char *folder, const char *name,
                                     const struct lm_usage *usage);

#endif
