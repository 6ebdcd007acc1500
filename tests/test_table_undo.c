/* SPDX-License-Identifier: MIT */
/* A mapped table is taken back to its savepoint, whatever happened since. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nn/random.h"
#include "nn/tables/table_lookup.h"
#include "nn/tables/table_undo.h"
#include "tests/support/tempdir.h"

enum { SEED = 4711, STREAM = 6, ROWS = 197, WIDTH = 6, MOST = 64 };

static struct tempdir dir;
static struct tempfile path, undo_path;
static struct peer_ctx *ctx;
static struct peer_table_file *file;
static struct peer_table_undo *undo;

static void set_up(void)
{
    dir = tempdir_create();
    path = tempdir_file(&dir, "table");
    undo_path = tempdir_file(&dir, "table.undo");
    struct peer_ctx_config config = peer_ctx_config_default();
    config.threads = 1; /* so that children can work */
    cr_assert_eq(peer_ctx_create(&ctx, &config), PEER_OK);
}

static void tear_down(void)
{
    cr_expect_eq(peer_ctx_bytes(ctx), 0);
    peer_ctx_destroy(&ctx);
    tempdir_remove(&dir);
}

TestSuite(table_undo, .init = set_up, .fini = tear_down);

static void succeeds(enum peer_status status)
{
    cr_assert_eq(status, PEER_OK, "%s", peer_ctx_error(ctx));
}

static void fails(enum peer_status status, enum peer_status expected, const char *words)
{
    cr_expect_eq(status, expected, "%s", peer_ctx_error(ctx));
    cr_expect(strstr(peer_ctx_error(ctx), words), "%s", peer_ctx_error(ctx));
    cr_expect(strstr(peer_ctx_error(ctx), undo_path.path), "%s", peer_ctx_error(ctx));
}

static void create(enum peer_table_type type, int64_t rows, int64_t width)
{
    struct peer_table_file_config config = {
        .type = type, .rows = rows, .width = width, .deviation = 1, .seed = SEED, .stream = STREAM};
    succeeds(peer_table_file_create(ctx, path.path, &config));
}

static void open_both(enum peer_table_access access)
{
    succeeds(peer_table_file_open(&file, ctx, path.path, access));
    succeeds(peer_table_undo_open(&undo, ctx, file, undo_path.path));
}

static void close_both(void)
{
    peer_table_undo_close(&undo);
    peer_table_file_close(&file);
}

/* A new table, at savepoint 0. */
static void begin(enum peer_table_type type, int64_t rows, int64_t width)
{
    create(type, rows, width);
    open_both(PEER_TABLE_READ_WRITE);
    succeeds(peer_table_undo_restore(undo, 0));
}

/* Opened again, and taken back. */
static void reopen(int64_t savepoint)
{
    close_both();
    open_both(PEER_TABLE_READ_WRITE);
    succeeds(peer_table_undo_restore(undo, savepoint));
}

/* The rows of one step: drawn where they are new, kept, and changed by what depends on them. */
static void step(uint64_t number)
{
    struct peer_table table = *peer_table_file_table(file);
    int32_t ids[MOST];
    float *values = malloc((size_t)table.width * sizeof *values);
    for (uint64_t i = 0; i < MOST; i++)
        ids[i] =
            i % 9 == 4 ? -1 : (int32_t)peer_random_below(SEED, number, i, (uint32_t)table.rows);
    peer_table_prepare(&table, ids, MOST);
    succeeds(peer_table_undo_keep(undo, ids, MOST));
    for (int i = 0; i < MOST; i++) {
        if (ids[i] < 0)
            continue;
        peer_table_read(values, &table, ids[i], 1);
        for (int64_t c = 0; c < table.width; c++)
            values[c] = 0.75f * values[c] + (float)number;
        peer_table_write(&table, values, ids[i], 1);
    }
    free(values);
}

static void save(int64_t savepoint)
{
    succeeds(peer_table_undo_prepare(undo, savepoint));
    succeeds(peer_table_undo_commit(undo));
}

/* Values of all rows, zeros for those not drawn, and behind them which are drawn. */
static float *picture(void)
{
    const struct peer_table *table = peer_table_file_table(file);
    float *p = calloc((size_t)(table->rows * (table->width + 1)), sizeof *p);
    for (int64_t row = 0; row < table->rows; row++) {
        if (!peer_table_file_drawn(file, row))
            continue;
        peer_table_read(p + row * table->width, table, row, 1);
        p[table->rows * table->width + row] = 1;
    }
    return p;
}

static void expect_picture(float *before, const char *what)
{
    const struct peer_table *table = peer_table_file_table(file);
    float *now = picture();
    size_t bytes = (size_t)(table->rows * (table->width + 1)) * sizeof *now;
    cr_expect_eq(memcmp(before, now, bytes), 0, "%s", what);
    free(now);
}

/* Steps after a savepoint are taken back, new rows too; so are those after that. */
static void goes_back(enum peer_table_type type, int64_t rows, int64_t width)
{
    begin(type, rows, width);
    float *nothing = picture();
    step(1);
    reopen(0);
    expect_picture(nothing, "before the first savepoint");
    step(1);
    step(2);
    save(2);
    float *two = picture();
    for (uint64_t number = 3; number < 6; number++)
        step(number);
    close_both();
    for (int times = 0; times < 2; times++) {
        open_both(PEER_TABLE_READ_WRITE);
        succeeds(peer_table_undo_restore(undo, 2));
        expect_picture(two, "after the second savepoint");
        step(3);
        step(4);
        close_both();
    }
    free(nothing);
    free(two);
    unlink(path.path);
    unlink(undo_path.path);
}

Test(table_undo, takes_back_what_came_after_a_savepoint)
{
    goes_back(PEER_TABLE_F32, ROWS, WIDTH);
    goes_back(PEER_TABLE_BF16, ROWS, WIDTH);
    goes_back(PEER_TABLE_F32, 5, 1 << 16); /* a log of several buffers */
}

Test(table_undo, of_a_killed_process_takes_back_too)
{
    begin(PEER_TABLE_F32, ROWS, WIDTH);
    step(1);
    save(1);
    float *one = picture();
    close_both();
    pid_t child = fork();
    if (child == 0) {
        open_both(PEER_TABLE_READ_WRITE);
        succeeds(peer_table_undo_restore(undo, 1));
        step(2);
        step(3);
        raise(SIGKILL);
    }
    int status = 0;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    open_both(PEER_TABLE_READ_WRITE);
    succeeds(peer_table_undo_restore(undo, 1));
    expect_picture(one, "after a kill");
    close_both();
    free(one);
}

/* Between prepare and commit, what is saved elsewhere may be of either savepoint. */
Test(table_undo, of_a_save_that_was_cut_takes_both_for_an_answer)
{
    for (int done = 0; done < 2; done++) {
        begin(PEER_TABLE_F32, ROWS, WIDTH);
        step(1);
        save(1);
        float *one = picture();
        step(2);
        float *two = picture();
        succeeds(peer_table_undo_prepare(undo, 2));
        reopen(done ? 2 : 1);
        expect_picture(done ? two : one, "a cut save");
        step(7);
        reopen(done ? 2 : 1);
        expect_picture(done ? two : one, "a cut save, later");
        fails(peer_table_undo_restore(undo, done ? 1 : 2), PEER_ERR_FORMAT, "is at savepoint");
        close_both();
        free(one);
        free(two);
        unlink(path.path);
        unlink(undo_path.path);
    }
}

Test(table_undo, readers_only_make_sure)
{
    create(PEER_TABLE_F32, ROWS, WIDTH);
    open_both(PEER_TABLE_READ);
    succeeds(peer_table_undo_restore(undo, 0));
    close_both();
    cr_expect_eq(access(undo_path.path, F_OK), -1, "a reader makes no log");
    open_both(PEER_TABLE_READ_WRITE);
    succeeds(peer_table_undo_restore(undo, 0));
    step(1);
    close_both();
    open_both(PEER_TABLE_READ);
    fails(peer_table_undo_restore(undo, 0), PEER_ERR_FORMAT, "has changed since savepoint 0");
    fails(peer_table_undo_restore(undo, 3), PEER_ERR_FORMAT, "at savepoint 0");
    reopen(0);
    step(1);
    save(3);
    close_both();
    open_both(PEER_TABLE_READ);
    succeeds(peer_table_undo_restore(undo, 3));
    close_both();
}

static void open_refused(enum peer_status expected, const char *words)
{
    succeeds(peer_table_file_open(&file, ctx, path.path, PEER_TABLE_READ_WRITE));
    fails(peer_table_undo_open(&undo, ctx, file, undo_path.path), expected, words);
    cr_expect_null(undo);
    peer_table_file_close(&file);
}

Test(table_undo, refuses_bad_logs)
{
    begin(PEER_TABLE_F32, ROWS, WIDTH);
    step(1);
    save(1);
    step(2);
    close_both();
    size_t size;
    char *bytes = tempfile_read(&undo_path, &size);
    unlink(undo_path.path);
    open_refused(PEER_ERR_IO, "is not there");
    tempfile_write(&undo_path, bytes, 20);
    open_refused(PEER_ERR_FORMAT, "cut");
    for (size_t i = 0; i < 48; i++) {
        bytes[i] ^= 8;
        tempfile_write(&undo_path, bytes, size);
        open_refused(PEER_ERR_FORMAT, i < 12 ? "no undo log of version 1" : "damaged");
        bytes[i] ^= 8;
    }
    tempfile_write(&undo_path, bytes, size - 1);
    open_both(PEER_TABLE_READ_WRITE);
    fails(peer_table_undo_restore(undo, 1), PEER_ERR_FORMAT, "cut");
    close_both();
    unlink(path.path);
    create(PEER_TABLE_BF16, ROWS, WIDTH);
    tempfile_write(&undo_path, bytes, size);
    open_refused(PEER_ERR_FORMAT, "of another table");
    free(bytes);
}

/* The row that cannot be kept is not to be changed, and nothing is lost. */
Test(table_undo, says_that_the_disk_is_full)
{
    int32_t ids[ROWS];
    begin(PEER_TABLE_F32, ROWS, WIDTH);
    for (int i = 0; i < ROWS; i++)
        ids[i] = i;
    struct peer_table table = *peer_table_file_table(file);
    peer_table_prepare(&table, ids, ROWS);
    step(1);
    save(1);
    float *one = picture();
    struct rlimit before, limit;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = (struct rlimit){8192 + 300, before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    fails(peer_table_undo_keep(undo, ids, ROWS), PEER_ERR_IO, "write: ");
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    fails(peer_table_undo_keep(undo, ids, 1), PEER_ERR_IO, "earlier failure");
    reopen(1);
    expect_picture(one, "after a full disk");
    step(2);
    reopen(1);
    expect_picture(one, "after a step more");
    close_both();
    free(one);
}
