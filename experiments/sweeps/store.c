/* SPDX-License-Identifier: MIT */
#include "experiments/sweeps/store.h"

#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/base/text.h"
#include "experiments/report/stage.h"
#include "experiments/runs/run.h"
#include "experiments/runs/run_result.h"
#include "experiments/sweeps/design.h"
#include "experiments/sweeps/store_schema.h"
#include "experiments/sweeps/store_snapshot.h"
#include "experiments/sweeps/variants.h"
#include "nn/file.h"

struct lab_store {
    struct peer_ctx *ctx;
    sqlite3 *db;
    char path[LAB_PATH];
    char *config; /* of the last lab_store_info() */
};

static enum peer_status fail(struct lab_store *store)
{
    return lab_store_fail(store->db, store->ctx, store->path);
}

static enum peer_status run_sql(struct lab_store *store, const char *sql)
{
    return sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK ? PEER_OK : fail(store);
}

/* Prepares a statement and binds texts to ?1, ?2, ...; NULL binds SQL NULL. */
static sqlite3_stmt *prepare(struct lab_store *store, const char *sql, int count,
                             const char *const *texts)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK)
        return NULL;
    for (int i = 0; i < count; i++)
        sqlite3_bind_text(statement, i + 1, texts[i], -1, SQLITE_TRANSIENT);
    return statement;
}

/* Runs a prepared statement to its end. */
static enum peer_status finish(struct lab_store *store, sqlite3_stmt *statement)
{
    int code = statement ? sqlite3_step(statement) : SQLITE_ERROR;
    enum peer_status status = code == SQLITE_DONE || code == SQLITE_ROW ? PEER_OK : fail(store);
    sqlite3_finalize(statement);
    return status;
}

/* The user's folder may be a link, the file in it may not. */
static int open_unlinked(struct lab_store *store, const char *folder)
{
    char path[PATH_MAX + 16];
    char *place = realpath(folder, NULL);
    snprintf(path, sizeof path, "%s/sweep.db", place ? place : folder);
    free(place);
    return sqlite3_open_v2(path, &store->db,
                           SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW, NULL);
}

/* Opens the file to be written, and renews what an older program made. */
static enum peer_status open_to_write(struct lab_store *store, const char *folder)
{
    enum peer_status status = lab_make_folder(store->ctx, folder);
    if (status == PEER_OK && open_unlinked(store, folder) != SQLITE_OK)
        status =
            peer_fail(store->ctx, PEER_ERR_IO, "%s: %s", store->path, sqlite3_errmsg(store->db));
    if (status == PEER_OK) {
        lab_store_harden(store->db);
        sqlite3_busy_timeout(store->db, 10000);
        status = lab_store_check(store->db, store->ctx, store->path, true);
    }
    if (status == PEER_OK)
        status = run_sql(store, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;");
    return status == PEER_OK ? run_sql(store, lab_store_renew) : status;
}

static enum peer_status open_to_read(struct lab_store *store)
{
    enum peer_status status = lab_store_snapshot(&store->db, store->ctx, store->path);
    if (status != PEER_OK)
        return status;
    lab_store_harden(store->db);
    return lab_store_check(store->db, store->ctx, store->path, false);
}

enum peer_status lab_store_open(struct lab_store **ret, struct peer_ctx *ctx, const char *folder,
                                bool write)
{
    if (strlen(folder) > LAB_FOLDER)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "%.60s...: longer than %d bytes", folder,
                         LAB_FOLDER);
    struct lab_store *store = calloc(1, sizeof *store);
    if (!store)
        return peer_fail(ctx, PEER_ERR_MEMORY, "%s: no memory for the store", folder);
    store->ctx = ctx;
    snprintf(store->path, sizeof store->path, "%s/sweep.db", folder);
    enum peer_status status = write ? open_to_write(store, folder) : open_to_read(store);
    if (status != PEER_OK) {
        lab_store_close(&store);
        return status;
    }
    *ret = store;
    return PEER_OK;
}

void lab_store_close(struct lab_store **store)
{
    if (!store || !*store)
        return;
    sqlite3_close((*store)->db);
    free((*store)->config);
    free(*store);
    *store = NULL;
}

enum peer_status lab_store_set_fact(struct lab_store *store, const char *key, const char *value)
{
    return finish(store, prepare(store, "INSERT OR REPLACE INTO info VALUES (?1, ?2)", 2,
                                 (const char *const[]){key, value}));
}

enum peer_status lab_store_set_info(struct lab_store *store, const struct lab_sweep_info *info)
{
    const struct {
        const char *key, *value;
    } facts[] = {{"name", info->name}, {"machine", info->machine}, {"revision", info->revision},
                 {"data", info->data}, {"command", info->command}, {"config", info->config}};
    enum peer_status status = PEER_OK;
    for (size_t i = 0; i < sizeof facts / sizeof *facts && status == PEER_OK; i++)
        status = lab_store_set_fact(store, facts[i].key, facts[i].value);
    if (status == PEER_OK)
        status = run_sql(store, "INSERT OR IGNORE INTO info VALUES ('created', "
                                "strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))");
    return status;
}

enum peer_status lab_store_fact(char **ret, struct lab_store *store, const char *key)
{
    enum peer_status status = PEER_OK;
    sqlite3_stmt *statement =
        prepare(store, "SELECT value FROM info WHERE key = ?1", 1, (const char *const[]){key});
    int code = statement ? sqlite3_step(statement) : SQLITE_ERROR;
    *ret = NULL;
    if (code == SQLITE_ROW && sqlite3_column_type(statement, 0) != SQLITE_NULL) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        *ret = text ? strdup(text) : NULL;
        if (!*ret)
            status = peer_fail(store->ctx, PEER_ERR_MEMORY, "%s: no memory for its %s", store->path,
                               key);
    } else if (code != SQLITE_ROW && code != SQLITE_DONE) {
        status = fail(store);
    }
    sqlite3_finalize(statement);
    return status;
}

enum peer_status lab_store_info(struct lab_store *store, struct lab_sweep_info *ret)
{
    struct lab_sweep_info info = {0};
    const struct {
        const char *key;
        char *text;
        size_t size;
    } facts[] = {{"name", info.name, sizeof info.name},
                 {"created", info.created, sizeof info.created},
                 {"machine", info.machine, sizeof info.machine},
                 {"revision", info.revision, sizeof info.revision},
                 {"data", info.data, sizeof info.data},
                 {"command", info.command, sizeof info.command}};
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        char *value;
        enum peer_status status = lab_store_fact(&value, store, facts[i].key);
        if (status != PEER_OK)
            return status;
        snprintf(facts[i].text, facts[i].size, "%s", value ? value : "");
        free(value);
    }
    free(store->config);
    store->config = NULL;
    enum peer_status status = lab_store_fact(&store->config, store, "config");
    if (status != PEER_OK)
        return status;
    info.config = store->config ? store->config : "";
    *ret = info;
    return PEER_OK;
}

static char *config_text(struct lab_store *store, const struct lab_run_config *config)
{
    char *text = lab_run_config_text(config, true);
    if (text)
        return text;
    peer_fail(store->ctx, PEER_ERR_MEMORY, "%s: no memory for a run's config", store->path);
    return NULL;
}

/* With the id, or, where that is 0, with the next one. */
static enum peer_status insert_run(struct lab_store *store, int64_t id,
                                   const struct lab_run_config *config, double flops,
                                   const char *text)
{
    const char *ffw = config->model.ffw ? config->model.ffw->name : "dense";
    sqlite3_stmt *statement =
        prepare(store,
                "INSERT OR IGNORE INTO runs (variant, ffw, config, budget, width, blocks, seed, "
                "planned_flops, state, changed, id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, "
                "'pending', strftime('%Y-%m-%dT%H:%M:%SZ', 'now'), ?9)",
                3, (const char *const[]){config->variant, ffw, text});
    if (!statement)
        return fail(store);
    sqlite3_bind_double(statement, 4, config->budget);
    sqlite3_bind_int64(statement, 5, config->model.width);
    sqlite3_bind_int64(statement, 6, config->model.blocks);
    sqlite3_bind_int64(statement, 7, (int64_t)config->train.seed);
    sqlite3_bind_double(statement, 8, flops);
    if (id > 0)
        sqlite3_bind_int64(statement, 9, id);
    return finish(store, statement);
}

static enum peer_status find_text(struct lab_store *store, int64_t *id, const char *text)
{
    sqlite3_stmt *statement =
        prepare(store, "SELECT id FROM runs WHERE config = ?1", 1, (const char *const[]){text});
    int code = statement ? sqlite3_step(statement) : SQLITE_ERROR;
    enum peer_status status = PEER_OK;
    if (code == SQLITE_ROW)
        *id = sqlite3_column_int64(statement, 0);
    else if (code == SQLITE_DONE)
        *id = 0;
    else
        status = fail(store);
    sqlite3_finalize(statement);
    return status;
}

enum peer_status lab_store_find(struct lab_store *store, int64_t *id,
                                const struct lab_run_config *config)
{
    char *text = config_text(store, config);
    enum peer_status status = text ? find_text(store, id, text) : PEER_ERR_MEMORY;
    free(text);
    return status;
}

static enum peer_status record_settings(struct lab_store *store, int64_t id, uint64_t key)
{
    sqlite3_stmt *statement =
        prepare(store,
                "INSERT INTO settings VALUES (?1, ?2) ON CONFLICT (run) DO UPDATE SET key = "
                "excluded.key WHERE key <> excluded.key",
                0, NULL);
    if (!statement)
        return fail(store);
    sqlite3_bind_int64(statement, 1, id);
    sqlite3_bind_int64(statement, 2, (int64_t)key);
    return finish(store, statement);
}

enum peer_status lab_store_add(struct lab_store *store, int64_t *id,
                               const struct lab_run_config *config, double flops)
{
    char *text = config_text(store, config);
    if (!text)
        return PEER_ERR_MEMORY;
    enum peer_status status = insert_run(store, 0, config, flops, text);
    if (status == PEER_OK)
        status = find_text(store, id, text);
    if (status == PEER_OK && config->settings)
        status = record_settings(store, *id, config->settings);
    free(text);
    return status;
}

enum peer_status lab_store_restore(struct lab_store *store, int64_t id,
                                   const struct lab_run_config *config, double flops)
{
    char *text = config_text(store, config);
    enum peer_status status = text ? insert_run(store, id, config, flops, text) : PEER_ERR_MEMORY;
    free(text);
    return status;
}

bool lab_store_empty(struct lab_store *store)
{
    sqlite3_stmt *statement = prepare(store, "SELECT 1 FROM runs LIMIT 1", 0, NULL);
    bool empty = statement && sqlite3_step(statement) == SQLITE_DONE;
    sqlite3_finalize(statement);
    return empty;
}

enum peer_status lab_store_in_place(struct lab_store *store)
{
    int moved = 0;
    sqlite3_file_control(store->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    return moved ? peer_fail(store->ctx, PEER_ERR_IO,
                             "%s was deleted or replaced while the sweep was at work, so that it "
                             "does not hold what came out; the run folders beside it do: the same "
                             "command takes in what is finished there, and carries on",
                             store->path)
                 : PEER_OK;
}

enum peer_status lab_store_recover(struct lab_store *store, bool retry)
{
    return run_sql(store, retry ? "UPDATE runs SET state = 'pending', message = '' "
                                  "WHERE state IN ('running', 'failed')"
                                : "UPDATE runs SET state = 'pending' WHERE state = 'running'");
}

static enum lab_state state_from_name(const char *name)
{
    for (int state = 0; name && state < LAB_STATE_COUNT; state++)
        if (strcmp(lab_state_names[state], name) == 0)
            return (enum lab_state)state;
    return LAB_FAILED;
}

enum peer_status lab_store_state(struct lab_store *store, int64_t id, enum lab_state *ret)
{
    sqlite3_stmt *statement = prepare(store, "SELECT state FROM runs WHERE id = ?1", 0, NULL);
    enum peer_status status = PEER_OK;
    if (statement)
        sqlite3_bind_int64(statement, 1, id);
    if (statement && sqlite3_step(statement) == SQLITE_ROW)
        *ret = state_from_name((const char *)sqlite3_column_text(statement, 0));
    else
        status = fail(store);
    sqlite3_finalize(statement);
    return status;
}

/* Takes in curve.csv; an older program's resumed run repeats steps, with the same bits. */
static enum peer_status take_curve(struct lab_store *store, int64_t id, const char *run_folder)
{
    char path[LAB_PATH], line[256];
    snprintf(path, sizeof path, "%s/curve.csv", run_folder);
    errno = 0;
    FILE *file = fopen(path, "r");
    enum peer_status status = PEER_OK;
    if (!file && errno != ENOENT)
        return peer_fail(store->ctx, PEER_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
    while (file && status == PEER_OK && fgets(line, sizeof line, file)) {
        long long step, tokens;
        double loss;
        if (sscanf(line, "%lld,%lld,%lf", &step, &tokens, &loss) != 3)
            continue;
        sqlite3_stmt *statement =
            prepare(store, "INSERT OR REPLACE INTO curves VALUES (?1, ?2, ?3, ?4)", 0, NULL);
        if (!statement) {
            status = fail(store);
            break;
        }
        sqlite3_bind_int64(statement, 1, id);
        sqlite3_bind_int64(statement, 2, step);
        sqlite3_bind_int64(statement, 3, tokens);
        sqlite3_bind_double(statement, 4, loss);
        status = finish(store, statement);
    }
    if (file && status == PEER_OK && ferror(file))
        status =
            peer_fail(store->ctx, PEER_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
    if (file)
        fclose(file);
    return status;
}

static enum peer_status update_run(struct lab_store *store, int64_t id, enum lab_state state,
                                   const char *message, const char *result)
{
    sqlite3_stmt *statement =
        prepare(store,
                "UPDATE runs SET state = ?1, message = ?2, result = ?3, "
                "changed = strftime('%Y-%m-%dT%H:%M:%SZ', 'now') WHERE id = ?4",
                3, (const char *const[]){lab_state_names[state], message ? message : "", result});
    if (statement)
        sqlite3_bind_int64(statement, 4, id);
    return finish(store, statement);
}

enum peer_status lab_store_begin(struct lab_store *store)
{
    return run_sql(store, "BEGIN IMMEDIATE");
}

enum peer_status lab_store_end(struct lab_store *store, enum peer_status status)
{
    if (status == PEER_OK)
        status = run_sql(store, "COMMIT");
    if (status != PEER_OK) /* the error is kept; a failure here would say the same */
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

enum peer_status lab_store_set(struct lab_store *store, int64_t id, enum lab_state state,
                               const char *message, const char *run_folder)
{
    char *result = NULL;
    bool ended = state == LAB_DONE || state == LAB_DIVERGED;
    if (ended) {
        char path[LAB_PATH];
        snprintf(path, sizeof path, "%s/result.json", run_folder);
        if (!(result = lab_read_file(store->ctx, path)))
            return PEER_ERR_IO;
    }
    bool whole = sqlite3_get_autocommit(store->db) != 0; /* else what is begun goes on */
    enum peer_status status = whole ? lab_store_begin(store) : PEER_OK;
    if (status == PEER_OK) {
        status = update_run(store, id, state, message, result);
        if (status == PEER_OK && ended)
            status = take_curve(store, id, run_folder);
        if (whole)
            status = lab_store_end(store, status);
    }
    free(result);
    return status;
}

/* A column as text, cut where it does not fit; "" for NULL. */
static void take_text(char *text, size_t size, sqlite3_stmt *statement, int column)
{
    const char *value = (const char *)sqlite3_column_text(statement, column);
    lab_text_cut(text, size, value ? value : "");
}

/* Refuses what no run of peerlab's can have, before anything is computed or allocated by it. */
static enum peer_status check_row(const struct lab_store *store, const struct lab_result *row)
{
    const char *what = row->id < 1                                      ? "id"
                       : !(row->budget >= 0 && row->budget <= 1e30)     ? "budget"
                       : row->width < 1 || row->width > 16384           ? "width"
                       : row->blocks < 1 || row->blocks > LM_MAX_BLOCKS ? "blocks"
                                                                        : NULL;
    return what ? peer_fail(store->ctx, PEER_ERR_FORMAT,
                            "%s: run %lld: %s is none that peerlab writes", store->path,
                            (long long)row->id, what)
                : PEER_OK;
}

/* One row: figures from the result where there is one, identity from the columns. */
static enum peer_status read_row(struct lab_result *row, struct lab_store *store,
                                 sqlite3_stmt *statement)
{
    const char *result = (const char *)sqlite3_column_text(statement, 9);
    long long id = sqlite3_column_int64(statement, 0);
    memset(row, 0, sizeof *row);
    if (result) {
        char where[LAB_PATH + 48];
        snprintf(where, sizeof where, "%s: result of run %lld", store->path, id);
        enum peer_status status = lab_run_result_parse(row, store->ctx, where, result);
        if (status != PEER_OK)
            return status;
    }
    row->id = id;
    take_text(row->name, sizeof row->name, statement, 1);
    take_text(row->ffw, sizeof row->ffw, statement, 2);
    row->budget = sqlite3_column_double(statement, 3);
    row->width = sqlite3_column_int64(statement, 4);
    row->blocks = sqlite3_column_int64(statement, 5);
    row->seed = sqlite3_column_int64(statement, 6);
    row->state = state_from_name((const char *)sqlite3_column_text(statement, 7));
    take_text(row->message, sizeof row->message, statement, 8);
    row->ended = result ? sqlite3_column_int64(statement, 11) : 0;
    enum peer_status status =
        lab_design_read(row, store->ctx, (const char *)sqlite3_column_text(statement, 10));
    if (status != PEER_OK)
        return status;
    snprintf(row->curve, sizeof row->curve, "runs/%06lld/curve.csv", id);
    for (int i = 0; i < row->usages; i++) { /* the map's path from the run to the sweep */
        char name[sizeof row->usage[i].map];
        snprintf(name, sizeof name, "%s", row->usage[i].map);
        snprintf(row->usage[i].map, sizeof row->usage[i].map, "runs/%06lld/%.160s", id, name);
    }
    return check_row(store, row);
}

/* Rows as they come: how many there are, the rows say and nothing else. */
struct rows {
    struct lab_result *row;
    struct lab_variant_source *source; /* configs are malloc()ed */
    int64_t count, room;
};

static bool make_room(struct rows *rows)
{
    if (rows->count < rows->room)
        return true;
    int64_t room = rows->room ? 2 * rows->room : 64;
    struct lab_result *row = realloc(rows->row, (size_t)room * sizeof *row);
    if (row)
        rows->row = row;
    struct lab_variant_source *source = realloc(rows->source, (size_t)room * sizeof *source);
    if (source)
        rows->source = source;
    if (row && source)
        rows->room = room;
    return row && source;
}

static enum peer_status take_row(struct rows *rows, struct lab_store *store,
                                 sqlite3_stmt *statement)
{
    const char *config = (const char *)sqlite3_column_text(statement, 10);
    char *copy = strdup(config ? config : "");
    if (!copy || !make_room(rows)) {
        free(copy);
        return peer_fail(store->ctx, PEER_ERR_MEMORY, "%s: no memory for its runs", store->path);
    }
    enum peer_status status = read_row(&rows->row[rows->count], store, statement);
    if (status != PEER_OK) {
        lab_result_free(&rows->row[rows->count]);
        free(copy);
        return status;
    }
    uint64_t key = (uint64_t)sqlite3_column_int64(statement, 12);
    rows->source[rows->count++] = (struct lab_variant_source){copy, key};
    return PEER_OK;
}

enum peer_status lab_store_results(struct lab_store *store, struct lab_result **ret, int64_t *count)
{
    /* An older program's store does not say what belonged together when it was planned. */
    bool recorded = sqlite3_table_column_metadata(store->db, "main", "settings", "key", NULL, NULL,
                                                  NULL, NULL, NULL) == SQLITE_OK;
    char sql[512];
    snprintf(sql, sizeof sql,
             "SELECT id, variant, ffw, budget, width, blocks, seed, state, message, result, "
             "config, CAST(strftime('%%s', changed) AS INTEGER), %s FROM runs ORDER BY id",
             recorded ? "(SELECT key FROM settings WHERE run = id)" : "0");
    sqlite3_stmt *statement = prepare(store, sql, 0, NULL);
    struct rows rows = {0};
    enum peer_status status = statement ? PEER_OK : fail(store);
    int code = SQLITE_DONE;
    while (status == PEER_OK && (code = sqlite3_step(statement)) == SQLITE_ROW)
        status = take_row(&rows, store, statement);
    if (status == PEER_OK && code != SQLITE_DONE)
        status = fail(store);
    sqlite3_finalize(statement);
    if (status == PEER_OK)
        status = lab_variants_tell_apart(rows.row, store->ctx, rows.source, rows.count);
    for (int64_t i = 0; i < rows.count; i++)
        free((char *)rows.source[i].config);
    free(rows.source);
    if (status != PEER_OK) {
        lab_results_free(&rows.row, rows.count);
        return status;
    }
    *ret = rows.row;
    *count = rows.count;
    return PEER_OK;
}

void lab_results_free(struct lab_result **results, int64_t count)
{
    for (int64_t i = 0; *results && i < count; i++)
        lab_result_free(&(*results)[i]);
    free(*results);
    *results = NULL;
}
