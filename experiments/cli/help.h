/* SPDX-License-Identifier: MIT */
/* The part of a command's help text that is about one of its actions. */
#ifndef PEER_EXPERIMENTS_CLI_HELP_H
#define PEER_EXPERIMENTS_CLI_HELP_H

#include <stdbool.h>
#include <stdio.h>

/* Prints what `help` says of `action`: its lines of the usage, which begin "peerlab COMMAND ACTION"
 * or name it in a list a|b|..., its own paragraph, which begins with two spaces and its name, and
 * the options that its usage names, or all where that ends in "..." or "[OPTIONS]". False, with
 * nothing printed, where there is no such paragraph. */
bool lab_help_action(FILE *file, const char *help, const char *action);

#endif
