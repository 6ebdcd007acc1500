/* SPDX-License-Identifier: MIT */
/* Layers beside the same layers in torch, on identical weights and inputs. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/layer_check.h"
#include "bench/limits.h"
#include "bench/match.h"
#include "bench/peers.h"
#include "moe/moe.h"
#include "peer/peer.h"

struct layer_case {
    const char *name;
    const struct peer_ffw_type *type;
    const char *script, *against;
    enum bench_layer_work work;
    int64_t n; /* sub-keys per half; of a mixture E */
    int64_t D, T, calls;
    double target;     /* least ratio to the rival */
    double attainable; /* least share of what the machine can attain; 0 = not asked */
};

static const struct layer_case cases[] = {
    {"peer/forward", &peer_ffw_peer, "peer_best.py", "torch best", BENCH_FORWARD, 128, 256, 2048, 1,
     2.5, 0},
    {"peer/forward", &peer_ffw_peer, "peer_best.py", "torch best", BENCH_FORWARD, 256, 256, 2048, 1,
     2.5, 0},
    {"peer/forward", &peer_ffw_peer, "peer_best.py", "torch best", BENCH_FORWARD, 512, 256, 2048, 1,
     2.5, 0},
    {"peer/forward", &peer_ffw_peer, "peer_best.py", "torch best", BENCH_FORWARD, 1024, 256, 2048,
     1, 2.5, 0.85},
    {"peer/forward", &peer_ffw_peer, "peer_best.py", "torch best", BENCH_FORWARD, 1024, 512, 2048,
     1, 2.5, 0.85},
    {"peer/forward", &peer_ffw_peer, "peer_naive.py", "torch naive", BENCH_FORWARD, 128, 256, 2048,
     1, 0, 0},
    {"peer/forward", &peer_ffw_peer, "peer_naive.py", "torch naive", BENCH_FORWARD, 256, 256, 2048,
     1, 0, 0},
    {"peer/forward", &peer_ffw_peer, "peer_naive.py", "torch naive", BENCH_FORWARD, 512, 256, 2048,
     1, 0, 0},
    {"peer/forward", &peer_ffw_peer, "peer_naive.py", "torch naive", BENCH_FORWARD, 1024, 256, 2048,
     1, 0, 0},
    {"peer/forward", &peer_ffw_peer, "peer_naive.py", "torch naive", BENCH_FORWARD, 1024, 512, 2048,
     1, 0, 0},
    {"peer/token", &peer_ffw_peer, "peer_best.py", "torch best", BENCH_FORWARD, 128, 256, 1, 64, 8,
     0},
    {"peer/token", &peer_ffw_peer, "peer_best.py", "torch best", BENCH_FORWARD, 256, 256, 1, 64, 8,
     0},
    {"peer/token", &peer_ffw_peer, "peer_best.py", "torch best", BENCH_FORWARD, 512, 256, 1, 64, 8,
     0},
    {"peer/token", &peer_ffw_peer, "peer_best.py", "torch best", BENCH_FORWARD, 1024, 256, 1, 64, 8,
     0},
    {"peer/token", &peer_ffw_peer, "peer_naive.py", "torch naive", BENCH_FORWARD, 128, 256, 1, 64,
     8, 0},
    {"peer/token", &peer_ffw_peer, "peer_naive.py", "torch naive", BENCH_FORWARD, 1024, 256, 1, 64,
     8, 0},
    {"peer/step", &peer_ffw_peer, "peer_best.py", "torch best", BENCH_STEP, 128, 256, 2048, 1, 2.5,
     0},
    {"peer/step", &peer_ffw_peer, "peer_best.py", "torch best", BENCH_STEP, 256, 256, 2048, 1, 2.5,
     0},
    {"peer/step", &peer_ffw_peer, "peer_best.py", "torch best", BENCH_STEP, 512, 256, 2048, 1, 2.5,
     0},
    {"peer/step", &peer_ffw_peer, "peer_best.py", "torch best", BENCH_STEP, 1024, 256, 2048, 1, 3.2,
     0.75},
    {"peer/step", &peer_ffw_peer, "peer_best.py", "torch best", BENCH_STEP, 1024, 512, 2048, 1, 3.2,
     0.75},
    {"peer/step", &peer_ffw_peer, "peer_naive.py", "torch SparseAdam", BENCH_STEP, 128, 256, 2048,
     1, 0, 0},
    {"peer/step", &peer_ffw_peer, "peer_naive.py", "torch SparseAdam", BENCH_STEP, 256, 256, 2048,
     1, 0, 0},
    {"peer/step", &peer_ffw_peer, "peer_naive.py", "torch SparseAdam", BENCH_STEP, 512, 256, 2048,
     1, 0, 0},
    {"peer/step", &peer_ffw_peer, "peer_naive.py", "torch SparseAdam", BENCH_STEP, 1024, 256, 2048,
     1, 10, 0},
    {"peer/step", &peer_ffw_peer, "peer_naive.py", "torch SparseAdam", BENCH_STEP, 1024, 512, 2048,
     1, 10, 0},
    {"pkm/forward", &peer_ffw_pkm, "pkm.py", "torch EmbeddingBag", BENCH_FORWARD, 128, 256, 2048, 1,
     0, 0},
    {"pkm/forward", &peer_ffw_pkm, "pkm.py", "torch EmbeddingBag", BENCH_FORWARD, 256, 256, 2048, 1,
     0, 0},
    {"pkm/forward", &peer_ffw_pkm, "pkm.py", "torch EmbeddingBag", BENCH_FORWARD, 512, 256, 2048, 1,
     0, 0},
    {"pkm/forward", &peer_ffw_pkm, "pkm.py", "torch EmbeddingBag", BENCH_FORWARD, 1024, 256, 2048,
     1, 0, 0},
    {"pkm/step", &peer_ffw_pkm, "pkm.py", "torch SparseAdam", BENCH_STEP, 128, 256, 2048, 1, 8, 0},
    {"pkm/step", &peer_ffw_pkm, "pkm.py", "torch SparseAdam", BENCH_STEP, 256, 256, 2048, 1, 8, 0},
    {"pkm/step", &peer_ffw_pkm, "pkm.py", "torch SparseAdam", BENCH_STEP, 512, 256, 2048, 1, 8, 0},
    {"pkm/step", &peer_ffw_pkm, "pkm.py", "torch SparseAdam", BENCH_STEP, 1024, 256, 2048, 1, 8, 0},
    {"mixtral/forward", &peer_ffw_mixtral, "moe.py", "torch loop of experts", BENCH_FORWARD, 8, 512,
     2048, 1, 0, 0},
    {"mixtral/forward", &peer_ffw_mixtral, "moe.py", "torch loop of experts", BENCH_FORWARD, 32,
     512, 2048, 1, 0, 0},
    {"mixtral/forward", &peer_ffw_mixtral, "moe.py", "torch loop of experts", BENCH_FORWARD, 128,
     512, 2048, 1, 0, 0},
    {"mixtral/gradients", &peer_ffw_mixtral, "moe.py", "torch loop of experts", BENCH_GRADIENTS, 8,
     512, 2048, 1, 0, 0},
    {"mixtral/gradients", &peer_ffw_mixtral, "moe.py", "torch loop of experts", BENCH_GRADIENTS, 32,
     512, 2048, 1, 0, 0},
    {"mixtral/gradients", &peer_ffw_mixtral, "moe.py", "torch loop of experts", BENCH_GRADIENTS,
     128, 512, 2048, 1, 0, 0},
};

/* Results are compared by Euclidean norm. Rounding alone gives 1e-6; where it decides between the
 * last kept and the first left out, one token's result moves as a whole. */
#define TOLERANCE 5e-3

/* One config of any of the types. */
union config {
    struct peer_layer_config peer;
    struct pkm_config pkm;
    struct peer_moe_config moe;
};

static void configure(union config *config, const struct layer_case *c)
{
    if (c->type == &peer_ffw_peer) {
        config->peer = peer_layer_config_default(c->D);
        config->peer.experts = c->n * c->n;
        config->peer.query_width = 256;
        return;
    }
    if (c->type == &peer_ffw_pkm) {
        config->pkm = pkm_config_default(c->D);
        config->pkm.memories = c->n * c->n;
        config->pkm.query_width = 256;
        return;
    }
    peer_ffw_mixtral.config_default(&config->moe, c->D);
    config->moe.experts = c->n;
    config->moe.kept = 2;
    config->moe.hidden = 2 * c->D;
    config->moe.activation = PEER_ACT_GELU_TANH;
    config->moe.gated = false;
    config->moe.balance_loss = config->moe.z_loss = 0;
}

/* What the rival does not do, ours does not either: no decay, no clipping. */
static struct peer_optim_config optimizer(void)
{
    struct peer_optim_config config = peer_optim_config_default();
    config.weight_decay = 0;
    config.clip = 0;
    return config;
}

static void open_layer(struct bench_layer *layer, struct bench *bench, const struct layer_case *c)
{
    union config config;
    struct peer_optim_config optim = optimizer();
    configure(&config, c);
    struct bench_layer_config layer_config = {.type = c->type,
                                              .config = &config,
                                              .D = c->D,
                                              .T = c->T,
                                              .calls = c->calls,
                                              .train = c->work != BENCH_FORWARD,
                                              .optim = c->work == BENCH_STEP ? &optim : NULL};
    bench_layer_open(layer, bench, bench->ctx, &layer_config);
}

static void (*job_of(const struct layer_case *c))(void *)
{
    return c->work == BENCH_FORWARD     ? bench_layer_forward
           : c->work == BENCH_GRADIENTS ? bench_layer_gradients
                                        : bench_layer_step;
}

static void describe(struct bench_match *match, const struct layer_case *c)
{
    long long n = c->n, D = c->D, T = c->T;
    if (c->type == &peer_ffw_mixtral)
        snprintf(match->sizes, sizeof match->sizes, "E=%lld k=2 D=%lld F=%lld T=%lld", n, D, 2 * D,
                 T);
    else
        snprintf(match->sizes, sizeof match->sizes, "N=%lld^2 D=%lld T=%lld", n, D, T);
}

/* Everything but the sample. The child reads as it is sent. */
static void send_case(struct rival *rival, const struct bench_layer *layer,
                      const struct layer_case *c)
{
    bool mixture = c->type == &peer_ffw_mixtral;
    rival_option(rival, "side", c->n);
    rival_option(rival, "heads", 8);
    rival_option(rival, "kept", mixture ? 2 : c->type == &peer_ffw_pkm ? 32 : 16);
    rival_option(rival, "calls", c->calls);
    rival_option(rival, "train", c->work != BENCH_FORWARD);
    bench_layer_send(layer, rival);
}

static double first_runs(struct bench_layer *layer, struct rival *rival, const struct layer_case *c)
{
    send_case(rival, layer, c);
    job_of(c)(layer);
    if (c->work == BENCH_STEP)
        bench_layer_send_sample(layer, rival);
    if (!rival_ready(rival) || rival_run(rival) < 0)
        return -1;
    return bench_layer_difference(layer, rival, c->work);
}

static void against_attainable(struct bench *bench, const struct bench_layer *layer,
                               const struct layer_case *c, struct bench_match match,
                               struct bench_stat ours)
{
    bool train = c->work != BENCH_FORWARD;
    match.theirs = (struct bench_side){.name = "attainable"};
    match.target = c->attainable;
    match.difference = -1;
    bench_compare(bench, &match, ours,
                  bench_limit_peer(bench, layer, train, bench_layer_touched(layer)));
}

static void run_case(struct bench *bench, const struct layer_case *c, struct bench_match match)
{
    struct bench_layer layer;
    struct rival *rival = bench_rival(bench, c->script);
    open_layer(&layer, bench, c);
    match.ours = (struct bench_side){"ours", job_of(c), &layer, NULL};
    match.theirs = (struct bench_side){c->against, NULL, NULL, rival};
    match.difference = first_runs(&layer, rival, c);
    struct bench_stat ours = bench_match(bench, &match);
    rival_stop(&rival);
    if (c->attainable > 0)
        against_attainable(bench, &layer, c, match, ours);
    bench_layer_close(&layer);
}

void bench_versus_layers(struct bench *bench)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct layer_case *c = &cases[i];
        struct bench_match match = {.name = c->name,
                                    .unit = "tokens",
                                    .work = (double)(c->T * c->calls),
                                    .target = c->target,
                                    .tolerance = TOLERANCE};
        describe(&match, c);
        if (bench_match_wanted(bench, &match, c->against))
            run_case(bench, c, match);
    }
}
