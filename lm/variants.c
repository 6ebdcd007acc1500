/* SPDX-License-Identifier: MIT */
#include "lm/variants.h"

#include <string.h>

#include "nn/dense.h"
#include "peer/layer.h"
#include "pkm/layer.h"

const struct peer_ffw_type *const lm_variants[] = {
    &peer_ffw_dense,
    &peer_ffw_pkm,
    &peer_ffw_peer,
    NULL,
};

const struct peer_ffw_type *lm_variant_find(const char *name)
{
    for (const struct peer_ffw_type *const *type = lm_variants; *type; type++)
        if (strcmp((*type)->name, name) == 0)
            return *type;
    return NULL;
}
