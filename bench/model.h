/* SPDX-License-Identifier: MIT */
/* A language model with a batch and an optimizer, ready to be timed: 4 blocks, D = 256, V = 4096,
 * 8 sequences of 256 tokens. */
#ifndef PEER_BENCH_MODEL_H
#define PEER_BENCH_MODEL_H

#include "bench/bench.h"
#include "lm/model.h"
#include "nn/optim/optim.h"
#include "nn/pool.h"

enum {
    BENCH_MODEL_BATCH = 8,
    BENCH_MODEL_LENGTH = 256,
    BENCH_MODEL_TOKENS = BENCH_MODEL_BATCH * BENCH_MODEL_LENGTH,
    BENCH_MODEL_VOCAB = 4096,
    BENCH_MODEL_WIDTH = 256,
    BENCH_MODEL_BLOCKS = 4
};

#define BENCH_MODEL_SIZES "L=4 D=256 V=4096 T=8x256"

struct bench_model {
    struct lm_model *model;
    struct peer_optim *optim;
    struct peer_pool pool;
    struct peer_cost cost;     /* per token */
    int32_t *inputs, *targets; /* [B, S] */
    double loss;               /* of the last forward pass, nats per token */
};

/* With `type` at its defaults in the middle block, dense elsewhere; tokens drawn from a fixed seed.
 * Ends the program where it cannot. */
void bench_model_open(struct bench_model *model, struct bench *bench, struct peer_ctx *ctx,
                      const struct peer_ffw_type *type, const struct peer_optim_config *optim);
void bench_model_close(struct bench_model *model);

/* What is timed; `job` is a struct bench_model. */
void bench_model_forward(void *job);
void bench_model_step(void *job);

#endif
