/* SPDX-License-Identifier: MIT */
/* Internal. The BLAS that the program was linked to. */
#ifndef PEER_NN_BLAS_H
#define PEER_NN_BLAS_H

#include "nn/context.h"

/* The level of the instructions that kernels for this core use. A core that is not known here is
 * newer than this list, and taken for the CPU's own. */
enum peer_cpu peer_blas_level(const char *core);

/* What there is; `used` stays false. */
struct peer_blas peer_blas_find(void);

/* Whether a context of that level is to use it: it keeps to one thread inside a tile whatever the
 * host sets, runs on this machine, and is not slower than the kernels of that level. */
bool peer_blas_suits(struct peer_blas blas, enum peer_cpu cpu);

#endif
