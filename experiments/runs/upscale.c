/* SPDX-License-Identifier: MIT */
#include "experiments/runs/upscale.h"

#include <stdlib.h>
#include <string.h>

#include "experiments/runs/checkpoint_model.h"
#include "experiments/runs/start_folder.h"

struct upscaling {
    struct peer_ctx *ctx;
    struct lab_checkpoint_model source;
    struct lm_model *model; /* the result */
    int64_t drop;
};

int64_t lab_upscale_source(int64_t block, int64_t blocks, int64_t drop)
{
    return block < blocks - drop ? block : block - blocks + 2 * drop;
}

static enum peer_status make_model(struct upscaling *u)
{
    struct lm_config config = u->source.config;
    int64_t L = config.blocks;
    if (u->drop < 0 || u->drop >= L || 2 * (L - u->drop) > LM_MAX_BLOCKS)
        return peer_fail(u->ctx, PEER_ERR_ARGUMENT,
                         "%s: drop = %lld of %lld blocks, expected 0 ... %lld, and at most %d "
                         "blocks in the end",
                         u->source.path, (long long)u->drop, (long long)L, (long long)L - 1,
                         LM_MAX_BLOCKS);
    config.blocks = 2 * (L - u->drop);
    memset(config.sparse_at, 0, sizeof config.sparse_at);
    bool any = false;
    for (int64_t block = 0; config.ffw && block < config.blocks; block++) {
        config.sparse_at[block] = u->source.config.sparse_at[lab_upscale_source(block, L, u->drop)];
        any = any || config.sparse_at[block];
    }
    if (!any)
        config.ffw = NULL;
    return lm_model_create(&u->model, u->ctx, &config, config.context, 0, false);
}

/* Every entry from the one of its name, with the source's number in a block's. */
static void copy_weights(const struct upscaling *u)
{
    static const char prefix[] = "blocks.";
    const struct peer_params *to = lm_model_params(u->model);
    const struct peer_params *from = lm_model_params(u->source.model);
    for (int64_t i = 0; i < to->count; i++) {
        const struct peer_param *param = &to->items[i];
        char name[PEER_PARAM_NAME + 32], *rest = NULL;
        snprintf(name, sizeof name, "%s", param->name);
        if (strncmp(param->name, prefix, sizeof prefix - 1) == 0) {
            int64_t block = strtoll(param->name + sizeof prefix - 1, &rest, 10);
            block = lab_upscale_source(block, u->source.config.blocks, u->drop);
            snprintf(name, sizeof name, "%s%lld%s", prefix, (long long)block, rest);
        }
        memcpy(peer_param_memory(param), peer_param_memory(peer_params_find(from, name)),
               peer_param_bytes(param));
    }
}

/* A run on the source's text. */
static void start_of(struct lab_run_config *run, const struct upscaling *u)
{
    lab_run_config_of_model(run, lm_model_config(u->model));
    snprintf(run->data, sizeof run->data, "%s", u->source.data);
    run->text = u->source.text;
}

static enum peer_status write_folder(const struct upscaling *u, const char *out)
{
    struct lab_run_config run;
    struct lm_run_origin origin = {0};
    enum peer_status status = lm_run_origin(&origin, u->ctx, u->source.path);
    if (status != PEER_OK)
        return status;
    start_of(&run, u);
    return lab_start_folder_write(u->ctx, out, u->model, origin.vocabulary, u->source.tokenizer,
                                  *u->source.data ? &run : NULL);
}

static enum peer_status upscale(struct upscaling *u, const char *path, const char *out)
{
    enum peer_status status = lab_start_folder_check(u->ctx, out);
    if (status == PEER_OK)
        status = lab_checkpoint_model_open(&u->source, u->ctx, path, 1, NULL);
    if (status == PEER_OK && u->source.config.tables == LM_PLACE_MAPPED)
        status = peer_fail(u->ctx, PEER_ERR_ARGUMENT,
                           "%s: its tables are mapped, expected those in memory", u->source.path);
    if (status == PEER_OK)
        status = make_model(u);
    if (status != PEER_OK)
        return status;
    copy_weights(u);
    return write_folder(u, out);
}

enum peer_status lab_upscale(int64_t *ret, struct peer_ctx *ctx, const char *path, int64_t drop,
                             const char *out)
{
    struct upscaling u = {.ctx = ctx, .drop = drop};
    enum peer_status status = upscale(&u, path, out);
    if (status == PEER_OK)
        *ret = lm_model_config(u.model)->blocks / 2 + drop;
    lm_model_destroy(&u.model);
    lab_checkpoint_model_close(&u.source);
    return status;
}
