/* SPDX-License-Identifier: MIT */
/* Values of entries by name: every type of table, rows that have fallen behind, mapped tables, and
 * initial values of the caller's own. */
#include "nn/params/access.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "nn/params/weights.h"
#include "nn/random.h"
#include "nn/tables/table_file.h"
#include "tests/support/optim_case.h"
#include "tests/support/tempdir.h"

enum { N = 61, D = 6, ALL = N * D, STEPS = 9 };

static struct peer_ctx *ctx;
static struct peer_params list;

static void set_up(void)
{
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    list = peer_params_empty(ctx);
}

static void tear_down(void)
{
    peer_params_free(&list);
    cr_expect_eq(peer_ctx_bytes(ctx), 0);
    peer_ctx_destroy(&ctx);
}

TestSuite(access, .init = set_up, .fini = tear_down);

static void add(struct peer_param param)
{
    cr_assert_eq(peer_params_add(&list, "", &param), PEER_OK, "%s", peer_ctx_error(ctx));
}

static void add_table(struct peer_table *table)
{
    add((struct peer_param){.name = "t",
                            .kind = PEER_PARAM_BUFFER,
                            .dims = 2,
                            .shape = {table->rows, table->width},
                            .data = table->f32,
                            .table = table});
}

Test(access, a_row_is_all_but_the_first_size)
{
    float data[2 * 3 * 4], values[12];
    for (int i = 0; i < 24; i++)
        data[i] = (float)i;
    add((struct peer_param){
        .name = "keys", .kind = PEER_PARAM_BUFFER, .dims = 3, .shape = {2, 3, 4}, .data = data});
    cr_expect_eq(peer_param_get(values, &list, "keys", 1, 1), PEER_OK);
    cr_expect_arr_eq(values, data + 12, sizeof values);
    cr_expect_eq(peer_param_get(values, &list, "keys", 2, 0), PEER_OK);
    cr_expect_eq(peer_param_set(&list, "keys", values, 0, 1), PEER_OK);
    cr_expect_arr_eq(data, data + 12, sizeof values);
}

Test(access, what_is_not_there)
{
    static const struct {
        const char *name;
        int64_t first, n;
        const char *words;
    } cases[] = {
        {"x", 0, 1, "none of 2 entries is called x"},
        {"w", -1, 1, "w: 1 rows from row -1 on, but it has 3 rows of 2 values"},
        {"w", 0, -1, "-1 rows from row 0 on"},
        {"w", 0, 4, "4 rows from row 0 on"},
        {"w", 4, 0, "0 rows from row 4 on"},
        {"w", 3, 1, "1 rows from row 3 on"},
        {"w", 1, INT64_MAX, "9223372036854775807 rows from row 1 on"},
        {"n", 0, 1, "n holds integers"},
    };
    float w[6] = {1, 1, 1, 1, 1, 1}, values[8] = {5, 5, 5, 5, 5, 5, 5, 5};
    int32_t n[1] = {3};
    add((struct peer_param){
        .name = "w", .kind = PEER_PARAM_BUFFER, .dims = 2, .shape = {3, 2}, .data = w});
    add((struct peer_param){.name = "n",
                            .kind = PEER_PARAM_BUFFER,
                            .dims = 1,
                            .shape = {1},
                            .type = PEER_TYPE_I32,
                            .data = (float *)n});
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_expect_eq(peer_param_get(values, &list, cases[i].name, cases[i].first, cases[i].n),
                     PEER_ERR_ARGUMENT);
        cr_expect(strstr(peer_ctx_error(ctx), cases[i].words), "%s", peer_ctx_error(ctx));
        cr_expect_eq(peer_param_set(&list, cases[i].name, values, cases[i].first, cases[i].n),
                     PEER_ERR_ARGUMENT);
        cr_expect(strstr(peer_ctx_error(ctx), cases[i].words), "%s", peer_ctx_error(ctx));
    }
    cr_expect(values[0] == 5 && w[0] == 1 && n[0] == 3);
}

/* By hand: 1.00390625 = 1 + 2^-8 lies between two numbers of bf16 and goes to the even one; of int8
 * the scale of a segment is its largest value / 127. */
Test(access, narrow_tables)
{
    static const float values[] = {1.00390625f, -2, 127, 63.5f};
    float got[4], scales[4] = {0};
    uint16_t bf16[8] = {0};
    int8_t int8[8] = {0};
    struct peer_table narrow = {
        .type = PEER_TABLE_BF16, .rows = 2, .width = 4, .segments = 2, .bf16 = bf16};
    struct peer_table byte = {.type = PEER_TABLE_INT8,
                              .rows = 2,
                              .width = 4,
                              .segments = 2,
                              .int8 = int8,
                              .scales = scales};
    add_table(&narrow);
    cr_assert_eq(peer_param_set(&list, "t", values, 1, 1), PEER_OK);
    cr_expect(bf16[0] == 0 && bf16[3] == 0 && bf16[4] == 0x3f80 && bf16[5] == 0xc000);
    cr_assert_eq(peer_param_get(got, &list, "t", 1, 1), PEER_OK);
    cr_expect(got[0] == 1 && got[1] == -2 && got[2] == 127 && got[3] == 63.5f);
    peer_params_truncate(&list, 0);
    add_table(&byte);
    cr_assert_eq(peer_param_set(&list, "t", values, 1, 1), PEER_OK);
    cr_expect(int8[4] == 64 && int8[5] == -127 && int8[6] == 127 && int8[7] == 64);
    cr_expect(scales[0] == 0 && scales[2] == 2.0f / 127 && scales[3] == 1);
    cr_assert_eq(peer_param_get(got, &list, "t", 1, 1), PEER_OK);
    cr_expect(got[2] == 127 && got[3] == 64 && got[0] == 64 * (2.0f / 127));
}

/* A table under deferred AdamW, of which each step touches few rows. */
struct run {
    struct peer_params params;
    struct peer_rows *rows;
    struct peer_optim *optim;
    float table[ALL];
};

static void train(struct run *run)
{
    static float g[D];
    struct peer_optim_config config = peer_optim_config_default();
    config.rows = PEER_ROWS_DEFERRED_ADAMW;
    run->params = peer_params_empty(ctx);
    run->rows = optim_case_table(&run->params, "table", run->table, N, D, STEPS);
    peer_fill_normal(run->table, ALL, 0, 1, 9, 1);
    run->optim = optim_case_create(ctx, &run->params, &config);
    for (int step = 0; step < STEPS; step++) {
        peer_fill_normal(g, D, 0, 1, 4, (uint64_t)step);
        optim_case_touch(run->rows, step * 5, 1, g);
        peer_optim_step(run->optim, 0.01f);
    }
}

static void end(struct run *run)
{
    peer_optim_destroy(&run->optim);
    peer_rows_destroy(&run->rows);
    peer_params_free(&run->params);
}

Test(access, rows_that_have_fallen_behind)
{
    static struct run run, current;
    static float values[ALL], behind[ALL];
    train(&run);
    train(&current);
    memcpy(behind, run.table, sizeof behind);
    peer_optim_catch_up(current.optim);
    cr_assert(memcmp(behind, current.table, sizeof behind), "no row has fallen behind");
    cr_assert_eq(peer_param_get(values, &run.params, "table", 2, N - 2), PEER_OK);
    cr_expect_arr_eq(values, current.table + 2 * D, (N - 2) * D * sizeof *values);
    /* What is written stays written, whenever the optimizer comes to it. */
    end(&run);
    train(&run);
    for (int i = 0; i < ALL; i++)
        values[i] = (float)i;
    cr_assert_eq(peer_param_set(&run.params, "table", values, 0, N), PEER_OK);
    peer_optim_catch_up(run.optim);
    cr_expect_arr_eq(run.table, values, sizeof values);
    end(&run);
    end(&current);
}

Test(access, a_file_has_no_row_that_is_behind)
{
    static struct run run, current;
    static float values[ALL];
    struct tempdir dir = tempdir_create();
    struct tempfile file = tempdir_file(&dir, "table");
    train(&run);
    train(&current);
    peer_optim_catch_up(current.optim);
    cr_assert_eq(peer_params_save(&run.params, file.path, NULL, NULL), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    end(&run);
    train(&run);
    cr_assert_eq(peer_params_load(&run.params, file.path, NULL, NULL), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    peer_optim_catch_up(run.optim);
    cr_expect_arr_eq(run.table, current.table, sizeof values);
    end(&run);
    end(&current);
    tempdir_remove(&dir);
}

/* Rows that nobody has read yet are drawn before they are read, or written over; a table that is
 * open for reading is not written. */
Test(access, mapped_tables)
{
    static float drawn[ALL], values[ALL];
    struct tempdir dir = tempdir_create();
    struct tempfile path = tempdir_file(&dir, "table");
    struct peer_table_file_config config = {
        .rows = N, .width = D, .deviation = 0.5f, .seed = 3, .stream = peer_stream("t")};
    struct peer_table_file *file = NULL;
    peer_fill_normal(drawn, ALL, 0, 0.5f, 3, peer_stream("t"));
    cr_assert_eq(peer_table_file_create(ctx, path.path, &config), PEER_OK);
    cr_assert_eq(peer_table_file_open(&file, ctx, path.path, PEER_TABLE_READ_WRITE), PEER_OK);
    struct peer_table table = *peer_table_file_table(file);
    add_table(&table);
    for (int i = 0; i < D; i++)
        values[i] = drawn[7 * D + i] = (float)i;
    cr_assert_eq(peer_param_set(&list, "t", values, 7, 1), PEER_OK, "%s", peer_ctx_error(ctx));
    cr_assert_eq(peer_param_get(values, &list, "t", 0, N), PEER_OK);
    cr_expect_arr_eq(values, drawn, sizeof values);
    struct tempfile saved = tempdir_file(&dir, "saved");
    cr_assert_eq(peer_params_save(&list, saved.path, NULL, NULL), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    peer_table_file_close(&file);
    cr_assert_eq(peer_table_file_open(&file, ctx, path.path, PEER_TABLE_READ), PEER_OK);
    table = *peer_table_file_table(file);
    peer_params_truncate(&list, 0);
    add_table(&table);
    cr_expect_eq(peer_param_set(&list, "t", values, 0, 1), PEER_ERR_ARGUMENT);
    cr_expect(strstr(peer_ctx_error(ctx), "t is mapped for reading"), "%s", peer_ctx_error(ctx));
    cr_expect_eq(peer_params_load(&list, saved.path, NULL, NULL), PEER_ERR_ARGUMENT);
    cr_assert_eq(peer_param_get(values, &list, "t", 7, 1), PEER_OK);
    cr_expect_arr_eq(values, drawn + 7 * D, D * sizeof *values);
    peer_table_file_close(&file);
    tempdir_remove(&dir);
}

/* Adds 1 to the values of the entry that it is told, and counts values. */
struct adding {
    const char *name;
    int64_t values;
};

static void add_one(void *user, float *values, const struct peer_param *param, int64_t first,
                    int64_t n)
{
    struct adding *adding = user;
    cr_expect(first >= 0 && first + n <= peer_param_size(param));
    adding->values += n;
    for (int64_t i = 0; i < n && strcmp(param->name, adding->name) == 0; i++)
        values[i] = (float)(first + i) + 1;
}

Test(access, initial_values_of_ones_own)
{
    enum { ROWS = 100, WIDTH = 77 };
    static uint16_t bf16[ROWS * WIDTH], before[ROWS * WIDTH];
    float w[6];
    int32_t n[1] = {3};
    struct peer_table narrow = {
        .type = PEER_TABLE_BF16, .rows = ROWS, .width = WIDTH, .segments = 1, .bf16 = bf16};
    struct peer_init init = {PEER_INIT_NORMAL, 1};
    add_table(&narrow);
    add((struct peer_param){
        .name = "w", .kind = PEER_PARAM_BUFFER, .dims = 2, .shape = {3, 2}, .data = w});
    add((struct peer_param){.name = "n",
                            .kind = PEER_PARAM_BUFFER,
                            .dims = 1,
                            .shape = {1},
                            .type = PEER_TYPE_I32,
                            .data = (float *)n});
    list.items[0].init = list.items[1].init = init;
    list.count = 2;
    peer_params_init(&list, 5);
    list.count = 3;
    memcpy(before, bf16, sizeof before);
    struct adding adding = {"w", 0};
    peer_params_init_with(&list, add_one, &adding);
    cr_expect_arr_eq(bf16, before, sizeof before);
    cr_expect_arr_eq(w, ((float[]){1, 2, 3, 4, 5, 6}), sizeof w);
    cr_expect(n[0] == 3 && adding.values == ROWS * WIDTH + 6);
    adding.name = "t";
    peer_params_init_with(&list, add_one, &adding);
    float values[WIDTH];
    cr_assert_eq(peer_param_get(values, &list, "t", ROWS - 1, 1), PEER_OK);
    for (int i = 0; i < WIDTH; i++) /* 7624 ... 7700, to 8 bits */
        cr_expect(fabsf(values[i] - (float)(99 * WIDTH + i + 1)) <= 16);
}
