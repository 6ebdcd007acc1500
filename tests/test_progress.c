/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "experiments/cli/progress.h"
#include "experiments/runs/machine.h"

static void expect_text(void (*format)(char *text, int size, double value), double value,
                        const char *expected)
{
    char text[32];
    format(text, sizeof text, value);
    cr_expect_str_eq(text, expected);
}

Test(progress, times_are_rounded_before_they_are_cut_into_units)
{
    expect_text(lab_format_seconds, 0, "0 ms");
    expect_text(lab_format_seconds, 0.0124, "12 ms");
    expect_text(lab_format_seconds, 0.9996, "1 s");
    expect_text(lab_format_seconds, 12.4, "12 s");
    expect_text(lab_format_seconds, 59.6, "1 min 00 s");
    expect_text(lab_format_seconds, 200, "3 min 20 s");
    expect_text(lab_format_seconds, 3599.7, "1 h 00 min");
    expect_text(lab_format_seconds, 7500, "2 h 05 min");
    expect_text(lab_format_seconds, 360000, "100 h 00 min");
    expect_text(lab_format_seconds, -1, "?");
    expect_text(lab_format_seconds, INFINITY, "?");
    expect_text(lab_format_seconds, NAN, "?");
}

Test(progress, counts_have_three_digits)
{
    expect_text(lab_format_count, 0, "0");
    expect_text(lab_format_count, 950, "950");
    expect_text(lab_format_count, 1000, "1.00k");
    expect_text(lab_format_count, 12345, "12.3k");
    expect_text(lab_format_count, 99960, "100k");
    expect_text(lab_format_count, 999960, "1.00M");
    expect_text(lab_format_count, 3.14159e9, "3.14G");
    expect_text(lab_format_count, 4e18, "4.00E");
    expect_text(lab_format_count, 4e22, "40000E");
    expect_text(lab_format_bytes, 512, "512 B");
    expect_text(lab_format_bytes, 3.2 * 1024 * 1024, "3.20 MiB");
    expect_text(lab_format_bytes, 1023.9, "1.00 KiB");
}

Test(machine, offers_no_more_than_there_is)
{
    char text[128];
    double all = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    cr_expect(lab_machine_cores() >= 1 && lab_machine_cores() <= sysconf(_SC_NPROCESSORS_CONF));
    cr_expect(lab_machine_memory() > 0 && lab_machine_memory() <= all, "%g of %g",
              lab_machine_memory(), all);
    lab_machine_text(text, sizeof text);
    char part[32];
    snprintf(part, sizeof part, ", %d core", lab_machine_cores());
    cr_expect(strstr(text, part), "%s", text);
}
