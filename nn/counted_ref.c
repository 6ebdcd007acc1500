/* SPDX-License-Identifier: MIT */
#include "nn/cost.h"
#include "nn/real.h"

#ifdef PEER_REAL_DOUBLE
int64_t peer_counted[PEER_PART_COUNT];
#endif
