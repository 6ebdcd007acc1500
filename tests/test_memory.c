/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/base/memory.h"

static int granted = -1; /* reallocations before every further one fails; negative = all */

void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);

void *__wrap_realloc(void *memory, size_t size)
{
    if (granted == 0)
        return NULL;
    granted -= granted > 0;
    return __real_realloc(memory, size);
}

enum { LINES = 4000 };

static char *write_lines(size_t *size)
{
    struct lab_memory memory;
    cr_assert(lab_memory_open(&memory));
    for (int i = 0; i < LINES; i++)
        fprintf(memory.file, "line %d\n", i);
    return lab_memory_close(&memory, size);
}

Test(memory, holds_what_was_written)
{
    struct lab_memory memory;
    size_t size = 1;
    cr_assert(lab_memory_open(&memory));
    char *text = lab_memory_close(&memory, &size);
    cr_expect_str_eq(text, "");
    cr_expect_eq(size, 0);
    free(text);
    char *at = text = write_lines(&size);
    cr_assert(text);
    cr_expect_eq(size, strlen(text));
    for (int i = 0; i < LINES; i++) {
        char line[32];
        size_t length = (size_t)snprintf(line, sizeof line, "line %d\n", i);
        cr_assert_eq(strncmp(at, line, length), 0, "%s", line);
        at += length;
    }
    cr_expect_eq(*at, 0);
    free(text);
}

/* Whichever growth fails, nothing comes back: never a part. */
Test(memory, is_whole_or_nothing)
{
    char *text = NULL;
    int failures = 0;
    for (; !text && failures < 100; failures++) {
        granted = failures;
        text = write_lines(NULL);
    }
    granted = -1;
    cr_assert(text);
    cr_expect_gt(failures, 3);
    cr_expect(strstr(text, "line 3999\n"));
    free(text);
}
