/* SPDX-License-Identifier: MIT */
/* Small things that tests of optimizers are made of. They end the test on failure. */
#ifndef PEER_TESTS_SUPPORT_OPTIM_CASE_H
#define PEER_TESTS_SUPPORT_OPTIM_CASE_H

#include "nn/optim/optim.h"

struct peer_ctx *optim_case_ctx(int threads);

struct peer_optim *optim_case_create(struct peer_ctx *ctx, const struct peer_params *list,
                                     const struct peer_optim_config *config);

/* Adds a table data [N, D] called `name` to the list, one segment over the whole row, with room for
 * one entry per token. The caller destroys the rows. */
struct peer_rows *optim_case_table(struct peer_params *list, const char *name, float *data,
                                   int64_t N, int64_t D, int64_t tokens);

/* One token whose entry in row `row` has the gradient coef * g [D]. */
void optim_case_touch(struct peer_rows *rows, int32_t row, float coef, const float *g);

#endif
