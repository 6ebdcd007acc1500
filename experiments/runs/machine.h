/* SPDX-License-Identifier: MIT */
/* What this machine is and has. */
#ifndef PEER_EXPERIMENTS_RUNS_MACHINE_H
#define PEER_EXPERIMENTS_RUNS_MACHINE_H

#include <stddef.h>

/* "AMD EPYC 9354, 2 cores, 24 GiB, OpenBLAS for Cooperlake". */
void lab_machine_text(char *text, size_t size);

/* Bytes of memory that can be had now without swapping, within the container's limit; half the
 * machine's if it does not say. */
double lab_machine_memory(void);

/* Bytes of memory, swap included, that the machine has in all, or the container may use. */
double lab_machine_memory_total(void);

/* Cores this process may use: its affinity, and the container's share of time. */
int lab_machine_cores(void);

#endif
