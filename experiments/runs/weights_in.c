/* SPDX-License-Identifier: MIT */
#include "experiments/runs/weights_in.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/params/safetensors.h"
#include "nn/params/weights.h"
#include "peer/foreign.h"

/* A tensor by which a layer is known, and what it is a layer of. */
static const struct {
    const char *tensor, *besides; /* NULL = the first is enough */
    int keys;                     /* sizes of the tensor "keys"; 0 = any */
    enum peer_foreign form;
    bool own; /* this program's names, rows of experts whole; `form` says nothing */
    const char *type, *said;
} marks[] = {
    {"to_queries.0.weight", NULL, 0, PEER_FOREIGN_LUCIDRAINS, false, "peer", "lucidrains' PEER"},
    {"to_queries.weight", NULL, 0, PEER_FOREIGN_LUCIDRAINS, false, "pkm", "lucidrains' PKM"},
    {"query_proj.query_mlps.0.weight", "values_u.weight", 0, PEER_FOREIGN_META, false, "peer",
     "Meta's memory layer, PEER"},
    {"query_proj.query_mlps.0.weight", "values.weight", 2, PEER_FOREIGN_META, false, "pkm",
     "Meta's memory layer"},
    {"query_proj.query_mlps.0.weight", "values.weight", 0, PEER_FOREIGN_XLM, false, "pkm",
     "XLM's PKM"},
    {"query_proj.0.weight", NULL, 0, PEER_FOREIGN_NOTEBOOK, false, "pkm", "XLM's notebook's PKM"},
    {"query", "experts.u", 0, PEER_FOREIGN_SPLIT, false, "peer", "PEER, u and v apart"},
    {"query", "experts", 0, PEER_FOREIGN_SPLIT, true, "peer", "PEER"},
    {"query", "values", 0, PEER_FOREIGN_SPLIT, true, "pkm", "PKM"},
};
enum { MARKS = sizeof marks / sizeof *marks, MOST_LAYERS = LM_MAX_BLOCKS, PREFIX = 128 };

/* A layer in the file. */
struct layer {
    char prefix[PREFIX];
    int mark;
    int64_t block; /* -1 = not known yet */
};

struct job {
    struct peer_ctx *ctx;
    const char *path;
    const struct peer_params *params;
    const struct lm_config *config;
    const struct lab_weights_in *options;
    struct lab_weights_told *told;
    struct peer_tensor_file file;
    struct peer_name_map map;
    struct peer_params biases; /* of modules that have them, to be looked at */
    struct peer_pool pool;
    struct layer layers[MOST_LAYERS];
    int count;
};

static const struct peer_tensor *find(const struct job *job, const char *prefix, const char *name)
{
    char full[PREFIX + PEER_NAME_LENGTH];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    return peer_tensor_file_find(&job->file, full);
}

/* Whether what stands beside the mark is as well. */
static bool is_layer(const struct job *job, const struct layer *layer)
{
    const char *besides = marks[layer->mark].besides;
    int sizes = marks[layer->mark].keys;
    const struct peer_tensor *keys = find(job, layer->prefix, "keys");
    return (!besides || find(job, layer->prefix, besides)) &&
           (!sizes || (keys && keys->dims == sizes));
}

/* Notes the layer that a tensor belongs to, where it is a mark. */
static enum peer_status find_layer(struct job *job, const char *name)
{
    size_t length = strlen(name);
    for (int i = 0; i < MARKS; i++) {
        size_t end = strlen(marks[i].tensor);
        struct layer layer = {.mark = i, .block = -1};
        if (length < end || strcmp(name + length - end, marks[i].tensor) ||
            (length > end && name[length - end - 1] != '.') || length - end >= PREFIX)
            continue;
        snprintf(layer.prefix, sizeof layer.prefix, "%.*s", (int)(length - end), name);
        if (!is_layer(job, &layer))
            continue;
        if (job->count == MOST_LAYERS)
            return peer_fail(job->ctx, PEER_ERR_FORMAT, "%s: more than %d layers", job->path,
                             MOST_LAYERS);
        job->layers[job->count++] = layer;
        break;
    }
    return PEER_OK;
}

/* Numbers in names count as numbers: layers.9 before layers.10. */
static int by_number(const void *left, const void *right)
{
    return strverscmp(((const struct layer *)left)->prefix, ((const struct layer *)right)->prefix);
}

/* The block that has the name already, or -1. */
static int64_t named_block(const struct job *job, const char *prefix)
{
    char own[PREFIX];
    for (int64_t block = 0; block < job->config->blocks; block++) {
        snprintf(own, sizeof own, "blocks.%lld.ffw.", (long long)block);
        if (job->config->ffw && job->config->sparse_at[block] && strcmp(own, prefix) == 0)
            return block;
    }
    return -1;
}

static enum peer_status place_one(struct job *job)
{
    int64_t block = job->options->block;
    if (job->count != 1)
        return peer_fail(job->ctx, PEER_ERR_ARGUMENT,
                         "%s: %d layers of PEER or PKM, expected one for block %lld", job->path,
                         job->count, (long long)block);
    if (block >= job->config->blocks || !job->config->ffw || !job->config->sparse_at[block])
        return peer_fail(job->ctx, PEER_ERR_ARGUMENT,
                         "%s: block %lld of the model, of %lld, is not sparse", job->path,
                         (long long)block, (long long)job->config->blocks);
    job->layers[0].block = block;
    return PEER_OK;
}

/* By their names, or else in their order. */
static enum peer_status place_layers(struct job *job)
{
    int64_t sparse = 0, next = 0;
    int named = 0;
    if (job->options->block >= 0)
        return place_one(job);
    for (int64_t block = 0; block < job->config->blocks; block++)
        sparse += job->config->ffw && job->config->sparse_at[block];
    for (int i = 0; i < job->count; i++) {
        job->layers[i].block = named_block(job, job->layers[i].prefix);
        named += job->layers[i].block >= 0;
    }
    if (named == job->count)
        return PEER_OK;
    if (named > 0 || job->count != sparse)
        return peer_fail(job->ctx, PEER_ERR_ARGUMENT,
                         "%s: %d layers of PEER or PKM (the first at \"%s\"), but the model has "
                         "%lld sparse blocks: expected as many, or one and its block (import "
                         "--block)",
                         job->path, job->count, job->layers[0].prefix, (long long)sparse);
    qsort(job->layers, (size_t)job->count, sizeof *job->layers, by_number);
    for (int i = 0; i < job->count; i++, next++) {
        while (!job->config->sparse_at[next])
            next++;
        job->layers[i].block = next;
    }
    return PEER_OK;
}

/* The entries of a block's layer, without the norm before it, which is the block's. */
static enum peer_status list_layer(struct peer_params *ret, const struct job *job,
                                   const char *prefix)
{
    size_t length = strlen(prefix);
    enum peer_status status = PEER_OK;
    for (int64_t i = 0; i < job->params->count && !status; i++) {
        const struct peer_param *param = &job->params->items[i];
        if (strncmp(param->name, prefix, length) == 0 && strcmp(param->name + length, "norm.gain"))
            status = peer_params_add(ret, "", param);
    }
    return status;
}

/* Own names behind another prefix. */
static enum peer_status rename_entries(struct job *job, const struct peer_params *layer,
                                       size_t length, const char *in_file)
{
    enum peer_status status = PEER_OK;
    for (int64_t i = 0; i < layer->count && !status; i++) {
        char tensor[PREFIX + PEER_PARAM_NAME];
        const char *name = layer->items[i].name;
        snprintf(tensor, sizeof tensor, "%s%s", in_file, name + length);
        status = peer_name_map_rename(&job->map, name, tensor);
    }
    return status;
}

/* A bias of a module, if the file has it: [n]. */
static enum peer_status add_bias(struct job *job, const struct layer *layer, const char *name,
                                 int64_t n)
{
    struct peer_name aside = {.entry = ""};
    struct peer_param bias = {.kind = PEER_PARAM_BUFFER, .dims = 1, .shape = {n}};
    snprintf(aside.tensor, sizeof aside.tensor, "%s%s", layer->prefix, name);
    if (!peer_tensor_file_find(&job->file, aside.tensor))
        return PEER_OK;
    for (int i = 0; i < job->options->drops; i++)
        if (fnmatch(job->options->drop[i], aside.tensor, 0) == 0)
            return PEER_OK;
    bias.data = peer_pool_floats(&job->pool, job->path, n, 1);
    if (!bias.data)
        return PEER_ERR_MEMORY;
    snprintf(bias.name, sizeof bias.name, "%lld %s", (long long)layer->block, name);
    enum peer_status status = peer_params_add(&job->biases, "", &bias);
    return status ? status : peer_name_map_add(&job->map, &aside);
}

static const struct peer_param *entry(const struct job *job, int64_t block, const char *name)
{
    char full[PEER_PARAM_NAME];
    snprintf(full, sizeof full, "blocks.%lld.ffw.%s", (long long)block, name);
    return peer_params_find(job->params, full);
}

static enum peer_status add_biases(struct job *job, const struct layer *layer)
{
    int64_t D = job->config->width, rows = entry(job, layer->block, "query")->shape[0];
    enum peer_foreign form = marks[layer->mark].form;
    enum peer_status status = PEER_OK;
    if (form == PEER_FOREIGN_NOTEBOOK)
        return add_bias(job, layer, "query_proj.0.bias", rows);
    if (form != PEER_FOREIGN_META && form != PEER_FOREIGN_XLM)
        return PEER_OK;
    status = add_bias(job, layer, "query_proj.query_mlps.0.bias", rows);
    if (!status)
        status = add_bias(job, layer, "value_proj.bias", D);
    return status ? status : add_bias(job, layer, "swilu_projection.bias", D);
}

/* The names of one layer. */
static enum peer_status add_layer(struct job *job, const struct layer *layer)
{
    char prefix[PREFIX], *line = job->told->layers + strlen(job->told->layers);
    size_t room = sizeof job->told->layers - strlen(job->told->layers);
    snprintf(prefix, sizeof prefix, "blocks.%lld.ffw.", (long long)layer->block);
    if (strcmp(job->config->ffw->name, marks[layer->mark].type))
        return peer_fail(job->ctx, PEER_ERR_ARGUMENT,
                         "%s: %s%s is of a layer of type %s (%s), but block %lld of the model is "
                         "%s",
                         job->path, layer->prefix, marks[layer->mark].tensor,
                         marks[layer->mark].type, marks[layer->mark].said, (long long)layer->block,
                         job->config->ffw->name);
    snprintf(line, room, "block %lld: %s%s%s%s\n", (long long)layer->block, marks[layer->mark].said,
             *layer->prefix ? " at \"" : "", layer->prefix, *layer->prefix ? "\"" : "");
    struct peer_params entries = peer_params_empty(job->ctx);
    enum peer_status status = list_layer(&entries, job, prefix);
    if (!status && marks[layer->mark].own)
        status = rename_entries(job, &entries, strlen(prefix), layer->prefix);
    else if (!status)
        status =
            peer_foreign_map(&job->map, &entries, prefix, layer->prefix, marks[layer->mark].form);
    peer_params_free(&entries);
    return status ? status : add_biases(job, layer);
}

/* Every tensor of the layers must be there: other entries may be missing, theirs not. */
static enum peer_status check_whole(const struct job *job)
{
    for (int64_t i = 0; i < job->map.count; i++) {
        const struct peer_name *name = &job->map.items[i];
        bool norm = strstr(name->entry, ".query_norm.") != NULL;
        bool keys =
            strcmp(strrchr(name->entry, '.') ? strrchr(name->entry, '.') : "", ".keys") == 0;
        if (*name->entry && !peer_tensor_file_find(&job->file, name->tensor))
            return peer_fail(job->ctx, PEER_ERR_FORMAT,
                             "%s: there is no tensor %s, which is the model's %s%s", job->path,
                             name->tensor, name->entry,
                             norm ? ": where the module has no such norm of queries, the model's "
                                    "options want query_norm: none"
                                  : "");
        for (int step = 0; keys && step < name->steps; step++)
            if (name->stride[step] == 0 && name->view[step] > 1)
                return peer_fail(job->ctx, PEER_ERR_ARGUMENT,
                                 "%s: tensor %s has keys of each head, the model's %s those of "
                                 "all: the model's options want keys_per_head: true",
                                 job->path, name->tensor, name->entry);
    }
    return PEER_OK;
}

static enum peer_status drop(struct job *job)
{
    enum peer_status status = PEER_OK;
    for (int64_t i = 0; i < job->file.count && !status; i++)
        for (int j = 0; j < job->options->drops && !status; j++) {
            struct peer_name aside = {.entry = ""};
            if (fnmatch(job->options->drop[j], job->file.items[i].name, 0))
                continue;
            if (strlen(job->file.items[i].name) < sizeof aside.tensor) {
                snprintf(aside.tensor, sizeof aside.tensor, "%s", job->file.items[i].name);
                status = peer_name_map_add(&job->map, &aside);
            }
        }
    return status;
}

/* Which tensor is what, by the names in the file alone. */
static enum peer_status name_tensors(struct job *job)
{
    enum peer_status status = PEER_OK;
    for (int64_t i = 0; i < job->file.count && !status; i++)
        status = find_layer(job, job->file.items[i].name);
    if (!status && (job->count > 0 || job->options->block >= 0))
        status = place_layers(job);
    for (int i = 0; i < job->count && !status; i++)
        status = add_layer(job, &job->layers[i]);
    if (!status)
        status = check_whole(job);
    return status ? status : drop(job);
}

/* The largest value of a bias, by size; NaN is larger than all. */
static float largest(const struct peer_param *bias)
{
    float most = 0;
    for (int64_t i = 0; i < bias->shape[0]; i++)
        most = fabsf(bias->data[i]) > most || isnan(bias->data[i]) ? fabsf(bias->data[i]) : most;
    return most;
}

/* The running mean that takes up a bias of queries; NULL = none does. */
static float *mean_for(const struct job *job, const struct peer_param *bias)
{
    const struct peer_param *mean = entry(job, strtoll(bias->name, NULL, 10), "query_norm.mean");
    return mean && strstr(bias->name, "query_proj") ? mean->data : NULL;
}

static enum peer_status read_biases(struct job *job)
{
    struct peer_name_map names = peer_name_map_empty(job->ctx);
    struct peer_load_options options = {.allow_left_over = true};
    enum peer_status status = PEER_OK;
    if (job->biases.count == 0)
        return PEER_OK;
    for (int64_t i = 0; i < job->biases.count && !status; i++) {
        char tensor[PREFIX + PEER_PARAM_NAME] = "";
        const char *name = job->biases.items[i].name;
        int64_t block = strtoll(name, NULL, 10);
        for (int j = 0; j < job->count; j++)
            if (job->layers[j].block == block)
                snprintf(tensor, sizeof tensor, "%s%s", job->layers[j].prefix,
                         strchr(name, ' ') + 1);
        status = peer_name_map_rename(&names, name, tensor);
    }
    if (!status)
        status = peer_params_load(&job->biases, job->path, &names, &options);
    for (int64_t i = 0; i < job->biases.count && !status; i++) {
        const struct peer_param *bias = &job->biases.items[i];
        if (!mean_for(job, bias) && largest(bias) != 0)
            status = peer_fail(job->ctx, PEER_ERR_FORMAT,
                               "%s: tensor %s is not 0 (its largest value is %g), but layers here "
                               "have no such bias; import --drop '%s' leaves it out",
                               job->path, names.items[i].tensor, (double)largest(bias),
                               names.items[i].tensor);
    }
    peer_name_map_free(&names);
    return status;
}

/* norm(q + b) with mean m is norm(q) with mean m - b. */
static void fold_biases(const struct job *job)
{
    for (int64_t i = 0; i < job->biases.count; i++) {
        const struct peer_param *bias = &job->biases.items[i];
        float *mean = mean_for(job, bias);
        for (int64_t j = 0; mean && j < bias->shape[0]; j++)
            mean[j] -= bias->data[j];
    }
}

static void on_mismatch(void *user, const struct peer_mismatch *mismatch)
{
    struct lab_weights_told *told = user;
    if (mismatch->kind == PEER_MISMATCH_MISSING && told->kept++ == 0)
        snprintf(told->first_kept, sizeof told->first_kept, "%s", mismatch->entry);
    if (mismatch->kind == PEER_MISMATCH_LEFT_OVER && told->left_over++ == 0)
        snprintf(told->first_left_over, sizeof told->first_left_over, "%.90s", mismatch->tensor);
}

static enum peer_status fill(struct job *job)
{
    struct peer_load_options options = {.allow_missing = true,
                                        .allow_left_over = job->options->partial,
                                        .report = on_mismatch,
                                        .user = job->told};
    enum peer_status status = read_biases(job);
    if (!status)
        status = peer_params_load(job->params, job->path, &job->map, &options);
    if (status)
        return status;
    fold_biases(job);
    job->told->tensors = job->file.count - job->told->left_over;
    if (job->told->kept == job->params->count)
        return peer_fail(job->ctx, PEER_ERR_FORMAT,
                         "%s: none of its %lld tensors has a name of the model's, or of a module "
                         "that is known (the first is %.80s)",
                         job->path, (long long)job->file.count,
                         job->file.count ? job->file.items[0].name : "none");
    return PEER_OK;
}

enum peer_status lab_weights_in(struct lab_weights_told *ret, struct peer_ctx *ctx,
                                const char *path, const struct peer_params *params,
                                const struct lm_config *config,
                                const struct lab_weights_in *options)
{
    memset(ret, 0, sizeof *ret);
    struct job *job = calloc(1, sizeof *job);
    if (!job)
        return peer_fail(ctx, PEER_ERR_MEMORY, "%s: no memory to read it", path);
    *job = (struct job){.ctx = ctx,
                        .path = path,
                        .params = params,
                        .config = config,
                        .options = options,
                        .told = ret,
                        .map = peer_name_map_empty(ctx),
                        .biases = peer_params_empty(ctx),
                        .pool = {.ctx = ctx}};
    enum peer_status status = peer_tensor_file_open(&job->file, ctx, "weights", path);
    if (!status) {
        status = name_tensors(job);
        if (!status)
            status = fill(job);
        peer_tensor_file_close(&job->file);
    }
    peer_name_map_free(&job->map);
    peer_params_free(&job->biases);
    peer_pool_free(&job->pool);
    free(job);
    return status;
}

void lab_weights_told_print(FILE *file, const char *path, const struct lab_weights_told *told)
{
    fprintf(file, "%lld tensors of %s\n%s", (long long)told->tensors, path, told->layers);
    if (told->kept)
        fprintf(file, "%lld tensors of the model keep their values (the first is %s)\n",
                (long long)told->kept, told->first_kept);
    if (told->left_over)
        fprintf(file, "%lld tensors of the file are passed over (the first is %s)\n",
                (long long)told->left_over, told->first_left_over);
}
