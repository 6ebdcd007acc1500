/* SPDX-License-Identifier: MIT */
#include "experiments/runs/run_config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/base/memory.h"
#include "experiments/runs/run_fields.h"
#include "experiments/yaml/yaml_place.h"
#include "lm/options.h"
#include "peer/types.h"

static void set_middle(struct lm_config *model)
{
    memset(model->sparse_at, 0, sizeof model->sparse_at);
    model->sparse_at[(model->blocks - 1) / 2] = true;
}

void lab_run_config_default(struct lab_run_config *ret, int64_t width, int64_t blocks,
                            const struct peer_ffw_type *ffw)
{
    memset(ret, 0, sizeof *ret);
    ret->model = lm_config_default(0, width, blocks);
    ret->middle = true;
    ret->train = lm_train_config_default();
    if (ffw) {
        assert(ffw->config_size <= sizeof ret->ffw_config);
        ffw->config_default(ret->ffw_config, width);
        ret->model.ffw = ffw;
        ret->model.ffw_config = ret->ffw_config;
        snprintf(ret->variant, sizeof ret->variant, "%s", ffw->name);
        set_middle(&ret->model);
    }
}

void lab_run_config_of_model(struct lab_run_config *ret, const struct lm_config *model)
{
    lab_run_config_default(ret, model->width, model->blocks, model->ffw);
    if (model->ffw)
        memcpy(ret->ffw_config, model->ffw_config, model->ffw->config_size);
    ret->model = *model;
    ret->model.ffw_config = model->ffw ? ret->ffw_config : NULL;
    ret->model.passes = ret->train.accumulate;
    ret->middle = false;
    if (ret->train.length > model->context)
        ret->train.length = model->context;
}

void lab_run_config_copy(struct lab_run_config *ret, const struct lab_run_config *config)
{
    memcpy(ret, config, sizeof *ret);
    if (ret->model.ffw)
        ret->model.ffw_config = ret->ffw_config;
}

static enum peer_status read_ffw(const struct peer_ffw_type **ret, struct peer_ctx *ctx,
                                 const struct lab_yaml_node *mapping)
{
    const struct lab_yaml_node *node = lab_yaml_get(mapping, "ffw");
    const char *name = node ? lab_yaml_scalar(node) : "dense";
    const struct peer_ffw_type *ffw = name ? peer_ffw_find(name) : NULL;
    if (!ffw) {
        char names[256] = "one of:";
        for (const struct peer_ffw_type *const *type = peer_ffw_types; *type; type++) {
            size_t used = strlen(names);
            snprintf(names + used, sizeof names - used, "%s %s", type == peer_ffw_types ? "" : ",",
                     (*type)->name);
        }
        return lab_yaml_expected(ctx, node, names);
    }
    *ret = ffw;
    return PEER_OK;
}

static enum peer_status read_sparse_at(struct lab_run_config *config, struct peer_ctx *ctx,
                                       const struct lab_yaml_node *list)
{
    int64_t count = lab_yaml_count(list);
    if (count < 1)
        return lab_yaml_expected(ctx, list, "a list of block numbers, such as [1, 3]");
    memset(config->model.sparse_at, 0, sizeof config->model.sparse_at);
    config->middle = false;
    for (int64_t i = 0; i < count; i++) {
        int64_t block;
        enum peer_status status =
            lab_yaml_integer(ctx, &block, lab_yaml_item(list, i), 0, config->model.blocks - 1);
        if (status != PEER_OK)
            return status;
        config->model.sparse_at[block] = true;
    }
    return PEER_OK;
}

enum peer_status lab_run_config_read_ffw_options(struct lab_run_config *config,
                                                 struct peer_ctx *ctx,
                                                 const struct lab_yaml_node *variant)
{
    const struct lab_yaml_node *options = lab_yaml_get(variant, "options");
    enum peer_status status = PEER_OK;
    if (options) {
        status = lab_yaml_keys(ctx, options, NULL, config->model.ffw->options);
        if (status == PEER_OK)
            status = lab_yaml_options(ctx, config->ffw_config, options, config->model.ffw->options);
        if (status == PEER_OK)
            status = lab_yaml_blame(
                ctx, options,
                config->model.ffw->check(ctx, config->ffw_config, config->model.width));
    }
    const struct lab_yaml_node *list = lab_yaml_get(variant, "sparse_at");
    if (status == PEER_OK && list)
        status = read_sparse_at(config, ctx, list);
    return status;
}

enum peer_status lab_run_config_read_model(struct lab_run_config *config, struct peer_ctx *ctx,
                                           const struct lab_yaml_node *model)
{
    if (!model)
        return PEER_OK;
    enum peer_status status = lab_yaml_options(ctx, &config->model, model, lm_config_options);
    const struct lab_yaml_node *dense = lab_yaml_get(model, "dense");
    if (status == PEER_OK && dense) {
        status = lab_yaml_keys(ctx, dense, NULL, peer_ffw_dense.options);
        if (status == PEER_OK)
            status = lab_yaml_options(ctx, &config->model.dense, dense, peer_ffw_dense.options);
    }
    return status;
}

/* Where tables lie is said in run files alone: a sweep's runs are planned for tables in memory. */
static enum peer_status read_tables(struct lab_run_config *config, struct peer_ctx *ctx,
                                    const struct lab_yaml_node *root)
{
    const struct lab_yaml_node *node = lab_yaml_get(root, "tables");
    enum peer_status status = lab_yaml_options(ctx, &config->model, root, lm_tables_options);
    if (status == PEER_OK && config->model.tables == LM_PLACE_MAPPED && *config->init)
        return lab_yaml_complain(ctx, node,
                                 "mapped tables are drawn as they are used, so that a run cannot "
                                 "have both them and init");
    return status;
}

/* Checks that the fields fit together, and points at the mapping if they do not. */
static enum peer_status check_together(const struct lab_run_config *config, struct peer_ctx *ctx,
                                       const struct lab_yaml_node *model,
                                       const struct lab_yaml_node *train)
{
    struct lm_config whole = config->model;
    if (!whole.vocab)
        whole.vocab = 1; /* known once the data is opened */
    enum peer_status status = lm_config_check(ctx, &whole);
    if (status != PEER_OK)
        return lab_yaml_blame(ctx, model, status);
    status = lm_train_config_check(ctx, &config->train, &whole);
    return lab_yaml_blame(ctx, train ? train : model, status);
}

enum peer_status lab_run_config_read_size(struct lab_run_config *ret, struct peer_ctx *ctx,
                                          const struct lab_yaml_node *size,
                                          const struct lab_yaml_node *variant)
{
    const struct lab_yaml_node *width = lab_yaml_get(size, "width");
    const struct lab_yaml_node *blocks = lab_yaml_get(size, "blocks");
    const struct peer_ffw_type *ffw = NULL;
    int64_t D = 0, L = 0;
    if (!width || !blocks)
        return lab_yaml_complain(ctx, size, "the fields width and blocks are needed");
    enum peer_status status = lab_yaml_integer(ctx, &D, width, 2, 16384);
    if (status == PEER_OK)
        status = lab_yaml_integer(ctx, &L, blocks, 1, LM_MAX_BLOCKS);
    if (status == PEER_OK)
        status = read_ffw(&ffw, ctx, variant);
    if (status == PEER_OK)
        lab_run_config_default(ret, D, L, ffw);
    return status;
}

enum peer_status lab_run_config_read_train(struct lab_run_config *config, struct peer_ctx *ctx,
                                           const struct lab_yaml_node *train)
{
    if (!train)
        return PEER_OK;
    enum peer_status status = lab_yaml_keys(ctx, train, NULL, lm_train_options);
    if (status == PEER_OK)
        status = lab_yaml_options(ctx, &config->train, train, lm_train_options);
    if (status == PEER_OK)
        config->model.passes = config->train.accumulate;
    return status;
}

enum peer_status lab_run_config_read_start(struct lab_run_config *config, struct peer_ctx *ctx,
                                           const struct lab_yaml_node *mapping)
{
    const struct lab_yaml_node *init = lab_yaml_get(mapping, "init");
    const struct lab_yaml_node *crc = lab_yaml_get(mapping, "init_crc32");
    enum peer_status status = PEER_OK;
    if (init)
        status = lab_yaml_place(ctx, config->init_name, config->init, sizeof config->init, init);
    const struct lab_yaml_node *called = lab_yaml_get(mapping, "init_called");
    if (status == PEER_OK && init && called)
        status = lab_yaml_string(ctx, config->init_name, sizeof config->init_name, called);
    if (status == PEER_OK && crc)
        status = lab_yaml_string(ctx, config->init_crc32, sizeof config->init_crc32, crc);
    if (status == PEER_OK)
        status = lab_yaml_options(ctx, &config->model, mapping, lm_freeze_options);
    return status;
}

enum peer_status lab_run_config_read_data(struct lab_run_config *config, struct peer_ctx *ctx,
                                          const struct lab_yaml_node *mapping)
{
    return lab_yaml_options(ctx, &config->text, mapping, lm_data_options);
}

/* The fields that say what the run is called and where its text is. */
static enum peer_status read_names(struct lab_run_config *config, struct peer_ctx *ctx,
                                   const struct lab_yaml_node *root)
{
    const struct lab_yaml_node *data = lab_yaml_get(root, "data");
    const struct lab_yaml_node *variant = lab_yaml_get(root, "variant");
    const struct lab_yaml_node *budget = lab_yaml_get(root, "budget");
    if (!data)
        return lab_yaml_complain(ctx, root,
                                 "the field data is missing: the folder that `peerlab "
                                 "data prepare` made");
    enum peer_status status =
        lab_yaml_place(ctx, config->data_name, config->data, sizeof config->data, data);
    const struct lab_yaml_node *called = lab_yaml_get(root, "data_called");
    if (status == PEER_OK && called)
        status = lab_yaml_string(ctx, config->data_name, sizeof config->data_name, called);
    if (status == PEER_OK && variant)
        status = lab_yaml_string(ctx, config->variant, sizeof config->variant, variant);
    if (status == PEER_OK && budget)
        status = lab_yaml_number(ctx, &config->budget, budget, 0, 1e30);
    return status;
}

static enum peer_status read_root(struct lab_run_config *config, struct peer_ctx *ctx,
                                  const struct lab_yaml_node *root)
{
    const struct lab_yaml_node *model = lab_yaml_get(root, "model");
    const struct lab_yaml_node *train = lab_yaml_get(root, "train");
    const char *run_keys[LAB_FIELD_NAMES], *model_keys[LAB_FIELD_NAMES];
    lab_field_names(run_keys, lab_run_fields, lab_run_options);
    lab_field_names(model_keys, lab_model_fields, NULL);
    enum peer_status status = lab_yaml_keys(ctx, root, run_keys, NULL);
    if (status == PEER_OK && !model)
        return lab_yaml_complain(ctx, root, "the field model is missing");
    if (status == PEER_OK)
        status = lab_yaml_keys(ctx, model, model_keys, lm_config_options);
    if (status == PEER_OK)
        status = lab_run_config_read_size(config, ctx, model, model);
    if (status == PEER_OK)
        status = read_names(config, ctx, root);
    if (status == PEER_OK)
        status = lab_run_config_read_data(config, ctx, root);
    if (status == PEER_OK)
        status = lab_run_config_read_model(config, ctx, model);
    if (status == PEER_OK)
        status = lab_run_config_read_ffw_options(config, ctx, model);
    if (status == PEER_OK)
        status = lab_run_config_read_start(config, ctx, root);
    if (status == PEER_OK)
        status = read_tables(config, ctx, root);
    if (status == PEER_OK && config->train.length > config->model.context)
        config->train.length = config->model.context;
    if (status == PEER_OK)
        status = lab_run_config_read_train(config, ctx, train);
    return status == PEER_OK ? check_together(config, ctx, model, train) : status;
}

enum peer_status lab_run_config_read(struct lab_run_config *ret, struct peer_ctx *ctx,
                                     const char *path)
{
    struct lab_yaml *yaml = NULL;
    struct lab_run_config config;
    enum peer_status status = lab_yaml_open(&yaml, ctx, path);
    if (status == PEER_OK)
        status = read_root(&config, ctx, lab_yaml_root(yaml));
    lab_yaml_close(&yaml);
    if (status == PEER_OK)
        lab_run_config_copy(ret, &config);
    return status;
}

/* Left out where they have their default: what older programs wrote keeps its text, by which a
 * folder and a store know a run. */
static bool left_out(const char *name, const char *text)
{
    if (strcmp(name, "nonfinite") == 0)
        return strcmp(text, lm_nonfinite_names[LM_NONFINITE_STOP]) == 0;
    return strcmp(text, "0") == 0 &&
           (strcmp(name, "usage_points") == 0 || strcmp(name, "usage_tokens") == 0);
}

/* A number that is shortest, with as many digits as older programs gave it. */
static void lengthen(char *text, size_t size, const struct peer_option *option)
{
    if (option->kind == PEER_OPTION_FLOAT)
        snprintf(text, size, "%.9g", (double)strtof(text, NULL));
}

static void write_options(FILE *file, const char *indent, const void *config,
                          const struct peer_option *options, bool lengthy)
{
    char text[64];
    for (const struct peer_option *option = options; option->name; option++) {
        peer_option_text(text, sizeof text, config, option);
        if (lengthy)
            lengthen(text, sizeof text, option);
        if (!left_out(option->name, text))
            fprintf(file, "%s%s: %s\n", indent, option->name, text);
    }
}

/* A double-quoted YAML string, in plain characters where a reader of YAML would refuse or fold what
 * the text holds: control characters, U+0085, U+2028 and U+2029, which end lines, and U+FEFF. */
static void write_quoted(FILE *file, const char *key, const char *text)
{
    fprintf(file, "%s: \"", key);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        bool separator = c[0] == 0xE2 && c[1] == 0x80 && (c[2] == 0xA8 || c[2] == 0xA9);
        bool mark = c[0] == 0xEF && ((c[1] == 0xBB && c[2] == 0xBF) ||
                                     (c[1] == 0xBF && (c[2] == 0xBE || c[2] == 0xBF)));
        if (*c == '"' || *c == '\\') {
            fprintf(file, "\\%c", *c);
        } else if (*c < 0x20 || *c == 0x7F) {
            fprintf(file, "\\x%02x", *c);
        } else if (*c == 0xC2 && c[1] >= 0x80 && c[1] < 0xA0) {
            fprintf(file, "\\x%02x", *++c);
        } else if (separator || mark) {
            fprintf(file, "\\u%04x", (c[0] & 0x0Fu) << 12 | (c[1] & 0x3Fu) << 6 | (c[2] & 0x3Fu));
            c += 2;
        } else {
            fputc(*c, file);
        }
    }
    fputs("\"\n", file);
}

static bool write_config(FILE *file, const struct lab_run_config *config, bool lengthy)
{
    char budget[32];
    peer_double_text(budget, sizeof budget, config->budget);
    if (lengthy)
        snprintf(budget, sizeof budget, "%.17g", config->budget);
    const struct lm_config *model = &config->model;
    write_quoted(file, "data", *config->data_name ? config->data_name : config->data);
    if (config->text.dtype != LM_DTYPE_AUTO)
        fprintf(file, "dtype: %s\n", lm_dtype_names[config->text.dtype]);
    if (*config->init)
        write_quoted(file, "init", *config->init_name ? config->init_name : config->init);
    if (*config->init_crc32)
        write_quoted(file, "init_crc32", config->init_crc32);
    if (model->freeze != LM_FREEZE_NONE)
        fprintf(file, "freeze: %s\n", lm_freeze_names[model->freeze]);
    if (model->tables != LM_PLACE_MEMORY)
        fprintf(file, "tables: %s\n", lm_place_names[model->tables]);
    write_quoted(file, "variant", config->variant);
    fprintf(file, "budget: %s\nmodel:\n", budget);
    for (const struct peer_option *option = lm_config_options; option->name; option++) {
        char text[64];
        peer_option_text(text, sizeof text, model, option);
        if (strcmp(option->name, "vocab") != 0 || model->vocab)
            fprintf(file, "  %s: %s\n", option->name, text);
    }
    fputs("  dense:\n", file);
    write_options(file, "    ", &model->dense, peer_ffw_dense.options, lengthy);
    if (model->ffw) {
        fprintf(file, "  ffw: %s\n  options:\n", model->ffw->name);
        write_options(file, "    ", model->ffw_config, model->ffw->options, lengthy);
        if (!config->middle) {
            const char *separator = "  sparse_at: [";
            for (int64_t block = 0; block < model->blocks; block++)
                if (model->sparse_at[block]) {
                    fprintf(file, "%s%lld", separator, (long long)block);
                    separator = ", ";
                }
            fputs("]\n", file);
        }
    }
    fputs("train:\n", file);
    write_options(file, "  ", &config->train, lm_train_options, lengthy);
    return !ferror(file);
}

bool lab_run_config_write(FILE *file, const struct lab_run_config *config)
{
    return write_config(file, config, false);
}

char *lab_run_config_text(const struct lab_run_config *config, bool lengthy)
{
    struct lab_memory memory;
    if (!lab_memory_open(&memory))
        return NULL;
    write_config(memory.file, config, lengthy);
    return lab_memory_close(&memory, NULL);
}

enum peer_status lab_run_config_write_everywhere(FILE *file, struct peer_ctx *ctx,
                                                 const struct lab_run_config *config)
{
    struct lab_run_config placed;
    lab_run_config_copy(&placed, config);
    enum peer_status status = lab_run_config_everywhere(&placed, ctx);
    if (status != PEER_OK)
        return status;
    lab_run_config_write(file, &placed);
    write_quoted(file, "data_called", *config->data_name ? config->data_name : config->data);
    if (*config->init)
        write_quoted(file, "init_called", *config->init_name ? config->init_name : config->init);
    return PEER_OK;
}

enum peer_status lab_run_config_everywhere(struct lab_run_config *config, struct peer_ctx *ctx)
{
    enum peer_status status =
        lab_yaml_place_everywhere(config->data, sizeof config->data, ctx, config->data);
    if (status == PEER_OK && *config->init)
        status = lab_yaml_place_everywhere(config->init, sizeof config->init, ctx, config->init);
    *config->data_name = *config->init_name = 0;
    return status;
}
