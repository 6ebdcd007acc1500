/* SPDX-License-Identifier: MIT */
/* Internal. The BLAS that the program was linked to. */
#ifndef PEER_NN_BLAS_H
#define PEER_NN_BLAS_H

#include "nn/context.h"

/* The level of the instructions that kernels for this core use. A core that is not known here is
 * newer than this list, and taken for the CPU's own. */
enum peer_cpu peer_blas_level(const char *core);

struct peer_blas peer_blas_find(void);

#endif
