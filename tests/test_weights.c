/* SPDX-License-Identifier: MIT */
/* Weights in and out as safetensors: the bytes of a file by hand, files as other programs write
 * them, maps of names, tables of every type. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/params/weights.h"
#include "nn/random.h"
#include "tests/support/failing.h"
#include "tests/support/tempdir.h"

static struct peer_ctx *ctx;
static struct failing failing;
static struct tempdir dir;
static struct tempfile file;
static struct peer_params list;

static void set_up(void)
{
    failing = (struct failing){.granted = -1};
    ctx = failing_ctx(&failing, 1);
    dir = tempdir_create();
    file = tempdir_file(&dir, "weights.safetensors");
    list = peer_params_empty(ctx);
}

static void tear_down(void)
{
    peer_params_free(&list);
    cr_expect_eq(failing.held, 0, "%lld blocks are held", (long long)failing.held);
    peer_ctx_destroy(&ctx);
    tempdir_remove(&dir);
}

TestSuite(weights, .init = set_up, .fini = tear_down);

static struct peer_param *add(const char *name, void *data, enum peer_type type, int dims,
                              const int64_t *shape)
{
    struct peer_param param = {
        .kind = PEER_PARAM_BUFFER, .dims = dims, .type = type, .data = data, .lr_scale = 1};
    snprintf(param.name, sizeof param.name, "%s", name);
    memcpy(param.shape, shape, (size_t)dims * sizeof *shape);
    cr_assert_eq(peer_params_add(&list, "", &param), PEER_OK, "%s", peer_ctx_error(ctx));
    return &list.items[list.count - 1];
}

static void add_table(const char *name, struct peer_table *table)
{
    struct peer_param param = {.kind = PEER_PARAM_BUFFER,
                               .dims = 2,
                               .shape = {table->rows, table->width},
                               .data = table->f32,
                               .table = table};
    snprintf(param.name, sizeof param.name, "%s", name);
    cr_assert_eq(peer_params_add(&list, "", &param), PEER_OK, "%s", peer_ctx_error(ctx));
}

static void save(const struct peer_name_map *map)
{
    cr_assert_eq(peer_params_save(&list, file.path, map, NULL), PEER_OK, "%s", peer_ctx_error(ctx));
}

static void load(const struct peer_name_map *map)
{
    cr_assert_eq(peer_params_load(&list, file.path, map, NULL), PEER_OK, "%s", peer_ctx_error(ctx));
}

/* A file of this header and these bytes behind it. */
static void write_file(const char *header, const void *bytes, size_t size)
{
    uint64_t length = strlen(header);
    char *all = malloc(8 + length + size);
    memcpy(all, &length, 8);
    memcpy(all + 8, header, length);
    memcpy(all + 8 + length, bytes, size);
    tempfile_write(&file, all, 8 + length + size);
    free(all);
}

/* Numbers of 32 bits stand before those of 16, so that each tensor is aligned to its own; the
 * header is filled with spaces to a multiple of 8. */
Test(weights, a_file_byte_by_byte)
{
    static const char expected[] =
        "\xe0\0\0\0\0\0\0\0"
        "{\"__metadata__\":{\"format\":\"pt\",\"by\":\"\\\"a\\\\b\\u000a\xc3\xa9\\\"\"},"
        "\"w\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]},"
        "\"n\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[8,12]},"
        "\"t\":{\"dtype\":\"BF16\",\"shape\":[1,2],\"data_offsets\":[12,16]}} "
        "\0\0\x80\x3f\0\0\0\xc0\x02\x01\0\0\x80\x3f\x00\xc0";
    float w[] = {1, -2};
    uint16_t narrow[] = {0x3f80, 0xc000};
    int32_t number[] = {258};
    struct peer_table table = {
        .type = PEER_TABLE_BF16, .rows = 1, .width = 2, .segments = 1, .bf16 = narrow};
    add_table("t", &table);
    add("w", w, PEER_TYPE_F32, 2, (int64_t[]){2, 1});
    add("n", number, PEER_TYPE_I32, 1, (int64_t[]){1});
    struct peer_metadata metadata[] = {{"by", "\"a\\b\n\xc3\xa9\""}, {NULL, NULL}};
    cr_assert_eq(peer_params_save(&list, file.path, NULL, metadata), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    size_t size;
    char *bytes = tempfile_read(&file, &size);
    uint64_t length;
    memcpy(&length, bytes, sizeof length);
    cr_expect_eq(length % 8, 0);
    cr_expect_eq(length, sizeof expected - 1 - 8 - 16, "%d", (int)length);
    cr_assert_eq(size, sizeof expected - 1, "%.*s", (int)length, bytes + 8);
    cr_expect_arr_eq(bytes, expected, size, "%d: %.*s", (int)length, (int)length, bytes + 8);
    cr_expect_eq(tempdir_count(&dir), 1);
    free(bytes);
    w[0] = w[1] = 0;
    narrow[0] = narrow[1] = 0;
    number[0] = 0;
    load(NULL);
    cr_expect(w[0] == 1 && w[1] == -2 && narrow[0] == 0x3f80 && narrow[1] == 0xc000 &&
              number[0] == 258);
}

/* Metadata that are no strings, fields that nobody knows, escapes, white space, holes, bytes at the
 * end, odd addresses, any order, tensors without values. */
Test(weights, a_file_of_somebody_elses)
{
    static const char header[] =
        " {\n\t\"b\": {\"data_offsets\": [13, 19], \"quantised\": {\"by\": [1e-3, null, "
        "[true]]},\r\n"
        "\"shape\": [3], \"dtype\": \"\\u00461\\u0036\"} , \"none\":{\"dtype\":\"F32\",\"shape\":"
        "[3,0,4],\"data_offsets\":[5,5]},"
        "\"__metadata__\":{\"step\": 3, \"more\":{\"a\":[]}},"
        "\"\\u0061\\ud83d\\ude00\":{\"dtype\":\"BF16\",\"shape\":[1,2],\"data_offsets\":[1,5]},"
        "\"c\":{\"dtype\":\"F32\",\"shape\":[1,1,1],\"data_offsets\":[21,25]}}  ";
    static const unsigned char bytes[27] = {
        0xff, 0x80, 0x3f, 0x00, 0xc0, 9,    9, 9, 9, 9, 9, 9, 9, /* holes; 1, -2 */
        0x00, 0x3c, 0x01, 0x80, 0x00, 0x7c, 9, 9,                /* 1, -2^-24, infinity */
        0,    0,    0x40, 0x40, 9,    9};                        /* 3 */
    float a[2], b[3], c[1], none[1] = {7};
    add("c", c, PEER_TYPE_F32, 3, (int64_t[]){1, 1, 1});
    add("b", b, PEER_TYPE_F32, 1, (int64_t[]){3});
    add("a\xf0\x9f\x98\x80", a, PEER_TYPE_F32, 2, (int64_t[]){1, 2});
    add("none", none, PEER_TYPE_F32, 3, (int64_t[]){3, 0, 4});
    write_file(header, bytes, sizeof bytes);
    load(NULL);
    cr_expect(a[0] == 1 && a[1] == -2);
    cr_expect(b[0] == 1 && b[1] == -0x1p-24f && b[2] == INFINITY);
    cr_expect(c[0] == 3 && none[0] == 7);
}

/* All 2^16 numbers of half precision, by their definition. */
Test(weights, half_precision)
{
    static uint16_t half[1 << 16];
    static float x[1 << 16];
    for (int i = 0; i < 1 << 16; i++)
        half[i] = (uint16_t)i;
    add("x", x, PEER_TYPE_F32, 1, (int64_t[]){1 << 16});
    write_file("{\"x\":{\"dtype\":\"F16\",\"shape\":[65536],\"data_offsets\":[0,131072]}}", half,
               sizeof half);
    load(NULL);
    for (int i = 0; i < 1 << 16; i++) {
        int exponent = i >> 10 & 31, fraction = i & 1023;
        double size = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
        if (exponent == 31)
            size = fraction ? NAN : INFINITY;
        if (isnan(size))
            cr_expect(isnan(x[i]));
        else
            cr_expect(x[i] == size && !signbit(x[i]) == !(i >> 15) ? true : x[i] == -size,
                      "%04x is %g", (unsigned)i, (double)x[i]);
    }
}

static struct peer_name named(const char *entry, const char *tensor)
{
    struct peer_name name = {.dims = 0};
    snprintf(name.entry, sizeof name.entry, "%s", entry);
    snprintf(name.tensor, sizeof name.tensor, "%s", tensor);
    return name;
}

static void map_add(struct peer_name_map *map, const struct peer_name *name)
{
    cr_assert_eq(peer_name_map_add(map, name), PEER_OK, "%s", peer_ctx_error(ctx));
}

/* u and v of [u | v] apart, for three experts of two values each. */
static void split(struct peer_name_map *map, const char *entry)
{
    struct peer_name part = named(entry, "up.weight");
    part.dims = part.steps = 2;
    part.shape[0] = part.view[0] = 3;
    part.shape[1] = part.view[1] = 2;
    part.stride[0] = 4;
    part.stride[1] = 1;
    part.offset = 2;
    map_add(map, &part);
    snprintf(part.tensor, sizeof part.tensor, "down.weight");
    part.offset = 0;
    map_add(map, &part);
}

/* Where the value that begins a tensor lies in the file. */
static const float *tensor_in(const char *bytes, const char *name)
{
    char quoted[100];
    uint64_t length;
    long long begin = -1;
    snprintf(quoted, sizeof quoted, "\"%s\":", name);
    memcpy(&length, bytes, sizeof length);
    const char *at = strstr(bytes + 8, quoted);
    cr_assert(at, "%s", name);
    cr_assert_eq(sscanf(strstr(at, "data_offsets"), "data_offsets\":[%lld,", &begin), 1);
    return (const float *)(bytes + 8 + length + begin);
}

Test(weights, a_row_of_two_halves_is_two_tensors)
{
    float row[12], before[12];
    struct peer_table table = {
        .type = PEER_TABLE_F32, .rows = 3, .width = 4, .segments = 2, .f32 = row};
    struct peer_name_map map = peer_name_map_empty(ctx);
    for (int i = 0; i < 12; i++)
        row[i] = before[i] = (float)i;
    add_table("experts", &table);
    split(&map, "experts");
    save(&map);
    size_t size;
    char *bytes = tempfile_read(&file, &size);
    cr_expect_arr_eq(tensor_in(bytes, "down.weight"), ((float[]){0, 1, 4, 5, 8, 9}), 24);
    cr_expect_arr_eq(tensor_in(bytes, "up.weight"), ((float[]){2, 3, 6, 7, 10, 11}), 24);
    free(bytes);
    memset(row, 0, sizeof row);
    load(&map);
    cr_expect_arr_eq(row, before, sizeof row);
    peer_name_map_free(&map);
}

/* [2, 3] as [3, 2], and as [2, 2, 3] that has it twice, which is no file to load. */
Test(weights, sizes_in_another_order_and_repeated)
{
    float a[6] = {0, 1, 2, 3, 4, 5}, before[6];
    memcpy(before, a, sizeof a);
    add("a", a, PEER_TYPE_F32, 2, (int64_t[]){2, 3});
    struct peer_name_map map = peer_name_map_empty(ctx);
    struct peer_name turned = named("a", "turned");
    turned.dims = turned.steps = 2;
    turned.shape[0] = turned.view[0] = 3;
    turned.shape[1] = turned.view[1] = 2;
    turned.stride[0] = 1;
    turned.stride[1] = 3;
    map_add(&map, &turned);
    save(&map);
    size_t size;
    char *bytes = tempfile_read(&file, &size);
    cr_expect_arr_eq(tensor_in(bytes, "turned"), ((float[]){0, 3, 1, 4, 2, 5}), 24);
    free(bytes);
    memset(a, 0, sizeof a);
    load(&map);
    cr_expect_arr_eq(a, before, sizeof a);
    peer_name_map_free(&map);
    struct peer_name twice = named("a", "twice");
    twice.dims = twice.steps = 3;
    twice.shape[0] = twice.view[0] = twice.shape[1] = twice.view[1] = 2;
    twice.shape[2] = twice.view[2] = twice.stride[1] = 3;
    twice.stride[2] = 1;
    map_add(&map, &twice);
    save(&map);
    bytes = tempfile_read(&file, &size);
    cr_expect_arr_eq(tensor_in(bytes, "twice"), ((float[]){0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5}),
                     48);
    free(bytes);
    cr_expect_eq(peer_params_load(&list, file.path, &map, NULL), PEER_ERR_ARGUMENT);
    cr_expect(strstr(peer_ctx_error(ctx), "twice repeats values of a"), "%s", peer_ctx_error(ctx));
    peer_name_map_free(&map);
    struct peer_name over = named("a", "over"); /* steps that overlap: 0 1 1 2 2 3 3 4 */
    over.dims = over.steps = 3;
    for (int i = 0; i < 3; i++) {
        over.shape[i] = over.view[i] = 2;
        over.stride[i] = i ? 1 : 2;
    }
    map_add(&map, &over);
    save(&map);
    cr_expect_eq(peer_params_load(&list, file.path, &map, NULL), PEER_ERR_ARGUMENT);
    cr_expect(strstr(peer_ctx_error(ctx), "over repeats values of a"), "%s", peer_ctx_error(ctx));
    peer_name_map_free(&map);
}

/* bf16 keeps its bits in a file of bf16; int8 is the nearest to what the floats say, scales of both
 * halves included, though these lie in two tensors. */
Test(weights, tables_of_every_type)
{
    enum { ROWS = 3, WIDTH = 4, ALL = ROWS * WIDTH };
    float f32[ALL], scales[2 * ROWS], values[ALL], again[ALL];
    uint16_t bf16[ALL], kept[ALL];
    int8_t int8[ALL];
    struct peer_table tables[] = {
        {.type = PEER_TABLE_F32, .rows = ROWS, .width = WIDTH, .segments = 2, .f32 = f32},
        {.type = PEER_TABLE_BF16, .rows = ROWS, .width = WIDTH, .segments = 2, .bf16 = bf16},
        {.type = PEER_TABLE_INT8,
         .rows = ROWS,
         .width = WIDTH,
         .segments = 2,
         .int8 = int8,
         .scales = scales}};
    struct peer_name_map map = peer_name_map_empty(ctx);
    peer_fill_normal(values, ALL, 0, 1, 7, 1);
    split(&map, "t");
    for (int from = 0; from < PEER_TABLE_COUNT; from++) {
        for (int to = 0; to < PEER_TABLE_COUNT; to++) {
            add_table("t", &tables[from]);
            peer_table_write(&tables[from], values, 0, ROWS);
            peer_table_read(again, &tables[from], 0, ROWS);
            memcpy(kept, bf16, sizeof kept);
            save(&map);
            peer_params_truncate(&list, 0);
            add_table("t", &tables[to]);
            memset(f32, 0, sizeof f32);
            memset(bf16, 0, sizeof bf16);
            memset(int8, 0, sizeof int8);
            load(&map);
            peer_params_truncate(&list, 0);
            float got[ALL], expected[ALL];
            peer_table_read(got, &tables[to], 0, ROWS);
            peer_table_write(&tables[to], again, 0, ROWS);
            peer_table_read(expected, &tables[to], 0, ROWS);
            cr_expect_arr_eq(got, expected, sizeof got, "from %s to %s", peer_table_names[from],
                             peer_table_names[to]);
            if (from == PEER_TABLE_BF16 && to == PEER_TABLE_BF16)
                cr_expect_arr_eq(bf16, kept, sizeof kept);
        }
    }
    peer_name_map_free(&map);
}

/* What a report says, one difference after another. */
struct said {
    char text[4096];
    int count[PEER_MISMATCH_COUNT];
};

static void report(void *user, const struct peer_mismatch *mismatch)
{
    struct said *said = user;
    size_t used = strlen(said->text);
    snprintf(said->text + used, sizeof said->text - used, "%s: %s\n",
             mismatch->entry ? mismatch->entry : "-", mismatch->text);
    said->count[mismatch->kind]++;
}

Test(weights, differences_have_names_and_both_shapes)
{
    static const char header[] =
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[0,24]},"
        "\"b\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[24,32]},"
        "\"d\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[32,36]},"
        "\"e\":{\"dtype\":\"Q7\",\"shape\":[5],\"data_offsets\":[36,40]}}";
    static const char bytes[40];
    float a[6] = {1, 1, 1, 1, 1, 1}, b[1] = {1}, c[2] = {1, 1}, d[1] = {1};
    add("a", a, PEER_TYPE_F32, 2, (int64_t[]){2, 3});
    add("b", b, PEER_TYPE_F32, 1, (int64_t[]){1});
    add("c", c, PEER_TYPE_F32, 1, (int64_t[]){2});
    add("d", d, PEER_TYPE_F32, 1, (int64_t[]){1});
    write_file(header, bytes, sizeof bytes);
    struct said said = {.text = ""};
    struct peer_load_options options = {.report = report, .user = &said};
    cr_expect_eq(peer_params_load(&list, file.path, NULL, &options), PEER_ERR_FORMAT);
    cr_expect_str_eq(said.text, "a: tensor a is F32 [3, 2], expected [2, 3]\n"
                                "b: tensor b is F64 [1], expected F32, BF16 or F16\n"
                                "c: there is no tensor c, expected F32, BF16 or F16 [2]\n"
                                "d: tensor d is F32 [], expected [1]\n"
                                "-: tensor e, Q7 [5], is left over\n");
    const char *error = peer_ctx_error(ctx);
    cr_expect(strstr(error, file.path) && strstr(error, "a is F32 [3, 2], expected [2, 3]") &&
                  strstr(error, "(and 4 more differences)"),
              "%s", error);
    cr_expect(a[0] == 1 && b[0] == 1 && c[0] == 1 && d[0] == 1, "a value was touched");
}

/* What is missing keeps its values; what is left over is told all the same. */
Test(weights, differences_that_are_allowed)
{
    static const float two[] = {2, 3};
    float a[1] = {1}, b[1] = {1};
    add("a", a, PEER_TYPE_F32, 1, (int64_t[]){1});
    add("b", b, PEER_TYPE_F32, 1, (int64_t[]){1});
    write_file("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
               "\"count\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[8,16]},"
               "\"z\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
               (float[]){two[0], two[1], 0, 0}, 16);
    struct said said = {.text = ""};
    struct peer_load_options options = {.allow_missing = true, .report = report, .user = &said};
    cr_expect_eq(peer_params_load(&list, file.path, NULL, &options), PEER_ERR_FORMAT);
    cr_expect(strstr(peer_ctx_error(ctx), "tensor count, I64 [], is left over (and 1 more"), "%s",
              peer_ctx_error(ctx));
    options.allow_missing = false;
    options.allow_left_over = true;
    cr_expect_eq(peer_params_load(&list, file.path, NULL, &options), PEER_ERR_FORMAT);
    cr_expect(a[0] == 1 && b[0] == 1, "a value was touched");
    options.allow_missing = true;
    memset(&said, 0, sizeof said);
    cr_expect_eq(peer_params_load(&list, file.path, NULL, &options), PEER_OK);
    cr_expect(a[0] == 2 && b[0] == 1);
    cr_expect(said.count[PEER_MISMATCH_MISSING] == 1 && said.count[PEER_MISMATCH_LEFT_OVER] == 2);
    /* A map may know of what is to be left aside. */
    struct peer_name_map map = peer_name_map_empty(ctx);
    struct peer_name aside = named("", "count");
    map_add(&map, &aside);
    cr_assert_eq(peer_name_map_rename(&map, "b", "z"), PEER_OK);
    load(&map);
    cr_expect(a[0] == 2 && b[0] == 3);
    peer_name_map_free(&map);
}

Test(weights, maps_that_are_not_of_the_list)
{
    float a[6];
    struct peer_name_map map = peer_name_map_empty(ctx);
    struct peer_name part = named("a", "part");
    add("a", a, PEER_TYPE_F32, 2, (int64_t[]){2, 3});
    part.dims = part.steps = 1;
    part.shape[0] = 2;
    part.view[0] = 3;
    part.stride[0] = 2;
    cr_expect_eq(peer_name_map_add(&map, &part), PEER_ERR_ARGUMENT); /* 2 values and 3 */
    part.shape[0] = 3;
    part.offset = 2;
    map_add(&map, &part); /* ends at value 6 of 6 */
    cr_expect_eq(peer_params_save(&list, file.path, &map, NULL), PEER_ERR_ARGUMENT);
    cr_expect(strstr(peer_ctx_error(ctx), "part ends at value 6 of a, which has 6"), "%s",
              peer_ctx_error(ctx));
    map.items[0].stride[0] = INT64_MAX;
    cr_expect_eq(peer_params_save(&list, file.path, &map, NULL), PEER_ERR_ARGUMENT);
    peer_name_map_free(&map);
    cr_assert_eq(peer_name_map_rename(&map, "b", "x"), PEER_OK);
    cr_expect_eq(peer_params_save(&list, file.path, &map, NULL), PEER_ERR_ARGUMENT);
    cr_expect(strstr(peer_ctx_error(ctx), "x is of b"), "%s", peer_ctx_error(ctx));
    peer_name_map_free(&map);
    cr_assert_eq(peer_name_map_rename(&map, "a", "x"), PEER_OK);
    cr_assert_eq(peer_name_map_rename(&map, "a", "x"), PEER_OK);
    cr_expect_eq(peer_params_save(&list, file.path, &map, NULL), PEER_ERR_ARGUMENT);
    cr_expect(strstr(peer_ctx_error(ctx), "the name x stands twice"), "%s", peer_ctx_error(ctx));
    peer_name_map_free(&map);
    cr_assert_eq(peer_name_map_rename(&map, "a", "\xff"), PEER_OK);
    cr_expect_eq(peer_params_save(&list, file.path, &map, NULL), PEER_ERR_ARGUMENT);
    peer_name_map_free(&map);
    struct peer_metadata format[] = {{"format", "tf"}, {NULL, NULL}};
    cr_expect_eq(peer_params_save(&list, file.path, NULL, format), PEER_ERR_ARGUMENT);
    cr_expect_eq(tempdir_count(&dir), 0);
}

/* Walks by rows alone go through a table that is not floats in memory. */
Test(weights, a_narrow_table_is_walked_by_rows)
{
    uint16_t bf16[12];
    struct peer_table table = {
        .type = PEER_TABLE_BF16, .rows = 3, .width = 4, .segments = 1, .bf16 = bf16};
    struct peer_name_map map = peer_name_map_empty(ctx);
    struct peer_name turned = named("t", "turned");
    add_table("t", &table);
    turned.dims = turned.steps = 2;
    turned.shape[0] = turned.view[0] = turned.stride[1] = 4;
    turned.shape[1] = turned.view[1] = 3;
    turned.stride[0] = 1;
    map_add(&map, &turned);
    cr_expect_eq(peer_params_save(&list, file.path, &map, NULL), PEER_ERR_ARGUMENT);
    cr_expect(strstr(peer_ctx_error(ctx), "expected the 3 rows of t"), "%s", peer_ctx_error(ctx));
    peer_name_map_free(&map);
}

/* Pieces: a table and an array that are longer than what is moved at a time. */
Test(weights, long_tensors)
{
    enum { ROWS = 1021, WIDTH = 202, ALL = ROWS * WIDTH };
    static float a[ALL], b[ALL], before[ALL];
    static uint16_t bf16[ALL], kept[ALL];
    struct peer_table table = {
        .type = PEER_TABLE_BF16, .rows = ROWS, .width = WIDTH, .segments = 2, .bf16 = bf16};
    struct peer_name_map map = peer_name_map_empty(ctx);
    struct peer_name turned = named("a", "turned"), half = named("t", "left");
    peer_fill_normal(a, ALL, 0, 1, 3, 1);
    peer_fill_normal(b, ALL, 0, 1, 3, 2);
    peer_table_write(&table, b, 0, ROWS);
    memcpy(kept, bf16, sizeof kept);
    memcpy(before, a, sizeof a);
    add("a", a, PEER_TYPE_F32, 2, (int64_t[]){ROWS, WIDTH});
    add_table("t", &table);
    turned.dims = turned.steps = half.dims = half.steps = 2;
    turned.shape[0] = turned.view[0] = turned.stride[1] = WIDTH;
    turned.shape[1] = turned.view[1] = half.shape[0] = half.view[0] = ROWS;
    turned.stride[0] = half.stride[1] = 1;
    half.shape[1] = half.view[1] = WIDTH / 2;
    half.stride[0] = WIDTH;
    map_add(&map, &turned);
    map_add(&map, &half);
    half.offset = WIDTH / 2;
    snprintf(half.tensor, sizeof half.tensor, "right");
    map_add(&map, &half);
    save(&map);
    memset(a, 0, sizeof a);
    memset(bf16, 0, sizeof bf16);
    load(&map);
    cr_expect_arr_eq(a, before, sizeof a);
    cr_expect_arr_eq(bf16, kept, sizeof kept);
    peer_name_map_free(&map);
}

/* A folder that is not there; what stood in the file before stays. */
Test(weights, what_cannot_be_written)
{
    float a[1] = {1};
    add("a", a, PEER_TYPE_F32, 1, (int64_t[]){1});
    struct tempfile absent = tempdir_file(&dir, "absent/file");
    cr_expect_eq(peer_params_save(&list, absent.path, NULL, NULL), PEER_ERR_IO);
    cr_expect(strstr(peer_ctx_error(ctx), absent.path), "%s", peer_ctx_error(ctx));
    cr_expect_eq(peer_params_load(&list, absent.path, NULL, NULL), PEER_ERR_IO);
    save(NULL);
    tempdir_become_nobody(&dir);
    save(NULL);
    cr_expect_eq(tempdir_count(&dir), 1);
}

Test(weights, memory_may_end_anywhere)
{
    float a[6] = {0, 1, 2, 3, 4, 5};
    add("a", a, PEER_TYPE_F32, 2, (int64_t[]){2, 3});
    add("b", (float[4]){0}, PEER_TYPE_F32, 1, (int64_t[]){4});
    int failures = 0;
    int64_t held = failing.held;
    for (enum peer_status status = PEER_ERR_MEMORY; status; failures += status != PEER_OK) {
        failing.granted = failing.asked + failures;
        status = peer_params_save(&list, file.path, NULL, NULL);
        cr_assert(status == PEER_OK || status == PEER_ERR_MEMORY);
        cr_expect_eq(failing.held, held);
        cr_expect_eq(tempdir_count(&dir), status == PEER_OK);
    }
    cr_expect_gt(failures, 3);
    a[0] = 9;
    failures = 0;
    for (enum peer_status status = PEER_ERR_MEMORY; status; failures += status != PEER_OK) {
        failing.granted = failing.asked + failures;
        cr_expect_eq(a[0], 9);
        status = peer_params_load(&list, file.path, NULL, NULL);
        cr_assert(status == PEER_OK || status == PEER_ERR_MEMORY);
        cr_expect_eq(failing.held, held);
    }
    cr_expect_gt(failures, 5);
    cr_expect_eq(a[0], 0);
}
