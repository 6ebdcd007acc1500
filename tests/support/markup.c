/* SPDX-License-Identifier: MIT */
#include "tests/support/markup.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

void markup_check(const char *text)
{
    enum { DEEP = 64, NAME = 32 };
    char open[DEEP][NAME];
    int depth = 0;
    for (; (text = strpbrk(text, "<&")); text++) {
        if (*text == '&') {
            size_t length = strcspn(text, ";");
            cr_assert(length > 1 && length < 8, "stray &: %.20s", text);
            continue;
        }
        const char *end = strchr(text, '>');
        cr_assert(end, "unclosed tag: %.40s", text);
        if (text[1] == '!' || text[1] == '?')
            continue;
        bool closing = text[1] == '/';
        const char *name = text + 1 + closing;
        size_t length = strcspn(name, " \n\t/>");
        cr_assert(length > 0 && length < NAME, "stray <: %.20s", text);
        if (closing) {
            cr_assert(depth > 0 && strlen(open[depth - 1]) == length &&
                          !strncmp(open[depth - 1], name, length),
                      "</%.*s> closes <%s>", (int)length, name, depth ? open[depth - 1] : "");
            depth--;
        } else if (end[-1] != '/') {
            cr_assert_lt(depth, DEEP);
            snprintf(open[depth++], NAME, "%.*s", (int)length, name);
        }
        text = end;
    }
    cr_assert_eq(depth, 0, "<%s> is never closed", depth ? open[depth - 1] : "");
}

int markup_check_csv(const char *text)
{
    int rows = 0, cells = 1, first = 0;
    bool quoted = false;
    for (; *text; text++) {
        quoted ^= *text == '"';
        cells += *text == ',' && !quoted;
        if (*text != '\n')
            continue;
        cr_assert_not(quoted, "row %d ends inside of quotes", rows);
        first = rows == 0 ? cells : first;
        cr_assert_eq(cells, first, "row %d has %d cells, the first %d", rows, cells, first);
        rows++;
        cells = 1;
    }
    return rows;
}
