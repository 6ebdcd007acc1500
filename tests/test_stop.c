/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "experiments/cli/stop.h"

/* The exit status of `work` in a process of its own, and whether it came to its end. */
static int status_of(void (*work)(int done), char *ended)
{
    int ends[2], result;
    cr_assert_eq(pipe(ends), 0);
    *ended = 0;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGINT, SIG_DFL);
        lab_stop_install();
        work(ends[1]);
        _exit(0);
    }
    close(ends[1]);
    cr_expect_geq(read(ends[0], ended, 1), 0);
    close(ends[0]);
    cr_assert_eq(waitpid(child, &result, 0), child);
    return WIFEXITED(result) ? WEXITSTATUS(result) : -WTERMSIG(result);
}

static void say(int done)
{
    if (write(done, "x", 1) != 1)
        _exit(9);
}

static void twice(int done)
{
    raise(SIGINT);
    raise(SIGINT);
    say(done);
}

static void held_twice(int done)
{
    lab_stop_hold();
    lab_stop_hold();
    raise(SIGINT);
    raise(SIGINT);
    lab_stop_release();
    say(done); /* still held once */
    lab_stop_release();
    _exit(7); /* not reached */
}

static void others(int done)
{
    for (int i = 0; i < 3; i++) {
        raise(SIGTERM);
        raise(SIGUSR1);
        raise(SIGXCPU);
        raise(SIGHUP);
    }
    if (lab_stop_asked(NULL))
        say(done);
}

static void held_once(int done)
{
    lab_stop_hold();
    raise(SIGINT);
    lab_stop_release();
    if (lab_stop_asked(NULL))
        say(done);
}

Test(stop, a_second_ctrl_c_ends_at_once)
{
    char ended;
    cr_expect_eq(status_of(twice, &ended), 128 + SIGINT);
    cr_expect_eq(ended, 0);
}

Test(stop, what_is_held_is_finished_first)
{
    char ended;
    cr_expect_eq(status_of(held_twice, &ended), 128 + SIGINT);
    cr_expect_eq(ended, 'x');
    cr_expect_eq(status_of(held_once, &ended), 0, "one alone only asks");
    cr_expect_eq(ended, 'x');
}

Test(stop, other_signals_may_come_more_than_once)
{
    char ended;
    cr_expect_eq(status_of(others, &ended), 0);
    cr_expect_eq(ended, 'x');
}
