/* SPDX-License-Identifier: MIT */
#include "lm/tables.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "lm/config.h"
#include "nn/file.h"
#include "nn/pool.h"
#include "nn/random.h"
#include "nn/tables/table_undo.h"

const char *const lm_place_names[] = {"memory", "mapped", NULL};

struct lm_tables {
    struct peer_pool pool;
    char folder[PATH_MAX];
    struct peer_table_file *file[LM_MAX_BLOCKS]; /* NULL where a block has none */
    struct peer_table_undo *undo[LM_MAX_BLOCKS];
};

/* What the file of a block must be; false where it has no table. */
static bool describe(struct peer_table_file_config *ret, const struct lm_config *config,
                     int64_t block, uint64_t seed)
{
    char entry[PEER_PARAM_NAME];
    const void *ffw_config;
    const struct peer_ffw_type *type = lm_config_ffw(config, block, &ffw_config);
    if (!type->table)
        return false;
    const char *name = type->table(ret, ffw_config, config->width);
    snprintf(entry, sizeof entry, "blocks.%lld.ffw.%s", (long long)block, name);
    ret->seed = seed;
    ret->stream = peer_stream(entry);
    return true;
}

size_t lm_tables_bytes(const struct lm_config *config)
{
    struct peer_table_file_config file;
    size_t bytes = 0;
    for (int64_t block = 0; block < config->blocks; block++)
        if (describe(&file, config, block, 0))
            bytes = peer_size_add(bytes, peer_table_file_bytes(&file));
    return bytes;
}

enum peer_status lm_tables_check(struct peer_ctx *ctx, const struct lm_config *config)
{
    struct peer_table_file_config file;
    if ((int)config->tables < 0 || config->tables >= LM_PLACE_COUNT)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "lm_config: tables = %d, expected 0 to %d",
                         (int)config->tables, LM_PLACE_COUNT - 1);
    if (config->tables == LM_PLACE_MEMORY)
        return PEER_OK;
    if (!config->ffw || !config->ffw->table)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "lm_config: tables = mapped, but ffw = %s has none",
                         config->ffw ? config->ffw->name : "dense");
    config->ffw->table(&file, config->ffw_config, config->width);
    return file.type == PEER_TABLE_INT8
               ? peer_fail(ctx, PEER_ERR_ARGUMENT,
                           "lm_config: tables = mapped, table = int8, expected f32 or bf16")
               : PEER_OK;
}

struct paths {
    char table[PATH_MAX + 32], undo[PATH_MAX + 32];
};

static struct paths paths_of(const struct lm_tables *t, int64_t block)
{
    struct paths p;
    snprintf(p.table, sizeof p.table, "%s/table-%d", t->folder, (int)block);
    snprintf(p.undo, sizeof p.undo, "%s/table-%d.undo", t->folder, (int)block);
    return p;
}

static enum peer_status open_block(struct lm_tables *t, int64_t block,
                                   const struct peer_table_file_config *file,
                                   enum peer_table_access access)
{
    struct peer_ctx *ctx = t->pool.ctx;
    struct paths path = paths_of(t, block);
    bool there = true;
    enum peer_status status = access == PEER_TABLE_READ_WRITE
                                  ? peer_file_there(&there, ctx, "lm_tables_open", path.table)
                                  : PEER_OK;
    if (!there)
        status = peer_table_file_create(ctx, path.table, file);
    if (!status)
        status = peer_table_file_open(&t->file[block], ctx, path.table, access);
    return status ? status : peer_table_undo_open(&t->undo[block], ctx, t->file[block], path.undo);
}

enum peer_status lm_tables_open(struct lm_tables **ret, struct peer_ctx *ctx,
                                const struct lm_config *config, const char *folder, uint64_t seed,
                                enum peer_table_access access)
{
    struct peer_pool pool = {.ctx = ctx};
    struct lm_tables *t = peer_pool_alloc(&pool, "lm_tables_open", sizeof *t, 1, 1, 1);
    enum peer_status status = t ? PEER_OK : PEER_ERR_MEMORY;
    if (t) {
        t->pool = pool;
        snprintf(t->folder, sizeof t->folder, "%s", folder);
    }
    for (int64_t block = 0; !status && block < config->blocks; block++) {
        struct peer_table_file_config file;
        if (describe(&file, config, block, seed))
            status = open_block(t, block, &file, access);
    }
    if (status)
        lm_tables_close(&t);
    else
        *ret = t;
    return status;
}

void lm_tables_close(struct lm_tables **tables)
{
    if (!tables || !*tables)
        return;
    for (int block = 0; block < LM_MAX_BLOCKS; block++) {
        peer_table_undo_close(&(*tables)->undo[block]);
        peer_table_file_close(&(*tables)->file[block]);
    }
    struct peer_pool pool = (*tables)->pool;
    peer_pool_free(&pool);
    *tables = NULL;
}

void lm_tables_remove(const struct lm_tables *tables)
{
    for (int block = 0; tables && block < LM_MAX_BLOCKS; block++) {
        if (!tables->file[block])
            continue;
        struct paths path = paths_of(tables, block);
        unlink(path.table);
        unlink(path.undo);
    }
}

struct peer_table_file *lm_tables_file(const struct lm_tables *tables, int64_t block)
{
    return tables ? tables->file[block] : NULL;
}

enum peer_status lm_tables_restore(struct lm_tables *tables, int64_t step)
{
    enum peer_status status = PEER_OK;
    for (int block = 0; tables && !status && block < LM_MAX_BLOCKS; block++)
        if (tables->undo[block])
            status = peer_table_undo_restore(tables->undo[block], step);
    return status;
}

static struct peer_table_undo *undo_of(const struct lm_tables *tables,
                                       const struct peer_table_file *file)
{
    int block = 0;
    while (tables->file[block] != file)
        block++;
    return tables->undo[block];
}

enum peer_status lm_tables_keep(struct lm_tables *tables, const struct peer_params *params)
{
    enum peer_status status = PEER_OK;
    for (int64_t i = 0; tables && !status && i < params->count; i++) {
        const struct peer_param *param = &params->items[i];
        if (param->kind != PEER_PARAM_ROWS || !param->table || !param->table->file)
            continue;
        peer_rows_group(param->rows);
        status = peer_table_undo_keep(undo_of(tables, param->table->file), param->rows->ids,
                                      param->rows->touched);
    }
    return status;
}

enum peer_status lm_tables_prepare(struct lm_tables *tables, int64_t step)
{
    enum peer_status status = PEER_OK;
    for (int block = 0; tables && !status && block < LM_MAX_BLOCKS; block++)
        if (tables->undo[block])
            status = peer_table_undo_prepare(tables->undo[block], step);
    return status;
}

enum peer_status lm_tables_commit(struct lm_tables *tables)
{
    enum peer_status status = PEER_OK;
    for (int block = 0; tables && !status && block < LM_MAX_BLOCKS; block++)
        if (tables->undo[block])
            status = peer_table_undo_commit(tables->undo[block]);
    return status;
}

enum peer_status lm_tables_rest(struct peer_params *list, const struct peer_params *params)
{
    enum peer_status status = PEER_OK;
    for (int64_t i = 0; !status && i < params->count; i++)
        if (!params->items[i].table || !params->items[i].table->file)
            status = peer_params_add(list, "", &params->items[i]);
    return status;
}
