/* SPDX-License-Identifier: MIT */
/* The training step of the language model, for each FFW type in the middle block. */
#include "bench/model.h"
#include "peer/types.h"

static void bench_variant(struct bench *bench, const struct peer_ffw_type *type)
{
    char name[64], label[80];
    snprintf(name, sizeof name, "lm/%s", type->name);
    if (!bench_wants(bench, name))
        return;
    struct peer_optim_config optim = peer_optim_config_default();
    struct bench_model model;
    bench_model_open(&model, bench, bench->ctx, type, &optim);
    struct bench_row row = {
        .name = label, .unit = "tokens", .sizes = BENCH_MODEL_SIZES, .work = BENCH_MODEL_TOKENS};
    snprintf(label, sizeof label, "%s/forward", name);
    row.flops = row.work * peer_cost_forward(&model.cost);
    bench_time(bench, &row, bench_model_forward, &model);
    snprintf(label, sizeof label, "%s/step", name);
    row.flops = row.work * peer_cost_train(&model.cost);
    bench_time(bench, &row, bench_model_step, &model);
    bench_model_close(&model);
}

void bench_lm(struct bench *bench)
{
    for (const struct peer_ffw_type *const *type = peer_ffw_types; *type; type++)
        bench_variant(bench, *type);
}
