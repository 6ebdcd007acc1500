/* SPDX-License-Identifier: MIT */
/* Small language models of every variant, and batches for them. */
#ifndef PEER_TESTS_SUPPORT_LM_CASE_H
#define PEER_TESTS_SUPPORT_LM_CASE_H

#include <stdalign.h>
#include <stddef.h>

#include "lm/model.h"

/* A variant. `config` points into the struct: it is not to be copied. */
struct lm_case {
    char name[48];
    struct lm_config config;
    alignas(max_align_t) unsigned char ffw_config[512];
    unsigned traits;
    bool grouped; /* tokens are multiplied in groups that depend on the routing: a token's output
                     depends on others', by rounding */
};

/* Case i = 0, 1, ...: each variant with few experts, or hidden values, at its defaults, and once
 * more with an RMSNorm of queries where it has one; false after the last. V = 61, D = 24, L = 3 of
 * which the middle block takes the variant, context 80. */
bool lm_case_get(struct lm_case *ret, int i);

/* The model, with all weights moved by noise, so that none is a constant. Asserts success. */
struct lm_model *lm_case_model(const struct lm_case *lm_case, struct peer_ctx *ctx, int64_t tokens,
                               bool trainable);

/* A context with `threads` threads. Asserts success. */
struct peer_ctx *lm_case_ctx(int threads);

/* Random ids below `vocab` [n], in an array of its own; free() it. */
int32_t *lm_case_ids(int64_t n, int64_t vocab, uint64_t stream);

/* The gradient of an entry as a dense array, 0 for rows not touched; free() it. */
float *lm_case_gradient(const struct peer_param *param);

#endif
