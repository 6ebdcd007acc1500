/* SPDX-License-Identifier: MIT */
#include "experiments/runs/shell_word.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* A shell makes of the word what it was. */
Test(shell_word, comes_back_from_a_shell)
{
    static const char *const words[] = {
        "",        "plain-1.yaml", "two words",         "it's",           "'",
        "$(date)", "a;b|c&d",      "back\\slash \"q\"", "tab\tline\nend", "caf\xc3\xa9 *?[x]~"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        char word[256], command[300], got[256];
        size_t length = lab_shell_word(word, sizeof word, words[i]);
        cr_expect_eq(length, strlen(word));
        snprintf(command, sizeof command, "printf %%s %s", word);
        FILE *shell = popen(command, "r");
        cr_assert(shell);
        got[fread(got, 1, sizeof got - 1, shell)] = 0;
        cr_assert_eq(pclose(shell), 0);
        cr_expect_str_eq(got, words[i]);
    }
}

Test(shell_word, plain_words_stay_and_room_is_kept)
{
    char word[8];
    cr_expect_eq(lab_shell_word(word, sizeof word, "a/b.c-1"), 7);
    cr_expect_str_eq(word, "a/b.c-1");
    cr_expect_eq(lab_shell_word(word, sizeof word, "two words"), 11);
    cr_expect_str_eq(word, "'two wo");
    strcpy(word, "x ");
    lab_shell_append(word, sizeof word, "y z");
    cr_expect_str_eq(word, "x 'y z'");
}
