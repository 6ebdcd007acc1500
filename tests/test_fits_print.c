/* SPDX-License-Identifier: MIT */
#include "experiments/cli/fits_print.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What is printed of one law whose E is `e`, by the check `check`. */
static void print(char *text, size_t size, double e, double check)
{
    static const char *const names[] = {"dense"};
    struct lab_law law = {.form = LAB_LAW_JOINT,
                          .fitted = true,
                          .reason = "",
                          .note = "",
                          .value = {e, 400, 900, 0.3, 0.4, NAN, NAN}};
    struct lab_sweep_law sweep = {.variant = names, .variants = 1, .law = law, .check = law};
    sweep.check.value[LAB_LAW_E] = check;
    sweep.intervals.note = "";
    struct lab_sweep_laws laws = {.count = 1, .law = &sweep};
    struct lab_minima minima = {0};
    struct lab_result result = {.state = LAB_DONE, .nats = 3};
    FILE *file = tmpfile();
    cr_assert(file);
    fflush(stdout);
    int kept = dup(STDOUT_FILENO);
    dup2(fileno(file), STDOUT_FILENO);
    lab_fits_print(&minima, &laws, &result, 1);
    fflush(stdout);
    dup2(kept, STDOUT_FILENO);
    close(kept);
    rewind(file);
    text[fread(text, 1, size - 1, file)] = 0;
    fclose(file);
}

/* Where a line begins. */
static const char *line(const char *text, const char *begin)
{
    const char *at = strstr(text, begin);
    cr_assert(at, "no %s in %s", begin, text);
    return at;
}

Test(fits_print, a_constant_at_its_bound_is_zero)
{
    char text[4096];
    print(text, sizeof text, 3.7e-19, 2.25);
    const char *at = line(text, "  E   ");
    cr_expect_eq(strspn(at + 3, " "), 24, "%s", at);
    cr_expect_eq(strncmp(at + 27, "0, at its bound  ", 17), 0, "%s", at);
    cr_expect_not(strstr(text, "e-19"));
    cr_expect(strstr(at, " 2.25\n"));
}

Test(fits_print, so_is_that_of_the_check_and_columns_stay)
{
    char text[4096];
    print(text, sizeof text, 2.25, 1e-12);
    const char *at = line(text, "  E   "), *other = line(text, "  alpha ");
    cr_expect_eq(strncmp(at + 27, "2.25 ", 5), 0, "%s", at);
    const char *bound = strstr(at, "0, at its bound\n"), *exponent = strstr(other + 30, "0.3\n");
    cr_assert(bound && exponent, "%s", text);
    cr_expect_eq(bound - at, exponent - other);
    cr_expect_not(strstr(text, "1e-12"));
}
