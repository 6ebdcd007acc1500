/* SPDX-License-Identifier: MIT */
/* Text that is cut, and text that is none. */
#include <criterion/criterion.h>
#include <string.h>

#include "experiments/base/text.h"

static void cut(const char *text, size_t size, const char *expected)
{
    char room[16];
    memset(room, '#', sizeof room);
    lab_text_cut(room, size, text);
    cr_expect_str_eq(room, expected, "\"%s\" in %zu bytes: \"%s\"", text, size, room);
    for (size_t i = size; i < sizeof room; i++)
        cr_expect_eq(room[i], '#', "written behind %zu bytes", size);
}

Test(text, cut_at_the_border_of_a_character)
{
    cut("", 1, "");
    cut("abc", 4, "abc");
    cut("abc", 3, "ab");
    cut("abc", 1, "");
    /* two, three and four bytes */
    cut("a\xC3\xA9", 4, "a\xC3\xA9");
    cut("a\xC3\xA9", 3, "a");
    cut("\xE2\x82\xAC"
        "x",
        5,
        "\xE2\x82\xAC"
        "x");
    cut("\xE2\x82\xAC"
        "x",
        4, "\xE2\x82\xAC");
    cut("\xE2\x82\xAC"
        "x",
        3, "");
    cut("\xE2\x82\xAC"
        "x",
        2, "");
    cut("ab\xF0\x9F\x98\x80", 6, "ab");
    cut("ab\xF0\x9F\x98\x80", 7, "ab\xF0\x9F\x98\x80");
    /* what is no character is cut like bytes */
    cut("\x80\x80\x80\x80\x80\x80", 6, "\x80\x80\x80\x80\x80");
}

Test(text, cut_in_place)
{
    char text[] = "name \xE2\x82\xAC";
    lab_text_cut(text, 7, text);
    cr_expect_str_eq(text, "name ");
}

Test(text, utf8)
{
    static const char *const good[] = {"",
                                       "plain/a b",
                                       "\xC3\xA9",
                                       "\xE2\x82\xAC",
                                       "\xED\x9F\xBF",
                                       "\xEE\x80\x80",
                                       "\xF0\x9F\x98\x80",
                                       "\xF4\x8F\xBF\xBF"};
    static const char *const bad[] = {"\x80",
                                      "a\xFF",
                                      "\xC3",
                                      "\xC3(",
                                      "\xC0\x80",
                                      "\xE0\x9F\xBF",
                                      "\xE2\x82",
                                      "\xED\xA0\x80",
                                      "\xF0\x8F\xBF\xBF",
                                      "\xF4\x90\x80\x80",
                                      "\xF8\x88\x80\x80\x80"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_expect(lab_text_is_utf8(good[i]), "%zu", i);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_not(lab_text_is_utf8(bad[i]), "%zu", i);
}
