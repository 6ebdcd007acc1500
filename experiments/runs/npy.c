/* SPDX-License-Identifier: MIT */
#include "experiments/runs/npy.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "nn/params/view.h"
#include "nn/replace.h"

enum { ALIGN = 64, HEADER = 256 };

static const char who[] = "npy";

/* Format 1.0: magic, version, length, a Python literal, spaces to a multiple of 64, a line feed. */
static int make_header(char header[HEADER], const struct peer_view *view)
{
    const int start = 10; /* magic, version and length */
    char shape[128];
    int used = 0;
    for (int i = 0; i < view->dims; i++)
        used += snprintf(shape + used, sizeof shape - (size_t)used, i ? " %lld," : "%lld,",
                         (long long)view->shape[i]);
    int length = snprintf(header + start, HEADER - 10,
                          "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }",
                          view->param->type == PEER_TYPE_I32 ? "<i4" : "<f4", shape);
    int total = (start + length + ALIGN) / ALIGN * ALIGN;
    memset(header + start + length, ' ', (size_t)(total - start - length));
    header[total - 1] = '\n';
    memcpy(header, "\x93NUMPY\x01", 8);
    header[7] = 0;
    header[8] = (char)((total - start) & 0xff);
    header[9] = (char)((total - start) >> 8);
    return total;
}

static enum peer_status write_tensor(const struct peer_replace *file, const struct peer_view *view,
                                     float *values, float *rows)
{
    char header[HEADER];
    int64_t total = peer_view_values(view), most = peer_view_piece(view).values;
    int length = make_header(header, view);
    enum peer_status status = peer_replace_write(file, header, (size_t)length);
    for (int64_t at = 0, n; at < total && status == PEER_OK; at += n) {
        n = total - at < most ? total - at : most;
        peer_view_read(values, rows, view, at, n);
        status = peer_replace_write(file, values, (size_t)n * sizeof *values);
    }
    return status;
}

static enum peer_status write_file(struct peer_ctx *ctx, const char *folder,
                                   const struct peer_view *view)
{
    char path[PATH_MAX];
    struct peer_replace file;
    struct peer_pool pool = {.ctx = ctx};
    struct peer_view_piece piece = peer_view_piece(view);
    float *values = peer_pool_floats(&pool, who, piece.values, 1);
    float *rows = peer_pool_floats(&pool, who, piece.rows, 1);
    enum peer_status status = pool.failed ? PEER_ERR_MEMORY : PEER_OK;
    int length = snprintf(path, sizeof path, "%s/%s.npy", folder, view->tensor);
    if (length >= PATH_MAX || strchr(view->tensor, '/'))
        status =
            peer_fail(ctx, PEER_ERR_ARGUMENT, "%s: %s: no name of a file", folder, view->tensor);
    if (status == PEER_OK)
        status = peer_replace_begin(&file, ctx, who, path);
    if (status == PEER_OK)
        status = peer_replace_end(&file, write_tensor(&file, view, values, rows));
    peer_pool_free(&pool);
    return status;
}

enum peer_status lab_npy_write(const struct peer_params *list, const struct peer_name_map *map,
                               const char *folder)
{
    struct peer_pool pool = {.ctx = list->ctx};
    struct peer_views views = {NULL, 0};
    enum peer_status status = peer_views_make(&views, &pool, who, list, map);
    for (int64_t i = 0; i < views.count && status == PEER_OK; i++)
        status = write_file(list->ctx, folder, &views.items[i]);
    peer_pool_free(&pool);
    return status;
}
