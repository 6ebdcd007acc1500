/* SPDX-License-Identifier: MIT */
#include "experiments/sweeps/results.h"

#include <stddef.h>

const char *const lab_state_names[] = {"pending", "running", "done", "diverged", "failed", NULL};
