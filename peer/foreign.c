/* SPDX-License-Identifier: MIT */
#include "peer/foreign.h"

#include <stdio.h>
#include <string.h>

const char *const peer_foreign_names[] = {"split", "lucidrains", "meta", "xlm", "notebook", NULL};

/* A layer whose names are being made. */
struct naming {
    struct peer_name_map *map;
    const char *prefix, *tensor_prefix;
    enum peer_foreign form;
    bool peer;                    /* or PKM */
    bool batch;                   /* its query norm has running statistics */
    int64_t heads, side, half, D; /* H, n, K/2 */
    int64_t tables;               /* of keys: 1 or H */
};

static const struct peer_param *entry(const struct peer_params *list, const char *prefix,
                                      const char *name)
{
    char full[PEER_PARAM_NAME];
    return snprintf(full, sizeof full, "%s%s", prefix, name) < PEER_PARAM_NAME
               ? peer_params_find(list, full)
               : NULL;
}

/* Adds a name that `view` has the sizes of. */
static enum peer_status add(const struct naming *n, struct peer_name view,
                            const struct peer_param *param, const char *tensor)
{
    int length = snprintf(view.tensor, sizeof view.tensor, "%s%s", n->tensor_prefix, tensor);
    if (length >= PEER_NAME_LENGTH)
        return peer_fail(n->map->ctx, PEER_ERR_ARGUMENT,
                         "peer_foreign_map: the name %.60s...%s has %d bytes, the most is %d",
                         n->tensor_prefix, tensor, length, PEER_NAME_LENGTH - 1);
    memcpy(view.entry, param->name, sizeof view.entry);
    return peer_name_map_add(n->map, &view);
}

static struct peer_name as_it_is(void)
{
    return (struct peer_name){.dims = 0};
}

/* Rows of queries, `width` values each, in the order half, head, value. */
static struct peer_name by_halves(const struct naming *n, int dims, int64_t width)
{
    return (struct peer_name){.dims = dims,
                              .shape = {2 * n->heads * n->half, width},
                              .steps = 4,
                              .view = {2, n->heads, n->half, width},
                              .stride = {n->half * width, 2 * n->half * width, width, 1}};
}

/* Keys in the module's shape; those that heads share are repeated. */
static struct peer_name keys_of(const struct naming *n)
{
    int64_t H = n->heads, side = n->side, half = n->half, table = 2 * side * half;
    int64_t head = n->tables == 1 && H > 1 ? 0 : table;
    struct peer_name plain = {.dims = 4,
                              .shape = {H, 2, side, half},
                              .steps = 2,
                              .view = {H, table},
                              .stride = {head, 1}};
    struct peer_name meta = plain, lucidrains = {.dims = 4,
                                                 .shape = {H, side, 2, half},
                                                 .steps = 4,
                                                 .view = {H, side, 2, half},
                                                 .stride = {head, half, side * half, 1}};
    meta.dims = 2;
    meta.shape[0] = 2 * H * side;
    meta.shape[1] = half;
    return n->form == PEER_FOREIGN_LUCIDRAINS ? lucidrains
           : n->form == PEER_FOREIGN_META     ? meta
                                              : plain;
}

/* One of the vectors of an expert's row. */
static struct peer_name vector(const struct peer_param *experts, int64_t D, int64_t place)
{
    return (struct peer_name){.dims = 2,
                              .shape = {experts->shape[0], D},
                              .steps = 2,
                              .view = {experts->shape[0], D},
                              .stride = {experts->shape[1], 1},
                              .offset = place * D};
}

static enum peer_status add_experts(const struct naming *n, const struct peer_param *experts)
{
    static const char *const names[PEER_FOREIGN_COUNT][2] = {
        {"experts.u", "experts.v"},
        {"weight_down_embed.weight", "weight_up_embed.weight"},
        {"values_u.weight", "values_v.weight"},
        {NULL, NULL},
        {NULL, NULL}};
    const char *const *name = names[n->form];
    int64_t vectors = experts->shape[1] / n->D;
    if (!name[0] || (vectors > 2 && n->form != PEER_FOREIGN_SPLIT))
        return peer_fail(n->map->ctx, PEER_ERR_ARGUMENT,
                         "peer_foreign_map: %s: there are no %s experts in %s", experts->name,
                         vectors > 2 ? "glu" : "single", peer_foreign_names[n->form]);
    enum peer_status status = add(n, vector(experts, n->D, vectors - 2), experts, name[0]);
    if (!status)
        status = add(n, vector(experts, n->D, vectors - 1), experts, name[1]);
    if (!status && vectors > 2)
        status = add(n, vector(experts, n->D, 0), experts, "experts.g");
    return status;
}

/* The module's batch norm, NULL where it has none. */
static const char *batch_norm(const struct naming *n)
{
    return !n->batch || (n->peer && n->form == PEER_FOREIGN_LUCIDRAINS) ? NULL
           : n->form == PEER_FOREIGN_LUCIDRAINS                         ? "norm.fn"
           : n->form == PEER_FOREIGN_NOTEBOOK                           ? "query_proj.1"
                                                                        : "query_proj.query_mlps.1";
}

/* The module's name of an entry of the query norm, NULL where it has none. */
static const char *norm_name(char text[PEER_NAME_LENGTH], const struct naming *n, const char *rest)
{
    static const char *const own[] = {"gain", "bias", "mean", "var"};
    static const char *const torch[] = {"weight", "bias", "running_mean", "running_var"};
    const char *norm = batch_norm(n);
    for (int i = 0; i < 4 && norm; i++) {
        if (strcmp(rest, own[i]))
            continue;
        snprintf(text, PEER_NAME_LENGTH, "%s.%s", norm, torch[i]);
        return text;
    }
    return NULL;
}

static enum peer_status add_norm(const struct naming *n, const struct peer_param *param,
                                 const char *rest)
{
    char text[PEER_NAME_LENGTH], own[PEER_NAME_LENGTH];
    const char *name = norm_name(text, n, rest);
    snprintf(own, sizeof own, "query_norm.%s", rest);
    bool halves = n->form == PEER_FOREIGN_LUCIDRAINS;
    return add(n, halves ? by_halves(n, 1, 1) : as_it_is(), param, name ? name : own);
}

/* The entry called `rest` behind the prefix. */
static enum peer_status add_entry(const struct naming *n, const struct peer_param *param,
                                  const char *rest)
{
    static const char norm[] = "query_norm.";
    bool lucidrains = n->form == PEER_FOREIGN_LUCIDRAINS, meta = n->form == PEER_FOREIGN_META;
    if (strcmp(rest, "experts") == 0)
        return add_experts(n, param);
    if (n->form == PEER_FOREIGN_SPLIT)
        return add(n, as_it_is(), param, rest);
    if (strcmp(rest, "keys") == 0)
        return add(n, keys_of(n), param, rest);
    if (strcmp(rest, "values") == 0)
        return add(n, as_it_is(), param, "values.weight");
    if (strcmp(rest, "query") == 0)
        return add(n, lucidrains ? by_halves(n, 2, n->D) : as_it_is(), param,
                   lucidrains ? (n->peer ? "to_queries.0.weight" : "to_queries.weight")
                   : n->form == PEER_FOREIGN_NOTEBOOK ? "query_proj.0.weight"
                                                      : "query_proj.query_mlps.0.weight");
    if (strncmp(rest, norm, sizeof norm - 1) == 0)
        return add_norm(n, param, rest + sizeof norm - 1);
    if (meta && strcmp(rest, "gate") == 0)
        return add(n, as_it_is(), param, "swilu_projection.weight");
    if (meta && strcmp(rest, "output") == 0)
        return add(n, as_it_is(), param, "value_proj.weight");
    return add(n, as_it_is(), param, rest);
}

/* What torch's batch norm counts, and nobody here needs. */
static enum peer_status add_counter(const struct naming *n)
{
    static const struct peer_param none = {.name = ""};
    char text[PEER_NAME_LENGTH];
    snprintf(text, sizeof text, "%s.num_batches_tracked", batch_norm(n));
    return add(n, as_it_is(), &none, text);
}

enum peer_status peer_foreign_map(struct peer_name_map *map, const struct peer_params *list,
                                  const char *prefix, const char *tensor_prefix,
                                  enum peer_foreign form)
{
    struct naming n = {.map = map, .prefix = prefix, .tensor_prefix = tensor_prefix, .form = form};
    const struct peer_param *query = entry(list, prefix, "query");
    const struct peer_param *keys = entry(list, prefix, "keys");
    size_t length = strlen(prefix);
    bool any = false;
    if (query && keys) {
        n.peer = entry(list, prefix, "experts") != NULL;
        n.batch = entry(list, prefix, "query_norm.mean") != NULL;
        n.tables = keys->shape[0];
        n.side = keys->shape[2];
        n.half = keys->shape[3];
        n.heads = query->shape[0] / (2 * n.half);
        n.D = query->shape[1];
    }
    enum peer_status status = PEER_OK;
    for (int64_t i = 0; i < list->count && !status; i++) {
        const struct peer_param *param = &list->items[i];
        if (strncmp(param->name, prefix, length))
            continue;
        any = true;
        status = n.D ? add_entry(&n, param, param->name + length)
                     : add(&n, as_it_is(), param, param->name + length);
    }
    if (!status && n.D && form != PEER_FOREIGN_SPLIT && batch_norm(&n))
        status = add_counter(&n);
    if (!status && !any)
        status = peer_fail(map->ctx, PEER_ERR_ARGUMENT,
                           "peer_foreign_map: none of %lld entries begins with %.60s",
                           (long long)list->count, prefix);
    return status;
}
