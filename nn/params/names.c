/* SPDX-License-Identifier: MIT */
#include "nn/params/names.h"

#include <stdio.h>
#include <string.h>

#include "nn/context_private.h"
#include "nn/params/view.h"

enum { FIRST_CAPACITY = 16 };

struct peer_name_map peer_name_map_empty(struct peer_ctx *ctx)
{
    return (struct peer_name_map){.ctx = ctx};
}

static size_t map_bytes(int64_t capacity)
{
    return (size_t)capacity * sizeof(struct peer_name);
}

void peer_name_map_free(struct peer_name_map *map)
{
    if (map->items)
        peer_ctx_release(map->ctx, map->items, map_bytes(map->capacity));
    *map = peer_name_map_empty(map->ctx);
}

static enum peer_status grow(struct peer_name_map *map)
{
    int64_t capacity = map->capacity ? 2 * map->capacity : FIRST_CAPACITY;
    struct peer_name *items = peer_ctx_alloc(map->ctx, map_bytes(capacity));
    if (!items)
        return peer_fail(map->ctx, PEER_ERR_MEMORY, "peer_name_map_add: no memory for %lld names",
                         (long long)capacity);
    if (map->items) {
        memcpy(items, map->items, map_bytes(map->count));
        peer_ctx_release(map->ctx, map->items, map_bytes(map->capacity));
    }
    map->items = items;
    map->capacity = capacity;
    return PEER_OK;
}

/* Whether the sizes are there, and of as many values by either count. */
static bool is_whole(const struct peer_name *name)
{
    int64_t values = 1, steps = 1;
    if (name->dims == 0)
        return true;
    if (name->dims < 0 || name->dims > PEER_PARAM_DIMS || name->steps < 1 ||
        name->steps > PEER_NAME_DIMS || name->offset < 0)
        return false;
    for (int i = 0; i < name->dims; i++)
        if (name->shape[i] < 1 || __builtin_mul_overflow(values, name->shape[i], &values))
            return false;
    for (int i = 0; i < name->steps; i++)
        if (name->view[i] < 1 || name->stride[i] < 0 ||
            __builtin_mul_overflow(steps, name->view[i], &steps))
            return false;
    return values == steps;
}

enum peer_status peer_name_map_add(struct peer_name_map *map, const struct peer_name *name)
{
    if (!memchr(name->entry, 0, sizeof name->entry) ||
        !memchr(name->tensor, 0, sizeof name->tensor) || !*name->tensor)
        return peer_fail(map->ctx, PEER_ERR_ARGUMENT,
                         "peer_name_map_add: expected names of at most %d and 1 ... %d bytes",
                         PEER_PARAM_NAME - 1, PEER_NAME_LENGTH - 1);
    if (!is_whole(name))
        return peer_fail(map->ctx, PEER_ERR_ARGUMENT,
                         "peer_name_map_add: %s: expected 1 ... %d sizes, 1 ... %d steps, none "
                         "below 1, of the same number of values, and strides and an offset from 0 "
                         "on",
                         name->tensor, PEER_PARAM_DIMS, PEER_NAME_DIMS);
    enum peer_status status = map->count < map->capacity ? PEER_OK : grow(map);
    if (!status)
        map->items[map->count++] = *name;
    return status;
}

enum peer_status peer_name_map_rename(struct peer_name_map *map, const char *entry,
                                      const char *tensor)
{
    struct peer_name name = {.dims = 0};
    if (strlen(entry) >= sizeof name.entry || strlen(tensor) >= sizeof name.tensor)
        return peer_fail(map->ctx, PEER_ERR_ARGUMENT,
                         "peer_name_map_rename: names of %zu and %zu bytes, expected at most %d "
                         "and %d",
                         strlen(entry), strlen(tensor), PEER_PARAM_NAME - 1, PEER_NAME_LENGTH - 1);
    strcpy(name.entry, entry);
    strcpy(name.tensor, tensor);
    return peer_name_map_add(map, &name);
}
