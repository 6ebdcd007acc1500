/* SPDX-License-Identifier: MIT */
#include "experiments/sweeps/store_schema.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { STORE_VERSION = 1, LONGEST_VALUE = 64 << 20 };

static const char info_table[] = "CREATE TABLE info (key TEXT PRIMARY KEY, value TEXT NOT NULL)";
static const char runs_table[] =
    "CREATE TABLE runs ("
    "  id INTEGER PRIMARY KEY, variant TEXT NOT NULL, ffw TEXT NOT NULL, budget REAL NOT NULL,"
    "  width INTEGER NOT NULL, blocks INTEGER NOT NULL, seed INTEGER NOT NULL,"
    "  planned_flops REAL NOT NULL, state TEXT NOT NULL, message TEXT NOT NULL DEFAULT '',"
    "  config TEXT NOT NULL UNIQUE, result TEXT, changed TEXT NOT NULL)";
static const char curves_table[] =
    "CREATE TABLE curves (run INTEGER NOT NULL REFERENCES runs(id), step INTEGER NOT NULL,"
    "  tokens INTEGER NOT NULL, loss REAL, PRIMARY KEY (run, step)) WITHOUT ROWID";
/* lab_settings_plan_key() of a run. Stores of older programs have no such table, nor do these
 * programs mind it, so that it needs no version. */
#define SETTINGS_TABLE                                                                             \
    "settings (run INTEGER PRIMARY KEY REFERENCES runs(id), key INTEGER NOT NULL)"

/* The view is made anew whenever the store is opened to be written: an older program's has fewer
 * columns. */
const char lab_store_renew[] =
    "BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS " SETTINGS_TABLE ";"
    "DROP VIEW IF EXISTS results;"
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
    "  json_extract(result, '$.facts_accuracy') AS facts_accuracy,"
    "  (SELECT key FROM settings WHERE run = id) AS settings FROM runs;"
    "COMMIT;";

/* What a store may consist of. `sql` NULL: whatever it says, since nothing here reads it. */
static const struct part {
    const char *type, *name, *sql;
    bool needed;
} parts[] = {{"table", "info", info_table, true},
             {"table", "runs", runs_table, true},
             {"table", "curves", curves_table, true},
             {"table", "settings", "CREATE TABLE " SETTINGS_TABLE, false},
             {"index", "sqlite_autoindex_info_1", "", true},
             {"index", "sqlite_autoindex_runs_1", "", true},
             {"view", "results", NULL, false},
             {"table", "sqlite_stat1", "CREATE TABLE sqlite_stat1(tbl,idx,stat)", false}};
enum { PARTS = sizeof parts / sizeof *parts };

enum peer_status lab_store_fail(sqlite3 *db, struct peer_ctx *ctx, const char *path)
{
    int code = sqlite3_errcode(db) & 0xff;
    bool system = code == SQLITE_IOERR || code == SQLITE_CANTOPEN || code == SQLITE_FULL;
    int reason = db && system ? sqlite3_system_errno(db) : 0;
    bool damaged = code == SQLITE_NOTADB || code == SQLITE_CORRUPT || code == SQLITE_TOOBIG;
    return peer_fail(ctx, damaged ? PEER_ERR_FORMAT : PEER_ERR_IO, "%s: %s%s%s%s", path,
                     damaged ? "not a run store, or a damaged one: " : "",
                     db ? sqlite3_errmsg(db) : "no memory", reason ? ": " : "",
                     reason ? strerror(reason) : "");
}

void lab_store_harden(sqlite3 *db)
{
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, LONGEST_VALUE);
}

/* The single number of a query. */
static enum peer_status query(sqlite3 *db, struct peer_ctx *ctx, const char *path, const char *sql,
                              int *ret)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    enum peer_status status = PEER_OK;
    if (code == SQLITE_ROW)
        *ret = sqlite3_column_int(statement, 0);
    else
        status = lab_store_fail(db, ctx, path);
    sqlite3_finalize(statement);
    return status;
}

static const char *column(sqlite3_stmt *statement, int i)
{
    const char *text = (const char *)sqlite3_column_text(statement, i);
    return text ? text : "";
}

static int part_of(sqlite3_stmt *row)
{
    for (int i = 0; i < PARTS; i++)
        if (!strcmp(parts[i].type, column(row, 0)) && !strcmp(parts[i].name, column(row, 1)))
            return !parts[i].sql || !strcmp(parts[i].sql, column(row, 2)) ? i : -1;
    return -1;
}

/* A file with other tables, views, triggers or indexes was made or changed by hand: what a query
 * means there, or does, is up to whoever did it. */
static enum peer_status check_schema(sqlite3 *db, struct peer_ctx *ctx, const char *path)
{
    bool found[PARTS] = {false};
    sqlite3_stmt *row = NULL;
    enum peer_status status = PEER_OK;
    int code =
        sqlite3_prepare_v2(db, "SELECT type, name, sql FROM main.sqlite_master", -1, &row, NULL);
    while (code == SQLITE_OK && status == PEER_OK && (code = sqlite3_step(row)) == SQLITE_ROW) {
        int part = part_of(row);
        if (part < 0)
            status = peer_fail(ctx, PEER_ERR_FORMAT,
                               "%s: not a run store of peerlab, or one changed by hand: the %.20s "
                               "%.40s is not its own; nothing was read",
                               path, column(row, 0), column(row, 1));
        else
            found[part] = true;
        code = SQLITE_OK;
    }
    if (status == PEER_OK && code != SQLITE_DONE)
        status = lab_store_fail(db, ctx, path);
    sqlite3_finalize(row);
    for (int i = 0; i < PARTS && status == PEER_OK; i++)
        if (parts[i].needed && !found[i])
            status = peer_fail(ctx, PEER_ERR_FORMAT,
                               "%s: not a run store of peerlab: the %s %s is missing", path,
                               parts[i].type, parts[i].name);
    return status;
}

/* Rows on pages that are damaged or cut away would be missed late, or never. */
static enum peer_status check_whole(sqlite3 *db, struct peer_ctx *ctx, const char *path)
{
    int whole = 0;
    enum peer_status status =
        query(db, ctx, path, "SELECT quick_check = 'ok' FROM pragma_quick_check(1)", &whole);
    if (status == PEER_OK && !whole)
        status = peer_fail(ctx, PEER_ERR_FORMAT,
                           "%s: damaged; put a copy of it back, or move it away: the next sweep "
                           "run takes in what the run folders hold",
                           path);
    return status;
}

static enum peer_status create_tables(sqlite3 *db, struct peer_ctx *ctx, const char *path)
{
    char sql[sizeof info_table + sizeof runs_table + sizeof curves_table + 64];
    snprintf(sql, sizeof sql, "BEGIN;%s;%s;%s;PRAGMA user_version = %d;COMMIT;", info_table,
             runs_table, curves_table, STORE_VERSION);
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? PEER_OK
                                                                : lab_store_fail(db, ctx, path);
}

enum peer_status lab_store_check(sqlite3 *db, struct peer_ctx *ctx, const char *path, bool create)
{
    struct stat info = {0};
    int version = 0;
    enum peer_status status = query(db, ctx, path, "PRAGMA user_version", &version);
    if (status != PEER_OK)
        return status;
    stat(path, &info); /* after the query, which takes back what a killed process began */
    if (version > STORE_VERSION)
        return peer_fail(ctx, PEER_ERR_FORMAT,
                         "%s: written by a newer peerlab (store version %d, this program knows "
                         "%d); nothing was changed",
                         path, version, STORE_VERSION);
    if (version != STORE_VERSION && create && info.st_size == 0)
        return create_tables(db, ctx, path);
    if (version != STORE_VERSION)
        return peer_fail(ctx, PEER_ERR_FORMAT, "%s: not a run store", path);
    status = check_schema(db, ctx, path);
    return status == PEER_OK ? check_whole(db, ctx, path) : status;
}
