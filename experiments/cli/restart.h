/* SPDX-License-Identifier: MIT */
/* OpenMP and OpenBLAS read the environment before main() only. Where it makes the program slow, the
 * program starts itself again with another one: once for most machines, never without end. */
#ifndef PEER_EXPERIMENTS_CLI_RESTART_H
#define PEER_EXPERIMENTS_CLI_RESTART_H

#include <stdbool.h>
#include <stdio.h>

/* Sets OMP_WAIT_POLICY and OPENBLAS_CORETYPE where the user did not and this program would be
 * slow without, and starts it again. Returns where there is nothing to do or that fails; false:
 * no memory, without which results could differ. To be called first in main(). */
bool lab_restart(char **argv);

/* Lines of: kernels and CPU, BLAS, its core with who chose it and why, who makes products of
 * matrices, threads. */
void lab_restart_print(FILE *file);

#endif
