/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/parallel.h"
#include "nn/params/entry.h"
#include "nn/params/json_scan.h"
#include "nn/params/safetensors.h"
#include "nn/params/view.h"
#include "nn/params/weights.h"
#include "nn/replace.h"
#include "nn/tables/table_lookup.h"

enum { ALIGN = 8 };

static const char who[] = "peer_params_save";

/* Text that is written, or only counted. */
struct text {
    char *to; /* NULL = counted */
    int64_t size;
};

static void put(struct text *text, const char *bytes, int64_t size)
{
    if (text->to)
        memcpy(text->to + text->size, bytes, (size_t)size);
    text->size += size;
}

static void put_plain(struct text *text, const char *plain)
{
    put(text, plain, (int64_t)strlen(plain));
}

static void put_number(struct text *text, int64_t number)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%lld", (long long)number);
    put_plain(text, digits);
}

/* A string in quotes. */
static void put_quoted(struct text *text, const char *string)
{
    char code[8];
    put_plain(text, "\"");
    for (const char *at = string; *at; at++) {
        snprintf(code, sizeof code, "\\u%04x", (unsigned)(unsigned char)*at);
        if (*at == '"' || *at == '\\')
            put(text, "\\", 1);
        if ((unsigned char)*at < 0x20)
            put_plain(text, code);
        else
            put(text, at, 1);
    }
    put_plain(text, "\"");
}

static enum peer_dtype dtype_of(const struct peer_param *param)
{
    bool narrow =
        param->table ? param->table->type == PEER_TABLE_BF16 : param->type == PEER_TYPE_BF16;
    return narrow                         ? PEER_DTYPE_BF16
           : param->type == PEER_TYPE_I32 ? PEER_DTYPE_I32
                                          : PEER_DTYPE_F32;
}

/* Wide values first: each tensor is then aligned to its own. */
static bool is_of_pass(const struct peer_view *view, int pass)
{
    return (dtype_of(view->param) == PEER_DTYPE_BF16) == (pass == 1);
}

static void put_tensor(struct text *text, const struct peer_view *view, int64_t *offset)
{
    enum peer_dtype dtype = dtype_of(view->param);
    put_plain(text, ",");
    put_quoted(text, view->tensor);
    put_plain(text, ":{\"dtype\":\"");
    put_plain(text, dtype == PEER_DTYPE_BF16 ? "BF16" : dtype == PEER_DTYPE_I32 ? "I32" : "F32");
    put_plain(text, "\",\"shape\":[");
    for (int i = 0; i < view->dims; i++) {
        put_plain(text, i ? "," : "");
        put_number(text, view->shape[i]);
    }
    put_plain(text, "],\"data_offsets\":[");
    put_number(text, *offset);
    *offset += peer_view_values(view) * peer_dtype_bytes(dtype);
    put_plain(text, ",");
    put_number(text, *offset);
    put_plain(text, "]}");
}

/* The header, spaces at its end included. */
static void put_header(struct text *text, const struct peer_views *views,
                       const struct peer_metadata *metadata)
{
    int64_t offset = 0;
    put_plain(text, "{\"" PEER_TENSOR_METADATA "\":{\"format\":\"pt\"");
    for (; metadata && metadata->key; metadata++) {
        put_plain(text, ",");
        put_quoted(text, metadata->key);
        put_plain(text, ":");
        put_quoted(text, metadata->value);
    }
    put_plain(text, "}");
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = 0; i < views->count; i++)
            if (is_of_pass(&views->items[i], pass))
                put_tensor(text, &views->items[i], &offset);
    put_plain(text, "}");
    while (text->size % ALIGN)
        put_plain(text, " ");
}

static int by_name(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* Names in their order, to find equal ones. */
static enum peer_status check_names(struct peer_pool *pool, const char **names, int64_t count)
{
    if (count > 0)
        qsort(names, (size_t)count, sizeof *names, by_name);
    for (int64_t i = 0; i < count; i++) {
        if (peer_json_begin(names[i], (int64_t)strlen(names[i])).error)
            return peer_fail(pool->ctx, PEER_ERR_ARGUMENT, "%s: a name is no UTF-8: %.60s", who,
                             names[i]);
        if (i > 0 && strcmp(names[i - 1], names[i]) == 0)
            return peer_fail(pool->ctx, PEER_ERR_ARGUMENT, "%s: the name %s stands twice", who,
                             names[i]);
    }
    return PEER_OK;
}

static enum peer_status check(struct peer_pool *pool, const struct peer_views *views,
                              const struct peer_metadata *metadata)
{
    int64_t pairs = 0;
    while (metadata && metadata[pairs].key)
        pairs++;
    int64_t most = views->count > pairs ? views->count : pairs;
    const char **names = peer_pool_alloc(pool, who, sizeof *names, most + 1, 1, 1);
    if (!names)
        return PEER_ERR_MEMORY;
    for (int64_t i = 0; i < views->count; i++)
        names[i] = views->items[i].tensor;
    names[views->count] = PEER_TENSOR_METADATA;
    enum peer_status status = check_names(pool, names, views->count + 1);
    names = peer_pool_alloc(pool, who, sizeof *names, pairs + 1, 1, 1);
    for (int64_t i = 0; i < pairs && names; i++) {
        names[i] = metadata[i].key;
        if (!status && peer_json_begin(metadata[i].value, (int64_t)strlen(metadata[i].value)).error)
            status = peer_fail(pool->ctx, PEER_ERR_ARGUMENT, "%s: the metadata's %s is no UTF-8",
                               who, metadata[i].key);
    }
    if (!names)
        return PEER_ERR_MEMORY;
    names[pairs] = "format";
    return status ? status : check_names(pool, names, pairs + 1);
}

/* A save in progress, and room for pieces of tensors. */
struct saving {
    struct peer_replace file;
    float *rows, *values; /* of the largest piece */
    uint16_t *narrow;     /* its values in bf16 */
};

static enum peer_status write_values(const struct saving *s, const float *values, int64_t n,
                                     enum peer_dtype dtype)
{
    if (dtype != PEER_DTYPE_BF16)
        return peer_replace_write(&s->file, values, (size_t)n * sizeof *values);
    for (int64_t i = 0; i < n; i++)
        s->narrow[i] = peer_bf16_nearest(values[i]);
    return peer_replace_write(&s->file, s->narrow, (size_t)n * sizeof *s->narrow);
}

static enum peer_status write_tensor(const struct saving *s, const struct peer_view *view)
{
    int64_t total = peer_view_values(view), most = peer_view_piece(view).values;
    enum peer_status status = PEER_OK;
    if (view->whole && peer_view_direct(view->param)) {
        peer_entry_settle(view->param, 0, view->param->shape[0]);
        return write_values(s, view->param->data, total, PEER_DTYPE_F32);
    }
    for (int64_t at = 0; at < total && !status; at += most) {
        int64_t n = peer_min(most, total - at);
        peer_view_read(s->values, s->rows, view, at, n);
        status = write_values(s, s->values, n, dtype_of(view->param));
    }
    return status;
}

static bool make_room(struct saving *s, struct peer_pool *pool, const struct peer_views *views)
{
    struct peer_view_piece most = {0, 0};
    for (int64_t i = 0; i < views->count; i++) {
        struct peer_view_piece piece = peer_view_piece(&views->items[i]);
        most.values = piece.values > most.values ? piece.values : most.values;
        most.rows = piece.rows > most.rows ? piece.rows : most.rows;
    }
    s->rows = peer_pool_floats(pool, who, most.rows, 1);
    s->values = peer_pool_floats(pool, who, most.values, 1);
    s->narrow = peer_pool_alloc(pool, who, sizeof *s->narrow, most.values, 1, 1);
    return !pool->failed;
}

static enum peer_status write_file(struct saving *s, const struct peer_views *views,
                                   const struct text *header)
{
    uint64_t length = (uint64_t)header->size;
    enum peer_status status = peer_replace_write(&s->file, &length, sizeof length);
    if (!status)
        status = peer_replace_write(&s->file, header->to, (size_t)header->size);
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = 0; i < views->count && !status; i++)
            if (is_of_pass(&views->items[i], pass))
                status = write_tensor(s, &views->items[i]);
    return status;
}

static enum peer_status save(struct peer_pool *pool, const struct peer_params *list,
                             const char *path, const struct peer_name_map *map,
                             const struct peer_metadata *metadata)
{
    struct peer_views views;
    struct text text = {NULL, 0};
    struct saving s;
    enum peer_status status = peer_views_make(&views, pool, who, list, map);
    if (!status)
        status = check(pool, &views, metadata);
    if (status)
        return status;
    put_header(&text, &views, metadata);
    if (text.size > PEER_TENSOR_HEADER)
        return peer_fail(pool->ctx, PEER_ERR_ARGUMENT,
                         "%s: %s: a header of %lld bytes, expected at most %d", who, path,
                         (long long)text.size, PEER_TENSOR_HEADER);
    text.to = peer_pool_alloc(pool, who, 1, text.size, 1, 1);
    if (!text.to || !make_room(&s, pool, &views))
        return PEER_ERR_MEMORY;
    text.size = 0;
    put_header(&text, &views, metadata);
    status = peer_replace_begin(&s.file, pool->ctx, who, path);
    return status ? status : peer_replace_end(&s.file, write_file(&s, &views, &text));
}

enum peer_status peer_params_save(const struct peer_params *list, const char *path,
                                  const struct peer_name_map *map,
                                  const struct peer_metadata *metadata)
{
    struct peer_pool pool = {.ctx = list->ctx};
    enum peer_status status = save(&pool, list, path, map, metadata);
    peer_pool_free(&pool);
    return status;
}
