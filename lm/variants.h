/* SPDX-License-Identifier: MIT */
/* The list of FFW types: a new variant is added here and nowhere else. */
#ifndef PEER_LM_VARIANTS_H
#define PEER_LM_VARIANTS_H

#include "nn/layers/ffw.h"

/* NULL-terminated. */
extern const struct peer_ffw_type *const lm_variants[];

/* The type called `name`, or NULL. */
const struct peer_ffw_type *lm_variant_find(const char *name);

#endif
