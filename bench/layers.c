/* SPDX-License-Identifier: MIT */
/* Each FFW type: forward pass, and forward + backward + optimizer step, by the slot's table. */
#include "bench/bench.h"
#include "lm/variants.h"
#include "moe/moe.h"
#include "nn/optim.h"
#include "nn/pool.h"
#include "nn/random.h"
#include "peer/peer.h"

struct layer {
    const struct peer_ffw_type *type;
    void *object;
    struct peer_params params;
    struct peer_optim *optim;
    float *x, *y, *dx, *dy;
    int64_t T;
};

static void run_forward(void *job)
{
    const struct layer *l = job;
    l->type->forward(l->object, l->y, l->x, NULL, l->T, PEER_MODE_EVAL);
}

static void run_step(void *job)
{
    const struct layer *l = job;
    l->type->forward(l->object, l->y, l->x, NULL, l->T, PEER_MODE_TRAIN);
    l->type->backward(l->object, l->dx, l->dy, l->x, l->T);
    peer_optim_step(l->optim, 1e-4f);
}

static void time_layer(struct bench *bench, const struct layer *l, const struct peer_cost *cost,
                       const char *sizes)
{
    char name[64];
    struct bench_row row = {.name = name, .unit = "tokens", .work = (double)l->T};
    snprintf(row.sizes, sizeof row.sizes, "%s", sizes);
    snprintf(name, sizeof name, "%s/forward", l->type->name);
    row.flops = (double)l->T * peer_cost_forward(cost);
    row.bytes = (double)l->T * cost->bytes_forward;
    bench_time(bench, &row, run_forward, (void *)l);
    if (!l->optim)
        return;
    snprintf(name, sizeof name, "%s/step", l->type->name);
    row.flops = (double)l->T * peer_cost_train(cost);
    row.bytes = (double)l->T * cost->bytes_train;
    bench_time(bench, &row, run_step, (void *)l);
}

static void bench_layer(struct bench *bench, const struct peer_ffw_type *type, const void *config,
                        int64_t D, int64_t T, bool train, const char *sizes)
{
    char group[64]; /* "peer/" is the layers' rows, "lm/peer" is not */
    snprintf(group, sizeof group, "%s/", type->name);
    if (!bench_wants(bench, group))
        return;
    struct peer_ctx *ctx = bench->ctx;
    struct peer_ffw_shape shape = {.width = D, .tokens = T, .tokens_per_step = T};
    struct peer_optim_config optim = peer_optim_config_default();
    struct peer_pool pool = {.ctx = ctx};
    struct layer l = {.type = type, .params = peer_params_empty(ctx), .T = T};
    struct peer_cost cost = {0};
    type->cost(&cost, config, D);
    bench_check(bench, type->create(&l.object, ctx, config, &shape));
    bench_check(bench, type->params(l.object, &l.params, ""));
    if (train)
        bench_check(bench, peer_optim_create(&l.optim, ctx, &l.params, &optim));
    l.x = peer_pool_floats(&pool, "x", T, D);
    l.y = peer_pool_floats(&pool, "y", T, D);
    l.dx = peer_pool_floats(&pool, "dx", T, D);
    l.dy = peer_pool_floats(&pool, "dy", T, D);
    bench_check(bench, pool.failed ? PEER_ERR_MEMORY : PEER_OK);
    peer_params_init(&l.params, 1);
    peer_fill_normal(l.x, T * D, 0, 1, 1, 1);
    peer_fill_normal(l.dy, T * D, 0, 1, 1, 2);
    time_layer(bench, &l, &cost, sizes);
    peer_pool_free(&pool);
    peer_optim_destroy(&l.optim);
    peer_params_free(&l.params);
    type->destroy(&l.object);
}

static void bench_dense(struct bench *bench, int64_t D, int64_t T)
{
    struct peer_dense_config config;
    char sizes[96];
    peer_ffw_dense.config_default(&config, D);
    snprintf(sizes, sizeof sizes, "D=%lld F=%lld T=%lld", (long long)D, (long long)config.hidden,
             (long long)T);
    bench_layer(bench, &peer_ffw_dense, &config, D, T, true, sizes);
}

static void bench_pkm(struct bench *bench, int64_t n, int64_t D, int64_t T)
{
    struct pkm_config config = pkm_config_default(D);
    char sizes[96];
    config.memories = n * n;
    config.query_width = 256;
    snprintf(sizes, sizeof sizes, "N=%lld^2 D=%lld H=8 k=32 T=%lld", (long long)n, (long long)D,
             (long long)T);
    bench_layer(bench, &peer_ffw_pkm, &config, D, T, T > 8, sizes);
}

static void bench_peer(struct bench *bench, int64_t n, int64_t D, int64_t T)
{
    struct peer_layer_config config = peer_layer_config_default(D);
    char sizes[96];
    config.experts = n * n;
    config.query_width = 256;
    snprintf(sizes, sizeof sizes, "N=%lld^2 D=%lld H=8 k=16 T=%lld", (long long)n, (long long)D,
             (long long)T);
    bench_layer(bench, &peer_ffw_peer, &config, D, T, T > 8, sizes);
}

/* Two active experts, each half a dense layer of width 4 D: the dense layer's FLOPs. */
static void bench_mixture(struct bench *bench, int64_t E, int64_t D, int64_t T)
{
    struct peer_moe_config config;
    char sizes[96];
    peer_ffw_mixtral.config_default(&config, D);
    config.experts = E;
    config.kept = 2;
    config.hidden = 2 * D;
    config.activation = PEER_ACT_GELU_TANH;
    config.gated = false;
    snprintf(sizes, sizeof sizes, "E=%lld k=2 D=%lld F=%lld T=%lld", (long long)E, (long long)D,
             (long long)config.hidden, (long long)T);
    bench_layer(bench, &peer_ffw_mixtral, &config, D, T, true, sizes);
}

void bench_layers(struct bench *bench)
{
    static const int64_t sides[] = {128, 256, 512, 1024};
    enum { D = 256, T = 2048 };
    bench_dense(bench, D, T);
    bench_dense(bench, 2 * D, T);
    for (int64_t E = 8; E <= 128; E *= 4)
        bench_mixture(bench, E, 2 * D, T);
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++)
        bench_pkm(bench, sides[i], D, T);
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
        bench_peer(bench, sides[i], D, 1);
        bench_peer(bench, sides[i], D, T);
    }
    bench_peer(bench, 1024, 2 * D, T);
}
