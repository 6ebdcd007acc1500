/* SPDX-License-Identifier: MIT */
#include "experiments/base/process.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

/* Between two looks at a program, and from SIGTERM to SIGKILL. */
static const struct timespec pause_time = {.tv_nsec = 2000000};
enum { PAUSES_TO_KILL = 1000 };

static const int reset[] = {SIGINT, SIGTERM, SIGPIPE, SIGXFSZ, SIGUSR1, SIGXCPU};
enum { RESETS = sizeof reset / sizeof *reset };

int lab_process_signals(posix_spawnattr_t *attributes)
{
    sigset_t none, defaults;
    int error = posix_spawnattr_init(attributes);
    if (error)
        return error;
    sigemptyset(&none);
    sigemptyset(&defaults);
    for (int i = 0; i < RESETS; i++)
        sigaddset(&defaults, reset[i]);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &defaults);
    return posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

void lab_process_reset_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    for (int i = 0; i < RESETS; i++)
        signal(reset[i], SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Whether the program has ended. */
static bool has_ended(pid_t pid, int *result)
{
    pid_t ended;
    do
        ended = waitpid(pid, result, WNOHANG);
    while (ended < 0 && errno == EINTR);
    if (ended < 0)
        *result = -1; /* not ours any more */
    return ended != 0;
}

bool lab_process_wait(pid_t pid, int *result, bool (*stop)(void *user), void *user)
{
    /* A signal may reach another thread, or come before the wait: so it is looked for. */
    while (!has_ended(pid, result)) {
        if (stop && stop(user)) {
            lab_process_end(pid, result);
            return true;
        }
        nanosleep(&pause_time, NULL);
    }
    return stop && stop(user);
}

void lab_process_end(pid_t pid, int *result)
{
    kill(pid, SIGTERM);
    for (int i = 0; !has_ended(pid, result); i++) {
        if (i == PAUSES_TO_KILL)
            kill(pid, SIGKILL);
        nanosleep(&pause_time, NULL);
    }
}
