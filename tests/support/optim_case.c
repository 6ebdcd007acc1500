/* SPDX-License-Identifier: MIT */
#include "tests/support/optim_case.h"

#include <criterion/criterion.h>
#include <string.h>

struct peer_ctx *optim_case_ctx(int threads)
{
    struct peer_ctx_config config = peer_ctx_config_default();
    config.threads = threads;
    struct peer_ctx *ctx = NULL;
    cr_assert_eq(peer_ctx_create(&ctx, &config), PEER_OK);
    return ctx;
}

struct peer_optim *optim_case_create(struct peer_ctx *ctx, const struct peer_params *list,
                                     const struct peer_optim_config *config)
{
    struct peer_optim *optim = NULL;
    cr_assert_eq(peer_optim_create(&optim, ctx, list, config), PEER_OK, "%s", peer_ctx_error(ctx));
    return optim;
}

struct peer_rows *optim_case_table(struct peer_params *list, const char *name, float *data,
                                   int64_t N, int64_t D, int64_t tokens)
{
    struct peer_rows_config config = {.rows = N,
                                      .width = D,
                                      .tokens = tokens,
                                      .entries = tokens,
                                      .segments = 1,
                                      .segment = {{0, D, 0}}};
    struct peer_rows *rows = NULL;
    cr_assert_eq(peer_rows_create(&rows, list->ctx, &config), PEER_OK);
    struct peer_param param = {.kind = PEER_PARAM_ROWS,
                               .dims = 2,
                               .shape = {N, D},
                               .data = data,
                               .rows = rows,
                               .lr_scale = 1,
                               .decay = 1};
    cr_assert_eq(peer_params_add(list, name, &param), PEER_OK);
    return rows;
}

void optim_case_touch(struct peer_rows *rows, int32_t row, float coef, const float *g)
{
    struct peer_rows_block block = peer_rows_reserve(rows, 1, 1);
    block.row[0] = row;
    block.coef[0][0] = coef;
    memcpy(block.source[0], g, (size_t)rows->config.width * sizeof *g);
}
