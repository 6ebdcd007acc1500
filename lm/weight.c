/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "lm/config.h"

struct lm_weight lm_weight_alloc(struct peer_pool *pool, const char *what, int64_t n0, int64_t n1,
                                 bool trainable)
{
    struct lm_weight weight = {.w = peer_pool_floats(pool, what, n0, n1)};
    if (trainable)
        weight.dw = peer_pool_floats(pool, what, n0, n1);
    return weight;
}

enum peer_status lm_weight_params(const struct lm_weight *weight, struct peer_params *list,
                                  const char *prefix, const char *name, int64_t n0, int64_t n1,
                                  struct peer_init init)
{
    struct peer_param param = {.kind = weight->dw ? PEER_PARAM_DENSE : PEER_PARAM_BUFFER,
                               .dims = n1 ? 2 : 1,
                               .shape = {n0, n1},
                               .data = weight->w,
                               .grad = weight->dw,
                               .lr_scale = 1,
                               .decay = n1 ? 1 : 0,
                               .init = init};
    snprintf(param.name, sizeof param.name, "%s", name);
    return peer_params_add(list, prefix, &param);
}
