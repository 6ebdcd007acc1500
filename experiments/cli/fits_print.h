/* SPDX-License-Identifier: MIT */
/* A sweep's fits, as tables for a person. */
#ifndef PEER_EXPERIMENTS_CLI_FITS_PRINT_H
#define PEER_EXPERIMENTS_CLI_FITS_PRINT_H

#include "experiments/fits/sweep_laws.h"

/* On standard output: the minima of every variant and budget by parabola and by Akima's
 * interpolation; the joint laws, or why there are none; the runs that are left out. */
void lab_fits_print(const struct lab_minima *minima, const struct lab_sweep_laws *laws,
                    const struct lab_result *results, int64_t count);

#endif
