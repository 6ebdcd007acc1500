/* SPDX-License-Identifier: MIT */
/* Progress of the refits behind the intervals of joint laws. */
#ifndef PEER_EXPERIMENTS_CLI_DRAWS_H
#define PEER_EXPERIMENTS_CLI_DRAWS_H

#include "experiments/cli/progress.h"
#include "experiments/fits/sweep_laws.h"

/* A watch that shows the draws, from the first one on; `progress` is to be ended. */
struct lab_watch lab_watch_draws(struct lab_progress *progress, bool (*stop)(void *));

#endif
