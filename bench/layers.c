/* SPDX-License-Identifier: MIT */
/* Each FFW type: forward pass, and forward + backward + optimizer step, by the slot's table. */
#include "bench/layer.h"
#include "moe/moe.h"
#include "peer/peer.h"

/* Few tokens, as decoding has them, are timed over many calls with new ones in each, because the
 * same again would find its rows in cache. */
enum { FEW = 8, CALLS = 64 };

static void time_layer(struct bench *bench, struct bench_layer *l, const char *sizes)
{
    char name[64];
    struct bench_row row = {.name = name, .unit = "tokens", .work = (double)(l->T * l->calls)};
    snprintf(row.sizes, sizeof row.sizes, "%s", sizes);
    snprintf(name, sizeof name, "%s/forward", l->type->name);
    row.flops = bench_layer_flops(l, false);
    row.bytes = row.work * l->cost.bytes_forward;
    bench_time(bench, &row, bench_layer_forward, l);
    if (!l->optim)
        return;
    snprintf(name, sizeof name, "%s/step", l->type->name);
    row.flops = bench_layer_flops(l, true);
    row.bytes = row.work * l->cost.bytes_train;
    bench_time(bench, &row, bench_layer_step, l);
}

static void bench_layer(struct bench *bench, const struct peer_ffw_type *type, const void *config,
                        int64_t D, int64_t T, bool train, const char *sizes)
{
    char group[64]; /* "peer/" is the layers' rows, "lm/peer" is not */
    snprintf(group, sizeof group, "%s/", type->name);
    if (!bench_wants(bench, group))
        return;
    struct peer_optim_config optim = peer_optim_config_default();
    struct bench_layer layer;
    bench_layer_open(&layer, bench, bench->ctx,
                     &(struct bench_layer_config){.type = type,
                                                  .config = config,
                                                  .D = D,
                                                  .T = T,
                                                  .calls = T > FEW ? 1 : CALLS,
                                                  .train = train,
                                                  .optim = train ? &optim : NULL});
    time_layer(bench, &layer, sizes);
    bench_layer_close(&layer);
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

static void bench_peer(struct bench *bench, int64_t n, int64_t D, int64_t T,
                       enum peer_table_type table)
{
    struct peer_layer_config config = peer_layer_config_default(D);
    char sizes[96];
    config.experts = n * n;
    config.query_width = 256;
    config.table = table;
    snprintf(sizes, sizeof sizes, "N=%lld^2 D=%lld H=8 k=16 T=%lld%s%s%s", (long long)n,
             (long long)D, (long long)T, T > FEW ? "" : " x 64", table ? " " : "",
             table ? peer_table_names[table] : "");
    bench_layer(bench, &peer_ffw_peer, &config, D, T, T > FEW && table != PEER_TABLE_INT8, sizes);
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
        for (int64_t few = 1; few <= FEW; few *= 2)
            bench_peer(bench, sides[i], D, few, PEER_TABLE_F32);
        bench_peer(bench, sides[i], D, T, PEER_TABLE_F32);
    }
    bench_peer(bench, 1024, 2 * D, T, PEER_TABLE_F32);
    for (enum peer_table_type table = PEER_TABLE_BF16; table < PEER_TABLE_COUNT; table++) {
        bench_peer(bench, 128, D, T, table);
        bench_peer(bench, 1024, D, T, table);
        bench_peer(bench, 1024, 2 * D, T, table);
    }
}
