/* SPDX-License-Identifier: MIT */
#include "experiments/cli/draws.h"

/* It starts at the first call, when the fits are made. */
static void show_draws(void *user, double done, double total)
{
    struct lab_progress *progress = user;
    if (progress->total == 0)
        lab_progress_start(progress, "intervals of laws", "draws", total, done);
    lab_progress_update(progress, done, NULL);
}

struct lab_watch lab_watch_draws(struct lab_progress *progress, bool (*stop)(void *))
{
    *progress = (struct lab_progress){.total = 0};
    return (struct lab_watch){progress, show_draws, stop};
}
