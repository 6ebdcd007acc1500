/* SPDX-License-Identifier: MIT */
/* Ctrl-C and termination: asked politely once, obeyed at the next safe point. */
#ifndef PEER_EXPERIMENTS_CLI_STOP_H
#define PEER_EXPERIMENTS_CLI_STOP_H

#include <stdbool.h>

/* From now on SIGINT, SIGTERM and SIGHUP only set a flag; a second one ends the program at once. */
void lab_stop_install(void);

/* Whether a stop was asked for. Usable as a callback: `user` is not read. */
bool lab_stop_asked(void *user);

#endif
