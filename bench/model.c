/* SPDX-License-Identifier: MIT */
#include "bench/model.h"

#include "nn/random.h"

enum { B = BENCH_MODEL_BATCH, S = BENCH_MODEL_LENGTH, BLOCKS = BENCH_MODEL_BLOCKS };

void bench_model_open(struct bench_model *model, struct bench *bench, struct peer_ctx *ctx,
                      const struct peer_ffw_type *type, const struct peer_optim_config *optim)
{
    _Alignas(16) unsigned char ffw_config[256];
    struct lm_config config = lm_config_default(BENCH_MODEL_VOCAB, BENCH_MODEL_WIDTH, BLOCKS);
    struct bench_model m = {.pool = {.ctx = ctx}};
    type->config_default(ffw_config, BENCH_MODEL_WIDTH);
    config.ffw = type;
    config.ffw_config = ffw_config;
    lm_config_cost(&m.cost, &config, S);
    bench_check(bench, lm_model_create(&m.model, ctx, &config, B * S, 1, true));
    bench_check(bench, peer_optim_create(&m.optim, ctx, lm_model_params(m.model), optim));
    m.inputs = peer_pool_ids(&m.pool, "inputs", B, S);
    m.targets = peer_pool_ids(&m.pool, "targets", B, S);
    bench_check(bench, m.pool.failed ? PEER_ERR_MEMORY : PEER_OK);
    for (int64_t i = 0; i < B * S; i++) {
        m.inputs[i] = (int32_t)peer_random_below(1, 1, (uint64_t)i, BENCH_MODEL_VOCAB);
        m.targets[i] = (int32_t)peer_random_below(1, 1, (uint64_t)i + 1, BENCH_MODEL_VOCAB);
    }
    *model = m;
}

void bench_model_close(struct bench_model *m)
{
    peer_pool_free(&m->pool);
    peer_optim_destroy(&m->optim);
    lm_model_destroy(&m->model);
}

static void forward(struct bench_model *m, enum peer_mode mode)
{
    int64_t scored;
    double sum = lm_model_forward(m->model, &scored, NULL, m->inputs, m->targets, B, S, mode);
    m->loss = sum / (double)scored;
}

void bench_model_forward(void *job)
{
    forward(job, PEER_MODE_EVAL);
}

void bench_model_step(void *job)
{
    struct bench_model *m = job;
    forward(m, PEER_MODE_TRAIN);
    lm_model_backward(m->model, 1);
    peer_optim_step(m->optim, 1e-4f);
}
