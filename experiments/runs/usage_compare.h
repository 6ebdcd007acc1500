/* SPDX-License-Identifier: MIT */
/* Internal to experiments. Two blocks' utilization side by side. */
#ifndef PEER_EXPERIMENTS_RUNS_USAGE_COMPARE_H
#define PEER_EXPERIMENTS_RUNS_USAGE_COMPARE_H

#include <jansson.h>

#include "experiments/runs/usage_show.h"
#include "lm/usage_pair.h"

struct lab_usage_versus {
    const struct lab_usage_source *source[2]; /* borrowed, like the blocks */
    const struct lab_usage_block *block[2];
    struct lm_usage_pair count, score; /* all NaN where N differs; score also where the gates of
                                          one are not known */
};

/* Errors: PEER_ERR_MEMORY. */
enum peer_status lab_usage_versus(struct lab_usage_versus *ret, struct peer_ctx *ctx,
                                  const struct lab_usage_source *a, const struct lab_usage_block *x,
                                  const struct lab_usage_source *b,
                                  const struct lab_usage_block *y);

/* Prints `count` comparisons: as a table for people, as CSV, or as JSON. Errors stay in the
 * stream, but false means no memory. */
bool lab_usage_versus_print(FILE *file, const struct lab_usage_versus *list, int64_t count,
                            enum lab_usage_format format);

#endif
