/* SPDX-License-Identifier: MIT */
/* Tiny language models and data, the same for all tests that train or score one. Every function
 * asserts that it succeeds. */
#ifndef PEER_TESTS_SUPPORT_RUN_CASE_H
#define PEER_TESTS_SUPPORT_RUN_CASE_H

#include "lm/dataset.h"
#include "lm/model.h"
#include "tests/support/tempdir.h"

enum { RUN_CASE_VOCAB = 11, RUN_CASE_CONTEXT = 9 };

struct run_case {
    struct lm_config config;
    _Alignas(16) unsigned char ffw_config[512];
};

/* D = 12, L = 3, a sparse block in the middle of type `ffw`, or NULL; experts are few. */
void run_case_init(struct run_case *ret, const struct peer_ffw_type *ffw);

/* Sets what makes a token's output or gradient depend on other tokens, or on draws, to do so no
 * more; false where that is the variant's nature. */
bool run_case_separate(struct run_case *setting);

/* Sets an option of the FFW by name and text; false where it has none of that name. */
bool run_case_set(struct run_case *setting, const char *name, const char *text);

struct lm_model *run_case_model(const struct run_case *setting, struct peer_ctx *ctx,
                                int64_t tokens, uint64_t seed);

/* A folder with `train` and `valid` tokens of a noisy cycle of the V ids (valid = 0: no such
 * file), opened. */
struct lm_dataset run_case_data(struct peer_ctx *ctx, const struct tempdir *dir, int64_t train,
                                int64_t valid);

#endif
