/* SPDX-License-Identifier: MIT */
#include "experiments/runs/checkpoint_model.h"

#include <string.h>
#include <sys/stat.h>

#include "experiments/runs/run_tokenizer.h"
#include "lm/checkpoint.h"
#include "lm/tables.h"
#include "nn/file.h"
#include "nn/params/safetensors.h"

void lab_checkpoint_path(char ret[LAB_PATH], const char *path)
{
    struct stat info;
    bool folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    snprintf(ret, LAB_PATH, "%s%s", path, folder ? "/checkpoint.safetensors" : "");
}

static void find_folder(char ret[LAB_PATH], const struct lab_checkpoint_model *loaded)
{
    const char *slash = strrchr(loaded->path, '/');
    int length = slash ? (int)(slash - loaded->path) : 1;
    snprintf(ret, LAB_PATH, "%.*s", length, slash ? loaded->path : ".");
}

/* The folder of the checkpoint knows, in its run.yaml, which text the model was trained on. What is
 * no such file says nothing. One that a run starts from may have the tokenizer alone. */
static enum peer_status find_data(struct lab_checkpoint_model *loaded, struct peer_ctx *ctx)
{
    char folder[LAB_PATH], path[LAB_PATH + 16];
    struct lab_run_config run;
    find_folder(folder, loaded);
    snprintf(path, sizeof path, "%s/run.yaml", folder);
    bool there = false, kept = false;
    enum peer_status status = peer_file_there(&there, ctx, NULL, path);
    if (status == PEER_OK && there)
        status = lab_run_config_read(&run, ctx, path);
    if (status == PEER_OK && there) {
        memcpy(loaded->data, run.data, sizeof loaded->data);
        loaded->text = run.text;
    }
    int length = snprintf(path, sizeof path, "%s/tokenizer", folder);
    if (status == PEER_ERR_IO || status == PEER_ERR_MEMORY)
        return status;
    status = length < LAB_PATH ? lab_is_run_tokenizer(&kept, ctx, path) : PEER_OK;
    if (kept)
        memcpy(loaded->tokenizer, path, (size_t)length + 1);
    return status;
}

/* The model's weights stay what they are; only what holds its table changes. */
static enum peer_status set_table(struct lab_checkpoint_model *loaded, struct peer_ctx *ctx,
                                  const char *table)
{
    const struct peer_ffw_type *type = loaded->config.ffw;
    const struct peer_option *option = type ? peer_option_find(type->options, "table") : NULL;
    if (!option)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "%s: table = %s, but its layers (%s) have none",
                         loaded->path, table, type ? type->name : "dense");
    if (loaded->config.tables == LM_PLACE_MAPPED)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: table = %s, but its tables are mapped: expected those in memory",
                         loaded->path, table);
    return peer_option_set(ctx, loaded->ffw_config, option, table);
}

/* Mapped tables, at the step of the checkpoint. */
static enum peer_status open_tables(struct lab_checkpoint_model *loaded, struct peer_ctx *ctx)
{
    char folder[LAB_PATH];
    find_folder(folder, loaded);
    enum peer_status status =
        lm_tables_open(&loaded->tables, ctx, &loaded->config, folder, 0, PEER_TABLE_READ);
    if (status == PEER_OK)
        status = lm_tables_restore(loaded->tables, loaded->origin.step);
    loaded->config.table_files = loaded->tables;
    return status;
}

/* What the checkpoint holds. */
static enum peer_status load(const struct lab_checkpoint_model *loaded, struct peer_ctx *ctx)
{
    struct peer_params saved = peer_params_empty(ctx);
    enum peer_status status = lm_tables_rest(&saved, lm_model_params(loaded->model));
    if (status == PEER_OK)
        status = lm_checkpoint_load(ctx, loaded->path, &saved);
    peer_params_free(&saved);
    return status;
}

/* Weights that another program wrote are right, but no checkpoint. */
static enum peer_status explain(struct peer_ctx *ctx, const char *path, enum peer_status status)
{
    struct peer_tensor_file file;
    char reason[512];
    bool own = true;
    if (status != PEER_ERR_FORMAT)
        return status;
    snprintf(reason, sizeof reason, "%s", peer_ctx_error(ctx));
    if (lm_checkpoint_is_own(&own, ctx, path) != PEER_OK || own)
        return peer_fail(ctx, status, "%s", reason);
    if (peer_tensor_file_open(&file, ctx, "weights", path) != PEER_OK)
        return peer_fail(ctx, status, "%s", reason);
    peer_tensor_file_close(&file);
    return peer_fail(ctx, status,
                     "%s: not a checkpoint, but weights that another program wrote; peerlab import "
                     "makes a checkpoint of them",
                     path);
}

enum peer_status lab_checkpoint_model_open(struct lab_checkpoint_model *ret, struct peer_ctx *ctx,
                                           const char *path, int64_t sequences, const char *table)
{
    memset(ret, 0, sizeof *ret);
    lab_checkpoint_path(ret->path, path);
    enum peer_status status =
        lm_run_model(&ret->config, ret->ffw_config, sizeof ret->ffw_config, ctx, ret->path);
    status = explain(ctx, ret->path, status);
    if (status == PEER_OK)
        status = lm_run_origin(&ret->origin, ctx, ret->path);
    if (status == PEER_OK && table)
        status = set_table(ret, ctx, table);
    if (status == PEER_OK && ret->config.tables == LM_PLACE_MAPPED)
        status = open_tables(ret, ctx);
    if (status == PEER_OK)
        status = lm_model_create(&ret->model, ctx, &ret->config, sequences * ret->config.context, 0,
                                 false);
    if (status == PEER_OK)
        status = load(ret, ctx);
    if (status == PEER_OK)
        status = find_data(ret, ctx);
    if (status != PEER_OK)
        lab_checkpoint_model_close(ret);
    return status;
}

void lab_checkpoint_model_close(struct lab_checkpoint_model *loaded)
{
    lm_model_destroy(&loaded->model);
    lm_tables_close(&loaded->tables);
}
