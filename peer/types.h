/* SPDX-License-Identifier: MIT */
/* All types that can stand in the FFW slot. */
#ifndef PEER_PEER_TYPES_H
#define PEER_PEER_TYPES_H

#include "nn/layers/ffw.h"

#ifdef __cplusplus
extern "C" {
#endif

/* NULL-terminated: dense, pkm, peer, the mixtures. */
PEER_API extern const struct peer_ffw_type *const peer_ffw_types[];

/* The type called `name`, or NULL. */
PEER_API const struct peer_ffw_type *peer_ffw_find(const char *name);

#ifdef __cplusplus
}
#endif

#endif
