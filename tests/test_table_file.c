/* SPDX-License-Identifier: MIT */
/* Tables in mapped files: layers on them do what layers in memory do; bad files; limits. */
#include "tests/support/table_layer.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nn/optim/optim.h"
#include "nn/random.h"
#include "peer/layer.h"
#include "pkm/layer.h"
#include "tests/support/tempdir.h"

enum { D = TABLE_LAYER_D, T = TABLE_LAYER_T, N = 1024, STEPS = 4 };

static struct tempdir dir;
static struct tempfile path;
static struct peer_ctx *ctx;

static void begin(void)
{
    dir = tempdir_create();
    path = tempdir_file(&dir, "table");
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
}

static void end(void)
{
    cr_expect_eq(peer_ctx_bytes(ctx), 0);
    peer_ctx_destroy(&ctx);
    tempdir_remove(&dir);
}

TestSuite(table_file, .init = begin, .fini = end);

static struct peer_table_file_config config_of(enum peer_table_type type, int64_t rows,
                                               int64_t width)
{
    return (struct peer_table_file_config){.type = type,
                                           .rows = rows,
                                           .width = width,
                                           .deviation = 0.25f,
                                           .seed = TABLE_LAYER_SEED,
                                           .stream = peer_stream("experts")};
}

static void create(const struct peer_table_file_config *config)
{
    cr_assert_eq(peer_table_file_create(ctx, path.path, config), PEER_OK, "%s",
                 peer_ctx_error(ctx));
}

static struct peer_table_file *reopen(enum peer_table_access access)
{
    struct peer_table_file *file = NULL;
    cr_assert_eq(peer_table_file_open(&file, ctx, path.path, access), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    return file;
}

static void open_refused(enum peer_status status, enum peer_table_access access, const char *words)
{
    struct peer_table_file *file = NULL;
    cr_expect_eq(peer_table_file_open(&file, ctx, path.path, access), status, "%s",
                 peer_ctx_error(ctx));
    cr_expect_null(file);
    const char *error = peer_ctx_error(ctx);
    cr_expect(strstr(error, path.path) && strstr(error, words), "%s", error);
}

/* A few steps, which change every row that they touch. */
static void train(struct table_layer *l, enum peer_optim_rows rows)
{
    struct peer_optim_config config = peer_optim_config_default();
    struct peer_optim *optim = NULL;
    config.rows = rows;
    cr_assert_eq(peer_optim_create(&optim, l->ctx, &l->params, &config), PEER_OK);
    for (int step = 0; step < STEPS; step++) {
        table_layer_run(l);
        peer_optim_step(optim, 0.1f);
    }
    peer_optim_destroy(&optim);
}

struct variant {
    const struct peer_ffw_type *type;
    const char *options[6];
    const char *name; /* of the table's entry */
    enum peer_table_type table;
    int64_t rows, width;
};

static const struct variant variants[] = {
    {&peer_ffw_peer, {"experts=1024", NULL}, "experts", PEER_TABLE_F32, N, 2 * D},
    {&peer_ffw_peer,
     {"experts=1024", "heads=2", "expert=glu", "tables_per_head=true", "table=bf16", NULL},
     "experts",
     PEER_TABLE_BF16,
     2 * N,
     3 * D},
    {&peer_ffw_pkm, {"memories=1024", NULL}, "values", PEER_TABLE_F32, N, D},
};
enum { VARIANTS = sizeof variants / sizeof *variants };

/* In memory, with the initial values that the file of the same name and seed gives. */
static struct table_layer in_memory(const struct variant *v)
{
    struct table_layer l;
    cr_assert_eq(table_layer_create(&l, v->type, v->options, NULL, 1), PEER_OK);
    return l;
}

static struct table_layer on_file(const struct variant *v, struct peer_table_file *file,
                                  bool forward_only, int threads)
{
    struct table_layer l;
    struct peer_ffw_shape how = {.table = file, .forward_only = forward_only};
    cr_assert_eq(table_layer_create(&l, v->type, v->options, &how, threads), PEER_OK, "%s",
                 peer_ctx_error(l.ctx));
    return l;
}

static void create_for(const struct variant *v, const struct table_layer *memory)
{
    struct peer_table_file_config config = config_of(v->table, v->rows, v->width);
    config.stream = peer_stream(v->name);
    config.deviation = memory->table->init.scale;
    remove(path.path);
    create(&config);
}

static void expect_same_rows(const struct table_layer *memory, const struct peer_table_file *file)
{
    const struct peer_table *a = memory->table->table, *b = peer_table_file_table(file);
    int64_t width = a->width, drawn = 0;
    float *left = calloc((size_t)width, sizeof *left),
          *right = calloc((size_t)width, sizeof *right);
    for (int64_t row = 0; row < a->rows; row++) {
        if (!peer_table_file_drawn(file, row))
            continue;
        drawn++;
        peer_table_read(left, a, row, 1);
        peer_table_read(right, b, row, 1);
        cr_expect_arr_eq(left, right, (size_t)width * sizeof *left);
    }
    cr_expect(drawn > 0 && drawn <= a->rows);
    free(left);
    free(right);
}

static void expect_same_y(struct table_layer *a, struct table_layer *b)
{
    peer_ffw_forward(a->object, a->y, a->x, NULL, T, PEER_MODE_EVAL);
    peer_ffw_forward(b->object, b->y, b->x, NULL, T, PEER_MODE_EVAL);
    cr_expect_arr_eq(a->y, b->y, T * D * sizeof(float));
}

static void forward_as_in_memory(const struct variant *v, int threads)
{
    struct table_layer memory = in_memory(v);
    create_for(v, &memory);
    struct peer_table_file *file = reopen(PEER_TABLE_READ_WRITE);
    struct table_layer mapped = on_file(v, file, true, threads);
    expect_same_y(&memory, &mapped);
    expect_same_rows(&memory, file);
    table_layer_destroy(&mapped);
    table_layer_destroy(&memory);
    peer_table_file_close(&file);
}

Test(table_file, forward_is_that_of_memory_bit_for_bit)
{
    for (int v = 0; v < VARIANTS; v++)
        for (int threads = 1; threads <= 3; threads++)
            forward_as_in_memory(&variants[v], threads);
}

static void train_as_in_memory(const struct variant *v, enum peer_optim_rows rows, int threads)
{
    struct table_layer memory = in_memory(v);
    create_for(v, &memory);
    train(&memory, rows);
    struct peer_table_file *file = reopen(PEER_TABLE_READ_WRITE);
    struct table_layer mapped = on_file(v, file, false, threads);
    train(&mapped, rows);
    expect_same_y(&memory, &mapped);
    expect_same_rows(&memory, file);
    cr_expect_eq(peer_table_file_flush(file), PEER_OK);
    peer_table_file_close(&file);

    /* What was trained is there for the next, and reading changes nothing. */
    size_t before, after;
    char *bytes = tempfile_read(&path, &before);
    file = reopen(PEER_TABLE_READ);
    expect_same_rows(&memory, file);
    struct table_layer reader = on_file(v, file, true, threads);
    peer_ffw_forward(reader.object, reader.y, reader.dy, NULL, T, PEER_MODE_EVAL);
    char *again = tempfile_read(&path, &after);
    cr_expect(before == after && !memcmp(bytes, again, after));
    free(bytes);
    free(again);
    peer_table_file_close(&file);
    table_layer_destroy(&reader);
    table_layer_destroy(&mapped);
    table_layer_destroy(&memory);
}

Test(table_file, trains_as_in_memory_bit_for_bit)
{
    for (int v = 0; v < VARIANTS; v++)
        for (int threads = 1; threads <= 2; threads++)
            train_as_in_memory(&variants[v], threads == 1 ? PEER_ROWS_SGD : PEER_ROWS_ADAGRAD,
                               threads);
}

/* Rows that nobody asked for are not drawn, and stay holes of zeros. */
Test(table_file, draws_what_is_retrieved_and_no_more)
{
    struct table_layer memory = in_memory(&variants[0]);
    create_for(&variants[0], &memory);
    struct peer_table_file *file = reopen(PEER_TABLE_READ);
    struct table_layer mapped = on_file(&variants[0], file, true, 2);
    peer_ffw_forward(mapped.object, mapped.y, mapped.x, NULL, 2, PEER_MODE_EVAL);
    struct peer_routing routing;
    peer_ffw_routing(mapped.object, &routing);
    bool used[N] = {false};
    for (int64_t s = 0; s < 2 * routing.heads * routing.kept; s++)
        used[routing.ids[s]] = true;
    for (int64_t row = 0; row < N; row++) {
        cr_expect_eq(peer_table_file_drawn(file, row), used[row]);
        cr_expect_eq(peer_table_file_table(file)->f32[row * 2 * D + 1] != 0, used[row]);
    }
    table_layer_destroy(&mapped);
    table_layer_destroy(&memory);
    peer_table_file_close(&file);
}

Test(table_file, of_a_killed_process_is_whole)
{
    struct table_layer memory = in_memory(&variants[0]);
    create_for(&variants[0], &memory);
    pid_t child = fork();
    if (child == 0) {
        struct peer_table_file *file = reopen(PEER_TABLE_READ_WRITE);
        struct table_layer mapped = on_file(&variants[0], file, false, 1);
        train(&mapped, PEER_ROWS_SGD);
        raise(SIGKILL);
    }
    int status = 0;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    struct peer_table_file *file = reopen(PEER_TABLE_READ_WRITE);
    train(&memory, PEER_ROWS_SGD);
    expect_same_rows(&memory, file);
    peer_table_file_close(&file);
    table_layer_destroy(&memory);
}

Test(table_file, has_one_writer_or_many_readers)
{
    struct peer_table_file_config config = config_of(PEER_TABLE_F32, 100, 6);
    create(&config);
    struct peer_table_file *writer = reopen(PEER_TABLE_READ_WRITE);
    open_refused(PEER_ERR_IO, PEER_TABLE_READ_WRITE, "it is open elsewhere");
    open_refused(PEER_ERR_IO, PEER_TABLE_READ, "it is open for writing elsewhere");
    peer_table_file_close(&writer);
    struct peer_table_file *one = reopen(PEER_TABLE_READ), *two = reopen(PEER_TABLE_READ);
    open_refused(PEER_ERR_IO, PEER_TABLE_READ_WRITE, "it is open elsewhere");
    peer_table_file_close(&one);
    peer_table_file_close(&two);
    writer = reopen(PEER_TABLE_READ_WRITE);
    peer_table_file_close(&writer);
    peer_table_file_close(&writer);
    peer_table_file_close(NULL);
}

static void create_refused(struct peer_table_file_config config, enum peer_status status,
                           const char *words)
{
    cr_expect_eq(peer_table_file_create(ctx, path.path, &config), status);
    cr_expect(strstr(peer_ctx_error(ctx), words), "%s", peer_ctx_error(ctx));
    cr_expect_eq(tempdir_count(&dir), 0);
}

Test(table_file, create_refuses_what_cannot_be)
{
    create_refused(config_of(PEER_TABLE_INT8, 4, 4), PEER_ERR_ARGUMENT, "type 2");
    create_refused(config_of(PEER_TABLE_F32, 0, 4), PEER_ERR_ARGUMENT, "[0, 4]");
    create_refused(config_of(PEER_TABLE_F32, INT64_MAX, 4), PEER_ERR_ARGUMENT, "9223372036854775");
    create_refused(config_of(PEER_TABLE_F32, 4, 3), PEER_ERR_ARGUMENT, "[4, 3]");
    create_refused(config_of(PEER_TABLE_F32, 4, -2), PEER_ERR_ARGUMENT, "[4, -2]");
    struct peer_table_file_config config = config_of(PEER_TABLE_F32, 4, 4);
    config.deviation = -1;
    create_refused(config, PEER_ERR_ARGUMENT, "deviation = -1");
    create_refused(config_of(PEER_TABLE_F32, INT32_MAX, 1 << 26), PEER_ERR_IO, " are free");
    struct tempfile nowhere = tempdir_file(&dir, "absent/table");
    config.deviation = 1;
    cr_expect_eq(peer_table_file_create(ctx, nowhere.path, &config), PEER_ERR_IO);
    create(&config);
    cr_expect_eq(peer_table_file_create(ctx, path.path, &config), PEER_ERR_IO);
    cr_expect(strstr(peer_ctx_error(ctx), strerror(EEXIST)));
}

Test(table_file, bytes_of_what_is_too_large)
{
    struct peer_table_file_config most = config_of(PEER_TABLE_F32, INT32_MAX, 1 << 26);
    struct peer_table_file_config wide = config_of(PEER_TABLE_F32, 1, INT64_C(1) << 62);
    struct peer_table_file_config long_one = config_of(PEER_TABLE_F32, INT64_MAX, 2);
    cr_expect_gt(peer_table_file_bytes(&most), (size_t)INT32_MAX << 28);
    cr_expect_eq(peer_table_file_bytes(&wide), SIZE_MAX);
    cr_expect_eq(peer_table_file_bytes(&long_one), SIZE_MAX);
}

/* As on a full disk, the system grants fewer bytes than the table needs. */
Test(table_file, without_room_no_file_is_left)
{
    struct rlimit limit = {1 << 16, 1 << 16};
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    create_refused(config_of(PEER_TABLE_F32, 1 << 14, 4), PEER_ERR_IO, "no room for ");
}

Test(table_file, without_address_space_is_refused)
{
    struct peer_table_file_config config = config_of(PEER_TABLE_F32, 1 << 20, 64);
    create(&config);
    struct rlimit limit, small = {1 << 28, RLIM_INFINITY};
    cr_assert_eq(getrlimit(RLIMIT_AS, &limit), 0);
    small.rlim_max = limit.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_AS, &small), 0);
    open_refused(PEER_ERR_MEMORY, PEER_TABLE_READ, "bytes cannot be mapped");
    open_refused(PEER_ERR_MEMORY, PEER_TABLE_READ_WRITE, "bytes cannot be mapped");
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
    struct peer_table_file *file = reopen(PEER_TABLE_READ);
    peer_table_file_close(&file);
}

Test(table_file, open_refuses_bad_files)
{
    struct peer_table_file_config config = config_of(PEER_TABLE_BF16, 100, 6);
    open_refused(PEER_ERR_IO, PEER_TABLE_READ, strerror(ENOENT));
    create(&config);
    size_t size;
    char *bytes = tempfile_read(&path, &size), *copy = malloc(size + 1);
    cr_assert_eq(size, peer_table_file_bytes(&config));
    memcpy(copy, bytes, size);
    copy[size] = 0;
    for (size_t cut = 0; cut < 60; cut += 7) {
        tempfile_write(&path, bytes, cut);
        open_refused(PEER_ERR_FORMAT, PEER_TABLE_READ, cut < 56 ? "not a table" : " bytes, but ");
    }
    tempfile_write(&path, bytes, size - 1);
    open_refused(PEER_ERR_FORMAT, PEER_TABLE_READ_WRITE, "9391 bytes, but a table bf16 [100, 6]");
    tempfile_write(&path, copy, size + 1);
    open_refused(PEER_ERR_FORMAT, PEER_TABLE_READ_WRITE, "has 9392");
    for (size_t at = 0; at < 56; at++) {
        copy[at] = (char)(copy[at] ^ (1 << at % 8));
        tempfile_write(&path, copy, size);
        open_refused(PEER_ERR_FORMAT, PEER_TABLE_READ, "");
        copy[at] = bytes[at];
    }
    tempfile_write(&path, bytes, size);
    struct peer_table_file *file = reopen(PEER_TABLE_READ_WRITE);
    peer_table_file_close(&file);
    struct tempfile table = path;
    snprintf(path.path, sizeof path.path, "%s", dir.path);
    open_refused(PEER_ERR_IO, PEER_TABLE_READ, "not a regular file");
    path = table;
    free(bytes);
    free(copy);
}

static void layer_refused(enum peer_table_access access, bool forward_only, const char *words)
{
    struct peer_table_file *file = reopen(access);
    struct peer_ffw_shape how = {.table = file, .forward_only = forward_only};
    struct table_layer l;
    cr_expect_eq(table_layer_create(&l, &peer_ffw_peer, variants[0].options, &how, 1),
                 PEER_ERR_ARGUMENT);
    cr_expect(strstr(peer_ctx_error(l.ctx), words), "%s", peer_ctx_error(l.ctx));
    table_layer_destroy(&l);
    peer_table_file_close(&file);
}

/* It would write every row now and then. */
Test(table_file, deferred_adamw_is_refused)
{
    struct table_layer memory = in_memory(&variants[0]);
    create_for(&variants[0], &memory);
    struct peer_table_file *file = reopen(PEER_TABLE_READ_WRITE);
    struct table_layer mapped = on_file(&variants[0], file, false, 1);
    struct peer_optim_config config = peer_optim_config_default();
    struct peer_optim *optim = NULL;
    config.rows = PEER_ROWS_DEFERRED_ADAMW;
    cr_expect_eq(peer_optim_create(&optim, mapped.ctx, &mapped.params, &config), PEER_ERR_ARGUMENT);
    cr_expect(strstr(peer_ctx_error(mapped.ctx), "experts is mapped, expected f32 in memory"));
    cr_expect_null(optim);
    table_layer_destroy(&mapped);
    table_layer_destroy(&memory);
    peer_table_file_close(&file);
}

Test(table_file, layers_refuse_another_table)
{
    struct peer_table_file_config config = config_of(PEER_TABLE_F32, N, 2 * D);
    create(&config);
    layer_refused(PEER_TABLE_READ, false, "open for reading only");
    remove(path.path);
    config.rows++;
    create(&config);
    layer_refused(PEER_TABLE_READ, true, "f32 [1025, 44], expected f32 [1024, 44]");
    remove(path.path);
    config = config_of(PEER_TABLE_BF16, N, 2 * D);
    create(&config);
    layer_refused(PEER_TABLE_READ_WRITE, false, "bf16 [1024, 44], expected f32 [1024, 44]");
}
