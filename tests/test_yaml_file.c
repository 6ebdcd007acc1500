/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "experiments/yaml/yaml_file.h"
#include "nn/random.h"
#include "tests/support/tempdir.h"

enum { SEED = 20 };

static struct peer_ctx *ctx;
static struct tempdir dir;
static struct tempfile file;

static void set_up(void)
{
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    dir = tempdir_create();
    file = tempdir_file(&dir, "c.yaml");
}

static void tear_down(void)
{
    tempdir_remove(&dir);
    peer_ctx_destroy(&ctx);
}

TestSuite(yaml_file, .init = set_up, .fini = tear_down);

static enum peer_status open_bytes(struct lab_yaml **ret, const void *bytes, size_t size)
{
    tempfile_write(&file, bytes, size);
    return lab_yaml_open(ret, ctx, file.path);
}

static struct lab_yaml *open_text(const char *text)
{
    struct lab_yaml *yaml = NULL;
    cr_assert_eq(open_bytes(&yaml, text, strlen(text)), PEER_OK, "%s", peer_ctx_error(ctx));
    return yaml;
}

/* The context's error must be the file's path followed by `complaint`. */
static void expect_complaint(enum peer_status status, const char *complaint)
{
    const char *error = peer_ctx_error(ctx);
    cr_expect_eq(status, PEER_ERR_FORMAT, "%s: status %d", complaint, status);
    cr_expect_eq(strncmp(error, file.path, strlen(file.path)), 0, "%s", error);
    cr_expect_str_eq(error + strlen(file.path), complaint);
}

static void expect_refused(const char *text, const char *complaint)
{
    struct lab_yaml *yaml = NULL;
    expect_complaint(open_bytes(&yaml, text, strlen(text)), complaint);
    cr_expect_null(yaml);
}

Test(yaml_file, gives_back_what_stands_in_the_file)
{
    static const char text[] = "a: 1\nlist: [x, 'y z', {b: 2}]\nm:\n  deep: {deeper: \"\"}\n";
    struct lab_yaml *yaml = open_text(text);
    const struct lab_yaml_node *root = lab_yaml_root(yaml), *list = lab_yaml_get(root, "list");
    cr_expect_str_eq(lab_yaml_text(yaml), text);
    cr_expect_str_eq(lab_yaml_scalar(lab_yaml_get(root, "a")), "1");
    cr_expect_null(lab_yaml_get(root, "b"));
    cr_assert_eq(lab_yaml_count(list), 3);
    cr_expect_str_eq(lab_yaml_scalar(lab_yaml_item(list, 1)), "y z");
    cr_expect_str_eq(lab_yaml_scalar(lab_yaml_get(lab_yaml_item(list, 2), "b")), "2");
    cr_expect_eq(lab_yaml_count(root), -1);
    cr_expect_null(lab_yaml_scalar(list));
    const struct lab_yaml_node *deep = lab_yaml_get(lab_yaml_get(root, "m"), "deep");
    expect_complaint(lab_yaml_complain(ctx, lab_yaml_get(deep, "deeper"), "no"),
                     ":4:18: m.deep.deeper: no");
    expect_complaint(lab_yaml_expected(ctx, lab_yaml_item(list, 2), "a word"),
                     ":2:18: list[2]: expected a word, got a mapping");
    lab_yaml_close(&yaml);
    cr_expect_null(yaml);
}

Test(yaml_file, refuses_what_is_no_configuration)
{
    expect_refused("", ":1:1: expected a mapping (key: value lines), the file is empty");
    expect_refused("# nothing\n", ":1:1: expected a mapping (key: value lines), the file is empty");
    expect_refused("- a\n- b\n", ":1:1: expected a mapping (key: value lines)");
    expect_refused(
        "a: 1\nb: [1, 2\nc: 3\n",
        ":3:2: not YAML: did not find expected ',' or ']' while parsing a flow sequence");
    expect_refused("a: 1\n\tb: 2\n", ":2:1: not YAML: found a tab character that violates "
                                     "indentation while scanning a plain scalar");
    expect_refused("a: 1\nb: 2\nm:\n  c: 1\n  c: 2\n", ":5:3: m.c: this key is given twice");
    expect_refused("a: &x 1\nb: *x\n", ":1:4: b: aliases are not allowed");
    expect_refused("a: &x [*x]\n", ":1:4: a[0]: aliases are not allowed");
    expect_refused("[a, b]: 1\n", ":1:1: a key must be a word");
    expect_refused("a: 1\n---\nb: 2\n", ":3:1: expected one document, got a second");
    expect_refused("a: 1\nb: \x01\n", ":2:4: not YAML: control characters are not allowed");
    expect_refused("a: 1\nb: \xff\n", ":2:4: not YAML: invalid leading UTF-8 octet");
}

Test(yaml_file, a_byte_of_zero_does_not_end_the_file)
{
    struct lab_yaml *yaml = NULL;
    expect_complaint(open_bytes(&yaml, "a: 1\n\0b", 7),
                     ":2:1: not YAML: control characters are not allowed");
}

Test(yaml_file, says_why_it_cannot_be_read)
{
    struct lab_yaml *yaml = NULL;
    cr_expect_eq(lab_yaml_open(&yaml, ctx, "/nowhere/c.yaml"), PEER_ERR_IO);
    cr_expect_str_eq(peer_ctx_error(ctx), "/nowhere/c.yaml: No such file or directory");
    cr_expect_eq(lab_yaml_open(&yaml, ctx, dir.path), PEER_ERR_IO);
    cr_expect(strstr(peer_ctx_error(ctx), "Is a directory"));
    tempfile_write(&file, "a: 1\n", 5);
    cr_assert_eq(chmod(file.path, 0), 0);
    tempdir_become_nobody(&dir);
    cr_expect_eq(lab_yaml_open(&yaml, ctx, file.path), PEER_ERR_IO);
    cr_expect(strstr(peer_ctx_error(ctx), "Permission denied"));
    cr_expect_null(yaml);
}

/* Aliases of aliases stand for 10^9 nodes. */
Test(yaml_file, a_bomb_of_aliases_is_refused)
{
    expect_refused("a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
                   "c: [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n",
                   ":1:4: b[0]: aliases are not allowed");
}

/* Files of a megabyte that are all of one kind. */
static void expect_huge_refused(const char *unit, size_t size, const char *part)
{
    struct lab_yaml *yaml = NULL;
    char *text = malloc(size);
    cr_assert(text);
    size_t length = strlen(unit);
    for (size_t i = 0; i < size; i++)
        text[i] = unit[i % length];
    cr_expect_eq(open_bytes(&yaml, text, size), PEER_ERR_FORMAT, "%s", unit);
    cr_expect(strstr(peer_ctx_error(ctx), part), "%s: %s", unit, peer_ctx_error(ctx));
    free(text);
}

Test(yaml_file, huge_files_are_refused, .timeout = 20)
{
    expect_huge_refused("[", 1 << 20, ":1:101: brackets in too many brackets");
    expect_huge_refused("{a: ", 1 << 20, ":1:401: brackets in too many brackets");
    expect_huge_refused("- ", 1 << 20, ":1:1: expected a mapping");
    expect_huge_refused("a: b\n", 1 << 18, "too many fields");
    expect_huge_refused("#", (1 << 20) + 1, "larger than 1048576 bytes");
}

Test(yaml_file, a_mapping_of_a_hundred_thousand_fields_is_refused, .timeout = 20)
{
    struct lab_yaml *yaml = NULL;
    FILE *stream = fopen(file.path, "w");
    cr_assert(stream);
    for (int i = 0; i < 100000; i++)
        fprintf(stream, "%x:\n", i);
    fclose(stream);
    expect_complaint(lab_yaml_open(&yaml, ctx, file.path), ":1:1: too many fields");
}

Test(yaml_file, codes_that_a_terminal_obeys_are_not_passed_on)
{
    struct lab_yaml *yaml = open_text("a: \"\\e[2J\\n\"\n");
    expect_complaint(lab_yaml_expected(ctx, lab_yaml_get(lab_yaml_root(yaml), "a"), "a word"),
                     ":1:4: a: expected a word, got \"?[2J?\"");
    lab_yaml_close(&yaml);
}

struct fields {
    int64_t count;
    float rate;
    bool open;
    int colour;
};

static const char *const colours[] = {"red", "green", NULL};
static const struct peer_option options[] = {
    {"count", PEER_OPTION_INT, offsetof(struct fields, count), 1, 4096, NULL, "things"},
    {"rate", PEER_OPTION_FLOAT, offsetof(struct fields, rate), 0, 1, NULL, "of change"},
    {"open", PEER_OPTION_BOOL, offsetof(struct fields, open), 0, 0, NULL, "or shut"},
    {"colour", PEER_OPTION_CHOICE, offsetof(struct fields, colour), 0, 0, colours, "of it"},
    {NULL, PEER_OPTION_INT, 0, 0, 0, NULL, NULL}};

static enum peer_status set_fields(struct fields *fields, const char *text)
{
    struct lab_yaml *yaml = open_text(text);
    const struct lab_yaml_node *root = lab_yaml_root(yaml);
    enum peer_status status = lab_yaml_keys(ctx, root, NULL, options);
    if (status == PEER_OK)
        status = lab_yaml_options(ctx, fields, root, options);
    lab_yaml_close(&yaml);
    return status;
}

Test(yaml_file, fields_are_set_by_the_table)
{
    struct fields fields = {.count = 7};
    cr_assert_eq(set_fields(&fields, "rate: 0.2_5\nopen: true\ncolour: green\n"), PEER_OK);
    cr_expect_eq(fields.count, 7);
    cr_expect_eq(fields.rate, 0.25F);
    cr_expect(fields.open);
    cr_expect_eq(fields.colour, 1);
    cr_assert_eq(set_fields(&fields, "count: 4_096\n"), PEER_OK);
    cr_expect_eq(fields.count, 4096);
    cr_assert_eq(set_fields(&fields, "count: 2.5e2\n"), PEER_OK);
    cr_expect_eq(fields.count, 250);
}

Test(yaml_file, complaints_say_what_was_expected)
{
    static const struct {
        const char *text, *complaint;
    } cases[] = {
        {"count: 3\nrat: 1\n", ":2:1: rat: unknown field; did you mean \"rate\"?"},
        {"zzzzzzzz: 1\n", ":1:1: zzzzzzzz: unknown field"},
        {"count: many\n", ":1:8: count: expected an integer from 1 to 4096, got \"many\""},
        {"count: 0\n", ":1:8: count: expected an integer from 1 to 4096, got \"0\""},
        {"count: 4097\n", ":1:8: count: expected an integer from 1 to 4096, got \"4097\""},
        {"count: 1.5\n", ":1:8: count: expected an integer from 1 to 4096, got \"1.5\""},
        {"count: 1e300\n", ":1:8: count: expected an integer from 1 to 4096, got \"1e300\""},
        {"count:\n", ":1:7: count: expected an integer from 1 to 4096, got \"\""},
        {"count: [1]\n", ":1:8: count: expected an integer from 1 to 4096, got a list"},
        {"rate: nan\n", ":1:7: rate: expected a number from 0 to 1, got \"nan\""},
        {"rate: 1.01\n", ":1:7: rate: expected a number from 0 to 1, got \"1.01\""},
        {"open: 2\n", ":1:7: open: expected true or false, got \"2\""},
        {"colour: blue\n", ":1:9: colour: expected one of: red, green, got \"blue\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fields fields = {.count = 7, .rate = 0.5F};
        expect_complaint(set_fields(&fields, cases[i].text), cases[i].complaint);
        cr_expect(fields.rate == 0.5F && (fields.count == 7 || fields.count == 3), "%s",
                  cases[i].text);
    }
}

Test(yaml_file, numbers_and_texts_keep_their_bounds)
{
    struct lab_yaml *yaml = open_text("a: 1_000\nb: 0x10\nc: inf\nd: 1e15\ne: 2e16\nf: abcd\n"
                                      "g: 00000000000000000000000000000000000000000000000000001"
                                      "00000000000000000000000000\n");
    const struct lab_yaml_node *root = lab_yaml_root(yaml);
    double number = 5;
    int64_t integer = 5;
    char text[5] = "old";
#define AT(key) lab_yaml_get(root, key)
    cr_expect_eq(lab_yaml_number(ctx, &number, AT("a"), 0, 1000), PEER_OK);
    cr_expect_eq(number, 1000);
    cr_expect_eq(lab_yaml_integer(ctx, &integer, AT("d"), 0, INT64_MAX), PEER_OK);
    cr_expect_eq(integer, 1000000000000000);
    cr_expect_eq(lab_yaml_string(ctx, text, sizeof text, AT("f")), PEER_OK);
    cr_expect_str_eq(text, "abcd");
    expect_complaint(lab_yaml_string(ctx, text, 4, AT("f")),
                     ":6:4: f: expected a text of 1 to 3 bytes, got \"abcd\"");
    expect_complaint(lab_yaml_integer(ctx, &integer, AT("b"), 0, 99),
                     ":2:4: b: expected an integer from 0 to 99, got \"0x10\"");
    expect_complaint(lab_yaml_number(ctx, &number, AT("c"), 0, 99),
                     ":3:4: c: expected a number from 0 to 99, got \"inf\"");
    cr_expect_eq(lab_yaml_integer(ctx, &integer, AT("e"), 0, INT64_MAX), PEER_ERR_FORMAT);
    cr_expect_eq(lab_yaml_integer(ctx, &integer, AT("g"), 0, INT64_MAX), PEER_ERR_FORMAT);
#undef AT
    cr_expect_eq(number, 1000);
    cr_expect_eq(integer, 1000000000000000);
    lab_yaml_close(&yaml);
}

static const char whole[] = "name: t # a comment\ndata: \"d\"\nbudgets: [1e9, 2e9]\nsizes:\n"
                            "  - {width: 8, blocks: 2}\nm: &x {a: [b, {c: 'd'}]}\n";

Test(yaml_file, a_file_cut_at_any_byte_is_read_or_refused)
{
    for (size_t size = 0; size < sizeof whole; size++) {
        struct lab_yaml *yaml = NULL;
        enum peer_status status = open_bytes(&yaml, whole, size);
        cr_expect_eq(status == PEER_OK, yaml != NULL);
        cr_expect(status == PEER_OK || status == PEER_ERR_FORMAT);
        lab_yaml_close(&yaml);
    }
}

Test(yaml_file, damaged_bytes_are_read_or_refused)
{
    static const char odd[] = "{}[]&*!|>%@`'\",:-?#\n\t \0\x7f\xff\xef";
    for (uint64_t i = 0; i < 600; i++) {
        char text[sizeof whole];
        memcpy(text, whole, sizeof text);
        for (uint64_t j = 0; j < 3; j++)
            text[peer_random_below(SEED, i, 2 * j, sizeof text)] =
                odd[peer_random_below(SEED, i, 2 * j + 1, sizeof odd)];
        struct lab_yaml *yaml = NULL;
        enum peer_status status = open_bytes(&yaml, text, sizeof text - 1);
        cr_expect(status == PEER_OK || status == PEER_ERR_FORMAT);
        if (yaml)
            cr_expect_eq(lab_yaml_count(lab_yaml_root(yaml)), -1);
        lab_yaml_close(&yaml);
    }
}

Test(yaml_file, random_bytes_are_refused)
{
    for (uint64_t i = 0; i < 200; i++) {
        unsigned char bytes[257];
        for (uint64_t j = 0; j < sizeof bytes; j++)
            bytes[j] = (unsigned char)peer_random_below(SEED, i, j, 256);
        struct lab_yaml *yaml = NULL;
        cr_expect_eq(open_bytes(&yaml, bytes, sizeof bytes), PEER_ERR_FORMAT, "seed %d, %llu", SEED,
                     (unsigned long long)i);
        lab_yaml_close(&yaml);
    }
}
