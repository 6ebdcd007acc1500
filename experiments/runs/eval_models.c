/* SPDX-License-Identifier: MIT */
#include "experiments/runs/eval_models.h"

#include <string.h>

#include "experiments/runs/same_vocabulary.h"
#include "experiments/yaml/yaml_place.h"

/* Opens one model more, which must go with the others and take the windows asked for. */
static enum peer_status open_model(struct lab_eval_models *models, struct peer_ctx *ctx,
                                   const char *path, int64_t length, const char *table)
{
    int64_t m = models->count;
    struct lab_checkpoint_model *loaded = &models->loaded[m];
    enum peer_status status =
        lab_checkpoint_model_open(loaded, ctx, path, LAB_EVAL_SEQUENCES, table);
    if (status != PEER_OK)
        return status;
    models->count++;
    models->list[m] = loaded->model;
    int64_t context = loaded->config.context;
    for (int64_t i = 0; i < m && status == PEER_OK; i++) /* one that tells nothing goes with all */
        status = lab_same_vocabularies(ctx, loaded->path, &loaded->origin, models->loaded[i].path,
                                       &models->loaded[i].origin);
    if (status != PEER_OK)
        return status;
    if (length > context)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "--length %lld: the context of %s is %lld",
                         (long long)length, loaded->path, (long long)context);
    if (length)
        models->length = length;
    else if (m == 0 || context < models->length)
        models->length = context;
    return PEER_OK;
}

enum peer_status lab_eval_models_open(struct lab_eval_models *ret, struct peer_ctx *ctx,
                                      char *const *paths, int64_t count, int64_t length,
                                      const char *table)
{
    static const char who[] = "lab_eval_models_open";
    memset(ret, 0, sizeof *ret);
    ret->pool.ctx = ctx;
    ret->loaded = peer_pool_alloc(&ret->pool, who, sizeof *ret->loaded, count, 1, 1);
    ret->list = peer_pool_alloc(&ret->pool, who, sizeof(struct lm_model *), count, 1, 1);
    enum peer_status status = ret->pool.failed ? PEER_ERR_MEMORY : PEER_OK;
    for (int64_t m = 0; m < count && status == PEER_OK; m++)
        status = open_model(ret, ctx, paths[m], length, table);
    return status;
}

void lab_eval_models_close(struct lab_eval_models *models)
{
    for (int64_t m = 0; m < models->count; m++)
        lab_checkpoint_model_close(&models->loaded[m]);
    models->count = 0;
    peer_pool_free(&models->pool);
}

enum peer_status lab_eval_folder(const char **ret, struct peer_ctx *ctx,
                                 const struct lab_checkpoint_model *loaded, const char *data,
                                 bool held_out)
{
    bool kept = !data && !held_out && *loaded->tokenizer;
    const char *folder = data ? data : kept ? loaded->tokenizer : loaded->data;
    if (!*folder)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: the text it was trained on is not known; give --data FOLDER",
                         loaded->path);
    if (!data && !lab_yaml_place_exists(folder))
        return peer_fail(ctx, PEER_ERR_IO,
                         "%s: its text %s is not there; give --data FOLDER, a prepared folder "
                         "with the same tokenizer",
                         loaded->path, folder);
    *ret = folder;
    return PEER_OK;
}
