/* SPDX-License-Identifier: MIT */
/* The training step of the dense language model beside the same model in torch. */
#include "bench/match.h"
#include "bench/model.h"
#include "bench/peers.h"
#include "nn/layers/dense.h"

/* Losses of the first steps must agree: rounding gives 1e-6, a wrong gradient far more. */
enum { STEPS = 3 };
#define TOLERANCE 1e-4

static void send_model(struct rival *rival, const struct bench_model *m)
{
    const struct peer_params *params = lm_model_params(m->model);
    rival_option(rival, "blocks", BENCH_MODEL_BLOCKS);
    rival_option(rival, "heads", lm_model_config(m->model)->heads);
    for (int64_t i = 0; i < params->count; i++) {
        const struct peer_param *p = &params->items[i];
        rival_send_floats(rival, p->name, p->data, p->shape[0], p->dims > 1 ? p->shape[1] : 0);
    }
    rival_send_ids(rival, "inputs", m->inputs, BENCH_MODEL_BATCH, BENCH_MODEL_LENGTH);
    rival_send_ids(rival, "targets", m->targets, BENCH_MODEL_BATCH, BENCH_MODEL_LENGTH);
}

static double first_steps(struct bench_model *model, struct rival *rival)
{
    float ours[STEPS], theirs[STEPS];
    send_model(rival, model);
    if (!rival_ready(rival))
        return -1;
    for (int i = 0; i < STEPS; i++) {
        bench_model_step(model);
        ours[i] = (float)model->loss;
        if (rival_run(rival) < 0 || !rival_get_floats(rival, "loss", &theirs[i], 1))
            return -1;
    }
    return bench_difference(ours, theirs, STEPS);
}

void bench_versus_lm(struct bench *bench)
{
    if (!bench_wants(bench, "lm/dense/step " BENCH_MODEL_SIZES " torch"))
        return;
    struct peer_optim_config optim = peer_optim_config_default();
    struct bench_model model;
    optim.clip = 0;
    optim.nonfinite = PEER_NONFINITE_APPLY;
    struct rival *rival = bench_rival(bench, "gpt.py");
    bench_model_open(&model, bench, bench->ctx, &peer_ffw_dense, &optim);
    struct bench_match match = {.name = "lm/dense/step",
                                .sizes = BENCH_MODEL_SIZES,
                                .unit = "tokens",
                                .work = BENCH_MODEL_TOKENS,
                                .target = 1.3,
                                .ours = {"ours", bench_model_step, &model, NULL},
                                .theirs = {"torch", NULL, NULL, rival},
                                .tolerance = TOLERANCE};
    match.difference = first_steps(&model, rival);
    struct bench_stat ours = bench_match(bench, &match);
    rival_stop(&rival);
    bench_gemm(bench);
    match.theirs = (struct bench_side){.name = "sgemm's rate"};
    match.target = 0.8;
    match.difference = -1;
    double flops = BENCH_MODEL_TOKENS * peer_cost_train(&model.cost);
    bench_compare(bench, &match, ours, flops / bench->gemm_flops);
    bench_model_close(&model);
}
