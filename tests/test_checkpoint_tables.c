/* SPDX-License-Identifier: MIT */
/* Tables in checkpoints: saved in their own type, read into any. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "lm/checkpoint.h"
#include "nn/random.h"
#include "nn/tables/table_lookup.h"
#include "tests/support/tempdir.h"

/* More values than are converted at a time, and rows that do not divide these. */
enum { SEED = 61, ROWS = 701, WIDTH = 303, SEGMENTS = 3, VALUES = ROWS * WIDTH };

static struct peer_ctx *ctx;
static struct tempdir dir;
static struct tempfile file;

/* One table between two vectors, as a list. */
struct model {
    struct peer_pool pool;
    struct peer_table table;
    float before[5], after[7];
    struct peer_params params;
};

static void add(struct model *m, const char *name, float *data, struct peer_table *table,
                int64_t n0, int64_t n1)
{
    struct peer_param param = {
        .kind = PEER_PARAM_BUFFER, .dims = 2, .shape = {n0, n1}, .data = data, .table = table};
    strcpy(param.name, name);
    cr_assert_eq(peer_params_add(&m->params, "", &param), PEER_OK);
}

static void create(struct model *m, enum peer_table_type type, uint64_t stream)
{
    static float values[VALUES];
    *m = (struct model){.pool = {.ctx = ctx}, .params = peer_params_empty(ctx)};
    m->table =
        (struct peer_table){.type = type, .rows = ROWS, .width = WIDTH, .segments = SEGMENTS};
    peer_table_alloc(&m->table, &m->pool, "table", NULL);
    cr_assert_not(m->pool.failed);
    peer_fill_normal(values, VALUES, 0, 1, SEED, stream);
    peer_table_write(&m->table, values, 0, ROWS);
    peer_fill_normal(m->before, 5, 0, 1, SEED, stream + 1);
    peer_fill_normal(m->after, 7, 0, 1, SEED, stream + 2);
    add(m, "before", m->before, NULL, 5, 1);
    add(m, "experts", m->table.f32, &m->table, ROWS, WIDTH);
    add(m, "after", m->after, NULL, 7, 1);
}

static void destroy(struct model *m)
{
    peer_params_free(&m->params);
    peer_pool_free(&m->pool);
}

static float *values_of(const struct model *m)
{
    float *values = calloc(VALUES, sizeof *values);
    peer_table_read(values, &m->table, 0, ROWS);
    return values;
}

static void set_up(void)
{
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    dir = tempdir_create();
    file = tempdir_file(&dir, "checkpoint");
}

static void tear_down(void)
{
    tempdir_remove(&dir);
    peer_ctx_destroy(&ctx);
}

TestSuite(checkpoint_tables, .init = set_up, .fini = tear_down);

/* What is loaded is what writing the saved values to the table gives. */
static void expect_converted(enum peer_table_type from, enum peer_table_type to)
{
    struct model saved, loaded, expected;
    create(&saved, from, 10);
    create(&loaded, to, 20);
    create(&expected, to, 30);
    cr_assert_eq(lm_checkpoint_save(ctx, file.path, &saved.params, NULL), PEER_OK);
    cr_assert_eq(lm_checkpoint_load(ctx, file.path, &loaded.params), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    float *written = values_of(&saved);
    peer_table_write(&expected.table, written, 0, ROWS);
    float *a = values_of(&loaded), *b = values_of(&expected);
    cr_expect_arr_eq(a, b, VALUES * sizeof *a, "%s to %s", peer_table_names[from],
                     peer_table_names[to]);
    cr_expect_arr_eq(loaded.before, saved.before, sizeof saved.before);
    cr_expect_arr_eq(loaded.after, saved.after, sizeof saved.after);
    free(written);
    free(a);
    free(b);
    destroy(&saved);
    destroy(&loaded);
    destroy(&expected);
}

Test(checkpoint_tables, are_read_into_tables_of_any_type)
{
    for (enum peer_table_type from = PEER_TABLE_F32; from <= PEER_TABLE_BF16; from++)
        for (enum peer_table_type to = PEER_TABLE_F32; to < PEER_TABLE_COUNT; to++)
            expect_converted(from, to);
}

Test(checkpoint_tables, of_bf16_take_half_the_bytes_as_safetensors_has_them)
{
    size_t size[2];
    for (enum peer_table_type type = PEER_TABLE_F32; type <= PEER_TABLE_BF16; type++) {
        struct model model;
        create(&model, type, 40);
        cr_assert_eq(lm_checkpoint_save(ctx, file.path, &model.params, NULL), PEER_OK);
        char *bytes = tempfile_read(&file, &size[type]);
        uint64_t length;
        memcpy(&length, bytes, sizeof length);
        json_t *header = json_loadb(bytes + 8, length, 0, NULL);
        json_t *tensor = json_object_get(header, "experts");
        cr_expect_str_eq(json_string_value(json_object_get(tensor, "dtype")),
                         type == PEER_TABLE_F32 ? "F32" : "BF16");
        size[type] -= length;
        json_decref(header);
        free(bytes);
        destroy(&model);
    }
    cr_expect_eq(size[0] - size[1], VALUES * 2);
}

Test(checkpoint_tables, of_int8_are_not_saved)
{
    struct model model;
    create(&model, PEER_TABLE_INT8, 50);
    cr_expect_eq(lm_checkpoint_save(ctx, file.path, &model.params, NULL), PEER_ERR_ARGUMENT);
    cr_expect(strstr(peer_ctx_error(ctx), "experts is int8"));
    cr_expect_eq(tempdir_count(&dir), 0);
    destroy(&model);
}

Test(checkpoint_tables, of_a_file_are_neither_saved_nor_read)
{
    struct model model;
    create(&model, PEER_TABLE_F32, 55);
    cr_assert_eq(lm_checkpoint_save(ctx, file.path, &model.params, NULL), PEER_OK);
    model.table.file = (struct peer_table_file *)(void *)&model; /* not looked at */
    cr_expect_eq(lm_checkpoint_save(ctx, file.path, &model.params, NULL), PEER_ERR_ARGUMENT);
    cr_expect(strstr(peer_ctx_error(ctx), "experts is mapped"));
    cr_expect_eq(lm_checkpoint_load(ctx, file.path, &model.params), PEER_ERR_ARGUMENT);
    cr_expect(strstr(peer_ctx_error(ctx), "experts is mapped"), "%s", peer_ctx_error(ctx));
    destroy(&model);
}

/* Only tables take BF16. */
Test(checkpoint_tables, types_that_do_not_fit_are_refused)
{
    struct model model, plain;
    create(&model, PEER_TABLE_BF16, 60);
    create(&plain, PEER_TABLE_F32, 61);
    plain.params.items[1].table = NULL;
    cr_assert_eq(lm_checkpoint_save(ctx, file.path, &model.params, NULL), PEER_OK);
    cr_expect_eq(lm_checkpoint_load(ctx, file.path, &plain.params), PEER_ERR_FORMAT);
    cr_expect(strstr(peer_ctx_error(ctx), "tensor experts is BF16 [701, 303], expected F32"), "%s",
              peer_ctx_error(ctx));
    destroy(&model);
    destroy(&plain);
}
