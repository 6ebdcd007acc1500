/* SPDX-License-Identifier: MIT */
/* What reaches a terminal of what strangers wrote. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "experiments/cli/terminal.h"
#include "nn/random.h"
#include "tests/support/tempdir.h"

enum { MOST = 256 };

/* In pieces of `piece` bytes. */
static void expect_shown(const char *text, size_t size, size_t piece, const char *expected)
{
    struct lab_filter filter = {0};
    char out[LAB_FILTER_GROWTH * MOST + LAB_FILTER_SLACK];
    size_t used = 0;
    for (size_t i = 0; i < size; i += piece)
        used +=
            lab_filter(&filter, out + used, text + i, size - i < piece ? size - i : piece, false);
    used += lab_filter(&filter, out + used, "", 0, true);
    out[used] = 0;
    cr_expect_eq(used, strlen(expected));
    cr_expect_str_eq(out, expected, "in pieces of %zu", piece);
}

Test(terminal, what_it_would_obey_is_shown_instead)
{
    static const char *const cases[][2] = {
        {"plain, \ttext\n", "plain, \ttext\n"},
        {"\xC3\xA4 \xE2\x82\xAC \xF0\x9F\x98\x80", "\xC3\xA4 \xE2\x82\xAC \xF0\x9F\x98\x80"},
        {"\033[2J\033]0;title\a", "\\u001b[2J\\u001b]0;title\\u0007"},
        {"a\rb\bc\x7f", "a\\u000db\\u0008c\\u007f"},
        {"\xC2\x9B"
         "31m",
         "\\u009b31m"},
        {"\x9B"
         "31m",
         "\\x9b31m"},
        {"\xE2\x80\xAE x \xE2\x81\xA6 \xD8\x9C", "\\u202e x \\u2066 \\u061c"},
        {"\xE2\x80\xA8\xEF\xBB\xBF\xEF\xBF\xBE", "\\u2028\\ufeff\\ufffe"},
        {"\xF3\xA0\x80\xC3\xA4\xE2\x82", "\\xf3\\xa0\\x80\xC3\xA4\\xe2\\x82"},
        {"\xC0\x9B\xED\xA0\x80\xF4\x90\x80\x80\xFF",
         "\\xc0\\x9b\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80\\xff"},
        {"\xF0\x9F\xBF\xBF", "\\U0001ffff"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t piece = 1; piece < 9; piece++)
            expect_shown(cases[i][0], strlen(cases[i][0]), piece, cases[i][1]);
}

/* Whatever the bytes: printable, and shown again they stay as they are. */
Test(terminal, any_bytes_become_text)
{
    for (uint64_t round = 0; round < 2000; round++) {
        char text[MOST], out[LAB_FILTER_GROWTH * MOST + LAB_FILTER_SLACK];
        struct lab_filter filter = {0};
        size_t size = (size_t)peer_random_below(7, 1, round, MOST);
        for (size_t i = 0; i < size; i++)
            text[i] = (char)peer_random_below(7, 2, round * MOST + i, 256);
        size_t used = lab_filter(&filter, out, text, size, true);
        cr_assert_leq(used, LAB_FILTER_GROWTH * size + LAB_FILTER_SLACK);
        for (size_t i = 0; i < used; i++)
            cr_assert((unsigned char)out[i] >= 32 || out[i] == '\n' || out[i] == '\t');
        if (used <= MOST) {
            out[used] = 0;
            expect_shown(out, used, 3, out);
        }
    }
}

/* The streams themselves: printf, puts, and bytes that come one by one. */
Test(terminal, streams_are_filtered_whoever_prints)
{
    struct tempdir dir = tempdir_create();
    struct tempfile file = tempdir_file(&dir, "out");
    pid_t child = fork();
    if (child == 0) {
        cr_assert(freopen(file.path, "w", stdout));
        dup2(STDOUT_FILENO, STDERR_FILENO);
        lab_terminal_install();
        printf("%s\n", "a\033b");
        fputc(0xC2, stdout);
        fputc(0x9B, stdout);
        puts("\xE2\x80\xAE");
        fflush(stdout);
        fprintf(stderr, "%s", "\a\n");
        lab_print_cell(stdout, 6, "\xC3\xA4\n");
        lab_print_cell(stdout, 0, "|");
        fflush(stdout);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    size_t size;
    char *text = tempfile_read(&file, &size);
    text = realloc(text, size + 1);
    text[size] = 0;
    cr_expect_str_eq(text, "a\\u001bb\n\\u009b\\u202e\n\\u0007\n\xC3\xA4     |");
    free(text);
    tempdir_remove(&dir);
}

/* As wide as a terminal shows them: two columns for each of East Asia's, none for marks. */
Test(terminal, cells_are_counted_in_columns)
{
    cr_expect_eq(lab_cell_width("peer"), 4);
    cr_expect_eq(lab_cell_width("gr\xc3\xb6\xc3\x9f"
                                "e"),
                 5);
    cr_expect_eq(lab_cell_width("\xe6\xa8\xa1\xe5\x9e\x8b"), 4);
    cr_expect_eq(lab_cell_width("e\xcc\x81"), 1);
}
