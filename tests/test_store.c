/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "experiments/runs/run.h"
#include "experiments/runs/run_result.h"
#include "experiments/sweeps/store.h"
#include "peer/types.h"
#include "tests/support/tempdir.h"

static struct peer_ctx *ctx;
static struct tempdir dir;
static struct tempfile file; /* the store's */

static void set_up(void)
{
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    dir = tempdir_create();
    file = tempdir_file(&dir, "sweep.db");
}

static void tear_down(void)
{
    tempdir_remove(&dir);
    peer_ctx_destroy(&ctx);
}

TestSuite(store, .init = set_up, .fini = tear_down);

#define OK(call) cr_assert_eq((call), PEER_OK, "%s", peer_ctx_error(ctx))

static struct lab_store *open_store(void)
{
    struct lab_store *store = NULL;
    OK(lab_store_open(&store, ctx, dir.path, true));
    return store;
}

static void run_config(struct lab_run_config *config, uint64_t seed)
{
    lab_run_config_default(config, 48, 5, peer_ffw_find("peer"));
    strcpy(config->data, "data/x");
    strcpy(config->variant, "it's; \"p\"");
    config->budget = 1e13 / 3;
    config->train.seed = seed;
}

static int64_t add(struct lab_store *store, uint64_t seed)
{
    struct lab_run_config config;
    int64_t id = -1;
    run_config(&config, seed);
    OK(lab_store_add(store, &id, &config, 3.25e12));
    return id;
}

/* What a store of an older program holds: the digits of its texts are not those of run.yaml. */
Test(store, a_run_of_an_older_program_is_found)
{
    struct lab_store *store = open_store();
    int64_t added = add(store, 7);
    lab_store_close(&store);
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    cr_assert_eq(sqlite3_open(file.path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_prepare_v2(db,
                                    "SELECT config LIKE '%budget: 3333333333333.3335%' AND config "
                                    "LIKE '%  lr: 0.00300000003%' AND config LIKE '%beta1: "
                                    "0.899999976%' FROM runs",
                                    -1, &statement, NULL),
                 SQLITE_OK);
    cr_assert_eq(sqlite3_step(statement), SQLITE_ROW);
    cr_expect_eq(sqlite3_column_int(statement, 0), 1);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    store = open_store();
    cr_expect_eq(add(store, 7), added);
    lab_store_close(&store);
}

static enum lab_state state_of(struct lab_store *store, int64_t id)
{
    enum lab_state state = LAB_STATE_COUNT;
    OK(lab_store_state(store, id, &state));
    return state;
}

/* A run folder's result, of 2 blocks that route, and its curve. */
static struct lab_result write_result(const char *curve)
{
    static struct lab_usage usage[2];
    struct lab_result result = {.variant = "another name",
                                .ffw = "peer",
                                .state = LAB_DONE,
                                .params_total = 1234567890123,
                                .params_active = 77,
                                .tokens = 1 << 20,
                                .flops = 1e13 / 7,
                                .bytes_per_token = 33.5,
                                .seconds = 0.1,
                                .nats = 10 / 3.0,
                                .perplexity = exp(10 / 3.0),
                                .bits_per_byte = NAN,
                                .peak_bytes = 1 << 30,
                                .epochs = 0.7,
                                .traits = 1,
                                .usages = 2,
                                .usage = usage,
                                .facts = {5000, 4999, -1 / 3.0, 0.125, 7.5, 40000, 2 / 3.0}};
    for (int i = 0; i < 2; i++) {
        usage[i] = (struct lab_usage){.block = 3 * i, .experts = 49, .side = 7};
        snprintf(usage[i].map, sizeof usage[i].map, "usage-%d.txt", 3 * i);
        usage[i].report.score = (struct lm_usage_stats){0.1, 0.2, 0.3, 0.4, 0.5, 0.6 + i};
        usage[i].report.count = (struct lm_usage_stats){1 / 3.0, NAN, 0.3, 0.4, 0.5, 0.7};
        usage[i].report.load = (struct lm_usage_load){1 / 7.0, 0.2, 1.5, 4.25, i ? NAN : 0.1, 0.3};
        usage[i].report.top1_used = 0.8;
        usage[i].report.expected_used = 0.9;
    }
    OK(lab_run_result_write(ctx, dir.path, &result));
    struct tempfile curve_file = tempdir_file(&dir, "curve.csv");
    tempfile_write(&curve_file, curve, strlen(curve));
    return result;
}

static void sql(const char *text)
{
    sqlite3 *db;
    char *error = NULL;
    cr_assert_eq(sqlite3_open(file.path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, text, NULL, NULL, &error), SQLITE_OK, "%s: %s", text, error);
    sqlite3_close(db);
}

/* The single value of a query. */
static double sql_number(const char *text)
{
    sqlite3 *db;
    sqlite3_stmt *statement = NULL;
    cr_assert_eq(sqlite3_open(file.path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_prepare_v2(db, text, -1, &statement, NULL), SQLITE_OK, "%s", text);
    cr_assert_eq(sqlite3_step(statement), SQLITE_ROW, "%s", text);
    double value = sqlite3_column_double(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return value;
}

/* A curve that cannot be read is no curve without points. */
Test(store, a_curve_that_cannot_be_read_stops_it)
{
    struct lab_store *store = open_store();
    int64_t id = add(store, 1);
    write_result("step,tokens,loss\n");
    struct tempfile curve = tempdir_file(&dir, "curve.csv");
    cr_assert_eq(remove(curve.path), 0);
    cr_assert_eq(mkdir(curve.path, 0777), 0);
    cr_expect_eq(lab_store_set(store, id, LAB_DONE, NULL, dir.path), PEER_ERR_IO);
    cr_expect(strstr(peer_ctx_error(ctx), "curve.csv: cannot be read"), "%s", peer_ctx_error(ctx));
    cr_expect_eq(state_of(store, id), LAB_PENDING);
    cr_assert_eq(rmdir(curve.path), 0);
    OK(lab_store_set(store, id, LAB_DONE, NULL, dir.path));
    lab_store_close(&store);
}

/* Names of others' stores may be longer than ours. */
Test(store, a_long_name_is_cut_between_characters)
{
    struct lab_result *rows = NULL;
    int64_t count = 0;
    struct lab_store *store = open_store();
    add(store, 1);
    lab_store_close(&store);
    sql("UPDATE runs SET variant = '0123456789012345678901234567890123456789012345\xE2\x82\xAC'");
    store = open_store();
    OK(lab_store_results(store, &rows, &count));
    cr_assert_eq(count, 1);
    cr_expect_str_eq(rows[0].name, "0123456789012345678901234567890123456789012345");
    lab_results_free(&rows, count);
    lab_store_close(&store);
}

Test(store, a_run_is_there_once)
{
    struct lab_store *store = open_store();
    int64_t first = add(store, 1), second = add(store, 2);
    cr_expect_neq(first, second);
    cr_expect_eq(add(store, 1), first);
    lab_store_close(&store);
    cr_expect_null(store);
    store = open_store();
    cr_expect_eq(add(store, 2), second);
    cr_expect_eq(state_of(store, second), LAB_PENDING);
    struct lab_result *rows = NULL;
    int64_t count = 0;
    OK(lab_store_results(store, &rows, &count));
    cr_assert_eq(count, 2);
    cr_expect_eq(rows[0].id, first);
    cr_expect_str_eq(rows[1].variant, "it's; \"p\"");
    cr_expect_str_eq(rows[1].ffw, "peer");
    cr_expect_eq(rows[1].budget, 1e13 / 3);
    cr_expect_eq(rows[1].width, 48);
    cr_expect_eq(rows[1].blocks, 5);
    cr_expect_eq(rows[1].seed, 2);
    lab_results_free(&rows, count);
    lab_store_close(&store);
}

static void expect_same_stats(const struct lm_usage_stats *a, const struct lm_usage_stats *b)
{
    const double left[] = {a->used, a->unevenness, a->gini, a->hold50, a->hold90, a->hold99};
    const double right[] = {b->used, b->unevenness, b->gini, b->hold50, b->hold90, b->hold99};
    for (int i = 0; i < 6; i++)
        cr_expect(left[i] == right[i] || (isnan(left[i]) && isnan(right[i])), "%d: %g, %g", i,
                  left[i], right[i]);
}

static void expect_same_facts(const struct lab_facts_score *a, const struct lab_facts_score *b)
{
    cr_expect_eq(a->facts, b->facts);
    cr_expect_eq(a->asked, b->asked);
    cr_expect_eq(a->bits, b->bits);
    cr_expect_eq(a->bits_error, b->bits_error);
    cr_expect_eq(a->bits_clipped, b->bits_clipped);
    cr_expect_eq(a->bits_total, b->bits_total);
    cr_expect_eq(a->accuracy, b->accuracy);
}

static void expect_same_load(const struct lm_usage_load *a, const struct lm_usage_load *b)
{
    const double left[] = {a->entropy, a->entropy_share, a->cv, a->peak, a->dropped, a->unserved};
    const double right[] = {b->entropy, b->entropy_share, b->cv, b->peak, b->dropped, b->unserved};
    for (int i = 0; i < 6; i++)
        cr_expect(left[i] == right[i] || (isnan(left[i]) && isnan(right[i])), "%d: %g, %g", i,
                  left[i], right[i]);
}

/* A result of before loads were written is read, with all of them unknown. */
Test(store, a_result_without_loads_is_read)
{
    static const char old[] =
        "{\"format\": \"peerlab-result\", \"version\": 1, \"state\": \"done\", \"nats\": 2.5, "
        "\"usage\": [{\"block\": 1, \"experts\": 49, \"side\": 7, \"map\": \"usage-1.txt\", "
        "\"score\": {\"used\": 0.5}, \"count\": {\"used\": 0.25, \"gini\": 0.75}, "
        "\"top1_used\": 0.125, \"expected_used\": 1}]}";
    struct lab_result result;
    OK(lab_run_result_parse(&result, ctx, "old", old));
    cr_assert_eq(result.usages, 1);
    const struct lm_usage_report *report = &result.usage[0].report;
    const struct lm_usage_load unknown = {NAN, NAN, NAN, NAN, NAN, NAN};
    cr_expect_eq(report->count.gini, 0.75);
    cr_expect_eq(report->top1_used, 0.125);
    expect_same_load(&report->load, &unknown);
    lab_result_free(&result);
}

Test(store, a_result_comes_back_bit_for_bit)
{
    struct lab_store *store = open_store();
    int64_t id = add(store, 1), count = 0;
    struct lab_result wrote = write_result("step,tokens,loss\n"), *rows = NULL;
    time_t before = time(NULL);
    OK(lab_store_set(store, id, LAB_DONE, NULL, dir.path));
    OK(lab_store_results(store, &rows, &count));
    cr_assert_eq(count, 1);
    const struct lab_result *r = rows;
    cr_expect(r->ended >= before && r->ended <= time(NULL), "%lld", (long long)r->ended);
    cr_expect_eq(r->state, LAB_DONE);
    cr_expect_str_eq(r->variant, "it's; \"p\"", "the sweep's name, not the folder's");
    cr_expect_eq(r->params_total, wrote.params_total);
    cr_expect_eq(r->params_active, wrote.params_active);
    cr_expect_eq(r->tokens, wrote.tokens);
    cr_expect_eq(r->flops, wrote.flops);
    cr_expect_eq(r->bytes_per_token, wrote.bytes_per_token);
    cr_expect_eq(r->seconds, wrote.seconds);
    cr_expect_eq(r->nats, wrote.nats);
    cr_expect_eq(r->perplexity, wrote.perplexity);
    cr_expect(isnan(r->bits_per_byte));
    cr_expect_eq(r->peak_bytes, wrote.peak_bytes);
    cr_expect_eq(r->epochs, wrote.epochs);
    cr_expect_eq(r->traits, 1);
    expect_same_facts(&r->facts, &wrote.facts);
    cr_assert_eq(r->usages, 2);
    for (int i = 0; i < 2; i++) {
        char map[64];
        snprintf(map, sizeof map, "runs/%06lld/usage-%d.txt", (long long)id, 3 * i);
        cr_expect_eq(r->usage[i].block, 3 * i);
        cr_expect_eq(r->usage[i].experts, 49);
        cr_expect_eq(r->usage[i].side, 7);
        cr_expect_str_eq(r->usage[i].map, map);
        expect_same_stats(&r->usage[i].report.score, &wrote.usage[i].report.score);
        expect_same_stats(&r->usage[i].report.count, &wrote.usage[i].report.count);
        expect_same_load(&r->usage[i].report.load, &wrote.usage[i].report.load);
        cr_expect_eq(r->usage[i].report.top1_used, 0.8);
        cr_expect_eq(r->usage[i].report.expected_used, 0.9);
    }
    lab_results_free(&rows, count);
    lab_store_close(&store);
    cr_expect_eq(sql_number("SELECT nats FROM results"), wrote.nats);
    cr_expect_eq(sql_number("SELECT params_total FROM results"), 1234567890123);
    cr_expect_eq(sql_number("SELECT facts_bits FROM results"), wrote.facts.bits);
    cr_expect_eq(sql_number("SELECT facts_accuracy FROM results"), wrote.facts.accuracy);
}

/* Two that overlap from 90 to 105, one within another from 140 to 160, one that has not ended. */
Test(store, wall_clock_time_counts_what_overlaps_once)
{
    struct lab_result rows[5] = {{.ended = 160, .seconds = 20},
                                 {.ended = 100, .seconds = 10},
                                 {.ended = 105, .seconds = 10},
                                 {.ended = 150, .seconds = 5.5},
                                 {.seconds = 1000}};
    cr_expect_eq(lab_results_wall_seconds(rows, 5), 15 + 20);
    cr_expect_eq(lab_results_wall_seconds(rows, 0), 0);
}

Test(store, the_view_of_an_older_program_gets_the_new_columns)
{
    struct lab_store *store = open_store();
    add(store, 1);
    lab_store_close(&store);
    sql("DROP VIEW results; CREATE VIEW results AS SELECT id FROM runs;");
    store = open_store();
    lab_store_close(&store);
    cr_expect_eq(sql_number("SELECT count(*) FROM results WHERE facts_bits IS NULL"), 1);
}

Test(store, of_steps_that_a_curve_repeats_the_last_count)
{
    struct lab_store *store = open_store();
    int64_t id = add(store, 1);
    write_result("step,tokens,loss,lr,grad_norm\n1,36,5,0,0\n2,72,4,0,0\n3,108,nan,0,0\n"
                 "2,72,3.5,0,0\n3,108,2.25,0,0\n4,1");
    OK(lab_store_set(store, id, LAB_DIVERGED, NULL, dir.path));
    cr_expect_eq(state_of(store, id), LAB_DIVERGED);
    lab_store_close(&store);
    cr_expect_eq(sql_number("SELECT count(*) FROM curves"), 3);
    cr_expect_eq(sql_number("SELECT sum(loss) FROM curves"), 5 + 3.5 + 2.25);
}

Test(store, what_was_in_flight_is_pending_again)
{
    struct lab_store *store = open_store();
    int64_t running = add(store, 1), failed = add(store, 2), done = add(store, 3);
    write_result("");
    OK(lab_store_set(store, running, LAB_RUNNING, NULL, dir.path));
    OK(lab_store_set(store, failed, LAB_FAILED, "no reason", dir.path));
    OK(lab_store_set(store, done, LAB_DONE, NULL, dir.path));
    OK(lab_store_recover(store, false));
    cr_expect_eq(state_of(store, running), LAB_PENDING);
    cr_expect_eq(state_of(store, failed), LAB_FAILED);
    cr_expect_eq(state_of(store, done), LAB_DONE);
    struct lab_result *rows = NULL;
    int64_t count = 0;
    OK(lab_store_results(store, &rows, &count));
    cr_expect_str_eq(rows[1].message, "no reason");
    lab_results_free(&rows, count);
    OK(lab_store_recover(store, true));
    cr_expect_eq(state_of(store, failed), LAB_PENDING);
    cr_expect_eq(state_of(store, done), LAB_DONE);
    lab_store_close(&store);
}

Test(store, without_a_result_a_run_is_not_done)
{
    struct lab_store *store = open_store();
    int64_t id = add(store, 1);
    cr_expect_eq(lab_store_set(store, id, LAB_DONE, NULL, "/nowhere"), PEER_ERR_IO);
    cr_expect(strstr(peer_ctx_error(ctx), "/nowhere/result.json: No such file"), "%s",
              peer_ctx_error(ctx));
    cr_expect_eq(state_of(store, id), LAB_PENDING);
    OK(lab_store_set(store, id, LAB_RUNNING, NULL, dir.path));
    lab_store_close(&store);
}

Test(store, facts_about_the_sweep_come_back)
{
    struct lab_store *store = open_store();
    struct lab_sweep_info info = {.name = "n",
                                  .machine = "m",
                                  .revision = "r",
                                  .data = "d",
                                  .command = "c 'x'",
                                  .config = "a: 1\nb: 2\n"};
    struct lab_sweep_info read, again;
    OK(lab_store_set_info(store, &info));
    OK(lab_store_info(store, &read));
    cr_expect_str_eq(read.name, "n");
    cr_expect_str_eq(read.machine, "m");
    cr_expect_str_eq(read.revision, "r");
    cr_expect_str_eq(read.data, "d");
    cr_expect_str_eq(read.command, "c 'x'");
    cr_expect_str_eq(read.config, "a: 1\nb: 2\n");
    cr_expect_eq(strlen(read.created), sizeof "2026-01-01T00:00:00Z" - 1);
    sql("UPDATE info SET value = '2020-01-01T00:00:00Z' WHERE key = 'created'");
    strcpy(info.name, "other");
    OK(lab_store_set_info(store, &info));
    OK(lab_store_info(store, &again));
    cr_expect_str_eq(again.name, "other");
    cr_expect_str_eq(again.created, "2020-01-01T00:00:00Z", "a sweep is made once");
    lab_store_close(&store);
}

/* Opening must fail with FORMAT and leave the file's bytes alone. */
static void expect_refused(const char *part)
{
    size_t before_size, after_size;
    struct lab_store *store = NULL;
    char *before = tempfile_read(&file, &before_size);
    for (int create = 0; create < 2; create++) {
        cr_expect_eq(lab_store_open(&store, ctx, dir.path, create), PEER_ERR_FORMAT, "%s", part);
        cr_expect(strstr(peer_ctx_error(ctx), part), "%s", peer_ctx_error(ctx));
        cr_expect_null(store);
    }
    char *after = tempfile_read(&file, &after_size);
    cr_assert_eq(before_size, after_size);
    cr_expect_eq(memcmp(before, after, after_size), 0, "%s", part);
    free(before);
    free(after);
}

Test(store, a_newer_version_is_refused_and_left_alone)
{
    struct lab_store *store = open_store();
    add(store, 1);
    lab_store_close(&store);
    sql("PRAGMA user_version = 2");
    expect_refused("written by a newer peerlab (store version 2, this program knows 1)");
    cr_expect_eq(sql_number("SELECT count(*) FROM runs"), 1);
}

Test(store, other_files_are_refused_and_left_alone)
{
    static const char text[] = "this is no database, but it is long enough to be looked into "
                               "........................................................";
    tempfile_write(&file, text, sizeof text);
    expect_refused("not a run store");
    cr_assert_eq(remove(file.path), 0);
    sql("CREATE TABLE mine (a)");
    expect_refused("not a run store");
}

Test(store, a_missing_store_is_not_made_by_reading)
{
    struct lab_store *store = NULL;
    cr_expect_eq(lab_store_open(&store, ctx, dir.path, false), PEER_ERR_IO);
    cr_expect(strstr(peer_ctx_error(ctx), "no sweep is kept here"), "%s", peer_ctx_error(ctx));
    cr_expect_eq(tempdir_count(&dir), 0);
    cr_expect_eq(lab_store_open(&store, ctx, "/proc/nowhere", true), PEER_ERR_IO);
    cr_expect(strstr(peer_ctx_error(ctx), "/proc/nowhere"), "%s", peer_ctx_error(ctx));
}

/* Wherever a store is cut, opening or reading it fails with a text, or all rows are there. */
Test(store, a_store_cut_short_is_noticed)
{
    struct lab_store *store = open_store();
    for (uint64_t seed = 0; seed < 40; seed++)
        add(store, seed);
    lab_store_close(&store);
    size_t size;
    char *bytes = tempfile_read(&file, &size);
    for (size_t cut = 1; cut < size; cut += size < 40 * 997 ? 997 : size / 40) {
        struct lab_result *rows = NULL;
        int64_t count = 0;
        tempfile_write(&file, bytes, cut);
        enum peer_status status = lab_store_open(&store, ctx, dir.path, true);
        if (status == PEER_OK)
            status = lab_store_results(store, &rows, &count);
        if (status == PEER_OK) /* the last page ends with space that is not in use */
            cr_expect(count == 40 && size - cut < 4096, "cut at %zu of %zu: %lld rows", cut, size,
                      (long long)count);
        else
            cr_expect(strstr(peer_ctx_error(ctx), file.path), "%s", peer_ctx_error(ctx));
        lab_results_free(&rows, count);
        lab_store_close(&store);
    }
    free(bytes);
}

Test(store, a_folder_that_cannot_be_written_is_named)
{
    struct lab_store *store = open_store();
    add(store, 1);
    lab_store_close(&store);
    tempdir_become_nobody(&dir);
    cr_assert_eq(chmod(dir.path, 0500), 0);
    enum peer_status status = lab_store_open(&store, ctx, dir.path, true);
    if (status == PEER_OK) {
        struct lab_run_config config;
        int64_t id;
        run_config(&config, 2);
        status = lab_store_add(store, &id, &config, 1);
    }
    cr_expect_eq(status, PEER_ERR_IO);
    cr_expect(strstr(peer_ctx_error(ctx), file.path), "%s", peer_ctx_error(ctx));
    lab_store_close(&store);
}

/* ---- stores from anywhere ---- */

/* Opening fails with FORMAT and these words, to read and to write. */
static void expect_foreign(const char *change, const char *part)
{
    struct lab_store *store = open_store();
    add(store, 1);
    lab_store_close(&store);
    sql(change);
    expect_refused(part);
    cr_assert_eq(remove(file.path), 0);
}

Test(store, a_schema_that_peerlab_did_not_make_is_refused)
{
    expect_foreign("ALTER TABLE runs RENAME TO r0; CREATE VIEW runs AS SELECT * FROM r0",
                   "is not its own");
    expect_foreign("ALTER TABLE runs ADD COLUMN more TEXT", "the table runs is not its own");
    expect_foreign("CREATE TRIGGER t AFTER UPDATE ON runs BEGIN DELETE FROM info; END",
                   "the trigger t is not its own");
    expect_foreign("CREATE INDEX i ON runs(state)", "the index i is not its own");
    expect_foreign("CREATE VIEW more AS SELECT 1", "the view more is not its own");
    expect_foreign("DROP TABLE curves", "the table curves is missing");
    expect_foreign("DROP TABLE info; CREATE TABLE info (key TEXT PRIMARY KEY, value TEXT)",
                   "the table info is not its own");
    expect_foreign("DROP TABLE settings; CREATE TABLE settings (run, key)",
                   "the table settings is not its own");
}

/* What SQL users do to a store of their own stays allowed. */
Test(store, an_analyzed_store_is_read)
{
    struct lab_store *store = open_store();
    add(store, 1);
    lab_store_close(&store);
    sql("ANALYZE; VACUUM");
    OK(lab_store_open(&store, ctx, dir.path, false));
    lab_store_close(&store);
}

/* Sets columns of the single run to values that its types do not exclude. */
static enum peer_status read_with(const char *change, struct lab_result *ret)
{
    struct lab_store *store = open_store();
    struct lab_result *rows = NULL;
    int64_t count = 0, id = add(store, 1);
    write_result("");
    OK(lab_store_set(store, id, LAB_DONE, NULL, dir.path));
    lab_store_close(&store);
    sql(change);
    enum peer_status status = lab_store_open(&store, ctx, dir.path, false);
    if (status == PEER_OK)
        status = lab_store_results(store, &rows, &count);
    if (status == PEER_OK) {
        cr_assert_eq(count, 1);
        *ret = rows[0];
        ret->usage = NULL;
    }
    lab_results_free(&rows, count);
    lab_store_close(&store);
    cr_assert_eq(remove(file.path), 0);
    return status;
}

Test(store, odd_values_are_read_or_refused)
{
    struct lab_result row;
    OK(read_with("UPDATE runs SET state = 'asleep'", &row));
    cr_expect_eq(row.state, LAB_FAILED);
    OK(read_with("UPDATE runs SET state = x'00ff', message = x'9b00'", &row));
    cr_expect_eq(row.state, LAB_FAILED);
    OK(read_with("UPDATE runs SET variant = 12, seed = -5, changed = 'never'", &row));
    cr_expect_str_eq(row.variant, "12");
    cr_expect_eq(row.ended, 0);
    OK(read_with("UPDATE runs SET variant = 'a' || char(0) || 'b', config = x'ff00'", &row));
    cr_expect_str_eq(row.variant, "a");
    OK(read_with("UPDATE runs SET variant = printf('%.*c', 100000, 'v')", &row));
    cr_expect_eq(strlen(row.variant), sizeof row.name - 1);
    static const char *const refused[][2] = {
        {"UPDATE runs SET id = -3", "run -3: id"},
        {"UPDATE runs SET width = 9000000000000000000", "run 1: width"},
        {"UPDATE runs SET width = 'wide'", "run 1: width"},
        {"UPDATE runs SET blocks = -1", "run 1: blocks"},
        {"UPDATE runs SET budget = 9e999", "run 1: budget"},
        {"UPDATE runs SET result = '{'", "result of run 1"},
        {"UPDATE runs SET result = x'7bff7d'", "result of run 1"},
        {"UPDATE runs SET result = json_set(result, '$.usage[0].experts', 9000000000000000)",
         "the number of experts"},
        {"UPDATE runs SET result = json_set(result, '$.usage[0].block', -1)",
         "the number of a block"},
        {"UPDATE runs SET result = json_set(result, '$.usage[1].map', '../../secret')",
         "the name of a map"}};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        cr_expect_eq(read_with(refused[i][0], &row), PEER_ERR_FORMAT, "%s", refused[i][0]);
        cr_expect(strstr(peer_ctx_error(ctx), refused[i][1]), "%s", peer_ctx_error(ctx));
    }
}

/* A column that may not be NULL, made NULL on the disk: the file is damaged. */
Test(store, null_where_none_may_be_is_damage)
{
    struct lab_store *store = open_store();
    struct lab_result row;
    lab_store_close(&store);
    cr_assert_eq(remove(file.path), 0);
    enum peer_status status =
        read_with("PRAGMA writable_schema = 1; "
                  "UPDATE sqlite_master SET sql = replace(sql, 'state TEXT NOT NULL', "
                  "'state TEXT') WHERE name = 'runs'; PRAGMA writable_schema = RESET; "
                  "UPDATE runs SET state = NULL; PRAGMA writable_schema = 1; "
                  "UPDATE sqlite_master SET sql = replace(sql, 'state TEXT', "
                  "'state TEXT NOT NULL') WHERE name = 'runs'; PRAGMA writable_schema = RESET",
                  &row);
    cr_expect_eq(status, PEER_ERR_FORMAT);
    cr_expect(strstr(peer_ctx_error(ctx), "damaged"), "%s", peer_ctx_error(ctx));
}

/* ---- readers ---- */

static int64_t rows_read(void)
{
    struct lab_store *store = NULL;
    struct lab_result *rows = NULL;
    int64_t count = 0;
    OK(lab_store_open(&store, ctx, dir.path, false));
    OK(lab_store_results(store, &rows, &count));
    lab_results_free(&rows, count);
    lab_store_close(&store);
    return count;
}

/* With and without a log beside the file, which only the first reader after a kill has. */
Test(store, a_reader_needs_no_right_to_write_and_leaves_nothing)
{
    struct lab_store *store = open_store();
    for (uint64_t seed = 0; seed < 20; seed++)
        add(store, seed);
    struct tempfile log = tempdir_file(&dir, "sweep.db-wal"),
                    shared = tempdir_file(&dir, "sweep.db-shm");
    size_t log_size;
    char *bytes = tempfile_read(&log, &log_size);
    cr_assert_gt(log_size, 0);
    cr_expect_eq(rows_read(), 20, "beside the writer");
    lab_store_close(&store);
    cr_expect_eq(tempdir_count(&dir), 1, "the log is gone with the writer");
    tempdir_become_nobody(&dir);
    cr_assert_eq(chmod(dir.path, 0500), 0);
    cr_expect_eq(rows_read(), 20);
    cr_expect_eq(tempdir_count(&dir), 1);
    cr_assert_eq(chmod(dir.path, 0700), 0);
    /* As after a kill: an empty store, and all of it in the log. */
    tempfile_write(&log, bytes, log_size);
    cr_assert_eq(chmod(dir.path, 0500), 0);
    cr_expect_eq(rows_read(), 20);
    cr_expect_neq(access(shared.path, F_OK), 0);
    free(bytes);
}

/* A log that is cut or changed counts up to its last whole transaction, as SQLite counts it. */
Test(store, of_a_broken_log_the_whole_transactions_count)
{
    struct lab_store *store = open_store();
    size_t size, base_size;
    struct tempfile log = tempdir_file(&dir, "sweep.db-wal"),
                    shared = tempdir_file(&dir, "sweep.db-shm");
    for (uint64_t seed = 0; seed < 10; seed++)
        add(store, seed);
    char *bytes = tempfile_read(&log, &size), *base = tempfile_read(&file, &base_size);
    lab_store_close(&store);
    int64_t last = 0;
    for (size_t cut = size / 2; cut <= size; cut += 1777) {
        sqlite3 *db = NULL;
        sqlite3_stmt *statement = NULL;
        tempfile_write(&file, base, base_size);
        tempfile_write(&log, bytes, cut);
        remove(shared.path);
        int64_t count = rows_read();
        cr_expect(count >= last);
        last = count;
        cr_assert_eq(sqlite3_open(file.path, &db), SQLITE_OK);
        cr_assert_eq(sqlite3_prepare_v2(db, "SELECT count(*) FROM runs", -1, &statement, NULL), 0);
        cr_assert_eq(sqlite3_step(statement), SQLITE_ROW);
        cr_expect_eq(sqlite3_column_int64(statement, 0), count, "cut at %zu of %zu", cut, size);
        sqlite3_finalize(statement);
        sqlite3_close(db);
    }
    cr_expect_gt(last, 0);
    free(bytes);
    free(base);
}

/* While a process writes and moves its log into the file, every reader sees a whole store. */
Test(store, readers_see_whole_stores_beside_a_writer)
{
    struct lab_store *store = open_store();
    int64_t last = 0;
    lab_store_close(&store);
    pid_t child = fork();
    if (child == 0) {
        store = open_store();
        for (uint64_t seed = 0; seed < 200; seed++) {
            struct lab_run_config config;
            int64_t id;
            run_config(&config, seed);
            if (lab_store_add(store, &id, &config, 1) != PEER_OK)
                _exit(1);
        }
        lab_store_close(&store);
        _exit(0);
    }
    int ended = 0;
    while (waitpid(child, &ended, WNOHANG) == 0) {
        int64_t count = rows_read();
        cr_expect(count >= last, "%lld after %lld", (long long)count, (long long)last);
        last = count;
    }
    cr_expect_eq(ended, 0);
    cr_expect_eq(rows_read(), 200);
}
