/* SPDX-License-Identifier: MIT */
/* The training step of the language model, for each FFW type in the middle block. */
#include "bench/bench.h"
#include "lm/model.h"
#include "lm/variants.h"
#include "nn/optim.h"
#include "nn/pool.h"
#include "nn/random.h"

enum { BATCH = 8, LENGTH = 256, VOCAB = 4096, WIDTH = 256, BLOCKS = 4 };

struct step {
    struct lm_model *model;
    struct peer_optim *optim;
    int32_t *inputs, *targets;
};

static void run_forward(void *job)
{
    const struct step *s = job;
    int64_t scored;
    lm_model_forward(s->model, &scored, NULL, s->inputs, s->targets, BATCH, LENGTH,
                     PEER_MODE_EVAL);
}

static void run_step(void *job)
{
    const struct step *s = job;
    int64_t scored;
    lm_model_forward(s->model, &scored, NULL, s->inputs, s->targets, BATCH, LENGTH,
                     PEER_MODE_TRAIN);
    lm_model_backward(s->model, 1);
    peer_optim_step(s->optim, 1e-4f);
}

static void bench_variant(struct bench *bench, const struct peer_ffw_type *type)
{
    char name[64];
    _Alignas(16) unsigned char ffw_config[256];
    snprintf(name, sizeof name, "lm/%s", type->name);
    if (!bench_wants(bench, name))
        return;
    struct peer_ctx *ctx = bench->ctx;
    struct lm_config config = lm_config_default(VOCAB, WIDTH, BLOCKS);
    struct peer_optim_config optim = peer_optim_config_default();
    struct peer_pool pool = {.ctx = ctx};
    struct peer_cost cost = {0};
    struct step s = {0};
    type->config_default(ffw_config, WIDTH);
    config.ffw = type;
    config.ffw_config = ffw_config;
    config.sparse_at[(BLOCKS - 1) / 2] = true;
    lm_config_cost(&cost, &config, LENGTH);
    bench_check(bench, lm_model_create(&s.model, ctx, &config, BATCH * LENGTH, 1, true));
    bench_check(bench, peer_optim_create(&s.optim, ctx, lm_model_params(s.model), &optim));
    s.inputs = peer_pool_ids(&pool, "inputs", BATCH, LENGTH);
    s.targets = peer_pool_ids(&pool, "targets", BATCH, LENGTH);
    bench_check(bench, pool.failed ? PEER_ERR_MEMORY : PEER_OK);
    for (int64_t i = 0; i < BATCH * LENGTH; i++) {
        s.inputs[i] = (int32_t)peer_random_below(1, 1, (uint64_t)i, VOCAB);
        s.targets[i] = (int32_t)peer_random_below(1, 1, (uint64_t)i + 1, VOCAB);
    }
    struct bench_row row = {.unit = "tokens",
                            .sizes = "L=4 D=256 V=4096 T=8x256",
                            .work = BATCH * LENGTH};
    char label[80];
    row.name = label;
    snprintf(label, sizeof label, "%s/forward", name);
    row.flops = BATCH * LENGTH * peer_cost_forward(&cost);
    bench_time(bench, &row, run_forward, &s);
    snprintf(label, sizeof label, "%s/step", name);
    row.flops = BATCH * LENGTH * peer_cost_train(&cost);
    bench_time(bench, &row, run_step, &s);
    peer_pool_free(&pool);
    peer_optim_destroy(&s.optim);
    lm_model_destroy(&s.model);
}

void bench_lm(struct bench *bench)
{
    for (const struct peer_ffw_type *const *type = lm_variants; *type; type++)
        bench_variant(bench, *type);
}
