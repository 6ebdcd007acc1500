/* SPDX-License-Identifier: MIT */
/* Internal. What the files of the model share. */
#ifndef PEER_LM_CONFIG_H
#define PEER_LM_CONFIG_H

#include "lm/model.h"
#include "nn/pool.h"

/* The FFW of a block, and its config, borrowed from `config`. */
const struct peer_ffw_type *lm_config_ffw(const struct lm_config *config, int64_t block,
                                          const void **ffw_config);

/* A set of PEER_FROZEN(role). */
unsigned lm_freeze_roles(enum lm_freeze freeze);

/* PEER_ERR_ARGUMENT where config->freeze asks for what the config, correct but for that, does not
 * have. */
enum peer_status lm_freeze_check(struct peer_ctx *ctx, const struct lm_config *config);

/* PEER_ERR_ARGUMENT where config->tables asks for what the config, correct but for that, does not
 * have. */
enum peer_status lm_tables_check(struct peer_ctx *ctx, const struct lm_config *config);

/* A parameter and its gradient, which is NULL where it is not trained. */
struct lm_weight {
    float *w, *dw;
};

struct lm_weight lm_weight_alloc(struct peer_pool *pool, const char *what, int64_t n0, int64_t n1,
                                 bool trainable);

/* Lists a weight [n0, n1], or [n0] where n1 is 0: gains, which are not decayed. */
enum peer_status lm_weight_params(const struct lm_weight *weight, struct peer_params *list,
                                  const char *prefix, const char *name, int64_t n0, int64_t n1,
                                  struct peer_init init);

#endif
