/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "nn/parallel.h"
#include "nn/params/entry.h"
#include "nn/params/safetensors.h"
#include "nn/params/view.h"
#include "nn/params/weights.h"

enum { CHUNK = 1 << 16, TEXT = 2 * PEER_TENSOR_TEXT + 320, SHOWN = 160 };

static const char who[] = "peer_params_load";

/* A load in progress. */
struct loading {
    struct peer_tensor_file file;
    struct peer_views views;
    const struct peer_tensor **tensors; /* [views.count]; NULL = missing */
    bool *asked;                        /* [file.count] */
    const struct peer_load_options *options;
    int64_t refused;          /* differences that are not allowed */
    char first[SHOWN + TEXT]; /* of them */
    void *raw;                /* room for a piece of a tensor */
    float *values, *rows;
};

static bool is_allowed(const struct loading *l, enum peer_mismatch_kind kind)
{
    return (kind == PEER_MISMATCH_MISSING && l->options->allow_missing) ||
           (kind == PEER_MISMATCH_LEFT_OVER && l->options->allow_left_over);
}

static void differ(struct loading *l, enum peer_mismatch_kind kind, const char *entry,
                   const char *tensor, const char *text)
{
    struct peer_mismatch mismatch = {kind, entry, tensor, text};
    if (l->options->report)
        l->options->report(l->options->user, &mismatch);
    if (is_allowed(l, kind))
        return;
    if (l->refused++ == 0)
        snprintf(l->first, sizeof l->first, "%s", text);
}

static bool is_readable(const struct peer_param *param, enum peer_dtype dtype)
{
    return param->type == PEER_TYPE_I32
               ? dtype == PEER_DTYPE_I32
               : dtype == PEER_DTYPE_F32 || dtype == PEER_DTYPE_BF16 || dtype == PEER_DTYPE_F16;
}

/* Says how a view and its tensor differ, if they do. */
static void compare(struct loading *l, const struct peer_view *view,
                    const struct peer_tensor *tensor)
{
    char got[PEER_TENSOR_TEXT], expected[PEER_TENSOR_TEXT], text[TEXT];
    const char *entry = view->param->name, *types = "F32, BF16 or F16";
    if (view->param->type == PEER_TYPE_I32)
        types = "I32";
    peer_shape_text(expected, view->shape, view->dims);
    if (!tensor) {
        snprintf(text, sizeof text, "there is no tensor %.*s, expected %s %s", SHOWN, view->tensor,
                 types, expected);
        differ(l, PEER_MISMATCH_MISSING, entry, view->tensor, text);
        return;
    }
    peer_shape_text(got, tensor->shape, tensor->dims);
    if (tensor->dims != view->dims ||
        memcmp(tensor->shape, view->shape, (size_t)view->dims * sizeof *view->shape)) {
        snprintf(text, sizeof text, "tensor %.*s is %s %s, expected %s", SHOWN, view->tensor,
                 tensor->dtype_name, got, expected);
        differ(l, PEER_MISMATCH_SHAPE, entry, view->tensor, text);
    }
    if (!is_readable(view->param, tensor->dtype)) {
        snprintf(text, sizeof text, "tensor %.*s is %s %s, expected %s", SHOWN, view->tensor,
                 tensor->dtype_name, got, types);
        differ(l, PEER_MISMATCH_TYPE, entry, view->tensor, text);
    }
}

/* Finds what the map leaves aside. */
static void pass_over(struct loading *l, const struct peer_name_map *map)
{
    for (int64_t i = 0; map && i < map->count; i++) {
        const struct peer_tensor *tensor = peer_tensor_file_find(&l->file, map->items[i].tensor);
        if (tensor && !*map->items[i].entry)
            l->asked[tensor - l->file.items] = true;
    }
}

/* All differences; PEER_ERR_FORMAT where one is not allowed. */
static enum peer_status compare_all(struct loading *l)
{
    char shape[PEER_TENSOR_TEXT], text[TEXT];
    for (int64_t i = 0; i < l->views.count; i++) {
        const struct peer_view *view = &l->views.items[i];
        l->tensors[i] = peer_tensor_file_find(&l->file, view->tensor);
        if (l->tensors[i])
            l->asked[l->tensors[i] - l->file.items] = true;
        compare(l, view, l->tensors[i]);
    }
    for (int64_t i = 0; i < l->file.count; i++) {
        const struct peer_tensor *tensor = &l->file.items[i];
        if (l->asked[i])
            continue;
        if (!l->options->report && (l->options->allow_left_over || l->refused > 0)) {
            l->refused += !l->options->allow_left_over; /* nobody reads the words */
            continue;
        }
        peer_shape_text(shape, tensor->shape, tensor->dims);
        snprintf(text, sizeof text, "tensor %.*s, %s %s, is left over", SHOWN, tensor->name,
                 tensor->dtype_name, shape);
        differ(l, PEER_MISMATCH_LEFT_OVER, NULL, tensor->name, text);
    }
    if (l->refused == 0)
        return PEER_OK;
    if (l->refused > 1)
        snprintf(text, sizeof text, " (and %lld more differences)", (long long)l->refused - 1);
    return peer_fail(l->file.ctx, PEER_ERR_FORMAT, "%s: %s: %s%s", who, l->file.path, l->first,
                     l->refused > 1 ? text : "");
}

/* What the list and the map alone tell. */
static enum peer_status check_views(const struct loading *l)
{
    enum peer_status status = PEER_OK;
    for (int64_t i = 0; i < l->views.count && !status; i++) {
        const struct peer_view *view = &l->views.items[i];
        status = peer_entry_writable(l->file.ctx, who, view->param);
        if (!status && view->repeats)
            status = peer_fail(l->file.ctx, PEER_ERR_ARGUMENT,
                               "%s: %s repeats values of %s: such a tensor is saved only", who,
                               view->tensor, view->param->name);
    }
    return status;
}

/* Room for pieces of CHUNK values, or of the rows that hold as many. */
static bool make_room(struct loading *l, struct peer_pool *pool)
{
    int64_t room = CHUNK;
    for (int64_t i = 0; i < l->views.count; i++) {
        const struct peer_view *view = &l->views.items[i];
        struct peer_view_piece piece = peer_view_piece(view);
        int64_t need = CHUNK + peer_entry_width(view->param);
        need = need > piece.values ? need : piece.values;
        need = need > piece.rows ? need : piece.rows;
        if (!peer_view_direct(view->param) && room < need)
            room = need;
    }
    l->raw = peer_pool_floats(pool, who, room, 1);
    l->values = peer_pool_floats(pool, who, room, 1);
    l->rows = peer_pool_floats(pool, who, room, 1);
    return !pool->failed;
}

/* Floats, or integers, in memory. */
static enum peer_status fill_direct(const struct loading *l, int64_t i)
{
    const struct peer_view *view = &l->views.items[i];
    const struct peer_tensor *tensor = l->tensors[i];
    int64_t total = peer_view_values(view);
    enum peer_status status = PEER_OK;
    peer_entry_settle(view->param, 0, view->param->shape[0]);
    if (view->whole && (tensor->dtype == PEER_DTYPE_F32 || tensor->dtype == PEER_DTYPE_I32))
        return peer_tensor_read(view->param->data, view->param->data, &l->file, tensor, 0, total);
    for (int64_t at = 0; at < total && !status; at += CHUNK) {
        int64_t n = peer_min(CHUNK, total - at);
        const float *values = tensor->dtype == PEER_DTYPE_I32 ? l->raw : l->values;
        status = peer_tensor_read(l->values, l->raw, &l->file, tensor, at, n);
        if (!status)
            peer_view_scatter(view->param->data, values, view, at, n);
    }
    return status;
}

/* Rows of the entry, some at a time, each from all of its tensors, which are first ... last-1. */
static enum peer_status fill_rows(const struct loading *l, int64_t first, int64_t last)
{
    const struct peer_param *param = l->views.items[first].param;
    int64_t rows = param->shape[0], most = CHUNK / peer_entry_width(param) + 1;
    enum peer_status status = PEER_OK;
    for (int64_t at = 0; at < rows && !status; at += most) {
        int64_t n = peer_min(most, rows - at);
        peer_entry_read(l->rows, param, at, n);
        for (int64_t i = first; i < last && !status; i++) {
            const struct peer_view *view = &l->views.items[i];
            int64_t each = peer_view_values(view) / rows;
            if (!l->tensors[i])
                continue;
            status =
                peer_tensor_read(l->values, l->raw, &l->file, l->tensors[i], at * each, n * each);
            if (!status)
                peer_view_scatter(l->rows, l->values, view, 0, n * each);
        }
        if (!status)
            peer_entry_write(param, l->rows, at, n);
    }
    return status;
}

static enum peer_status fill(const struct loading *l)
{
    enum peer_status status = PEER_OK;
    for (int64_t i = 0, next; i < l->views.count && !status; i = next) {
        const struct peer_param *param = l->views.items[i].param;
        bool any = false;
        for (next = i; next < l->views.count && l->views.items[next].param == param; next++)
            any = any || l->tensors[next];
        if (any && !peer_view_direct(param))
            status = fill_rows(l, i, next);
        for (int64_t j = i; peer_view_direct(param) && j < next && !status; j++)
            if (l->tensors[j])
                status = fill_direct(l, j);
    }
    return status;
}

static enum peer_status load(struct loading *l, struct peer_pool *pool,
                             const struct peer_params *list, const struct peer_name_map *map)
{
    enum peer_status status = peer_views_make(&l->views, pool, who, list, map);
    if (!status)
        status = check_views(l);
    if (status)
        return status;
    l->tensors = peer_pool_alloc(pool, who, sizeof *l->tensors, l->views.count, 1, 1);
    l->asked = peer_pool_alloc(pool, who, sizeof *l->asked, l->file.count, 1, 1);
    if (pool->failed || !make_room(l, pool))
        return PEER_ERR_MEMORY;
    pass_over(l, map);
    status = compare_all(l);
    return status ? status : fill(l);
}

enum peer_status peer_params_load(const struct peer_params *list, const char *path,
                                  const struct peer_name_map *map,
                                  const struct peer_load_options *options)
{
    static const struct peer_load_options strict = {.allow_missing = false};
    struct peer_pool pool = {.ctx = list->ctx};
    struct loading l = {.options = options ? options : &strict};
    enum peer_status status = peer_tensor_file_open(&l.file, list->ctx, who, path);
    if (status)
        return status;
    status = load(&l, &pool, list, map);
    peer_tensor_file_close(&l.file);
    peer_pool_free(&pool);
    return status;
}
