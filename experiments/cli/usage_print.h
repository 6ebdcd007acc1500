/* SPDX-License-Identifier: MIT */
/* Utilization of experts for people. */
#ifndef PEER_EXPERIMENTS_CLI_USAGE_PRINT_H
#define PEER_EXPERIMENTS_CLI_USAGE_PRINT_H

#include "lm/utilization.h"

/* Prints on stdout what each block's experts did; `usage` [blocks] has NULL for blocks that do not
 * route. Errors: those of lm_usage_summarize(). */
enum peer_status lab_usage_print(struct peer_ctx *ctx, struct lm_usage *const *usage,
                                 int64_t blocks);

#endif
