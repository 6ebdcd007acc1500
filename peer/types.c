/* SPDX-License-Identifier: MIT */
#include "peer/types.h"

#include <string.h>

#include "moe/moe.h"
#include "nn/layers/dense.h"
#include "peer/layer.h"
#include "pkm/layer.h"

const struct peer_ffw_type *const peer_ffw_types[] = {
    &peer_ffw_dense,
    &peer_ffw_pkm,
    &peer_ffw_peer,
    &peer_ffw_soft_gate,
    &peer_ffw_noisy_topk,
    &peer_ffw_gshard,
    &peer_ffw_switch,
    &peer_ffw_expert_choice,
    &peer_ffw_mixtral,
    &peer_ffw_deepseek,
    &peer_ffw_dropless,
    &peer_ffw_soft_moe,
    NULL,
};

const struct peer_ffw_type *peer_ffw_find(const char *name)
{
    for (const struct peer_ffw_type *const *type = peer_ffw_types; *type; type++)
        if (strcmp((*type)->name, name) == 0)
            return *type;
    return NULL;
}
