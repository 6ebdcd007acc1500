/* SPDX-License-Identifier: MIT */
#include "experiments/runs/upscale.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "experiments/base/output.h"
#include "experiments/base/output_check.h"
#include "experiments/report/stage.h"
#include "experiments/runs/checkpoint_model.h"
#include "lm/checkpoint.h"
#include "lm/json.h"
#include "lm/model_json.h"
#include "lm/run_state.h"

struct upscaling {
    struct peer_ctx *ctx;
    struct lab_checkpoint_model source;
    struct lm_model *model; /* the result */
    int64_t drop;
    char checkpoint[LAB_PATH], start[LAB_PATH];
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

static enum peer_status save(const struct upscaling *u)
{
    lm_json_watch();
    json_t *model = lm_config_json(lm_model_config(u->model));
    char *text = lm_json_text(model, JSON_COMPACT);
    struct lm_run_origin origin = {0};
    enum peer_status status = lm_run_origin(&origin, u->ctx, u->source.path);
    bool lost = false;
    json_t *metadata = text ? json_pack("{s:s}", "model", text) : NULL;
    if (metadata && *origin.vocabulary)
        lost = json_object_set_new(metadata, "vocabulary", json_string(origin.vocabulary)) != 0;
    if (status == PEER_OK)
        status =
            metadata && !lost
                ? lm_checkpoint_save(u->ctx, u->checkpoint, lm_model_params(u->model), metadata)
                : peer_fail(u->ctx, PEER_ERR_MEMORY, "%s: no memory to write it", u->checkpoint);
    json_decref(metadata);
    free(text);
    json_decref(model);
    return status;
}

static enum peer_status write_start(const struct upscaling *u)
{
    const struct lm_config *model = lm_model_config(u->model);
    struct lab_run_config run;
    lab_run_config_default(&run, model->width, model->blocks, model->ffw);
    if (model->ffw)
        memcpy(run.ffw_config, model->ffw_config, model->ffw->config_size);
    run.model = *model;
    run.model.ffw_config = model->ffw ? run.ffw_config : NULL;
    run.model.passes = run.train.accumulate;
    run.middle = false;
    if (run.train.length > model->context)
        run.train.length = model->context;
    snprintf(run.data, sizeof run.data, "%s", u->source.data);
    run.text = u->source.text;
    snprintf(run.init, sizeof run.init, "%s", u->checkpoint);
    struct lab_output output;
    enum peer_status status = lab_output_open(&output, u->ctx, u->start);
    if (status != PEER_OK)
        return status;
    lab_run_config_everywhere(&run);
    lab_run_config_write(output.file, &run); /* errors stay in the stream */
    return lab_output_close(&output, PEER_OK);
}

static enum peer_status upscale(struct upscaling *u, const char *path, const char *out)
{
    if (strlen(out) > LAB_FOLDER)
        return peer_fail(u->ctx, PEER_ERR_ARGUMENT, "%.60s...: longer than %d bytes", out,
                         LAB_FOLDER);
    snprintf(u->checkpoint, sizeof u->checkpoint, "%s/checkpoint.safetensors", out);
    snprintf(u->start, sizeof u->start, "%s/start.yaml", out);
    if (access(u->checkpoint, F_OK) == 0)
        return peer_fail(u->ctx, PEER_ERR_ARGUMENT, "%s is there already; choose a new folder",
                         u->checkpoint);
    enum peer_status status = lab_output_check_folder(u->ctx, out, LAB_HOLDS_ANY);
    if (status == PEER_OK)
        status = lab_checkpoint_model_open(&u->source, u->ctx, path, 1, NULL);
    if (status == PEER_OK && u->source.config.tables == LM_PLACE_MAPPED)
        status = peer_fail(u->ctx, PEER_ERR_ARGUMENT,
                           "%s: its tables are mapped, expected those in memory", u->source.path);
    if (status == PEER_OK)
        status = make_model(u);
    if (status == PEER_OK)
        status = lab_make_folder(u->ctx, out);
    if (status != PEER_OK)
        return status;
    copy_weights(u);
    if (*u->source.data) /* first: a folder with a checkpoint is done */
        status = write_start(u);
    if (status != PEER_OK)
        return status;
    status = save(u);
    if (status != PEER_OK) /* it may be there, but not for sure on the disk */
        unlink(u->checkpoint);
    return status;
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
