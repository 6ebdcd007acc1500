/* SPDX-License-Identifier: MIT */
#include "nn/params/view.h"

#include <string.h>

#include "nn/parallel.h"
#include "nn/params/entry.h"

enum { CHUNK = 1 << 16 };

int64_t peer_view_values(const struct peer_view *view)
{
    int64_t values = 1;
    for (int i = 0; i < view->dims; i++)
        values *= view->shape[i];
    return values;
}

bool peer_view_direct(const struct peer_param *param)
{
    bool mapped = param->table && param->table->file;
    return param->data && !mapped && param->type != PEER_TYPE_BF16;
}

/* The entry as it is. */
static struct peer_view own_view(const struct peer_param *param, const char *tensor)
{
    struct peer_view view = {.param = param,
                             .tensor = tensor,
                             .dims = param->dims,
                             .steps = 1,
                             .size = {peer_param_size(param)},
                             .stride = {1},
                             .whole = true};
    memcpy(view.shape, param->shape, sizeof view.shape);
    return view;
}

/* The last value that a walk meets, or INT64_MAX. */
static int64_t last_value(const struct peer_name *name)
{
    int64_t last = name->offset, step;
    for (int i = 0; i < name->steps; i++)
        if (__builtin_mul_overflow(name->view[i] - 1, name->stride[i], &step) ||
            __builtin_add_overflow(last, step, &last))
            return INT64_MAX;
    return last;
}

/* Whether the walk takes all rows in their order, and stays in each. */
static bool is_by_rows(const struct peer_name *name, const struct peer_param *param)
{
    struct peer_name row = *name;
    row.view[0] = 1;
    return name->view[0] == param->shape[0] && name->stride[0] == peer_entry_width(param) &&
           last_value(&row) < peer_entry_width(param);
}

/* Whether the walk may come to a value twice: unless each step is longer than all shorter ones
 * together. */
static bool repeats(const struct peer_view *view)
{
    bool used[PEER_NAME_DIMS] = {false};
    int64_t reach = 0;
    for (int n = 0; n < view->steps; n++) {
        int next = -1;
        for (int i = 0; i < view->steps; i++)
            if (!used[i] && (next < 0 || view->stride[i] < view->stride[next]))
                next = i;
        used[next] = true;
        if (view->size[next] == 1)
            continue;
        if (view->stride[next] <= reach)
            return true;
        reach += view->stride[next] * (view->size[next] - 1);
    }
    return false;
}

static enum peer_status make_view(struct peer_view *ret, struct peer_ctx *ctx, const char *who,
                                  const struct peer_param *param, const struct peer_name *name)
{
    *ret = own_view(param, name->tensor);
    if (name->dims == 0)
        return PEER_OK;
    if (last_value(name) >= peer_param_size(param))
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: the map's %s ends at value %lld of %s, which has %lld", who,
                         name->tensor, (long long)last_value(name), param->name,
                         (long long)peer_param_size(param));
    if (!peer_view_direct(param) && !is_by_rows(name, param))
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: the map's %s: expected the %lld rows of %s in their order, %lld "
                         "values apart",
                         who, name->tensor, (long long)param->shape[0], param->name,
                         (long long)peer_entry_width(param));
    ret->dims = name->dims;
    ret->steps = name->steps;
    ret->offset = name->offset;
    memcpy(ret->shape, name->shape, sizeof ret->shape);
    memcpy(ret->size, name->view, sizeof ret->size);
    memcpy(ret->stride, name->stride, sizeof ret->stride);
    int64_t next = 1;
    ret->whole = name->offset == 0 && peer_view_values(ret) == peer_param_size(param);
    for (int i = name->steps - 1; i >= 0; next *= name->view[i--]) {
        ret->whole = ret->whole && (name->view[i] == 1 || name->stride[i] == next);
    }
    ret->repeats = repeats(ret);
    return PEER_OK;
}

enum peer_status peer_views_make(struct peer_views *ret, struct peer_pool *pool, const char *who,
                                 const struct peer_params *list, const struct peer_name_map *map)
{
    int64_t names = map ? map->count : 0, count = 0;
    enum peer_status status = PEER_OK;
    for (int64_t j = 0; j < names; j++)
        if (*map->items[j].entry && !peer_params_find(list, map->items[j].entry))
            return peer_fail(pool->ctx, PEER_ERR_ARGUMENT,
                             "%s: the map's %s is of %s, but the list has no such entry", who,
                             map->items[j].tensor, map->items[j].entry);
    struct peer_view *items = peer_pool_alloc(pool, who, sizeof *items, list->count + names, 1, 1);
    if (!items)
        return PEER_ERR_MEMORY;
    for (int64_t i = 0; i < list->count && !status; i++) {
        const struct peer_param *param = &list->items[i];
        int64_t before = count;
        for (int64_t j = 0; j < names && !status; j++)
            if (strcmp(map->items[j].entry, param->name) == 0)
                status = make_view(&items[count++], pool->ctx, who, param, &map->items[j]);
        if (count == before)
            items[count++] = own_view(param, param->name);
    }
    *ret = (struct peer_views){items, count};
    return status;
}

/* A walk: where it is, and its place in the entry. */
struct walk {
    int64_t at[PEER_NAME_DIMS], place;
};

static struct walk begin(const struct peer_view *view, int64_t first)
{
    struct walk walk = {.place = view->offset};
    for (int i = view->steps - 1; i >= 0; i--) {
        walk.at[i] = first % view->size[i];
        first /= view->size[i];
        walk.place += walk.at[i] * view->stride[i];
    }
    return walk;
}

/* Takes n steps of the last size, of which there are as many left. */
static void advance(struct walk *walk, const struct peer_view *view, int64_t n)
{
    int i = view->steps - 1;
    walk->at[i] += n;
    walk->place += n * view->stride[i];
    for (; i > 0 && walk->at[i] == view->size[i]; i--) {
        walk->at[i] = 0;
        walk->place -= view->size[i] * view->stride[i];
        walk->at[i - 1]++;
        walk->place += view->stride[i - 1];
    }
}

/* Steps of the last size that are left, at most n. */
static int64_t run_of(const struct walk *walk, const struct peer_view *view, int64_t n)
{
    return peer_min(n, view->size[view->steps - 1] - walk->at[view->steps - 1]);
}

void peer_view_gather(float *values, const float *in, const struct peer_view *view, int64_t first,
                      int64_t n)
{
    if (n == 0)
        return;
    struct walk walk = begin(view, first);
    int64_t stride = view->stride[view->steps - 1];
    for (int64_t done = 0, run; done < n; done += run) {
        run = run_of(&walk, view, n - done);
        for (int64_t i = 0; i < run; i++)
            values[done + i] = in[walk.place + i * stride];
        advance(&walk, view, run);
    }
}

void peer_view_scatter(float *in, const float *values, const struct peer_view *view, int64_t first,
                       int64_t n)
{
    if (n == 0)
        return;
    struct walk walk = begin(view, first);
    int64_t stride = view->stride[view->steps - 1];
    for (int64_t done = 0, run; done < n; done += run) {
        run = run_of(&walk, view, n - done);
        for (int64_t i = 0; i < run; i++)
            in[walk.place + i * stride] = values[done + i];
        advance(&walk, view, run);
    }
}

/* Values of a tensor that are in a row of its entry. */
static int64_t values_of_row(const struct peer_view *view)
{
    return peer_view_values(view) / (view->param->shape[0] ? view->param->shape[0] : 1);
}

struct peer_view_piece peer_view_piece(const struct peer_view *view)
{
    int64_t width = peer_entry_width(view->param), rows = CHUNK / (width ? width : 1) + 1;
    if (peer_view_direct(view->param))
        return (struct peer_view_piece){CHUNK, 0};
    return (struct peer_view_piece){rows * values_of_row(view), rows * width};
}

void peer_view_read(float *values, float *rows, const struct peer_view *view, int64_t first,
                    int64_t n)
{
    const struct peer_param *param = view->param;
    if (peer_view_direct(param)) {
        if (first == 0)
            peer_entry_settle(param, 0, param->shape[0]);
        peer_view_gather(values, param->data, view, first, n);
        return;
    }
    int64_t each = values_of_row(view);
    peer_entry_read(rows, param, first / each, n / each);
    peer_view_gather(values, rows, view, 0, n);
}
