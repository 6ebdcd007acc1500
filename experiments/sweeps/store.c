/* SPDX-License-Identifier: MIT */
#include "experiments/sweeps/store.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "experiments/report/stage.h"
#include "experiments/runs/run.h"
#include "experiments/runs/run_result.h"
#include "experiments/sweeps/design.h"

enum { STORE_VERSION = 1 };

struct lab_store {
    struct peer_ctx *ctx;
    sqlite3 *db;
    char path[LAB_PATH];
    char *config; /* of the last lab_store_info() */
};

static const char schema[] =
    "CREATE TABLE info (key TEXT PRIMARY KEY, value TEXT NOT NULL);"
    "CREATE TABLE runs ("
    "  id INTEGER PRIMARY KEY, variant TEXT NOT NULL, ffw TEXT NOT NULL, budget REAL NOT NULL,"
    "  width INTEGER NOT NULL, blocks INTEGER NOT NULL, seed INTEGER NOT NULL,"
    "  planned_flops REAL NOT NULL, state TEXT NOT NULL, message TEXT NOT NULL DEFAULT '',"
    "  config TEXT NOT NULL UNIQUE, result TEXT, changed TEXT NOT NULL);"
    "CREATE TABLE curves (run INTEGER NOT NULL REFERENCES runs(id), step INTEGER NOT NULL,"
    "  tokens INTEGER NOT NULL, loss REAL, PRIMARY KEY (run, step)) WITHOUT ROWID;"
    "PRAGMA user_version = 1;";

/* Made anew whenever the store is opened to be written: an older program's has fewer columns. */
static const char view[] =
    "BEGIN IMMEDIATE; DROP VIEW IF EXISTS results;"
    "CREATE VIEW results AS SELECT id, variant, ffw, budget, width, blocks, seed, state, message,"
    "  json_extract(result, '$.params_total') AS params_total,"
    "  json_extract(result, '$.params_active') AS params_active,"
    "  json_extract(result, '$.tokens') AS tokens, json_extract(result, '$.flops') AS flops,"
    "  json_extract(result, '$.seconds') AS seconds, json_extract(result, '$.nats') AS nats,"
    "  json_extract(result, '$.perplexity') AS perplexity,"
    "  json_extract(result, '$.bits_per_byte') AS bits_per_byte,"
    "  json_extract(result, '$.peak_bytes') AS peak_bytes,"
    "  json_extract(result, '$.facts') AS facts,"
    "  json_extract(result, '$.facts_asked') AS facts_asked,"
    "  json_extract(result, '$.facts_bits') AS facts_bits,"
    "  json_extract(result, '$.facts_bits_error') AS facts_bits_error,"
    "  json_extract(result, '$.facts_bits_clipped') AS facts_bits_clipped,"
    "  json_extract(result, '$.facts_bits_total') AS facts_bits_total,"
    "  json_extract(result, '$.facts_accuracy') AS facts_accuracy FROM runs;"
    "COMMIT;";

static enum peer_status fail(struct lab_store *store)
{
    int code = sqlite3_errcode(store->db) & 0xff;
    bool system = code == SQLITE_IOERR || code == SQLITE_CANTOPEN || code == SQLITE_FULL;
    int reason = store->db && system ? sqlite3_system_errno(store->db) : 0;
    return peer_fail(store->ctx, PEER_ERR_IO, "%s: %s%s%s", store->path,
                     store->db ? sqlite3_errmsg(store->db) : "no memory", reason ? ": " : "",
                     reason ? strerror(reason) : "");
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

/* The single number of a query; of what is no database or a damaged one PEER_ERR_FORMAT. */
static enum peer_status query(struct lab_store *store, const char *sql, int *ret)
{
    sqlite3_stmt *statement = prepare(store, sql, 0, NULL);
    int code = statement ? sqlite3_step(statement) : sqlite3_errcode(store->db);
    enum peer_status status = PEER_OK;
    if (code == SQLITE_ROW)
        *ret = sqlite3_column_int(statement, 0);
    else if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT)
        status = peer_fail(store->ctx, PEER_ERR_FORMAT, "%s: not a run store (%s)", store->path,
                           sqlite3_errmsg(store->db));
    else
        status = fail(store);
    sqlite3_finalize(statement);
    return status;
}

/* Rows on pages that are damaged or cut away would be missed late, or never. */
static enum peer_status check_whole(struct lab_store *store)
{
    int whole = 0;
    enum peer_status status =
        query(store, "SELECT quick_check = 'ok' FROM pragma_quick_check(1)", &whole);
    if (status == PEER_OK && !whole)
        status = peer_fail(store->ctx, PEER_ERR_FORMAT,
                           "%s: damaged; put a copy of it back, or sweep into another folder",
                           store->path);
    return status;
}

static enum peer_status check_version(struct lab_store *store, bool create)
{
    struct stat info = {0};
    int version = 0;
    stat(store->path, &info);
    enum peer_status status = query(store, "PRAGMA user_version", &version);
    if (status != PEER_OK)
        return status;
    if (version > STORE_VERSION)
        return peer_fail(store->ctx, PEER_ERR_FORMAT,
                         "%s: written by a newer peerlab (store version %d, this program knows "
                         "%d); nothing was changed",
                         store->path, version, STORE_VERSION);
    if (version == STORE_VERSION)
        return check_whole(store);
    if (!create || info.st_size > 0)
        return peer_fail(store->ctx, PEER_ERR_FORMAT, "%s: not a run store", store->path);
    char sql[sizeof schema + 64];
    snprintf(sql, sizeof sql, "BEGIN;%sCOMMIT;", schema);
    return run_sql(store, sql);
}

enum peer_status lab_store_open(struct lab_store **ret, struct peer_ctx *ctx, const char *folder,
                                bool create)
{
    if (strlen(folder) > LAB_FOLDER)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "%.60s...: longer than %d bytes", folder,
                         LAB_FOLDER);
    struct lab_store *store = calloc(1, sizeof *store);
    if (!store)
        return peer_fail(ctx, PEER_ERR_MEMORY, "%s: no memory for the store", folder);
    store->ctx = ctx;
    snprintf(store->path, sizeof store->path, "%s/sweep.db", folder);
    enum peer_status status = PEER_OK;
    if (create)
        status = lab_make_folder(ctx, folder);
    int flags = SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0);
    if (status == PEER_OK && sqlite3_open_v2(store->path, &store->db, flags, NULL) != SQLITE_OK)
        status = peer_fail(ctx, PEER_ERR_IO, "%s: %s", store->path,
                           create ? sqlite3_errmsg(store->db) : "no sweep is kept here");
    if (status == PEER_OK) {
        sqlite3_busy_timeout(store->db, 10000);
        status = check_version(store, create);
    }
    if (status == PEER_OK)
        status = run_sql(store, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;");
    if (status == PEER_OK && create)
        status = run_sql(store, view);
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

char *lab_store_fact(struct lab_store *store, const char *key)
{
    char *value = NULL;
    sqlite3_stmt *statement =
        prepare(store, "SELECT value FROM info WHERE key = ?1", 1, (const char *const[]){key});
    if (statement && sqlite3_step(statement) == SQLITE_ROW)
        value = strdup((const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    return value;
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
        char *value = lab_store_fact(store, facts[i].key);
        snprintf(facts[i].text, facts[i].size, "%s", value ? value : "");
        free(value);
    }
    free(store->config);
    store->config = lab_store_fact(store, "config");
    info.config = store->config ? store->config : "";
    *ret = info;
    return PEER_OK;
}

static char *config_text(struct lab_store *store, const struct lab_run_config *config)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    bool written = memory && lab_run_config_write(memory, config);
    if (memory && fclose(memory) == 0 && written)
        return text;
    free(text);
    peer_fail(store->ctx, PEER_ERR_MEMORY, "%s: no memory for a run's config", store->path);
    return NULL;
}

static enum peer_status insert_run(struct lab_store *store, const struct lab_run_config *config,
                                   double flops, const char *text)
{
    const char *ffw = config->model.ffw ? config->model.ffw->name : "dense";
    sqlite3_stmt *statement =
        prepare(store,
                "INSERT OR IGNORE INTO runs (variant, ffw, config, budget, width, blocks, seed, "
                "planned_flops, state, changed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'pending', "
                "strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))",
                3, (const char *const[]){config->variant, ffw, text});
    if (!statement)
        return fail(store);
    sqlite3_bind_double(statement, 4, config->budget);
    sqlite3_bind_int64(statement, 5, config->model.width);
    sqlite3_bind_int64(statement, 6, config->model.blocks);
    sqlite3_bind_int64(statement, 7, (int64_t)config->train.seed);
    sqlite3_bind_double(statement, 8, flops);
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

enum peer_status lab_store_add(struct lab_store *store, int64_t *id,
                               const struct lab_run_config *config, double flops)
{
    char *text = config_text(store, config);
    if (!text)
        return PEER_ERR_MEMORY;
    enum peer_status status = insert_run(store, config, flops, text);
    if (status == PEER_OK)
        status = find_text(store, id, text);
    free(text);
    return status;
}

enum peer_status lab_store_recover(struct lab_store *store, bool retry)
{
    return run_sql(store, retry ? "UPDATE runs SET state = 'pending', message = '' "
                                  "WHERE state IN ('running', 'failed')"
                                : "UPDATE runs SET state = 'pending' WHERE state = 'running'");
}

static enum lab_state state_from_name(const char *name)
{
    for (int state = 0; state < LAB_STATE_COUNT; state++)
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

/* Takes in curve.csv; a resumed run may repeat steps, the last of which count. */
static enum peer_status take_curve(struct lab_store *store, int64_t id, const char *run_folder)
{
    char path[LAB_PATH], line[256];
    snprintf(path, sizeof path, "%s/curve.csv", run_folder);
    FILE *file = fopen(path, "r");
    enum peer_status status = PEER_OK;
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
    enum peer_status status = run_sql(store, "BEGIN IMMEDIATE");
    if (status == PEER_OK) {
        status = update_run(store, id, state, message, result);
        if (status == PEER_OK && ended)
            status = take_curve(store, id, run_folder);
        if (status == PEER_OK)
            status = run_sql(store, "COMMIT");
        if (status != PEER_OK) /* the error is kept; a failure here would say the same */
            sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    }
    free(result);
    return status;
}

/* One row: figures from the result where there is one, identity from the columns. */
static enum peer_status read_row(struct lab_result *row, struct lab_store *store,
                                 sqlite3_stmt *statement)
{
    const char *result = (const char *)sqlite3_column_text(statement, 9);
    memset(row, 0, sizeof *row);
    if (result) {
        enum peer_status status = lab_run_result_parse(row, store->ctx, store->path, result);
        if (status != PEER_OK)
            return status;
    }
    row->id = sqlite3_column_int64(statement, 0);
    snprintf(row->variant, sizeof row->variant, "%s", sqlite3_column_text(statement, 1));
    snprintf(row->ffw, sizeof row->ffw, "%s", sqlite3_column_text(statement, 2));
    row->budget = sqlite3_column_double(statement, 3);
    row->width = sqlite3_column_int64(statement, 4);
    row->blocks = sqlite3_column_int64(statement, 5);
    row->seed = sqlite3_column_int64(statement, 6);
    row->state = state_from_name((const char *)sqlite3_column_text(statement, 7));
    snprintf(row->message, sizeof row->message, "%s", sqlite3_column_text(statement, 8));
    row->ended = result ? sqlite3_column_int64(statement, 12) : 0;
    lab_design_read(row, store->ctx, (const char *)sqlite3_column_text(statement, 10));
    snprintf(row->curve, sizeof row->curve, "runs/%06lld/curve.csv", (long long)row->id);
    for (int i = 0; i < row->usages; i++) { /* the map's path from the run to the sweep */
        char name[sizeof row->usage[i].map];
        snprintf(name, sizeof name, "%s", row->usage[i].map);
        snprintf(row->usage[i].map, sizeof row->usage[i].map, "runs/%06lld/%.160s",
                 (long long)row->id, name);
    }
    return PEER_OK;
}

enum peer_status lab_store_results(struct lab_store *store, struct lab_result **ret, int64_t *count)
{
    sqlite3_stmt *statement =
        prepare(store,
                "SELECT id, variant, ffw, budget, width, blocks, seed, state, message, result, "
                "config, (SELECT count(*) FROM runs), CAST(strftime('%s', changed) AS INTEGER) "
                "FROM runs ORDER BY id",
                0, NULL);
    struct lab_result *rows = NULL;
    int64_t used = 0;
    enum peer_status status = statement ? PEER_OK : fail(store);
    int code = SQLITE_DONE;
    while (status == PEER_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        if (!rows)
            rows = calloc((size_t)sqlite3_column_int64(statement, 11), sizeof *rows);
        if (!rows)
            status =
                peer_fail(store->ctx, PEER_ERR_MEMORY, "%s: no memory for its runs", store->path);
        else if ((status = read_row(&rows[used], store, statement)) == PEER_OK)
            used++;
    }
    if (status == PEER_OK && code != SQLITE_DONE)
        status = fail(store);
    sqlite3_finalize(statement);
    if (status != PEER_OK) {
        lab_results_free(&rows, used);
        return status;
    }
    *ret = rows;
    *count = used;
    return PEER_OK;
}

void lab_results_free(struct lab_result **results, int64_t count)
{
    for (int64_t i = 0; *results && i < count; i++)
        lab_result_free(&(*results)[i]);
    free(*results);
    *results = NULL;
}
