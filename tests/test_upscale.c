/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "experiments/runs/checkpoint_model.h"
#include "experiments/runs/run.h"
#include "experiments/runs/upscale.h"
#include "peer/types.h"
#include "tests/support/run_case.h"

enum { BLOCKS = 3, DROP = 1 };

static struct peer_ctx *ctx;
static struct tempdir dir, text;
static struct tempfile source, deep;

/* A run of a few steps with blocks dense, PEER, dense. */
static void set_up(void)
{
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    dir = tempdir_create();
    text = tempdir_create();
    struct lm_dataset data = run_case_data(ctx, &text, 400, 61);
    lm_dataset_close(&data);
    struct run_case tiny;
    struct lab_run_config config;
    run_case_init(&tiny, peer_ffw_find("peer"));
    lab_run_config_default(&config, tiny.config.width, BLOCKS, tiny.config.ffw);
    memcpy(config.ffw_config, tiny.ffw_config, sizeof config.ffw_config);
    config.model.vocab = RUN_CASE_VOCAB;
    config.model.heads = tiny.config.heads;
    config.model.context = config.train.length = RUN_CASE_CONTEXT;
    config.train.steps = 5;
    strcpy(config.data, text.path);
    source = tempdir_file(&dir, "source");
    deep = tempdir_file(&dir, "deep");
    cr_assert_eq(lab_run_execute(ctx, &config, source.path, NULL), PEER_OK, "%s",
                 peer_ctx_error(ctx));
}

static void tear_down(void)
{
    tempdir_remove(&dir);
    tempdir_remove(&text);
    peer_ctx_destroy(&ctx);
}

TestSuite(upscale, .init = set_up, .fini = tear_down);

/* SOLAR: 32 blocks, 8 dropped: 0 ... 23, 8 ... 31. */
Test(upscale, blocks_of_solar)
{
    for (int64_t block = 0; block < 48; block++)
        cr_expect_eq(lab_upscale_source(block, 32, 8), block < 24 ? block : block - 16);
}

static void expect_copied(const struct lab_checkpoint_model *from,
                          const struct lab_checkpoint_model *to, const char *part,
                          const char *origin)
{
    int64_t found = 0;
    const struct peer_params *list = lm_model_params(to->model);
    for (int64_t i = 0; i < list->count; i++) {
        const struct peer_param *param = &list->items[i];
        if (strncmp(param->name, part, strlen(part)) != 0)
            continue;
        char name[2 * PEER_PARAM_NAME];
        snprintf(name, sizeof name, "%s%s", origin, param->name + strlen(part));
        const struct peer_param *old = peer_params_find(lm_model_params(from->model), name);
        cr_assert(old, "%s", name);
        size_t size = (size_t)peer_param_size(old) * sizeof(float);
        cr_assert_eq(peer_param_size(param), peer_param_size(old));
        cr_expect_eq(memcmp(param->data, old->data, size), 0, "%s", param->name);
        found++;
    }
    cr_expect_gt(found, 0, "%s", part);
}

Test(upscale, copies_blocks_bitwise_and_trains_on)
{
    struct lab_checkpoint_model from, to;
    struct lab_run_config config;
    int64_t blocks = 0;
    cr_assert_eq(lab_upscale(&blocks, ctx, source.path, DROP, deep.path), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    cr_expect_eq(blocks, BLOCKS);
    cr_assert_eq(lab_checkpoint_model_open(&from, ctx, source.path, 1, NULL), PEER_OK);
    cr_assert_eq(lab_checkpoint_model_open(&to, ctx, deep.path, 1, NULL), PEER_OK);
    cr_assert_eq(to.config.blocks, 4);
    static const char *const parts[][2] = {{"embed", "embed"},         {"norm.", "norm."},
                                           {"blocks.0.", "blocks.0."}, {"blocks.1.", "blocks.1."},
                                           {"blocks.2.", "blocks.1."}, {"blocks.3.", "blocks.2."}};
    for (int i = 0; i < 6; i++)
        expect_copied(&from, &to, parts[i][0], parts[i][1]);
    lab_checkpoint_model_close(&from);
    lab_checkpoint_model_close(&to);

    struct tempfile start = tempdir_file(&dir, "deep/start.yaml"), on = tempdir_file(&dir, "on");
    struct lab_result result;
    cr_assert_eq(lab_run_config_read(&config, ctx, start.path), PEER_OK, "%s", peer_ctx_error(ctx));
    config.train.steps = 5;
    cr_assert_eq(lab_run_execute(ctx, &config, on.path, NULL), PEER_OK, "%s", peer_ctx_error(ctx));
    cr_assert_eq(lab_run_result(&result, ctx, on.path), PEER_OK);
    cr_expect_eq(result.blocks, 4);
    cr_expect_eq(result.usages, 2);
    cr_expect(isfinite(result.nats));
    lab_result_free(&result);
}

/* As the source's run does. */
Test(upscale, keeps_the_tokenizer)
{
    static const char *const names[] = {"data.json", "tokenizer.vocab", "tokenizer.model"};
    char name[64];
    size_t size;
    int64_t blocks;
    struct lab_checkpoint_model to;
    struct tempfile tokenizer = tempdir_file(&dir, "source/tokenizer");
    cr_assert_eq(mkdir(tokenizer.path, 0777), 0);
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "source/tokenizer/%s", names[i]);
        struct tempfile file = tempdir_file(&dir, name);
        tempfile_write(&file, names[i], strlen(names[i]));
    }
    cr_assert_eq(lab_upscale(&blocks, ctx, source.path, DROP, deep.path), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "deep/tokenizer/%s", names[i]);
        struct tempfile file = tempdir_file(&dir, name);
        char *text_of = tempfile_read(&file, &size);
        cr_expect(size == strlen(names[i]) && memcmp(text_of, names[i], size) == 0);
        free(text_of);
    }
    tokenizer = tempdir_file(&dir, "deep/tokenizer");
    cr_assert_eq(lab_checkpoint_model_open(&to, ctx, deep.path, 1, NULL), PEER_OK);
    cr_expect_str_eq(to.tokenizer, tokenizer.path);
    cr_expect_str_eq(to.data, "");
    lab_checkpoint_model_close(&to);
}

Test(upscale, refuses)
{
    int64_t blocks = 77;
    for (int64_t drop = -1; drop <= BLOCKS; drop += BLOCKS + 1) {
        cr_expect_eq(lab_upscale(&blocks, ctx, source.path, drop, deep.path), PEER_ERR_ARGUMENT);
        cr_expect(strstr(peer_ctx_error(ctx), "of 3 blocks, expected 0 ... 2"), "%s",
                  peer_ctx_error(ctx));
    }
    cr_expect_eq(lab_upscale(&blocks, ctx, source.path, DROP, source.path), PEER_ERR_ARGUMENT);
    cr_expect_eq(blocks, 77);
}

/* With M = 2 blocks 0 and 2 remain, which are dense. */
Test(upscale, may_lose_every_sparse_block)
{
    int64_t blocks = 0;
    struct lab_checkpoint_model to;
    cr_assert_eq(lab_upscale(&blocks, ctx, source.path, 2, deep.path), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    cr_assert_eq(lab_checkpoint_model_open(&to, ctx, deep.path, 1, NULL), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    cr_expect_eq(to.config.blocks, 2);
    cr_expect_null(to.config.ffw);
    lab_checkpoint_model_close(&to);
}
