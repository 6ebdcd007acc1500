/* SPDX-License-Identifier: MIT */
#include "experiments/runs/usage_source.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/runs/eval_models.h"
#include "experiments/runs/eval_text.h"
#include "experiments/runs/run.h"
#include "experiments/runs/run_result.h"

static enum peer_status no_block(struct peer_ctx *ctx, const char *path, const char *reason)
{
    return peer_fail(ctx, PEER_ERR_ARGUMENT, "%s: no utilization: %s", path, reason);
}

/* Counts of a block's experts, as lab_usage_map_write() writes them. */
static enum peer_status read_counts(struct lm_usage *usage, struct peer_ctx *ctx, const char *path)
{
    char *text = lab_read_file(ctx, path), *end = text;
    if (!text)
        return PEER_ERR_IO;
    int64_t n = 0;
    for (char *at = text;; at = end, n++) {
        long long count = strtoll(at, &end, 10);
        if (end == at)
            break;
        if (n < usage->experts && count >= 0)
            usage->count[n] = count;
    }
    bool whole = n == usage->experts && end[strspn(end, " \n")] == 0;
    free(text);
    return whole
               ? PEER_OK
               : peer_fail(ctx, PEER_ERR_FORMAT, "%s: %lld numbers, expected those of %lld experts",
                           path, (long long)n, (long long)usage->experts);
}

static enum peer_status read_block(struct lab_usage_block *block, struct peer_ctx *ctx,
                                   const char *folder, const struct lab_usage *usage)
{
    const struct peer_routing routing = {.experts = usage->experts, .side = usage->side};
    char path[LAB_PATH];
    block->block = usage->block;
    block->report = usage->report;
    enum peer_status status = lm_usage_create(&block->usage, ctx, &routing);
    snprintf(block->stem, sizeof block->stem, "%.900s/usage-%lld", folder, (long long)usage->block);
    snprintf(path, sizeof path, "%.1000s.txt", block->stem);
    return status == PEER_OK ? read_counts(block->usage, ctx, path) : status;
}

static enum peer_status make_blocks(struct lab_usage_source *source, struct peer_ctx *ctx,
                                    int64_t most)
{
    source->block = calloc((size_t)most + 1, sizeof *source->block);
    return source->block ? PEER_OK
                         : peer_fail(ctx, PEER_ERR_MEMORY, "%s: no memory for %lld blocks",
                                     source->path, (long long)most);
}

enum peer_status lab_usage_source_read(struct lab_usage_source *ret, struct peer_ctx *ctx,
                                       const char *path)
{
    struct lab_result result;
    *ret = (struct lab_usage_source){.path = path};
    enum peer_status status = lab_run_result(&result, ctx, path);
    if (status != PEER_OK)
        return status;
    status =
        result.usages
            ? make_blocks(ret, ctx, result.usages)
            : no_block(ctx, path, "no block routes, or the run diverged or had no validation text");
    for (int i = 0; i < result.usages && status == PEER_OK; i++)
        status = read_block(&ret->block[ret->blocks++], ctx, path, &result.usage[i]);
    lab_result_free(&result);
    return status;
}

/* Empty sums for every block that routes, owned by the source's blocks. */
static enum peer_status prepare(struct lab_usage_source *source, struct lm_usage **usage,
                                struct peer_ctx *ctx, const struct lab_checkpoint_model *loaded)
{
    enum peer_status status = make_blocks(source, ctx, loaded->config.blocks);
    if (status != PEER_OK)
        return status;
    status = lm_usage_of_model(usage, ctx, loaded->model);
    for (int64_t i = 0; i < loaded->config.blocks; i++)
        if (usage[i])
            source->block[source->blocks++] =
                (struct lab_usage_block){.block = i, .usage = usage[i]};
    return status == PEER_OK && source->blocks == 0
               ? no_block(ctx, source->path, "no block of the model routes")
               : status;
}

static enum peer_status evaluate(struct lab_usage_source *source, struct peer_ctx *ctx,
                                 const struct lab_checkpoint_model *loaded,
                                 const struct lab_eval_text *scored,
                                 const struct lab_usage_text *text)
{
    struct lm_usage *usage[LM_MAX_BLOCKS] = {NULL};
    struct lab_eval_score scores[2];
    struct lab_eval_setting setting = {.list = &loaded->model,
                                       .models = 1,
                                       .tokens = text->tokens,
                                       .length =
                                           text->length ? text->length : loaded->config.context,
                                       .usage = usage};
    enum peer_status status = prepare(source, usage, ctx, loaded);
    if (status == PEER_OK)
        status = lab_eval_text_score(scores, ctx, scored, &setting);
    for (int64_t i = 0; i < source->blocks && status == PEER_OK; i++)
        status = lm_usage_summarize(&source->block[i].report, ctx, source->block[i].usage);
    if (status == PEER_OK)
        source->tokens = scores[0].result.tokens;
    return status;
}

enum peer_status lab_usage_source_evaluate(struct lab_usage_source *ret, struct peer_ctx *ctx,
                                           const char *path, const struct lab_usage_text *text)
{
    struct lab_checkpoint_model loaded = {0};
    struct lab_eval_text scored = {0};
    struct lab_text_source source = {.form = LAB_FORM_HELD_OUT};
    const char *folder = NULL;
    if (text->text)
        source = lab_text_source_parse(text->text);
    *ret = (struct lab_usage_source){.path = path};
    enum peer_status status =
        lab_checkpoint_model_open(&loaded, ctx, path, LAB_EVAL_SEQUENCES, NULL);
    if (status == PEER_OK && text->length > loaded.config.context)
        status = peer_fail(ctx, PEER_ERR_ARGUMENT, "--length %lld: the context of %s is %lld",
                           (long long)text->length, path, (long long)loaded.config.context);
    if (status == PEER_OK)
        status = lab_eval_folder(&folder, ctx, &loaded, text->data, !text->text);
    source.dtype = loaded.text.dtype;
    if (status == PEER_OK)
        status = lab_eval_text_open_for(&scored, ctx, folder, loaded.path, &loaded.origin, &source);
    lab_notes_print(stderr, &scored.notes);
    if (status == PEER_OK)
        status = evaluate(ret, ctx, &loaded, &scored, text);
    lab_eval_text_close(&scored);
    lab_checkpoint_model_close(&loaded);
    return status;
}

void lab_usage_source_free(struct lab_usage_source *source)
{
    for (int64_t i = 0; i < source->blocks; i++)
        lm_usage_destroy(&source->block[i].usage);
    free(source->block);
    source->block = NULL;
    source->blocks = 0;
}

const struct lab_usage_block *lab_usage_source_find(const struct lab_usage_source *source,
                                                    int64_t block)
{
    for (int64_t i = 0; i < source->blocks; i++)
        if (source->block[i].block == block)
            return &source->block[i];
    return NULL;
}
