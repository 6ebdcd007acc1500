/* SPDX-License-Identifier: MIT */
/* A rival that keeps the protocol, and rivals that break it: tests/support/fake_rival.sh. */
#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/rival.h"

static struct rival *start(const char *way)
{
    const char *const argv[] = {FAKE_RIVAL, way, NULL};
    const char *const set[] = {"OMP_NUM_THREADS=17", NULL};
    return rival_start(argv, set);
}

/* Asserts that the error holds `text`, that all that follows fails, and ends the rival. */
static void expect_error(struct rival *rival, const char *text)
{
    float value;
    cr_assert(strstr(rival_error(rival), text), "«%s», expected «%s»", rival_error(rival), text);
    rival_send_floats(rival, "x", &(float){1}, 1, 0);
    cr_assert_not(rival_ready(rival));
    cr_assert_lt(rival_run(rival), 0);
    cr_assert_not(rival_get_floats(rival, "x", &value, 1));
    rival_stop(&rival);
    cr_assert_null(rival);
}

Test(rival, hello_and_environment)
{
    struct rival *rival = start("obedient");
    cr_assert_str_eq(rival_error(rival), "");
    cr_assert_str_eq(rival_title(rival), "fake 1.0, OMP_NUM_THREADS=17");
    rival_stop(&rival);
}

Test(rival, options_run_and_arrays)
{
    const float sent[6] = {1.5f, -2.25f, 1e30f, 1e-30f, 0, -7};
    float got[6] = {0};
    struct rival *rival = start("obedient");
    rival_option(rival, "heads", 3);
    rival_option(rival, "kept", 14);
    rival_send_floats(rival, "x", sent, 3, 2);
    cr_assert(rival_ready(rival));
    cr_assert_eq(rival_run(rival), 17);
    cr_assert_eq(rival_run(rival), 17);
    cr_assert(rival_get_floats(rival, "y", got, 6), "%s", rival_error(rival));
    cr_assert_arr_eq(got, sent, sizeof sent);
    rival_stop(&rival);
}

Test(rival, ids)
{
    const int32_t sent[3] = {0, -1, 2147483647};
    int32_t got[3] = {0};
    struct rival *rival = start("obedient");
    rival_send_ids(rival, "ids", sent, 3, 0);
    cr_assert(rival_get_ids(rival, "ids", got, 3), "%s", rival_error(rival));
    cr_assert_arr_eq(got, sent, sizeof sent);
    rival_stop(&rival);
}

Test(rival, columns_of_a_table)
{
    const float table[3][3] = {{1, 2, 3}, {4, 5, 6}, {7, 8, 9}};
    const float columns[6] = {2, 3, 5, 6, 8, 9};
    float got[6] = {0};
    struct rival *rival = start("obedient");
    rival_send_columns(rival, "v", &table[0][1], 3, 3, 2);
    cr_assert(rival_get_floats(rival, "v", got, 6), "%s", rival_error(rival));
    cr_assert_arr_eq(got, columns, sizeof columns);
    rival_stop(&rival);
}

Test(rival, missing_program)
{
    const char *const argv[] = {"/no/such/python3", NULL}, *const set[] = {NULL};
    struct rival *rival = rival_start(argv, set);
    cr_assert(rival_missing(rival));
    expect_error(rival, "/no/such/python3: No such file or directory");
}

Test(rival, missing_module)
{
    struct rival *rival = start("missing");
    cr_assert(rival_missing(rival));
    expect_error(rival, "No module named 'torch'");
}

Test(rival, failure_is_told)
{
    struct rival *rival = start("failing");
    cr_assert_lt(rival_run(rival), 0);
    cr_assert_not(rival_missing(rival));
    expect_error(rival, "ValueError: too many experts");
}

Test(rival, crash_is_told)
{
    struct rival *rival = start("crashing");
    cr_assert_lt(rival_run(rival), 0);
    expect_error(rival, "signal 11");
}

Test(rival, early_end_is_told)
{
    expect_error(start("silent"), "status 3");
}

Test(rival, other_answers_are_told)
{
    expect_error(start("babbling"), "«welcome», expected «hello ...»");
}

Test(rival, no_time_is_told)
{
    struct rival *rival = start("instant");
    cr_assert_lt(rival_run(rival), 0);
    expect_error(rival, "it took «0» seconds");
}

Test(rival, arrays_of_other_sizes_are_told)
{
    float got[4];
    struct rival *rival = start("obedient");
    rival_send_floats(rival, "x", (const float[3]){1, 2, 3}, 3, 0);
    cr_assert_not(rival_get_floats(rival, "x", got, 4));
    expect_error(rival, "x f32 3», expected 4 values f32 of x");
}

Test(rival, arrays_that_break_off_are_told)
{
    float got[3];
    struct rival *rival = start("short");
    rival_send_floats(rival, "x", (const float[3]){1, 2, 3}, 3, 0);
    cr_assert_not(rival_get_floats(rival, "x", got, 3));
    expect_error(rival, "status 0");
}

/* The rival inherits the writing end of a pipe, which is at its end when nobody is left. */
Test(rival, killed_with_its_parent)
{
    int ends[2];
    char byte;
    cr_assert_eq(pipe(ends), 0);
    pid_t parent = fork();
    if (parent == 0) {
        struct rival *rival = start("deaf");
        cr_assert_str_eq(rival_title(rival), "deaf");
        kill(getpid(), SIGKILL);
    }
    close(ends[1]);
    cr_assert_eq(waitpid(parent, NULL, 0), parent);
    struct pollfd closed = {.fd = ends[0], .events = POLLIN};
    cr_assert_eq(poll(&closed, 1, 20000), 1, "the rival outlived its parent");
    cr_assert_eq(read(ends[0], &byte, 1), 0);
    close(ends[0]);
}
