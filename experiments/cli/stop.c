/* SPDX-License-Identifier: MIT */
#include "experiments/cli/stop.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

/* A signal handler has no other way to reach the program. */
static volatile sig_atomic_t asked;

static void on_signal(int number)
{
    if (asked)
        _exit(128 + number);
    asked = 1;
}

void lab_stop_install(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &action, NULL);
}

bool lab_stop_asked(void *user)
{
    (void)user;
    return asked;
}
