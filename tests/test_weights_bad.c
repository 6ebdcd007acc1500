/* SPDX-License-Identifier: MIT */
/* Files of weights that are none: each is refused with the file, the tensor and the numbers, and no
 * value is touched. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nn/params/weights.h"
#include "tests/support/failing.h"
#include "tests/support/tempdir.h"

static struct peer_ctx *ctx;
static struct failing failing;
static struct tempdir dir;
static struct tempfile file;
static struct peer_params list;
static float a[2], b[1];

static void set_up(void)
{
    failing = (struct failing){.granted = -1};
    ctx = failing_ctx(&failing, 1);
    dir = tempdir_create();
    file = tempdir_file(&dir, "weights.safetensors");
    list = peer_params_empty(ctx);
    struct peer_param param = {
        .name = "a", .kind = PEER_PARAM_BUFFER, .dims = 1, .shape = {2}, .data = a};
    cr_assert_eq(peer_params_add(&list, "", &param), PEER_OK);
    param = (struct peer_param){
        .name = "b", .kind = PEER_PARAM_BUFFER, .dims = 1, .shape = {1}, .data = b};
    cr_assert_eq(peer_params_add(&list, "", &param), PEER_OK);
}

static void tear_down(void)
{
    peer_params_free(&list);
    cr_expect_eq(failing.held, 0);
    peer_ctx_destroy(&ctx);
    tempdir_remove(&dir);
}

TestSuite(weights_bad, .init = set_up, .fini = tear_down);

/* Loading must say this and the file, and change nothing, even where all differences are allowed.
 */
static void refused(const char *words)
{
    struct peer_load_options options = {.allow_missing = true, .allow_left_over = true};
    a[0] = a[1] = b[0] = 7;
    cr_expect_eq(peer_params_load(&list, file.path, NULL, &options), PEER_ERR_FORMAT, "%s", words);
    const char *error = peer_ctx_error(ctx);
    cr_expect(strstr(error, file.path) && strstr(error, words), "%s\n  without: %s", error, words);
    cr_expect(a[0] == 7 && a[1] == 7 && b[0] == 7, "a value was touched: %s", words);
}

/* A file of a header and 12 bytes. */
static void write_header(const char *header, size_t length)
{
    uint64_t size = length;
    char *all = calloc(1, 8 + length + 12);
    memcpy(all, &size, 8);
    memcpy(all + 8, header, length);
    tempfile_write(&file, all, 8 + length + 12);
    free(all);
}

#define A "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"
#define B "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]}"
#define WITH(dtype, shape, offsets)                                                                \
    "{" A ",\"b\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

Test(weights_bad, headers)
{
    static const struct {
        const char *header, *words;
    } cases[] = {
        {"", "byte 0 of the header: expected an object"},
        {"[]", "byte 0 of the header: expected an object"},
        {"{", "it ends inside a bracket"},
        {"{" A "," B, "it ends inside a bracket"},
        {"{" A "," B ",}", "expected a string"},
        {"{" A " " B "}", "byte 54 of the header: expected a comma"},
        {"{" A "," B "}x", "something follows its end"},
        {"{" A "," B "}{}", "something follows its end"},
        {"{" A "," B "}\0", "x"},
        {"{'a':1}", "expected a string"},
        {"{\"a\" 1}", "expected a colon"},
        {"{\"a\":1}", "tensor a: byte 5 of the header: expected an object"},
        {"{\"a\":null}", "tensor a: byte 5 of the header: expected an object"},
        {"{\"a\":{}}", "tensor a: it has no dtype"},
        {"{\"a\":{\"dtype\":\"F32\"}}", "tensor a: it has no shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", "tensor a: it has no data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", "tensor a: dtype, shape or data_offsets"},
        {"{\"a\n\":{}}", "a control character in a string"},
        {"{\"a\\x\":{}}", "an escape in a string that is none"},
        {"{\"a\\ud800\":{}}", "an escape in a string that is none"},
        {"{\"a\\ud800\\u0041\":{}}", "an escape in a string that is none"},
        {"{\"a\\udc00\":{}}", "an escape in a string that is none"},
        {"{\"a\\u00g0\":{}}", "an escape in a string that is none"},
        {"{\"a\\u0000b\":{}}", "tensor a: a byte of 0 in its name"},
        {"{\"\xff\":{}}", "byte 2 of the header: no UTF-8"},
        {"{\"\xc0\x80\":{}}", "byte 2 of the header: no UTF-8"},
        {"{\"\xed\xa0\x80\":{}}", "byte 2 of the header: no UTF-8"},
        {"{\"\xf4\x90\x80\x80\":{}}", "byte 2 of the header: no UTF-8"},
        {"{\"x\xc3", "byte 3 of the header: no UTF-8"},
        {"{" A "," B ",\"x\":{\"more\":01}}", "a number that begins with 0"},
        {"{" A "," B ",\"x\":{\"more\":1.}}", "a number that is none"},
        {"{" A "," B ",\"x\":{\"more\":-}}", "a number that is none"},
        {"{" A "," B ",\"x\":{\"more\":1e}}", "a number that is none"},
        {"{" A "," B ",\"x\":{\"more\":tru}}", "expected a value"},
        {"{" A "," B ",\"x\":{\"more\":[1,]}}", "expected a value"},
        {"{" A "," B ",\"x\":{\"more\":[1}}", "expected a comma or the end of a bracket"},
        {"{\"__metadata__\":{},\"__metadata__\":{}}", "__metadata__ stands twice"},
        {"{" A "," A "}", "tensor a: data_offsets [0, 8] overlap those of a, [0, 8]"},
        {"{" A ",\"\\u0061\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]}}",
         "tensor a: the name stands twice"},
        {WITH("\"F32\"", "[1]", "[4,8]"),
         "tensor b: data_offsets [4, 8] overlap those of a, [0, 8]"},
        {WITH("\"F32\"", "[1]", "[7,11]"), "tensor b: data_offsets [7, 11] overlap those of a"},
        {WITH("\"F32\"", "[1]", "[9,13]"),
         "tensor b: data_offsets [9, 13], but 12 bytes follow the header"},
        {WITH("\"F32\"", "[1]", "[12,8]"), "tensor b: data_offsets [12, 8]"},
        {WITH("\"F32\"", "[1]", "[8]"), "tensor b: data_offsets of 1 numbers, expected 2"},
        {WITH("\"F32\"", "[1]", "[8,12,12]"), "tensor b: data_offsets of 3 numbers, expected 2"},
        {WITH("\"F32\"", "[1]", "[8,12.0]"), "tensor b: byte"},
        {WITH("\"F32\"", "[1]", "[-4,0]"), "expected a whole number from 0 on"},
        {WITH("\"F32\"", "[1]", "[9223372036854775804,9223372036854775807]"),
         "but 12 bytes follow the header"},
        {WITH("\"F32\"", "[9223372036854775807]", "[8,12]"),
         "tensor b: F32 [9223372036854775807] is larger than any file"},
        {WITH("\"F32\"", "[9223372036854775808]", "[8,12]"), "a number of 2^63 or more"},
        {WITH("\"F32\"", "[36893488147419103233]", "[8,12]"), "a number of 2^63 or more"},
        {WITH("\"F32\"", "[4294967296,4294967296]", "[8,12]"), "is larger than any file"},
        {WITH("\"F32\"", "[2305843009213693952,8]", "[8,8]"), "is larger than any file"},
        {WITH("\"F32\"", "[2]", "[8,12]"),
         "tensor b: F32 [2] takes 8 bytes, data_offsets [8, 12] has 4"},
        {WITH("\"F32\"", "[]", "[8,8]"), "tensor b: F32 [] takes 4 bytes"},
        {WITH("\"F32\"", "[0]", "[8,12]"), "tensor b: F32 [0] takes 0 bytes"},
        {WITH("\"F64\"", "[1]", "[8,12]"), "tensor b: F64 [1] takes 8 bytes"},
        {WITH("\"F4\"", "[7]", "[8,11]"), "tensor b: F4 [7] takes 3 bytes"},
        {WITH("\"F32\"", "[-1]", "[8,12]"), "expected a whole number from 0 on"},
        {WITH("\"F32\"", "[1.5]", "[8,12]"), "expected a whole number from 0 on"},
        {WITH("\"F32\"", "{}", "[8,12]"), "tensor b: byte"},
        {WITH("\"F32\"", "[[1]]", "[8,12]"), "expected a whole number from 0 on"},
        {WITH("32", "[1]", "[8,12]"), "expected a string"},
        {WITH("\"F32\"", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "[8,12]"),
         "tensor b: a shape of 17 sizes, expected at most 16"},
        {WITH("\"F16\"", "[2]", "[8,12]"), "tensor b is F16 [2], expected [1]"},
        {WITH("\"I32\"", "[1]", "[8,12]"), "tensor b is I32 [1], expected F32, BF16 or F16"},
        {WITH("\"Q8_0\"", "[1]", "[8,9]"), "tensor b is Q8_0 [1], expected F32, BF16 or F16"},
        {WITH("\"f32\"", "[1]", "[8,12]"), "tensor b is f32 [1], expected F32, BF16 or F16"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (strcmp(cases[i].words, "x") == 0)
            write_header(cases[i].header, strlen(cases[i].header) + 1);
        else
            write_header(cases[i].header, strlen(cases[i].header));
        refused(strcmp(cases[i].words, "x") ? cases[i].words : "something follows its end");
    }
    write_header("{" A "," B "}", strlen("{" A "," B "}"));
    cr_expect_eq(peer_params_load(&list, file.path, NULL, NULL), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    cr_expect(a[0] == 0 && a[1] == 0 && b[0] == 0);
}

Test(weights_bad, cut_at_any_byte)
{
    cr_assert_eq(peer_params_save(&list, file.path, NULL, NULL), PEER_OK);
    size_t size;
    char *bytes = tempfile_read(&file, &size);
    for (size_t i = 0; i < size; i++) {
        tempfile_write(&file, bytes, i);
        refused("");
    }
    tempfile_write(&file, bytes, 5);
    refused("5 bytes, too short");
    tempfile_write(&file, bytes, 20);
    refused("but 12 follow");
    free(bytes);
}

/* Lengths of a header: beyond the file, of 2^63 and more, of more than 100 MB in a file that has
 * them (of holes). */
Test(weights_bad, lengths_of_the_header)
{
    static const struct {
        uint64_t length;
        const char *words;
    } cases[] = {{17, "a header of 17 bytes, but 16 follow"},
                 {UINT64_C(1) << 63, "a header of 9223372036854775808 bytes, but 16 follow"},
                 {UINT64_MAX, "a header of 18446744073709551615 bytes"}};
    char bytes[24] = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memcpy(bytes, &cases[i].length, 8);
        tempfile_write(&file, bytes, sizeof bytes);
        refused(cases[i].words);
    }
    uint64_t most = 100000001;
    memcpy(bytes, &most, 8);
    tempfile_write(&file, bytes, sizeof bytes);
    cr_assert_eq(truncate(file.path, 200000000), 0);
    refused("a header of 100000001 bytes, expected at most 100000000");
}

/* A header of n copies of `part` between two texts. */
static void write_long(const char *begin, const char *part, size_t n, const char *end)
{
    size_t length = strlen(begin) + n * strlen(part) + strlen(end);
    char *header = malloc(length + 1), *at = stpcpy(header, begin);
    for (size_t i = 0; i < n; i++)
        at = stpcpy(at, part);
    strcpy(at, end);
    write_header(header, length);
    free(header);
}

Test(weights_bad, long_headers)
{
    write_long("{\"", "x", 10000000, "\":{}}");
    refused("a tensor's name of 10000000 bytes, \"xxxxx");
    write_long("{\"", "\xc3\xa9", 2049, "\":{}}");
    refused("a tensor's name of 4098 bytes");
    write_long("{\"__metadata__\":", "[", 100000, "");
    refused("more than 32 brackets");
    write_long("{\"__metadata__\":", "{\"a\":", 31, "");
    refused("expected a value");
    write_long("{\"a\":{\"dtype\":\"F32\",\"shape\":[2", ",1", 1000000,
               "],\"data_offsets\":[0,8]}}");
    refused("tensor a: a shape of 1000001 sizes, expected at most 16");
    /* Long, but right. */
    write_long("{\"__metadata__\":{\"", "x", 10000000, "\":\"\"}," A "," B "}");
    cr_expect_eq(peer_params_load(&list, file.path, NULL, NULL), PEER_OK, "%s",
                 peer_ctx_error(ctx));
}

Test(weights_bad, what_is_no_file)
{
    cr_expect_eq(peer_params_load(&list, dir.path, NULL, NULL), PEER_ERR_IO);
    cr_expect(strstr(peer_ctx_error(ctx), "not a regular file"), "%s", peer_ctx_error(ctx));
}
