/* SPDX-License-Identifier: MIT */
#include "experiments/cli/stop.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

/* A signal handler has no other way to reach the program. */
static volatile sig_atomic_t asked, asked_again;

/* How many hold the work; ENDING once the program is on its way out. */
enum { ENDING = -1 };
static atomic_int holders;

static bool pipe_ignored;

/* Ends the program unless somebody holds it, who then does it. */
static void end_now(void)
{
    int none = 0;
    asked_again = 1;
    if (atomic_compare_exchange_strong(&holders, &none, ENDING))
        _exit(128 + SIGINT);
}

static void on_signal(int number)
{
    if (asked && number == SIGINT)
        end_now();
    asked = 1;
}

void lab_stop_install(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGXCPU};
    struct sigaction action, old;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        memset(&action, 0, sizeof action);
        action.sa_handler = on_signal;
        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN)
            continue;
        sigaction(signals[i], &action, NULL);
    }
    pipe_ignored = signal(SIGPIPE, SIG_IGN) == SIG_IGN;
}

bool lab_stop_asked(void *user)
{
    (void)user;
    return asked;
}

void lab_stop_hold(void)
{
    int now = atomic_load(&holders);
    do {
        while (now == ENDING) /* another thread is ending the program */
            pause();
    } while (!atomic_compare_exchange_weak(&holders, &now, now + 1));
}

void lab_stop_release(void)
{
    if (atomic_fetch_sub(&holders, 1) == 1 && asked_again)
        end_now();
}

void lab_stop_broken_pipe(void)
{
    if (pipe_ignored)
        return;
    signal(SIGPIPE, SIG_DFL);
    raise(SIGPIPE);
}
