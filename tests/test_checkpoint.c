/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "lm/checkpoint.h"
#include "nn/random.h"
#include "tests/support/failing.h"
#include "tests/support/tempdir.h"

enum { SEED = 52, A_ROWS = 3, A_COLUMNS = 5, A = A_ROWS * A_COLUMNS, B = 7 };

static struct peer_ctx *ctx;
static struct tempdir dir;
static struct tempfile file;

/* A list of two entries over arrays of its own. */
struct model {
    float a[A], b[B], gradient[A];
    struct peer_params params;
};

static void add(struct peer_params *params, const char *name, enum peer_param_kind kind,
                float *data, float *grad, int dims, int64_t n0, int64_t n1)
{
    struct peer_param param = {
        .kind = kind, .dims = dims, .shape = {n0, n1}, .data = data, .grad = grad};
    snprintf(param.name, sizeof param.name, "%s", name);
    cr_assert_eq(peer_params_add(params, "", &param), PEER_OK, "%s", peer_ctx_error(ctx));
}

static void model_init(struct model *model, uint64_t seed)
{
    model->params = peer_params_empty(ctx);
    add(&model->params, "a.weight", PEER_PARAM_DENSE, model->a, model->gradient, 2, A_ROWS,
        A_COLUMNS);
    add(&model->params, "b", PEER_PARAM_BUFFER, model->b, NULL, 1, B, 0);
    peer_fill_normal(model->a, A, 0, 1, seed, 1);
    peer_fill_normal(model->b, B, 0, 1, seed, 2);
    model->a[3] = -0.0f;
    model->b[0] = (float)(seed % 2 ? NAN : INFINITY);
}

static bool same(const struct model *left, const struct model *right)
{
    return !memcmp(left->a, right->a, sizeof left->a) && !memcmp(left->b, right->b, sizeof left->b);
}

static struct model saved, other;
static json_t *metadata;

static void set_up(void)
{
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    dir = tempdir_create();
    file = tempdir_file(&dir, "checkpoint.safetensors");
    model_init(&saved, SEED);
    model_init(&other, SEED + 1);
    metadata = json_pack("{s:s, s:s}", "step", "123456789012345", "text", "\"\n\xc3\xa9\\");
    cr_assert(metadata);
}

static void tear_down(void)
{
    json_decref(metadata);
    peer_params_free(&saved.params);
    peer_params_free(&other.params);
    tempdir_remove(&dir);
    peer_ctx_destroy(&ctx);
}

TestSuite(checkpoint, .init = set_up, .fini = tear_down);

static void save(void)
{
    cr_assert_eq(lm_checkpoint_save(ctx, file.path, &saved.params, metadata), PEER_OK, "%s",
                 peer_ctx_error(ctx));
}

/* Loading must fail with `expected`, name the file and the words, and change no value. */
static void refused(enum peer_status expected, const char *word, const char *second)
{
    struct model before = other;
    cr_expect_eq(lm_checkpoint_load(ctx, file.path, &other.params), expected);
    cr_expect(same(&before, &other), "values were changed");
    const char *error = peer_ctx_error(ctx);
    cr_expect(strstr(error, file.path), "%s", error);
    cr_expect(strstr(error, word) && strstr(error, second), "%s: without %s or %s", error, word,
              second);
}

static void whole(void)
{
    struct model before = other;
    cr_assert_eq(lm_checkpoint_load(ctx, file.path, &other.params), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    cr_expect(same(&saved, &other));
    memcpy(other.a, before.a, sizeof other.a);
    memcpy(other.b, before.b, sizeof other.b);
}

Test(checkpoint, gives_back_what_was_saved)
{
    save();
    whole();
    cr_expect_eq(tempdir_count(&dir), 1);
    json_t *read = NULL;
    cr_assert_eq(lm_checkpoint_metadata(&read, ctx, file.path), PEER_OK);
    cr_expect_eq(json_object_size(read), 3);
    cr_expect_eq(json_object_del(read, "crc32"), 0);
    cr_expect(json_equal(read, metadata));
    json_decref(read);
    cr_expect_eq(lm_checkpoint_save(ctx, file.path, &saved.params, NULL), PEER_OK);
    whole();
    struct tempfile absent = tempdir_file(&dir, "absent/checkpoint");
    cr_expect_eq(lm_checkpoint_save(ctx, absent.path, &saved.params, NULL), PEER_ERR_IO);
    cr_assert_eq(chdir(dir.path), 0);
    cr_expect_eq(lm_checkpoint_save(ctx, "here", &saved.params, NULL), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    cr_expect_eq(lm_checkpoint_load(ctx, "here", &other.params), PEER_OK);
    cr_expect_eq(peer_ctx_bytes(ctx), 2 * 32 * sizeof(struct peer_param));
}

/* The layout by hand, as safetensors defines it. */
Test(checkpoint, is_a_safetensors_file)
{
    save();
    size_t size;
    char *bytes = tempfile_read(&file, &size);
    uint64_t length;
    memcpy(&length, bytes, 8);
    cr_assert_lt(length, size);
    cr_expect_eq(length % 8, 0);
    cr_expect_eq(bytes[8], '{');
    cr_expect_eq(size, 8 + length + sizeof saved.a + sizeof saved.b);
    json_t *header = json_loadb(bytes + 8, length, JSON_REJECT_DUPLICATES, NULL);
    json_t *expected = json_pack("{s:s, s:[i, i], s:[i, i]}", "dtype", "F32", "shape", A_ROWS,
                                 A_COLUMNS, "data_offsets", 0, (int)sizeof saved.a);
    cr_assert(header && expected);
    cr_expect(json_equal(json_object_get(header, "a.weight"), expected));
    cr_expect_str_eq(
        json_string_value(json_object_get(json_object_get(header, "__metadata__"), "step")),
        "123456789012345");
    cr_expect_arr_eq(bytes + 8 + length, saved.a, sizeof saved.a);
    cr_expect_arr_eq(bytes + 8 + length + sizeof saved.a, saved.b, sizeof saved.b);
    json_decref(header);
    json_decref(expected);
    free(bytes);
}

Test(checkpoint, cut_at_any_byte_is_refused)
{
    save();
    size_t size;
    char *bytes = tempfile_read(&file, &size);
    for (size_t i = 0; i < size; i++) {
        json_t *read = NULL;
        tempfile_write(&file, bytes, i);
        refused(PEER_ERR_FORMAT, "", "");
        cr_expect_eq(lm_checkpoint_metadata(&read, ctx, file.path), PEER_ERR_FORMAT);
        cr_expect_null(read);
    }
    bytes = realloc(bytes, size + 1);
    tempfile_write(&file, bytes, size + 1);
    refused(PEER_ERR_FORMAT, "", "");
    tempfile_write(&file, bytes, size);
    whole();
    free(bytes);
}

Test(checkpoint, any_flipped_byte_is_found)
{
    static const char flips[] = {0x01, 0x10, 0x20, (char)0x80, (char)0xff};
    save();
    size_t size;
    char *bytes = tempfile_read(&file, &size);
    for (size_t i = 0; i < size; i++) {
        char flip = flips[i % sizeof flips];
        bytes[i] ^= flip;
        tempfile_write(&file, bytes, size);
        refused(PEER_ERR_FORMAT, "", "");
        bytes[i] ^= flip;
    }
    free(bytes);
}

/* A file whose checksums are right, with `entries` after the metadata and A + B values. */
static void write_forged(const char *entries)
{
    static const char start[] =
        "{\"__metadata__\":{\"crc32\":\"%08x\",\"header_crc32\":\"%08x\"}%s}";
    char header[1024];
    float values[A + B];
    memcpy(values, saved.a, sizeof saved.a);
    memcpy(values + A, saved.b, sizeof saved.b);
    unsigned crc = (unsigned)crc32(0, (const Bytef *)values, sizeof values);
    uint64_t size = (uint64_t)snprintf(header, sizeof header, start, crc, 0u, entries);
    unsigned header_crc = (unsigned)crc32(0, (const Bytef *)header, (uInt)size);
    snprintf(header, sizeof header, start, crc, header_crc, entries);
    FILE *stream = fopen(file.path, "wb");
    cr_assert(stream);
    fwrite(&size, sizeof size, 1, stream);
    fwrite(header, 1, size, stream);
    fwrite(values, 1, sizeof values, stream);
    cr_assert_eq(fclose(stream), 0);
}

#define ENTRY(name, dtype, shape, begin, end)                                                      \
    ",\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end  \
    "]}"

/* Buffers of other types, of an odd number of bytes in all. */
Test(checkpoint, keeps_other_types_bit_for_bit)
{
    uint16_t halves[2][3] = {{0x3f80, 0x7fc1, 0x8000}, {0}};
    int32_t steps[2][5] = {{INT32_MIN, -1, 0, 7, INT32_MAX}, {0}};
    struct peer_params list[2] = {peer_params_empty(ctx), peer_params_empty(ctx)};
    for (int i = 0; i < 2; i++) {
        struct peer_param buffer = {.name = "halves",
                                    .kind = PEER_PARAM_BUFFER,
                                    .dims = 1,
                                    .shape = {3},
                                    .type = PEER_TYPE_BF16,
                                    .data = (float *)(void *)halves[i]};
        cr_assert_eq(peer_params_add(&list[i], "", &buffer), PEER_OK);
        buffer.type = PEER_TYPE_I32;
        buffer.shape[0] = 5;
        buffer.data = (float *)(void *)steps[i];
        strcpy(buffer.name, "steps");
        cr_assert_eq(peer_params_add(&list[i], "", &buffer), PEER_OK);
    }
    cr_assert_eq(lm_checkpoint_save(ctx, file.path, &list[0], NULL), PEER_OK);
    cr_assert_eq(lm_checkpoint_load(ctx, file.path, &list[1]), PEER_OK, "%s", peer_ctx_error(ctx));
    cr_expect_arr_eq(halves[1], halves[0], sizeof halves[0]);
    cr_expect_arr_eq(steps[1], steps[0], sizeof steps[0]);
    for (int i = 0; i < 2; i++)
        peer_params_free(&list[i]);
}

Test(checkpoint, forged_headers_are_refused)
{
    static const struct {
        const char *entries, *word, *second;
    } cases[] = {
        {ENTRY("a.weight", "F32", "[3,5]", "0", "60"), "60 bytes", "88"},
        {ENTRY("a.weight", "F32", "[3,5]", "0", "60") ENTRY("c", "F32", "[7]", "60", "88"),
         "no tensor b", ""},
        {ENTRY("a.weight", "F32", "[5,3]", "0", "60") ENTRY("b", "F32", "[7]", "60", "88"),
         "a.weight is F32 [5, 3]", "F32 [3, 5]"},
        {ENTRY("a.weight", "F32", "[15]", "0", "60") ENTRY("b", "F32", "[7]", "60", "88"),
         "a.weight is F32 [15]", "F32 [3, 5]"},
        {ENTRY("a.weight", "F32", "[3,5]", "0", "60") ENTRY("b", "F16", "[14]", "60", "88"),
         "b:", "F32"},
        {ENTRY("a.weight", "F32", "[3,5]", "0", "60") ENTRY("b", "I32", "[7]", "60", "88"),
         "b is I32 [7]", "F32 [7]"},
        {ENTRY("a.weight", "F32", "[3,5]", "0", "60") ENTRY("b", "BF16", "[14]", "60", "88"),
         "b is BF16 [14]", "F32 [7]"},
        {ENTRY("a.weight", "F32", "[3,5]", "0", "60") ENTRY("b", "BF16", "[7]", "60", "88"),
         "b:", "BF16"},
        {ENTRY("a.weight", "F32", "[3,5]", "0", "60") ENTRY("b", "F32", "[7]", "56", "84"),
         "overlap", ""},
        {ENTRY("a.weight", "F32", "[3,5]", "0", "60") ENTRY("b", "F32", "[6]", "64", "88"), "hole",
         ""},
        {ENTRY("a.weight", "F32", "[3,5]", "0", "60") ENTRY("b", "F32", "[7]", "0", "28"),
         "overlap", ""},
        {ENTRY("a.weight", "F32", "[3,5]", "0", "60") ENTRY("b", "F32", "[8]", "60", "92"),
         "92 bytes", "88"},
        {ENTRY("a.weight", "F32", "[3,5]", "0", "64") ENTRY("b", "F32", "[7]", "60", "88"),
         "a.weight:", "data_offsets"},
        {ENTRY("a.weight", "F32", "[3,5]", "60", "0"), "a.weight:", "data_offsets"},
        {ENTRY("a.weight", "F32", "[3,5]", "-60", "0"), "a.weight:", "data_offsets"},
        {ENTRY("a.weight", "F32", "[-3,-5]", "0", "60"), "a.weight:", "shape"},
        {ENTRY("a.weight", "F32", "[4611686018427387919,1]", "0", "60"), "a.weight:", "shape"},
        {ENTRY("a.weight", "F32", "[1,1,1,1,15]", "0", "60"), "a.weight:", "shape"},
        {ENTRY("a.weight", "F32", "[3.0,5]", "0", "60"), "a.weight:", "shape"},
        {ENTRY("a.weight", "F32", "15", "0", "60"), "a.weight:", "shape"},
        {ENTRY("a.weight", "F32", "[3,5]", "0", "6e1"), "a.weight:", "data_offsets"},
        {",\"a.weight\":7", "a.weight:", "dtype"},
        {",\"a.weight\":{}", "a.weight:", "dtype"},
        {",\"__metadata__\":{}", "uplicate", ""},
        {",", "", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_forged(cases[i].entries);
        refused(PEER_ERR_FORMAT, cases[i].word, cases[i].second);
    }
    write_forged(ENTRY("b", "F32", "[7]", "60", "88") ENTRY("a.weight", "F32", "[3,5]", "0", "60"));
    whole();
}

Test(checkpoint, hostile_header_lengths_are_refused)
{
    static const uint64_t lengths[] = {
        0, 1, 7, 65, 100, 100000001, INT64_MAX, (uint64_t)1 << 63, UINT64_MAX, UINT64_MAX - 7};
    char bytes[72];
    memset(bytes, '{', sizeof bytes);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        memcpy(bytes, &lengths[i], 8);
        tempfile_write(&file, bytes, sizeof bytes);
        refused(PEER_ERR_FORMAT, "header", "");
    }
}

Test(checkpoint, a_full_disk_leaves_the_old_file_whole)
{
    save();
    struct stat info;
    cr_assert_eq(stat(file.path, &info), 0);
    struct rlimit before, limit;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    for (rlim_t most = 0; most < (rlim_t)info.st_size; most += 33) {
        limit = (struct rlimit){most, before.rlim_max};
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        enum peer_status status = lm_checkpoint_save(ctx, file.path, &other.params, metadata);
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
        const char *error = peer_ctx_error(ctx);
        cr_expect_eq(status, PEER_ERR_IO, "%d bytes", (int)most);
        cr_expect(strstr(error, file.path) && strstr(error, "write: File too large"), "%s", error);
        cr_expect_eq(tempdir_count(&dir), 1);
        whole();
    }
}

Test(checkpoint, an_unwritable_folder_leaves_the_old_file_whole)
{
    tempdir_become_nobody(&dir);
    save();
    cr_assert_eq(chmod(dir.path, 0500), 0);
    cr_expect_eq(lm_checkpoint_save(ctx, file.path, &other.params, NULL), PEER_ERR_IO);
    cr_expect(strstr(peer_ctx_error(ctx), "Permission denied"), "%s", peer_ctx_error(ctx));
    whole();
    cr_assert_eq(chmod(dir.path, 0700), 0);
    cr_assert_eq(chmod(file.path, 0), 0);
    refused(PEER_ERR_IO, "Permission denied", "");
    cr_assert_eq(unlink(file.path), 0);
    refused(PEER_ERR_IO, "No such file", "");
    cr_assert_eq(mkdir(file.path, 0700), 0);
    refused(PEER_ERR_IO, "not a regular file", "");
    cr_expect_eq(lm_checkpoint_save(ctx, file.path, &other.params, NULL), PEER_ERR_IO);
    cr_expect_eq(tempdir_count(&dir), 1);
}

Test(checkpoint, what_a_killed_process_left_is_taken_over)
{
    struct tempfile temporary = tempdir_file(&dir, "checkpoint.safetensors.tmp");
    static char rest[5000];
    tempfile_write(&temporary, rest, sizeof rest);
    save();
    whole();
    cr_expect_eq(tempdir_count(&dir), 1);
    FILE *busy = fopen(temporary.path, "wb");
    cr_assert(busy && flock(fileno(busy), LOCK_EX) == 0);
    cr_expect_eq(lm_checkpoint_save(ctx, file.path, &other.params, NULL), PEER_ERR_IO);
    cr_expect(strstr(peer_ctx_error(ctx), "another process"), "%s", peer_ctx_error(ctx));
    whole();
    cr_expect_eq(tempdir_count(&dir), 2);
    fclose(busy);
}

/* A child saves one of two models over and over and is killed at some moment. */
Test(checkpoint, a_killed_process_leaves_a_whole_file)
{
    enum { KILLS = 12 };
    for (int i = 0; i < KILLS; i++) {
        save();
        pid_t child = fork();
        if (child == 0)
            for (int turn = 0;; turn++)
                lm_checkpoint_save(ctx, file.path, turn % 2 ? &saved.params : &other.params, NULL);
        cr_assert_gt(child, 0);
        usleep(200 + 1700 * (useconds_t)i);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        struct model read;
        model_init(&read, SEED + 7);
        cr_expect_eq(lm_checkpoint_load(ctx, file.path, &read.params), PEER_OK, "%s",
                     peer_ctx_error(ctx));
        cr_expect(same(&read, &saved) || same(&read, &other));
        peer_params_free(&read.params);
    }
}

Test(checkpoint, refuses_metadata_that_are_not_strings)
{
    save();
    json_object_set_new(metadata, "steps", json_integer(3));
    cr_expect_eq(lm_checkpoint_save(ctx, file.path, &other.params, metadata), PEER_ERR_ARGUMENT);
    cr_expect(strstr(peer_ctx_error(ctx), "steps"), "%s", peer_ctx_error(ctx));
    whole();
}

Test(checkpoint, survives_failing_allocations)
{
    save();
    struct failing failing = {.granted = 0};
    struct peer_ctx *small = failing_ctx(&failing, 1);
    struct model before = other;
    for (;; failing.granted++) {
        failing.asked = 0;
        enum peer_status status = lm_checkpoint_load(small, file.path, &other.params);
        cr_expect_eq(failing.held, 0);
        if (status == PEER_OK)
            break;
        cr_assert_eq(status, PEER_ERR_MEMORY);
        cr_expect(same(&before, &other));
    }
    cr_expect_geq(failing.granted, 3);
    cr_expect(same(&saved, &other));
    peer_ctx_destroy(&small);
}
