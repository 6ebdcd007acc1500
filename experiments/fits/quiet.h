/* SPDX-License-Identifier: MIT */
/* Internal to experiments/fits. GSL's error handler is the process's, not a thread's, and ends the
 * process: it is replaced once, and what calls return is looked at. */
#ifndef PEER_EXPERIMENTS_FITS_QUIET_H
#define PEER_EXPERIMENTS_FITS_QUIET_H

#include <setjmp.h>
#include <stddef.h>

/* From here on GSL's calls return their errors. To be called before them; any number of times, from
 * any thread. */
void lab_fits_quiet(void);

/* Where this thread goes when GSL has no memory, for calls that would go on without; NULL = they
 * return. */
extern _Thread_local jmp_buf *lab_fits_without_memory;

#endif
