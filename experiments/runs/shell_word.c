/* SPDX-License-Identifier: MIT */
#include "experiments/runs/shell_word.h"

#include <stdbool.h>
#include <string.h>

/* One byte at *at, if there is room. */
static void put(char *ret, size_t size, size_t *at, char byte)
{
    if (*at + 1 < size)
        ret[*at] = byte;
    ++*at;
}

size_t lab_shell_word(char *ret, size_t size, const char *word)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "@%_+=:,./-";
    bool quoted = !*word || word[strspn(word, plain)];
    size_t length = 0;
    if (quoted)
        put(ret, size, &length, '\'');
    for (; *word; word++) {
        if (*word == '\'')
            for (const char *end = "'\\'"; *end; end++)
                put(ret, size, &length, *end);
        put(ret, size, &length, *word);
    }
    if (quoted)
        put(ret, size, &length, '\'');
    if (size > 0)
        ret[length < size ? length : size - 1] = 0;
    return length;
}

void lab_shell_append(char *ret, size_t size, const char *word)
{
    size_t length = strlen(ret);
    lab_shell_word(ret + length, size - length, word);
}
