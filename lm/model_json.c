/* SPDX-License-Identifier: MIT */
#include "lm/model_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lm/options.h"
#include "peer/types.h"

enum { TEXT = 256 };

static json_t *options_json(const void *config, const struct peer_option *options)
{
    json_t *object = json_object();
    for (; object && options->name; options++) {
        char text[TEXT];
        peer_option_text(text, sizeof text, config, options);
        if (json_object_set_new(object, options->name, json_string(text))) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

json_t *lm_train_config_json(const struct lm_train_config *config)
{
    return options_json(config, lm_train_options);
}

static json_t *blocks_json(const bool at[LM_MAX_BLOCKS])
{
    json_t *list = json_array();
    for (int i = 0; i < LM_MAX_BLOCKS; i++)
        if (at[i])
            json_array_append_new(list, json_integer(i));
    return list;
}

json_t *lm_config_json(const struct lm_config *config)
{
    json_t *object = options_json(config, lm_config_options);
    bool failed =
        !object ||
        json_object_set_new(object, "dense", options_json(&config->dense, peer_ffw_dense.options));
    if (!failed && config->ffw)
        failed = json_object_set_new(object, "ffw", json_string(config->ffw->name)) ||
                 json_object_set_new(object, "options",
                                     options_json(config->ffw_config, config->ffw->options)) ||
                 json_object_set_new(object, "sparse_at", blocks_json(config->sparse_at));
    else if (!failed)
        failed = json_object_set_new(object, "ffw", json_null());
    if (!failed)
        return object;
    json_decref(object);
    return NULL;
}

static enum peer_status set_field(void *config, struct peer_ctx *ctx, const char *who,
                                  const struct peer_option *option, const json_t *value)
{
    const char *text = json_string_value(value);
    if (text && peer_option_set(ctx, config, option, text) == PEER_OK)
        return PEER_OK;
    char expected[TEXT];
    peer_option_expected(expected, sizeof expected, option);
    return peer_fail(ctx, PEER_ERR_FORMAT, "%s: %s = %s, expected %s as text", who, option->name,
                     text ? text : "no text", expected);
}

/* Reads every field of `object`, except those called in `others`. */
static enum peer_status read_options(void *config, struct peer_ctx *ctx, const char *who,
                                     const struct peer_option *options, const json_t *object,
                                     const char *const *others)
{
    const char *key;
    json_t *value;
    if (!json_is_object(object))
        return peer_fail(ctx, PEER_ERR_FORMAT, "%s: expected an object of fields", who);
    json_object_foreach ((json_t *)object, key, value) {
        const char *const *other = others;
        while (other && *other && strcmp(*other, key))
            other++;
        if (other && *other)
            continue;
        const struct peer_option *option = peer_option_find(options, key);
        if (!option)
            return peer_fail(ctx, PEER_ERR_FORMAT, "%s: there is no field %s", who, key);
        enum peer_status status = set_field(config, ctx, who, option, value);
        if (status)
            return status;
    }
    return PEER_OK;
}

enum peer_status lm_train_config_from_json(struct lm_train_config *ret, struct peer_ctx *ctx,
                                           const char *who, const json_t *json)
{
    struct lm_train_config config = lm_train_config_default();
    enum peer_status status = read_options(&config, ctx, who, lm_train_options, json, NULL);
    if (!status)
        *ret = config;
    return status;
}

static enum peer_status read_sizes(struct lm_config *config, struct peer_ctx *ctx, const char *who,
                                   const json_t *json)
{
    static const char *const names[] = {"vocab", "width", "blocks"};
    int64_t sizes[3];
    for (int i = 0; i < 3; i++) {
        const struct peer_option *option = peer_option_find(lm_config_options, names[i]);
        enum peer_status status =
            set_field(config, ctx, who, option, json_object_get(json, names[i]));
        if (status)
            return status;
        memcpy(&sizes[i], (char *)config + option->offset, sizeof sizes[i]);
    }
    *config = lm_config_default(sizes[0], sizes[1], sizes[2]);
    return PEER_OK;
}

static enum peer_status read_blocks(bool at[LM_MAX_BLOCKS], struct peer_ctx *ctx, const char *who,
                                    const json_t *list, int64_t blocks)
{
    memset(at, 0, LM_MAX_BLOCKS * sizeof *at);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        json_int_t block = json_integer_value(item);
        if (!json_is_integer(item) || block < 0 || block >= blocks)
            return peer_fail(ctx, PEER_ERR_FORMAT,
                             "%s: sparse_at: expected integers from 0 to %lld", who,
                             (long long)blocks - 1);
        at[block] = true;
    }
    if (!json_is_array(list))
        return peer_fail(ctx, PEER_ERR_FORMAT, "%s: sparse_at: expected a list", who);
    return PEER_OK;
}

static enum peer_status read_ffw(struct lm_config *config, void *ffw_config, size_t ffw_bytes,
                                 struct peer_ctx *ctx, const char *who, const json_t *json)
{
    const json_t *name = json_object_get(json, "ffw");
    const json_t *options = json_object_get(json, "options");
    const json_t *blocks = json_object_get(json, "sparse_at");
    if (!name || json_is_null(name))
        return PEER_OK;
    const char *text = json_string_value(name);
    config->ffw = text ? peer_ffw_find(text) : NULL;
    if (!config->ffw)
        return peer_fail(ctx, PEER_ERR_FORMAT, "%s: ffw: there is no variant %s", who,
                         text ? text : "without a name");
    if (config->ffw->config_size > ffw_bytes)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "lm_config_from_json: ffw_bytes = %zu, but %s needs %zu", ffw_bytes, text,
                         config->ffw->config_size);
    config->ffw->config_default(ffw_config, config->width);
    config->ffw_config = ffw_config;
    enum peer_status status = PEER_OK;
    if (options)
        status = read_options(ffw_config, ctx, who, config->ffw->options, options, NULL);
    if (!status && blocks)
        status = read_blocks(config->sparse_at, ctx, who, blocks, config->blocks);
    return status;
}

enum peer_status lm_config_from_json(struct lm_config *ret, void *ffw_config, size_t ffw_bytes,
                                     struct peer_ctx *ctx, const char *who, const json_t *json)
{
    static const char *const others[] = {"dense", "ffw", "options", "sparse_at", NULL};
    struct lm_config config = {0};
    const json_t *dense = json_object_get(json, "dense");
    enum peer_status status = read_sizes(&config, ctx, who, json);
    if (!status)
        status = read_options(&config, ctx, who, lm_config_options, json, others);
    if (!status && dense)
        status = read_options(&config.dense, ctx, who, peer_ffw_dense.options, dense, NULL);
    if (!status)
        status = read_ffw(&config, ffw_config, ffw_bytes, ctx, who, json);
    if (!status)
        *ret = config;
    return status;
}

/* Values are short: texts, null, lists of blocks. */
static void value_text(char *text, size_t size, const json_t *value)
{
    char *dump = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    const char *shown = json_is_string(value) ? json_string_value(value) : dump;
    snprintf(text, size, "%s", shown ? shown : "nothing");
    free(dump);
}

/* The same value, or the same number: programs give floats as many digits as they like. Integers
 * are compared as they are written. */
static bool same_value(const json_t *here, const json_t *there)
{
    const char *a = json_string_value(here), *b = json_string_value(there);
    if (json_equal(here, there))
        return true;
    if (!a || !b || (!strpbrk(a, ".e") && !strpbrk(b, ".e")))
        return false;
    char *end_a, *end_b;
    float x = strtof(a, &end_a), y = strtof(b, &end_b);
    return x == y && end_a != a && end_b != b && !*end_a && !*end_b;
}

static bool difference(char *text, size_t size, const json_t *here, const json_t *there,
                       const char *prefix)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)here, key, value) {
        const json_t *other = json_object_get(there, key);
        char path[TEXT], mine[TEXT], theirs[TEXT];
        snprintf(path, sizeof path, "%s%s", prefix, key);
        if (json_is_object(value) && json_is_object(other)) {
            size_t used = strlen(path);
            snprintf(path + used, sizeof path - used, ".");
            if (difference(text, size, value, other, path))
                return true;
        } else if (!same_value(value, other)) {
            value_text(mine, sizeof mine, value);
            value_text(theirs, sizeof theirs, other);
            snprintf(text, size, "%s = %s, here %s", path, theirs, mine);
            return true;
        }
    }
    return false;
}

bool lm_json_difference(char *text, size_t size, const json_t *here, const json_t *there)
{
    if (difference(text, size, here, there, ""))
        return true;
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)there, key, value)
        if (!json_object_get(here, key)) {
            snprintf(text, size, "%s is there, but not here", key);
            return true;
        }
    return false;
}
