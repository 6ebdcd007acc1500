/* SPDX-License-Identifier: MIT */
/* Ctrl-C, termination, and what schedulers send before they kill: asked politely, obeyed at the
 * next safe point. */
#ifndef PEER_EXPERIMENTS_CLI_STOP_H
#define PEER_EXPERIMENTS_CLI_STOP_H

#include <stdbool.h>

/* From now on SIGINT, SIGTERM, SIGHUP, SIGUSR1 and SIGXCPU only set a flag, unless they were
 * ignored before (nohup): then they stay so. A second SIGINT ends the program at once, or where
 * work is held. The others may come again and again, as a scheduler sends them to a program and to
 * its children. A reader that goes away (SIGPIPE) does not end the work either. */
void lab_stop_install(void);

/* Whether a stop was asked for. Usable as a callback: `user` is not read. */
bool lab_stop_asked(void *user);

/* Between these two a second SIGINT waits: for work that would otherwise end half done, or be lost.
 * They nest; any thread may call them. */
void lab_stop_hold(void);
void lab_stop_release(void);

/* Ends the program as a reader that went away would have ended it, where it was not told to ignore
 * that; else returns. */
void lab_stop_broken_pipe(void);

#endif
