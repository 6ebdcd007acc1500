/* SPDX-License-Identifier: MIT */
/* A mixture of experts against the dense layer of the same FLOPs, and its products against what it
 * does beside them. */
#include <string.h>

#include "bench/layer.h"
#include "bench/match.h"
#include "moe/moe.h"
#include "nn/layers/dense.h"

/* The mixture, the same with one hidden value per expert, which leaves all but the products, and
 * the dense layer of the same FLOPs; what the first takes above the second are the products. */
enum part { WHOLE, BARE, DENSE, PRODUCTS, PARTS };

enum { MIXTURE_D = 512, MIXTURE_F = 1024, MIXTURE_T = 2048, MOST_TURNS = 256 };

struct mixtures {
    struct bench_layer layer[PRODUCTS];
    double flops[PARTS];
    double times[PARTS][MOST_TURNS];
    int runs;
};

static void open_training(struct bench_layer *layer, struct bench *bench,
                          const struct peer_ffw_type *type, const void *config)
{
    bench_layer_open(layer, bench, bench->ctx,
                     &(struct bench_layer_config){.type = type,
                                                  .config = config,
                                                  .D = MIXTURE_D,
                                                  .T = MIXTURE_T,
                                                  .calls = 1,
                                                  .train = true});
}

/* Two active experts, each half as wide as a dense layer of width 4 D: the same FLOPs. */
static void open_mixture(struct bench_layer *layer, struct bench *bench, int64_t E, int64_t hidden)
{
    struct peer_moe_config config;
    peer_ffw_mixtral.config_default(&config, MIXTURE_D);
    config.experts = E;
    config.kept = 2;
    config.hidden = hidden;
    config.activation = PEER_ACT_GELU_TANH;
    config.gated = false;
    open_training(layer, bench, &peer_ffw_mixtral, &config);
}

static void open_dense(struct bench_layer *layer, struct bench *bench)
{
    struct peer_dense_config config;
    peer_ffw_dense.config_default(&config, MIXTURE_D);
    open_training(layer, bench, &peer_ffw_dense, &config);
}

static void open_mixtures(struct mixtures *m, struct bench *bench, int64_t E)
{
    open_mixture(&m->layer[WHOLE], bench, E, MIXTURE_F);
    open_mixture(&m->layer[BARE], bench, E, 1);
    open_dense(&m->layer[DENSE], bench);
}

/* Each layer in turns; times of the products are the differences of the first two. */
static void time_mixtures(struct mixtures *m, const struct bench *bench, bool train)
{
    void (*run)(void *) = train ? bench_layer_gradients : bench_layer_forward;
    double spent = 0;
    for (int of = WHOLE; of <= DENSE; of++) {
        run(&m->layer[of]);
        m->flops[of] = bench_layer_flops(&m->layer[of], train);
    }
    m->flops[PRODUCTS] = m->flops[WHOLE] - m->flops[BARE];
    m->runs = 0;
    while (m->runs < MOST_TURNS && (m->runs < BENCH_LEAST_RUNS || spent < bench->seconds)) {
        int i = m->runs++;
        for (int of = WHOLE; of <= DENSE; of++) {
            double before = bench_now();
            run(&m->layer[of]);
            m->times[of][i] = bench_now() - before;
        }
        m->times[PRODUCTS][i] = m->times[WHOLE][i] - m->times[BARE][i];
        spent += m->times[WHOLE][i];
    }
}

struct mixture_row {
    const char *names[2]; /* forward, with gradients */
    const char *against;
    enum part ours, theirs;
    double target;
};

static const struct mixture_row mixture_rows[] = {
    {{"mixtral/rate", "mixtral/rate, gradients"}, "dense", WHOLE, DENSE, 0.8},
    {{"mixtral/products", "mixtral/products, gradients"}, "dense", PRODUCTS, DENSE, 0.8},
    {{"mixtral/dispatch", "mixtral/dispatch, gradients"}, "the mixture", BARE, WHOLE, 10},
};

static struct bench_match match_of_row(const struct mixture_row *row, int64_t E, bool train)
{
    struct bench_match match = {.name = row->names[train],
                                .unit = "tokens",
                                .work = MIXTURE_T,
                                .target = row->target,
                                .ours.name = "ours",
                                .theirs.name = row->against,
                                .difference = -1};
    snprintf(match.sizes, sizeof match.sizes, "E=%lld k=2 D=%d F=%d T=%d", (long long)E, MIXTURE_D,
             row->ours == BARE ? 1 : MIXTURE_F, MIXTURE_T);
    return match;
}

static void report_row(struct bench *bench, const struct mixtures *m, const struct mixture_row *row,
                       struct bench_match match)
{
    double ours[MOST_TURNS], theirs[MOST_TURNS];
    memcpy(ours, m->times[row->ours], sizeof ours);
    memcpy(theirs, m->times[row->theirs], sizeof theirs);
    if (row->theirs == DENSE)
        match.scale = m->flops[row->ours] / m->flops[DENSE];
    bench_match_report(bench, &match, ours, theirs, m->runs);
}

static void mixtures(struct bench *bench, int64_t E)
{
    enum { COUNT = sizeof mixture_rows / sizeof *mixture_rows };
    struct mixtures m = {.runs = 0};
    bool open = false;
    for (int train = 0; train < 2; train++) {
        bool timed = false;
        for (int i = 0; i < COUNT; i++) {
            struct bench_match match = match_of_row(&mixture_rows[i], E, train);
            if (!bench_match_wanted(bench, &match))
                continue;
            if (!open)
                open_mixtures(&m, bench, E);
            if (!timed)
                time_mixtures(&m, bench, train);
            open = timed = true;
            report_row(bench, &m, &mixture_rows[i], match);
        }
    }
    for (int of = WHOLE; open && of <= DENSE; of++)
        bench_layer_close(&m.layer[of]);
}

void bench_versus_mixtures(struct bench *bench)
{
    for (int64_t E = 8; E <= 128; E *= 4)
        mixtures(bench, E);
}
