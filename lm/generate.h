/* SPDX-License-Identifier: MIT */
/* A few tokens for a look: for each, the window of the last tokens (as many as the model's context
 * and its passes hold) is recomputed. */
#ifndef PEER_LM_GENERATE_H
#define PEER_LM_GENERATE_H

#include "lm/model.h"

struct lm_generate_config {
    int64_t count;     /* tokens to append >= 0. Default 0 */
    float temperature; /* >= 0; 0 = the most likely token. Default 0.8 */
    int64_t top;       /* only the `top` most likely are drawn from; 0 = all. Default 50 */
    uint64_t seed;     /* of the draws. Default 1 */
};

struct lm_generate_config lm_generate_config_default(void);

/* Appends config->count ids to ids [used], which has room for used + count; used >= 1. `emit`, if
 * not NULL, is called with each new id. Errors: PEER_ERR_ARGUMENT, PEER_ERR_MEMORY. */
enum peer_status lm_generate(struct peer_ctx *ctx, struct lm_model *model, int32_t *ids,
                             int64_t used, const struct lm_generate_config *config,
                             void (*emit)(void *user, int32_t id), void *user);

#endif
