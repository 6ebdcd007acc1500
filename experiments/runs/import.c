/* SPDX-License-Identifier: MIT */
#include "experiments/runs/import.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "experiments/runs/checkpoint_model.h"
#include "experiments/runs/run_check.h"
#include "experiments/runs/start_folder.h"
#include "lm/checkpoint.h"

/* What the weights are for. */
struct target {
    struct lab_checkpoint_model loaded; /* of a checkpoint */
    struct lm_model *drawn;             /* or of a run file */
    struct lm_model *model;             /* one of the two */
    struct lab_run_config run;
    bool has_run;
    char vocabulary[16];
};

/* A run file's model, with the vocabulary of its text. */
static enum peer_status draw(struct target *target, struct peer_ctx *ctx, const char *file)
{
    struct lm_dataset data = {0};
    struct lab_facts *facts = NULL;
    struct lm_config model;
    enum peer_status status = lab_run_config_read(&target->run, ctx, file);
    if (status != PEER_OK)
        return status;
    status = lab_run_open_data(&data, &facts, ctx, &target->run);
    if (status == PEER_OK)
        status = lab_run_check(&model, ctx, &target->run, data.vocab);
    if (status == PEER_OK && data.vocabulary)
        snprintf(target->vocabulary, sizeof target->vocabulary, "%08" PRIx32,
                 lm_vocabulary_crc(data.vocabulary));
    if (status == PEER_OK)
        status = lm_model_create(&target->drawn, ctx, &model, model.context, target->run.train.seed,
                                 false);
    lm_dataset_close(&data);
    lab_facts_destroy(&facts);
    target->model = target->drawn;
    target->has_run = true;
    return status;
}

/* A checkpoint's model. */
static enum peer_status reopen(struct target *target, struct peer_ctx *ctx, const char *path)
{
    struct lab_checkpoint_model *loaded = &target->loaded;
    enum peer_status status = lab_checkpoint_model_open(loaded, ctx, path, 1, NULL);
    if (status != PEER_OK)
        return status;
    target->model = loaded->model;
    snprintf(target->vocabulary, sizeof target->vocabulary, "%s", loaded->origin.vocabulary);
    if (!*loaded->data)
        return PEER_OK;
    lab_run_config_of_model(&target->run, lm_model_config(loaded->model));
    snprintf(target->run.data, sizeof target->run.data, "%s", loaded->data);
    target->run.text = loaded->text;
    target->has_run = true;
    return PEER_OK;
}

static enum peer_status import(struct lab_weights_told *told, struct target *target,
                               struct peer_ctx *ctx, const char *path, const char *into,
                               const struct lab_weights_in *options, const char *out)
{
    char checkpoint[LAB_PATH];
    lab_checkpoint_path(checkpoint, into);
    enum peer_status status = lab_start_folder_check(ctx, out);
    if (status != PEER_OK)
        return status;
    bool own = false, begins = false;
    status = lm_checkpoint_is_own(&own, ctx, path);
    if (status == PEER_OK)
        status = lm_checkpoint_is_own(&begins, ctx, checkpoint);
    if (status != PEER_OK)
        return status;
    if (own)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s is a checkpoint of this program: a run starts from it as it is (init)",
                         path);
    status = strcmp(checkpoint, into) == 0 && !begins ? draw(target, ctx, into)
                                                      : reopen(target, ctx, into);
    if (status == PEER_OK && lm_model_config(target->model)->tables == LM_PLACE_MAPPED)
        status = peer_fail(ctx, PEER_ERR_ARGUMENT,
                           "%s: its tables are mapped, expected those in memory", into);
    if (status == PEER_OK)
        status = lab_weights_in(told, ctx, path, lm_model_params(target->model),
                                lm_model_config(target->model), options);
    return status == PEER_OK ? lab_start_folder_write(ctx, out, target->model, target->vocabulary,
                                                      target->loaded.tokenizer,
                                                      target->has_run ? &target->run : NULL)
                             : status;
}

enum peer_status lab_import(struct lab_weights_told *ret, struct peer_ctx *ctx, const char *path,
                            const char *into, const struct lab_weights_in *options, const char *out)
{
    struct target target = {.has_run = false};
    enum peer_status status = import(ret, &target, ctx, path, into, options, out);
    lm_model_destroy(&target.drawn);
    lab_checkpoint_model_close(&target.loaded);
    return status;
}
