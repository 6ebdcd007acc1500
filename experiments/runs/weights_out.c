/* SPDX-License-Identifier: MIT */
#include "experiments/runs/weights_out.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "experiments/base/output_check.h"
#include "experiments/report/stage.h"
#include "experiments/runs/checkpoint_model.h"
#include "experiments/runs/npy.h"
#include "lm/json.h"
#include "lm/model_json.h"
#include "nn/params/weights.h"

const char *const lab_weights_form_names[] = {"pt", "npy", "split", NULL};

enum { PREFIX = 40 };

struct job {
    struct peer_ctx *ctx;
    const struct lab_weights_out *options;
    struct lab_checkpoint_model source;
    struct peer_params list; /* of what is written; entries are the model's */
    struct peer_name_map map;
};

static void prefix_of(char ret[PREFIX], int64_t block)
{
    snprintf(ret, PREFIX, "blocks.%lld.ffw.", (long long)block);
}

static const struct peer_param *entry(const struct job *job, const char *prefix, const char *name)
{
    char full[PEER_PARAM_NAME];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    return peer_params_find(&job->list, full);
}

static enum peer_foreign names_of(const struct job *job, const char *prefix)
{
    const struct peer_param *experts = entry(job, prefix, "experts");
    if (job->options->names >= 0)
        return (enum peer_foreign)job->options->names;
    if (job->options->form != LAB_WEIGHTS_PT)
        return PEER_FOREIGN_SPLIT;
    if (experts)
        return experts->shape[1] == 2 * job->source.config.width ? PEER_FOREIGN_LUCIDRAINS
                                                                 : PEER_FOREIGN_SPLIT;
    return PEER_FOREIGN_META;
}

static enum peer_status name_block(struct job *job, int64_t block)
{
    char prefix[PREFIX];
    bool alone = job->options->block >= 0;
    prefix_of(prefix, block);
    return peer_foreign_map(&job->map, &job->list, prefix, alone ? "" : prefix,
                            names_of(job, prefix));
}

/* The entries that are written: all, or those of one layer. */
static enum peer_status choose(struct job *job)
{
    const struct lm_config *config = &job->source.config;
    const struct peer_params *all = lm_model_params(job->source.model);
    int64_t block = job->options->block;
    char prefix[PREFIX] = "";
    if (block >= 0 && (block >= config->blocks || !config->ffw || !config->sparse_at[block]))
        return peer_fail(job->ctx, PEER_ERR_ARGUMENT, "%s: block %lld of its %lld is not sparse",
                         job->source.path, (long long)block, (long long)config->blocks);
    if (block >= 0)
        prefix_of(prefix, block);
    enum peer_status status = PEER_OK;
    for (int64_t i = 0; i < all->count && status == PEER_OK; i++) {
        bool norm = block >= 0 && strcmp(all->items[i].name + strlen(prefix), "norm.gain") == 0;
        if (strncmp(all->items[i].name, prefix, strlen(prefix)) == 0 && !norm)
            status = peer_params_add(&job->list, "", &all->items[i]);
    }
    for (int64_t i = 0; i < config->blocks && status == PEER_OK; i++)
        if (block >= 0 ? i == block : config->ffw && config->sparse_at[i])
            status = name_block(job, i);
    return status;
}

static enum peer_status save(const struct job *job, const char *out)
{
    const char *names = job->options->names >= 0 ? peer_foreign_names[job->options->names]
                                                 : lab_weights_form_names[job->options->form];
    lm_json_watch();
    json_t *config = lm_config_json(&job->source.config);
    char *text = lm_json_text(config, JSON_COMPACT);
    struct peer_metadata metadata[] = {{"model", text}, {"names", names}, {NULL, NULL}};
    enum peer_status status =
        text ? peer_params_save(&job->list, out, &job->map, metadata)
             : peer_fail(job->ctx, PEER_ERR_MEMORY, "%s: no memory to write it", out);
    free(text);
    json_decref(config);
    return status;
}

/* A file of an earlier export may be replaced; its first bytes are the length of its header. */
static bool is_export(const char *out)
{
    char start[128];
    FILE *file = fopen(out, "rbe");
    size_t got = file ? fread(start, 1, sizeof start, file) : 0;
    if (file)
        fclose(file);
    return got > 8 && memmem(start, got, "\"format\":\"pt\"", 13) != NULL;
}

static enum peer_status check_out(struct peer_ctx *ctx, const struct lab_weights_out *options,
                                  const char *out)
{
    if (options->form == LAB_WEIGHTS_NPY)
        return lab_output_check_folder(ctx, out, LAB_HOLDS_ANY);
    return is_export(out) ? PEER_OK : lab_output_check_file(ctx, out, "{not a file of this kind}");
}

enum peer_status lab_weights_out(int64_t *tensors, struct peer_ctx *ctx, const char *path,
                                 const struct lab_weights_out *options, const char *out)
{
    struct job job = {.ctx = ctx,
                      .options = options,
                      .list = peer_params_empty(ctx),
                      .map = peer_name_map_empty(ctx)};
    enum peer_status status = check_out(ctx, options, out);
    if (status == PEER_OK)
        status = lab_checkpoint_model_open(&job.source, ctx, path, 1, NULL);
    if (status == PEER_OK)
        status = choose(&job);
    if (status == PEER_OK && options->form != LAB_WEIGHTS_NPY)
        status = save(&job, out);
    if (status == PEER_OK && options->form == LAB_WEIGHTS_NPY)
        status = lab_make_folder(ctx, out);
    if (status == PEER_OK && options->form == LAB_WEIGHTS_NPY)
        status = lab_npy_write(&job.list, &job.map, out);
    *tensors = job.list.count;
    for (int64_t i = 0; i < job.list.count; i++) { /* those in several tensors */
        int64_t parts = 0;
        for (int64_t j = 0; j < job.map.count; j++)
            parts += strcmp(job.map.items[j].entry, job.list.items[i].name) == 0;
        *tensors += parts > 1 ? parts - 1 : 0;
    }
    peer_params_free(&job.list);
    peer_name_map_free(&job.map);
    lab_checkpoint_model_close(&job.source);
    return status;
}
