/* SPDX-License-Identifier: MIT */
/* Names and paths that the program accepts come back from all that it writes; what would not is
 * refused where it is first read, with field and byte. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/report/csv.h"
#include "experiments/runs/run.h"
#include "experiments/runs/run_config.h"
#include "experiments/runs/run_result.h"
#include "experiments/sweeps/store.h"
#include "peer/types.h"
#include "tests/support/tempdir.h"

static struct peer_ctx *ctx;
static struct tempdir dir;

static void set_up(void)
{
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    dir = tempdir_create();
}

static void tear_down(void)
{
    tempdir_remove(&dir);
    peer_ctx_destroy(&ctx);
}

TestSuite(names, .init = set_up, .fini = tear_down);

#define OK(call) cr_assert_eq((call), PEER_OK, "%s", peer_ctx_error(ctx))

static const char *const plain[] = {"~",
                                    "null",
                                    "true",
                                    "no",
                                    "123",
                                    "0x1F",
                                    "1e9",
                                    ".inf",
                                    "-",
                                    "- a",
                                    "?",
                                    "? a",
                                    ": b",
                                    "a: b",
                                    "a #b",
                                    "#",
                                    "&a",
                                    "*a",
                                    "!t",
                                    "|",
                                    ">",
                                    "'",
                                    "\"",
                                    "it's \"so\"",
                                    "\\",
                                    "\\x41",
                                    "{a: 1}",
                                    "[1]",
                                    " leading",
                                    "trailing ",
                                    " ",
                                    "%20",
                                    "a,b",
                                    "=1+1",
                                    "@x",
                                    "`ls`",
                                    "$(ls)",
                                    "<b>&amp;",
                                    "---",
                                    "\xC3\xA4\xE2\x82\xAC",
                                    "\xF0\x9F\x98\x80",
                                    "\xC2\xA0"};

static const struct {
    const char *text, *complaint;
} odd[] = {{"\x01x", "U+0001, as this one does at byte 1"},
           {"a\nb", "U+000A, as this one does at byte 2"},
           {"a\tb", "U+0009"},
           {"ab\x7f", "U+007F, as this one does at byte 3"},
           {"\xC2\x9B", "U+009B, as this one does at byte 1"},
           {"\xC3\xA4\xC2\x85", "U+0085, as this one does at byte 3"},
           {"\033[2J", "U+001B"},
           {"\xE2\x80\xA8", "U+2028"},
           {"\xE2\x80\xAE", "U+202E"},
           {"\xEF\xBB\xBF", "U+FEFF"},
           {"x\xEF\xBF\xBE", "U+FFFE"},
           {"\xF0\x9F\xBF\xBF", "U+1FFFF"}};
enum { PLAIN = sizeof plain / sizeof *plain, ODD = sizeof odd / sizeof *odd };

static void make(struct lab_run_config *config, const char *variant, const char *data)
{
    lab_run_config_default(config, 48, 5, peer_ffw_find("peer"));
    snprintf(config->variant, sizeof config->variant, "%s", variant);
    snprintf(config->data, sizeof config->data, "%s", data);
    snprintf(config->init, sizeof config->init, "%s", data);
}

static enum peer_status write_and_read(struct lab_run_config *ret,
                                       const struct lab_run_config *config)
{
    struct tempfile file = tempdir_file(&dir, "run.yaml");
    FILE *stream = fopen(file.path, "w");
    cr_assert(stream && lab_run_config_write(stream, config));
    cr_assert_eq(fclose(stream), 0);
    return lab_run_config_read(ret, ctx, file.path);
}

static const char *text_of(int i)
{
    return i < PLAIN ? plain[i] : odd[i - PLAIN].text;
}

Test(names, a_run_file_gives_back_what_was_written)
{
    for (int i = 0; i < PLAIN + ODD; i++) {
        struct lab_run_config config, read;
        make(&config, text_of(i), "/d");
        OK(write_and_read(&read, &config));
        cr_expect_str_eq(read.variant, text_of(i));
    }
}

/* Paths hold whatever a folder may be called, if it is UTF-8. */
Test(names, a_run_file_gives_back_every_path)
{
    for (int i = 0; i < PLAIN + ODD; i++) {
        struct lab_run_config config, read;
        char path[64];
        snprintf(path, sizeof path, "/%s", text_of(i));
        make(&config, "v", path);
        OK(write_and_read(&read, &config));
        cr_expect_str_eq(read.data, path);
        cr_expect_str_eq(read.init, path);
    }
}

/* In the files of sweeps and studies, whose names stand in tables. */
Test(names, odd_names_are_refused_with_field_and_byte)
{
    static const char *const escaped[ODD] = {"\\x01x",  "a\\nb",      "a\\tb",    "ab\\x7f",
                                             "\\x9b",   "\\xe4\\x85", "\\e[2J",   "\\u2028",
                                             "\\u202e", "\\ufeff",    "x\\ufffe", "\\U0001ffff"};
    for (int i = 0; i < ODD; i++) {
        struct lab_yaml *yaml = NULL;
        char text[64], name[48];
        snprintf(text, sizeof text, "name: \"%s\"\n", escaped[i]);
        OK(lab_yaml_parse(&yaml, ctx, "f", text));
        const struct lab_yaml_node *node = lab_yaml_get(lab_yaml_root(yaml), "name");
        cr_expect_str_eq(lab_yaml_scalar(node), odd[i].text);
        cr_expect_eq(lab_yaml_name(ctx, name, sizeof name, node), PEER_ERR_FORMAT);
        cr_expect(strstr(peer_ctx_error(ctx), "f:1:7: name: a name holds no ") &&
                      strstr(peer_ctx_error(ctx), odd[i].complaint),
                  "%s", peer_ctx_error(ctx));
        lab_yaml_close(&yaml);
    }
}

Test(names, a_nul_in_a_text_is_refused)
{
    struct lab_yaml *yaml = NULL;
    cr_expect_eq(lab_yaml_parse(&yaml, ctx, "f", "a: 1\nb: \"x\\0y\"\n"), PEER_ERR_FORMAT);
    cr_expect(strstr(peer_ctx_error(ctx), "f:2:4: b: a text cannot hold U+0000"), "%s",
              peer_ctx_error(ctx));
}

Test(names, a_result_and_a_store_give_them_back)
{
    struct lab_store *store = NULL;
    struct lab_result *rows = NULL;
    int64_t count = 0, id = 0;
    OK(lab_store_open(&store, ctx, dir.path, true));
    for (int i = 0; i < PLAIN + ODD; i++) {
        struct lab_run_config config;
        struct lab_result result = {.state = LAB_DONE, .ffw = "peer"}, read;
        make(&config, text_of(i), "/d");
        OK(lab_store_add(store, &id, &config, 1));
        snprintf(result.variant, sizeof result.variant, "%s", text_of(i));
        OK(lab_run_result_write(ctx, dir.path, &result));
        OK(lab_run_result(&read, ctx, dir.path));
        cr_expect_str_eq(read.variant, text_of(i));
        lab_result_free(&read);
        OK(lab_store_set(store, id, LAB_DONE, NULL, dir.path));
    }
    lab_store_close(&store);
    OK(lab_store_open(&store, ctx, dir.path, false));
    OK(lab_store_results(store, &rows, &count));
    cr_assert_eq(count, PLAIN + ODD);
    for (int i = 0; i < PLAIN + ODD; i++) {
        cr_expect_str_eq(rows[i].name, text_of(i));
        cr_expect_str_eq(rows[i].variant, text_of(i));
    }
    lab_results_free(&rows, count);
    lab_store_close(&store);
}

/* One cell, whatever it holds, which no spreadsheet computes. */
static void expect_cell(const char *text, const char *expected)
{
    char *line = NULL;
    size_t size;
    FILE *stream = open_memstream(&line, &size);
    struct lab_csv row = {stream, false};
    lab_csv_text(&row, text);
    lab_csv_end(&row);
    cr_assert_eq(fclose(stream), 0);
    line[size - 1] = 0;
    cr_expect_str_eq(line, expected);
    free(line);
}

Test(names, cells_are_no_formulas)
{
    expect_cell("=1+1", "'=1+1");
    expect_cell("+1", "'+1");
    expect_cell("-1", "'-1");
    expect_cell("@SUM(A1)", "'@SUM(A1)");
    expect_cell("=HYPERLINK(\"u\",\"t\")", "\"'=HYPERLINK('u','t')\"");
    expect_cell("\t=1", "' =1");
    expect_cell("\r\n -1", "'   -1");
    expect_cell("\xEF\xBC\x9D"
                "1",
                "'\xEF\xBC\x9D"
                "1");
    expect_cell("a=1", "a=1");
    expect_cell("", "");
    char *line = NULL;
    size_t size;
    FILE *stream = open_memstream(&line, &size);
    struct lab_csv row = {stream, false};
    lab_csv_number(&row, -0.5);
    lab_csv_integer(&row, -3);
    cr_assert_eq(fclose(stream), 0);
    cr_expect_str_eq(line, "-0.5,-3");
    free(line);
}
