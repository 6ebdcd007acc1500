/* SPDX-License-Identifier: MIT */
/* The library against itself: all threads against one. */
#include <stdlib.h>
#include <string.h>

#include "bench/layer.h"
#include "bench/match.h"
#include "bench/model.h"
#include "nn/layers/dense.h"
#include "peer/peer.h"

/* A context of one thread beside the bench's own. */
static struct peer_ctx *single_thread(struct bench *bench)
{
    struct peer_ctx *ctx = NULL;
    struct peer_ctx_config config = peer_ctx_config_default();
    config.threads = 1;
    config.cpu_max = peer_ctx_cpu(bench->ctx);
    if (peer_ctx_create(&ctx, &config) != PEER_OK) {
        fprintf(stderr, "bench: no context\n");
        exit(1);
    }
    return ctx;
}

static void open_peer(struct bench_layer *layer, struct bench *bench, struct peer_ctx *ctx,
                      int64_t n, bool train)
{
    struct peer_layer_config config = peer_layer_config_default(256);
    struct peer_optim_config optim = peer_optim_config_default();
    config.experts = n * n;
    bench_layer_open(layer, bench, ctx,
                     &(struct bench_layer_config){.type = &peer_ffw_peer,
                                                  .config = &config,
                                                  .D = 256,
                                                  .T = 2048,
                                                  .calls = 1,
                                                  .train = train,
                                                  .optim = train ? &optim : NULL});
}

static void threads_of_peer(struct bench *bench, struct peer_ctx *single, struct bench_match match)
{
    struct bench_layer all, one;
    bool train = strstr(match.name, "step");
    void (*run)(void *) = train ? bench_layer_step : bench_layer_forward;
    open_peer(&all, bench, bench->ctx, 1024, train);
    open_peer(&one, bench, single, 1024, train);
    match.work = 2048;
    match.ours = (struct bench_side){"ours", run, &all, NULL};
    match.theirs = (struct bench_side){match.theirs.name, run, &one, NULL};
    run(&all);
    run(&one);
    match.difference = bench_difference(all.y, one.y, all.T * all.D);
    bench_match(bench, &match);
    bench_layer_close(&one);
    bench_layer_close(&all);
}

static void threads_of_model(struct bench *bench, struct peer_ctx *single, struct bench_match match)
{
    struct bench_model all, one;
    struct peer_optim_config optim = peer_optim_config_default();
    bench_model_open(&all, bench, bench->ctx, &peer_ffw_dense, &optim);
    bench_model_open(&one, bench, single, &peer_ffw_dense, &optim);
    match.work = BENCH_MODEL_TOKENS;
    match.ours = (struct bench_side){"ours", bench_model_step, &all, NULL};
    match.theirs = (struct bench_side){match.theirs.name, bench_model_step, &one, NULL};
    bench_model_step(&all);
    bench_model_step(&one);
    match.difference = all.loss == one.loss ? 0 : 1;
    bench_match(bench, &match);
    bench_model_close(&one);
    bench_model_close(&all);
}

/* Each thread beyond the first is to bring 0.8 of it; the bits stay the same. */
static void threads(struct bench *bench, struct peer_ctx *single)
{
    static const struct {
        const char *name, *sizes;
        void (*run)(struct bench *, struct peer_ctx *, struct bench_match);
    } cases[] = {
        {"peer/forward", "N=1024^2 D=256 T=2048", threads_of_peer},
        {"peer/step", "N=1024^2 D=256 T=2048", threads_of_peer},
        {"lm/dense/step", BENCH_MODEL_SIZES, threads_of_model},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bench_match match = {.name = cases[i].name,
                                    .unit = "tokens",
                                    .target = 1 + 0.8 * (peer_ctx_threads(bench->ctx) - 1),
                                    .theirs.name = "one thread"};
        snprintf(match.sizes, sizeof match.sizes, "%s", cases[i].sizes);
        if (bench_match_wanted(bench, &match))
            cases[i].run(bench, single, match);
    }
}

void bench_versus_self(struct bench *bench)
{
    if (peer_ctx_threads(bench->ctx) > 1) {
        struct peer_ctx *single = single_thread(bench);
        threads(bench, single);
        peer_ctx_destroy(&single);
    }
}
