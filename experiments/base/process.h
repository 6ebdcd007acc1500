/* SPDX-License-Identifier: MIT */
/* Other programs, started and ended. */
#ifndef PEER_EXPERIMENTS_BASE_PROCESS_H
#define PEER_EXPERIMENTS_BASE_PROCESS_H

#include <spawn.h>
#include <stdbool.h>
#include <sys/types.h>

/* Signals as in a program that a shell starts: what this program ignores for itself (SIGPIPE,
 * SIGXFSZ), blocks, or has been told to ignore, does not reach the other one, or it could not be
 * ended. SIGHUP stays as it is, for nohup. 0, or an errno value. Release with
 * posix_spawnattr_destroy(). */
int lab_process_signals(posix_spawnattr_t *attributes);

/* The same for this process, between fork() and exec. */
void lab_process_reset_signals(void);

/* Waits for the end and writes what waitpid() says. Where `stop` (may be NULL) asks for it
 * meanwhile, the program is ended; returns whether it was. */
bool lab_process_wait(pid_t pid, int *result, bool (*stop)(void *user), void *user);

/* Ends a program: SIGTERM, and two seconds later SIGKILL. */
void lab_process_end(pid_t pid, int *result);

#endif
