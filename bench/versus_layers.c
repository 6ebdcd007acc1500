/* SPDX-License-Identifier: MIT */
/* Layers beside the same layers in torch, on identical weights and inputs. */
#include <string.h>
#include <unistd.h>

#include "bench/layer.h"
#include "bench/limits.h"
#include "bench/match.h"
#include "bench/peers.h"
#include "bench/results.h"
#include "moe/moe.h"
#include "nn/parallel.h"
#include "peer/peer.h"

enum { MOST_SIZES = 5, HEADS = 8, QUERY_WIDTH = 256 };

/* Results are compared by Euclidean norm. Rounding alone gives 1e-6; where it decides between the
 * last kept and the first left out, one token's result moves as a whole. */
#define TOLERANCE 5e-3

struct size {
    int64_t n;         /* sub-keys per half; of a mixture E */
    int64_t D;         /* 0 ends the list */
    double target;     /* least ratio to the rival; 0 = none asked */
    double attainable; /* least share of what the machine can attain; 0 = not shown */
};

/* One kind of work of one type, by size. */
struct family {
    const char *name;
    const struct peer_ffw_type *type;
    enum bench_work work;
    const char *script, *against;
    int64_t T, calls;
    struct size sizes[MOST_SIZES + 1];
};

static const struct family families[] = {
    {"peer/forward",
     &peer_ffw_peer,
     BENCH_FORWARD,
     "peer_best.py",
     "torch best",
     2048,
     1,
     {{128, 256, 2.5, 0},
      {256, 256, 2.5, 0},
      {512, 256, 2.5, 0},
      {1024, 256, 2.5, 0.85},
      {1024, 512, 2.5, 0.85}}},
    {"peer/forward",
     &peer_ffw_peer,
     BENCH_FORWARD,
     "peer_naive.py",
     "torch naive",
     2048,
     1,
     {{128, 256, 0, 0}, {256, 256, 0, 0}, {512, 256, 0, 0}, {1024, 256, 0, 0}, {1024, 512, 0, 0}}},
    {"peer/token",
     &peer_ffw_peer,
     BENCH_FORWARD,
     "peer_best.py",
     "torch best",
     1,
     64,
     {{128, 256, 8, 0}, {256, 256, 8, 0}, {512, 256, 8, 0}, {1024, 256, 8, 0}, {1024, 512, 8, 0}}},
    {"peer/token",
     &peer_ffw_peer,
     BENCH_FORWARD,
     "peer_naive.py",
     "torch naive",
     1,
     64,
     {{128, 256, 8, 0}, {256, 256, 8, 0}, {512, 256, 8, 0}, {1024, 256, 8, 0}, {1024, 512, 8, 0}}},
    {"peer/step",
     &peer_ffw_peer,
     BENCH_STEP,
     "peer_best.py",
     "torch best",
     2048,
     1,
     {{128, 256, 2.5, 0},
      {256, 256, 2.5, 0},
      {512, 256, 2.5, 0},
      {1024, 256, 3.2, 0.75},
      {1024, 512, 3.2, 0.75}}},
    {"peer/step",
     &peer_ffw_peer,
     BENCH_STEP,
     "peer_naive.py",
     "torch SparseAdam",
     2048,
     1,
     {{128, 256, 0, 0},
      {256, 256, 0, 0},
      {512, 256, 0, 0},
      {1024, 256, 10, 0},
      {1024, 512, 10, 0}}},
    {"pkm/forward",
     &peer_ffw_pkm,
     BENCH_FORWARD,
     "pkm.py",
     "torch EmbeddingBag",
     2048,
     1,
     {{128, 256, 0, 0}, {256, 256, 0, 0}, {512, 256, 0, 0}, {1024, 256, 0, 0}}},
    {"pkm/step",
     &peer_ffw_pkm,
     BENCH_STEP,
     "pkm.py",
     "torch SparseAdam",
     2048,
     1,
     {{128, 256, 8, 0}, {256, 256, 8, 0}, {512, 256, 8, 0}, {1024, 256, 8, 0}}},
    {"mixtral/forward",
     &peer_ffw_mixtral,
     BENCH_FORWARD,
     "moe.py",
     "torch loop of experts",
     2048,
     1,
     {{8, 512, 0, 0}, {32, 512, 0, 0}, {128, 512, 0, 0}}},
    {"mixtral/gradients",
     &peer_ffw_mixtral,
     BENCH_GRADIENTS,
     "moe.py",
     "torch loop of experts",
     2048,
     1,
     {{8, 512, 0, 0}, {32, 512, 0, 0}, {128, 512, 0, 0}}},
};

/* The same where ours keeps values in bf16; the rival's are float. */
struct narrow_family {
    const char *what; /* "table bf16" */
    enum peer_table_type table;
    enum peer_type moments; /* of the table */
    struct family family;
};

static const struct narrow_family narrow_families[] = {
    {"table bf16",
     PEER_TABLE_BF16,
     PEER_TYPE_F32,
     {"peer/forward",
      &peer_ffw_peer,
      BENCH_FORWARD,
      "peer_best.py",
      "torch best",
      2048,
      1,
      {{1024, 256, 4, 1}, {1024, 512, 4, 1}}}}, /* attainable is what float can attain */
    {"moments bf16",
     PEER_TABLE_F32,
     PEER_TYPE_BF16,
     {"peer/step",
      &peer_ffw_peer,
      BENCH_STEP,
      "peer_best.py",
      "torch best",
      2048,
      1,
      {{1024, 256, 4.5, 0}, {1024, 512, 4.5, 0}}}},
};

struct layer_case {
    const struct family *of;
    const struct size *size;
    enum peer_table_type table; /* of PEER */
    enum peer_type moments;
    int64_t kept; /* k */
    void (*run)(void *layer);
    struct bench_match match;
};

/* One config of any of the types. */
union config {
    struct peer_layer_config peer;
    struct pkm_config pkm;
    struct peer_moe_config moe;
};

static void configure(union config *config, const struct layer_case *c)
{
    int64_t n = c->size->n, D = c->size->D;
    c->of->type->config_default(config, D);
    if (c->of->type == &peer_ffw_peer) {
        config->peer.experts = n * n;
        config->peer.heads = HEADS;
        config->peer.kept = c->kept;
        config->peer.query_width = QUERY_WIDTH;
        config->peer.table = c->table;
    } else if (c->of->type == &peer_ffw_pkm) {
        config->pkm.memories = n * n;
        config->pkm.heads = HEADS;
        config->pkm.kept = c->kept;
        config->pkm.query_width = QUERY_WIDTH;
    } else {
        config->moe.experts = n;
        config->moe.kept = c->kept;
        config->moe.hidden = 2 * D;
        config->moe.activation = PEER_ACT_GELU_TANH;
        config->moe.gated = false;
        config->moe.balance_loss = config->moe.z_loss = 0;
    }
}

static void open_layer(struct bench_layer *layer, struct bench *bench, const struct layer_case *c)
{
    union config config;
    struct peer_optim_config optim = peer_optim_config_default();
    optim.weight_decay = optim.clip = 0; /* what the rivals do not do */
    optim.nonfinite = PEER_NONFINITE_APPLY;
    optim.rows_moments = c->moments;
    configure(&config, c);
    bench_layer_open(
        layer, bench, bench->ctx,
        &(struct bench_layer_config){.type = c->of->type,
                                     .config = &config,
                                     .D = c->size->D,
                                     .T = c->of->T,
                                     .calls = c->of->calls,
                                     .train = c->of->work != BENCH_FORWARD,
                                     .optim = c->of->work == BENCH_STEP ? &optim : NULL});
}

/* Ours runs for the first time, the rival gets all it needs, the results of ours are kept. */
static void first_run(struct bench_results *results, struct bench *bench, struct bench_layer *layer,
                      struct rival *rival, const struct layer_case *c)
{
    rival_option(rival, "side", c->size->n);
    rival_option(rival, "heads", HEADS);
    rival_option(rival, "kept", c->kept);
    rival_option(rival, "calls", c->of->calls);
    rival_option(rival, "train", c->of->work != BENCH_FORWARD);
    bench_layer_send(layer, rival);
    c->run(layer);
    if (c->of->work == BENCH_STEP)
        bench_results_sample(layer, rival);
    bench_results_take(results, bench, layer, c->of->work);
}

static double first_run_of(struct rival *rival, const struct bench_results *results)
{
    if (!rival_ready(rival) || rival_run(rival) < 0)
        return -1;
    return bench_results_difference(results, rival);
}

/* Both sides in memory, in turns. The layer stays open. */
static struct bench_stat side_by_side(struct bench *bench, struct bench_layer *layer,
                                      struct layer_case *c)
{
    struct bench_results results;
    struct rival *rival = bench_rival(bench, c->of->script);
    first_run(&results, bench, layer, rival, c);
    c->match.theirs.rival = rival;
    c->match.difference = first_run_of(rival, &results);
    struct bench_stat ours = bench_match(bench, &c->match);
    bench_results_free(&results);
    rival_stop(&rival);
    return ours;
}

/* Where memory does not hold both: ours, theirs, ours again. The layer stays open. */
static struct bench_stat apart(struct bench *bench, struct bench_layer *layer, struct layer_case *c)
{
    static double ours[BENCH_MOST_RUNS], theirs[BENCH_MOST_RUNS], again[BENCH_MOST_RUNS];
    struct bench_results results;
    struct rival *rival = bench_rival(bench, c->of->script);
    first_run(&results, bench, layer, rival, c);
    int runs = bench_side_times(bench, &c->match.ours, ours);
    bench_layer_close(layer);
    c->match.theirs.rival = rival;
    c->match.difference = first_run_of(rival, &results);
    bench_results_free(&results);
    int runs_theirs = bench_side_times(bench, &c->match.theirs, theirs);
    bool alive = !*rival_error(rival);
    rival_finish(rival);
    open_layer(layer, bench, c);
    c->run(layer);
    runs = (int)peer_min(runs, bench_side_times(bench, &c->match.ours, again));
    if (alive)
        runs = (int)peer_min(runs, runs_theirs);
    for (int i = 1; i < runs; i += 2)
        ours[i] = again[i];
    struct bench_stat stat =
        bench_match_report(bench, &c->match, ours, alive ? theirs : NULL, runs);
    rival_stop(&rival);
    return stat;
}

/* Whether both sides' tables, and in training their moments, leave room for what else they need. */
static bool both_fit(const struct bench_layer *layer, enum bench_work work)
{
    double floats = 0, tables = work == BENCH_STEP ? 3 : 1, slack = 4e9;
    for (int64_t i = 0; i < layer->params.count; i++)
        floats += (double)peer_param_size(&layer->params.items[i]);
    double installed = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    return 2 * tables * floats * sizeof(float) + slack < installed;
}

static void against_attainable(struct bench *bench, const struct bench_layer *layer,
                               const struct layer_case *c, struct bench_stat ours)
{
    struct bench_match match = c->match;
    match.theirs = (struct bench_side){.name = "attainable"};
    match.target = c->size->attainable;
    match.difference = -1;
    bench_compare(
        bench, &match, ours,
        bench_limit_peer(bench, layer, c->of->work != BENCH_FORWARD, bench_results_touched(layer)));
}

static void run_case(struct bench *bench, struct layer_case *c)
{
    struct bench_layer layer;
    open_layer(&layer, bench, c);
    c->match.ours = (struct bench_side){"ours", c->run, &layer, NULL};
    bool fit = both_fit(&layer, c->of->work);
    if (!fit)
        strncat(c->match.sizes, ", apart", sizeof c->match.sizes - strlen(c->match.sizes) - 1);
    struct bench_stat ours = (fit ? side_by_side : apart)(bench, &layer, c);
    if (c->size->attainable > 0)
        against_attainable(bench, &layer, c, ours);
    bench_layer_close(&layer);
}

static struct layer_case case_of(const struct family *family, const struct size *size)
{
    bool pkm = family->type == &peer_ffw_pkm, mixture = family->type == &peer_ffw_mixtral;
    long long n = size->n, D = size->D, T = family->T;
    struct layer_case c = {.of = family,
                           .size = size,
                           .kept = mixture ? 2
                                   : pkm   ? 32
                                           : 16,
                           .run = family->work == BENCH_FORWARD     ? bench_layer_forward
                                  : family->work == BENCH_GRADIENTS ? bench_layer_gradients
                                                                    : bench_layer_step,
                           .match = {.name = family->name,
                                     .unit = "tokens",
                                     .work = (double)(family->T * family->calls),
                                     .target = size->target,
                                     .theirs.name = family->against,
                                     .tolerance = TOLERANCE}};
    if (mixture)
        snprintf(c.match.sizes, sizeof c.match.sizes, "E=%lld k=2 D=%lld F=%lld T=%lld", n, D,
                 2 * D, T);
    else
        snprintf(c.match.sizes, sizeof c.match.sizes, "N=%lld^2 D=%lld T=%lld", n, D, T);
    return c;
}

static struct layer_case narrow_case_of(const struct narrow_family *narrow, const struct size *size)
{
    struct layer_case c = case_of(&narrow->family, size);
    size_t used = strlen(c.match.sizes);
    snprintf(c.match.sizes + used, sizeof c.match.sizes - used, ", %s", narrow->what);
    c.table = narrow->table;
    c.moments = narrow->moments;
    return c;
}

static void run_wanted(struct bench *bench, struct layer_case c)
{
    if (bench_match_wanted(bench, &c.match))
        run_case(bench, &c);
}

void bench_versus_layers(struct bench *bench)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        for (const struct size *size = families[i].sizes; size->D > 0; size++)
            run_wanted(bench, case_of(&families[i], size));
    for (size_t i = 0; i < sizeof narrow_families / sizeof *narrow_families; i++)
        for (const struct size *size = narrow_families[i].family.sizes; size->D > 0; size++)
            run_wanted(bench, narrow_case_of(&narrow_families[i], size));
}
