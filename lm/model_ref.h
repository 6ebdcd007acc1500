/* SPDX-License-Identifier: MIT */
/* Internal. The whole model of lm/model.h as plain loops: the loss, whose central differences are
 * what the model's gradients are held against. It allocates, and asserts that it may. */
#ifndef PEER_LM_MODEL_REF_H
#define PEER_LM_MODEL_REF_H

#include "lm/model.h"
#include "nn/real.h"

struct REF(lm_pass) {
    const struct lm_config *config;
    const struct peer_params *list; /* names and shapes of the weights */
    real *const *values;            /* [list->count], in the list's order */
    const int32_t *inputs;          /* [B, S] */
    const int32_t *targets;         /* [B, S] */
    int64_t B, S;
    enum peer_mode mode;
    int32_t *const *ids; /* [L]: routing [B*S, H, k] of each block, NULL where it has none; in
                            where `fixed`, else out */
    bool fixed;          /* routing held fixed, for finite differences */
};

/* Returns the sum of the losses [B, S] and writes the number of scored tokens. */
real REF(lm_model_loss)(const struct REF(lm_pass) * pass, int64_t *scored, real *losses);

/* One FFW layer: y [T, D] from x [T, D]; `prefix` leads its weights' names in pass->list. */
void REF(lm_ffw_forward)(real *y, const struct REF(lm_pass) * pass, int64_t block,
                         const char *prefix, const real *x, const uint8_t *mask);

/* The values called prefix + name, or NULL; n zeros, to be freed. */
const real *REF(lm_value)(const struct REF(lm_pass) * pass, const char *prefix, const char *name);
real *REF(lm_zeros)(int64_t n);

#endif
