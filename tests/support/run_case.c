/* SPDX-License-Identifier: MIT */
#include "tests/support/run_case.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "nn/random.h"

enum { WIDTH = 12, BLOCKS = 3, HEADS = 2, SEED = 8 };

bool run_case_set(struct run_case *setting, const char *name, const char *text)
{
    const struct peer_ffw_type *ffw = setting->config.ffw;
    const struct peer_option *option = ffw ? peer_option_find(ffw->options, name) : NULL;
    struct peer_ctx *ctx = NULL;
    if (!option)
        return false;
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    cr_assert_eq(peer_option_set(ctx, setting->ffw_config, option, text), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    peer_ctx_destroy(&ctx);
    return true;
}

void run_case_init(struct run_case *ret, const struct peer_ffw_type *ffw)
{
    static const char *const small[][2] = {
        {"experts", "49"}, {"heads", "2"}, {"kept", "3"}, {"query_width", "6"}, {"hidden", "17"}};
    ret->config = lm_config_default(RUN_CASE_VOCAB, WIDTH, BLOCKS);
    ret->config.heads = HEADS;
    ret->config.context = RUN_CASE_CONTEXT;
    if (!ffw)
        return;
    cr_assert_leq(ffw->config_size, sizeof ret->ffw_config);
    ffw->config_default(ret->ffw_config, WIDTH);
    ret->config.ffw = ffw;
    ret->config.ffw_config = ret->ffw_config;
    for (size_t i = 0; i < sizeof small / sizeof *small; i++)
        run_case_set(ret, small[i][0], small[i][1]);
}

bool run_case_separate(struct run_case *setting)
{
    static const char *const off[][2] = {{"query_norm", "none"},    {"capacity_eval", "49"},
                                         {"jitter", "0"},           {"noise", "false"},
                                         {"second_threshold", "0"}, {"balance_loss", "0"},
                                         {"z_loss", "0"},           {"importance_loss", "0"},
                                         {"load_loss", "0"},        {"bias_rate", "0"}};
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        run_case_set(setting, off[i][0], off[i][1]);
    if (setting->config.ffw && peer_option_find(setting->config.ffw->options, "capacity_eval"))
        run_case_set(setting, "capacity", "49");
    return !setting->config.ffw || !setting->config.ffw->traits(setting->ffw_config);
}

struct lm_model *run_case_model(const struct run_case *setting, struct peer_ctx *ctx,
                                int64_t tokens, uint64_t seed)
{
    struct lm_model *model = NULL;
    cr_assert_eq(lm_model_create(&model, ctx, &setting->config, tokens, seed, true), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    return model;
}

/* One id in eight is drawn, the others follow the last one. */
static void write_cycle(const struct tempfile *file, int64_t tokens, uint64_t stream)
{
    uint16_t *ids = malloc((size_t)tokens * sizeof *ids);
    uint32_t id = 0;
    for (int64_t i = 0; i < tokens; i++) {
        bool drawn = peer_random_below(SEED, stream, 2 * (uint64_t)i, 8) == 0;
        id = drawn ? peer_random_below(SEED, stream, 2 * (uint64_t)i + 1, RUN_CASE_VOCAB)
                   : (id + 1) % RUN_CASE_VOCAB;
        ids[i] = (uint16_t)id;
    }
    tempfile_write(file, ids, (size_t)tokens * sizeof *ids);
    free(ids);
}

struct lm_dataset run_case_data(struct peer_ctx *ctx, const struct tempdir *dir, int64_t train,
                                int64_t valid)
{
    struct lm_dataset data;
    struct tempfile file = tempdir_file(dir, "train.bin");
    write_cycle(&file, train, 1);
    file = tempdir_file(dir, "valid.bin");
    if (valid)
        write_cycle(&file, valid, 2);
    cr_assert_eq(lm_dataset_open(&data, ctx, dir->path, RUN_CASE_VOCAB, LM_DTYPE_AUTO), PEER_OK,
                 "%s", peer_ctx_error(ctx));
    return data;
}
