/* SPDX-License-Identifier: MIT */
#include "lm/run_state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lm/checkpoint.h"
#include "lm/json.h"
#include "lm/model_json.h"

enum { TEXT = 256 };

const char *const lm_train_unread[] = {
    "nonfinite",    "eval_every",         "eval_tokens", "usage_points",
    "usage_tokens", "checkpoint_seconds", NULL};

/* The name is for people: what is not ASCII, whole or cut, is left out of the JSON text. */
static json_t *data_json(const struct lm_dataset *data)
{
    char name[sizeof data->name];
    for (size_t i = 0; i < sizeof name; i++)
        name[i] = data->name[i] & 0x80 ? '_' : data->name[i];
    return json_pack("{s:s, s:I, s:I, s:I}", "name", name, "vocab", (json_int_t)data->vocab,
                     "tokens", (json_int_t)lm_corpus_tokens(data->train), "crc32",
                     (json_int_t)data->train_crc);
}

/* Adds `object`, which it releases, as text; false without memory. */
static bool add_object(json_t *metadata, const char *key, json_t *object)
{
    char *text = lm_json_text(object, JSON_COMPACT);
    bool added = text && !json_object_set_new(metadata, key, json_string(text));
    free(text);
    json_decref(object);
    return added;
}

static bool add_integer(json_t *metadata, const char *key, int64_t value)
{
    return !json_object_set_new(metadata, key, json_sprintf("%" PRId64, value));
}

/* Adds what the ids stand for, where that is known. */
static bool add_vocabulary(json_t *metadata, const struct lm_dataset *data)
{
    return !data->vocabulary ||
           !json_object_set_new(metadata, "vocabulary",
                                json_sprintf("%08" PRIx32, lm_vocabulary_crc(data->vocabulary)));
}

static bool add_place(json_t *metadata, enum lm_place tables)
{
    return tables == LM_PLACE_MEMORY ||
           !json_object_set_new(metadata, "tables", json_string(lm_place_names[tables]));
}

/* Those of older programs say nothing and mean memory. */
static enum lm_place place_of(const json_t *metadata)
{
    const char *text = json_string_value(json_object_get(metadata, "tables"));
    bool mapped = text && strcmp(text, lm_place_names[LM_PLACE_MAPPED]) == 0;
    return mapped ? LM_PLACE_MAPPED : LM_PLACE_MEMORY;
}

enum peer_status lm_run_metadata(json_t **ret, struct peer_ctx *ctx, const struct lm_run *run,
                                 const struct lm_run_state *state)
{
    lm_json_watch();
    json_t *metadata = json_object();
    bool whole = metadata && add_integer(metadata, "step", state->step) &&
                 add_integer(metadata, "position", state->position) &&
                 (!state->skipped || add_integer(metadata, "skipped", state->skipped)) &&
                 !json_object_set_new(metadata, "seconds", json_sprintf("%.17g", state->seconds)) &&
                 add_object(metadata, "model", lm_config_json(run->model)) &&
                 add_object(metadata, "train", lm_train_config_json(run->train)) &&
                 add_object(metadata, "data", data_json(run->data)) &&
                 !json_object_set_new(metadata, "freeze",
                                      json_string(lm_freeze_names[run->model->freeze])) &&
                 add_place(metadata, run->model->tables) && add_vocabulary(metadata, run->data);
    if (!whole || lm_json_failed()) {
        json_decref(metadata);
        return peer_fail(ctx, PEER_ERR_MEMORY, "lm_run_metadata: no memory");
    }
    *ret = metadata;
    return PEER_OK;
}

/* The object that metadata hold as text; NULL where they do not. Errors: PEER_ERR_MEMORY. */
static enum peer_status object_of(json_t **ret, struct peer_ctx *ctx, const char *path,
                                  const json_t *metadata, const char *key)
{
    const char *text = json_string_value(json_object_get(metadata, key));
    enum peer_status status = PEER_OK;
    *ret = NULL;
    if (text)
        status = lm_json_parse(ret, ctx, "lm_run_state_read", path, text, strlen(text),
                               JSON_REJECT_DUPLICATES);
    return status == PEER_ERR_MEMORY ? status : PEER_OK;
}

/* Compares one of the objects with `mine`, which it releases; fields called in `free_fields` may
 * differ. */
static enum peer_status compare(struct peer_ctx *ctx, const char *path, const json_t *metadata,
                                const char *key, json_t *mine, const char *const *free_fields)
{
    char text[TEXT];
    bool whole = mine && !lm_json_failed();
    json_t *theirs = NULL;
    enum peer_status status = object_of(&theirs, ctx, path, metadata, key);
    for (; *free_fields; free_fields++) {
        json_object_del(mine, *free_fields);
        json_object_del(theirs, *free_fields);
    }
    if (status)
        whole = false;
    else if (!whole)
        status = peer_fail(ctx, PEER_ERR_MEMORY, "lm_run_state_read: no memory");
    else if (!theirs)
        status = peer_fail(ctx, PEER_ERR_FORMAT,
                           "lm_run_state_read: %s: its metadata have no %s: not of a training run",
                           path, key);
    else if (lm_json_difference(text, sizeof text, mine, theirs))
        status = peer_fail(ctx, PEER_ERR_FORMAT, "lm_run_state_read: %s is of another run: %s: %s",
                           path, key, text);
    json_decref(mine);
    json_decref(theirs);
    return status;
}

static enum peer_status compare_freeze(struct peer_ctx *ctx, const char *path,
                                       const json_t *metadata, enum lm_freeze freeze)
{
    const char *text = json_string_value(json_object_get(metadata, "freeze"));
    const char *theirs = text ? text : lm_freeze_names[LM_FREEZE_NONE];
    if (strcmp(theirs, lm_freeze_names[freeze]) == 0)
        return PEER_OK;
    return peer_fail(ctx, PEER_ERR_FORMAT,
                     "lm_run_state_read: %s is of another run: freeze = %s, here %s", path, theirs,
                     lm_freeze_names[freeze]);
}

static enum peer_status compare_place(struct peer_ctx *ctx, const char *path,
                                      const json_t *metadata, enum lm_place tables)
{
    if (place_of(metadata) == tables)
        return PEER_OK;
    return peer_fail(ctx, PEER_ERR_FORMAT,
                     "lm_run_state_read: %s is of another run: tables = %s, here %s", path,
                     lm_place_names[place_of(metadata)], lm_place_names[tables]);
}

static bool read_integer(int64_t *ret, const json_t *metadata, const char *key)
{
    char *end = NULL;
    const char *text = json_string_value(json_object_get(metadata, key));
    errno = 0;
    *ret = text ? strtoll(text, &end, 10) : -1;
    return text && *text && !*end && !errno;
}

static enum peer_status read_state(struct lm_run_state *ret, struct peer_ctx *ctx, const char *path,
                                   const json_t *metadata, const struct lm_train_config *train)
{
    struct lm_run_state state = {0};
    const char *seconds = json_string_value(json_object_get(metadata, "seconds"));
    state.seconds = seconds ? strtod(seconds, NULL) : -1;
    bool skips = json_object_get(metadata, "skipped");
    if (!read_integer(&state.step, metadata, "step") ||
        (skips && !read_integer(&state.skipped, metadata, "skipped")) || state.skipped < 0 ||
        state.skipped > state.step || !read_integer(&state.position, metadata, "position") ||
        state.step < 0 || state.step > train->steps ||
        state.position != state.step * train->sequences || !(state.seconds >= 0))
        return peer_fail(ctx, PEER_ERR_FORMAT,
                         "lm_run_state_read: %s: step, position and seconds do not fit together "
                         "with %lld steps of %lld sequences",
                         path, (long long)train->steps, (long long)train->sequences);
    *ret = state;
    return PEER_OK;
}

enum peer_status lm_run_state_read(struct lm_run_state *ret, struct peer_ctx *ctx, const char *path,
                                   const struct lm_run *run)
{
    static const char *const none[] = {NULL}, *const name[] = {"name", NULL};
    json_t *metadata = NULL;
    enum peer_status status = lm_checkpoint_metadata(&metadata, ctx, path);
    if (!status)
        status = compare(ctx, path, metadata, "model", lm_config_json(run->model), none);
    if (!status)
        status = compare(ctx, path, metadata, "train", lm_train_config_json(run->train),
                         lm_train_unread);
    if (!status)
        status = compare(ctx, path, metadata, "data", data_json(run->data), name);
    if (!status)
        status = compare_freeze(ctx, path, metadata, run->model->freeze);
    if (!status)
        status = compare_place(ctx, path, metadata, run->model->tables);
    if (!status)
        status = read_state(ret, ctx, path, metadata, run->train);
    json_decref(metadata);
    return status;
}

static void copy_text(char *ret, size_t size, const json_t *text)
{
    snprintf(ret, size, "%s", json_is_string(text) ? json_string_value(text) : "");
}

enum peer_status lm_run_origin(struct lm_run_origin *ret, struct peer_ctx *ctx, const char *path)
{
    json_t *metadata = NULL;
    enum peer_status status = lm_checkpoint_metadata(&metadata, ctx, path);
    if (status)
        return status;
    json_t *model = NULL, *data = NULL;
    status = object_of(&model, ctx, path, metadata, "model");
    if (!status)
        status = object_of(&data, ctx, path, metadata, "data");
    const char *vocab = json_string_value(json_object_get(model, "vocab"));
    if (vocab && !status) {
        ret->vocab = strtoll(vocab, NULL, 10);
        copy_text(ret->vocabulary, sizeof ret->vocabulary, json_object_get(metadata, "vocabulary"));
        copy_text(ret->data, sizeof ret->data, json_object_get(data, "name"));
        copy_text(ret->crc32, sizeof ret->crc32, json_object_get(metadata, "crc32"));
        if (!read_integer(&ret->step, metadata, "step"))
            ret->step = 0;
        ret->mapped = place_of(metadata) == LM_PLACE_MAPPED;
    } else if (!status) {
        status =
            peer_fail(ctx, PEER_ERR_FORMAT, "lm_run_origin: %s: its metadata have no model", path);
    }
    json_decref(model);
    json_decref(data);
    json_decref(metadata);
    return status;
}

enum peer_status lm_run_model(struct lm_config *ret, void *ffw_config, size_t ffw_bytes,
                              struct peer_ctx *ctx, const char *path)
{
    json_t *metadata = NULL;
    struct lm_config config;
    enum peer_status status = lm_checkpoint_metadata(&metadata, ctx, path);
    if (status)
        return status;
    json_t *model = NULL;
    status = object_of(&model, ctx, path, metadata, "model");
    if (model)
        status = lm_config_from_json(&config, ffw_config, ffw_bytes, ctx, path, model);
    else if (!status)
        status =
            peer_fail(ctx, PEER_ERR_FORMAT, "lm_run_model: %s: its metadata have no model", path);
    if (!status)
        config.tables = place_of(metadata);
    json_decref(model);
    json_decref(metadata);
    if (!status)
        status = lm_config_check(ctx, &config);
    if (!status)
        *ret = config;
    return status;
}
