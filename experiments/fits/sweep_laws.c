/* SPDX-License-Identifier: MIT */
#include "experiments/fits/sweep_laws.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/pool.h"
#include "nn/random.h"

const char *const lab_law_size_names[] = {"active", "active without embedding", NULL};

struct owned {
    struct lab_sweep_laws laws;
    struct peer_pool pool;
};

/* What all laws are fitted to. */
struct work {
    struct peer_ctx *ctx;
    struct peer_pool *pool;
    const struct lab_minima *minima;
    const struct lab_result *results;
    int64_t count;
    struct lab_law_run *run; /* [count], of the law at hand */
    const struct lab_watch *watch;
    double done, total; /* draws */
};

static bool of_law(const struct lab_sweep_law *law, const struct lab_result *result)
{
    for (int64_t i = 0; i < law->variants; i++)
        if (!strcmp(law->variant[i], result->variant))
            return lab_result_counts(result) && result->nats > 0 && result->tokens > 0;
    return false;
}

static double size_of(const struct lab_sweep_law *law, const struct lab_result *result)
{
    int64_t embedding = law->size == LAB_LAW_BODY ? result->vocab * result->width : 0;
    return (double)(result->params_active - embedding);
}

/* The law's runs into work->run; returns their number. */
static int64_t read_runs(struct work *work, const struct lab_sweep_law *law)
{
    int64_t runs = 0;
    for (int64_t i = 0; i < work->count; i++) {
        const struct lab_result *r = &work->results[i];
        if (of_law(law, r))
            work->run[runs++] = (struct lab_law_run){size_of(law, r), (double)r->tokens,
                                                     (double)r->granularity, r->nats};
    }
    return runs;
}

/* Of the law's runs at this budget, those of `granularity` where that is not 0: sets what a
 * lab_law_best says of them. False where there are none. */
static bool look_at(struct lab_law_best *ret, double low_high[2], const struct work *work,
                    const struct lab_sweep_law *law, double budget, int64_t granularity)
{
    int64_t runs = 0;
    double sum = 0;
    low_high[0] = INFINITY;
    low_high[1] = 0;
    for (int64_t i = 0; i < work->count; i++) {
        const struct lab_result *r = &work->results[i];
        if (!of_law(law, r) || r->budget != budget ||
            (granularity && r->granularity != granularity))
            continue;
        double params = size_of(law, r);
        sum += log(r->flops / params / (double)r->tokens);
        low_high[0] = fmin(low_high[0], params);
        low_high[1] = fmax(low_high[1], params);
        runs++;
    }
    *ret = (struct lab_law_best){
        .budget = budget, .granularity = (double)granularity, .flops_per = exp(sum / (double)runs)};
    return runs > 0;
}

/* The next larger granularity of the law's runs; 0 = there is none. */
static int64_t next_granularity(const struct work *work, const struct lab_sweep_law *law,
                                int64_t last)
{
    int64_t next = 0;
    for (int64_t i = 0; i < work->count; i++) {
        int64_t g = work->results[i].granularity;
        if (of_law(law, &work->results[i]) && g > last && (next == 0 || g < next))
            next = g;
    }
    return next;
}

/* At `times` the budget. */
static void add_best(struct lab_sweep_law *law, const struct work *work, double budget,
                     int64_t granularity, double times)
{
    struct lab_law_best *next = &law->best[law->points];
    double sizes[2];
    if (!look_at(next, sizes, work, law, budget, granularity))
        return;
    next->budget *= times;
    next->ahead = times > 1;
    next->best = lab_law_at(&law->law, 6 * next->budget / next->flops_per, next->granularity);
    next->inside = next->best.params >= sizes[0] && next->best.params <= sizes[1] && !next->ahead;
    law->points++;
}

static enum peer_status find_best(struct work *work, struct lab_sweep_law *law)
{
    bool granular = law->law.form == LAB_LAW_GRANULARITY;
    int64_t steps = 1, budgets = work->minima->budgets;
    for (int64_t g = 0; granular && (g = next_granularity(work, law, g)) > 0;)
        steps++;
    law->best = peer_pool_alloc(work->pool, "optima", sizeof *law->best, budgets + 1, steps, 1);
    if (!law->best)
        return PEER_ERR_MEMORY;
    for (int64_t b = 0; b <= budgets; b++) {
        double budget = work->minima->budget[b < budgets ? b : budgets - 1];
        double times = b < budgets ? 1 : 10;
        if (!granular)
            add_best(law, work, budget, 0, times);
        for (int64_t g = 0; granular && (g = next_granularity(work, law, g)) > 0;)
            add_best(law, work, budget, g, times);
    }
    return PEER_OK;
}

static int64_t count_budgets(const struct work *work, const struct lab_sweep_law *law)
{
    int64_t budgets = 0;
    for (int64_t b = 0; b < work->minima->budgets; b++) {
        struct lab_law_best ignored;
        double sizes[2];
        budgets += look_at(&ignored, sizes, work, law, work->minima->budget[b], 0);
    }
    return budgets;
}

static enum peer_status fit(struct work *work, struct lab_sweep_law *law, enum lab_law_form form)
{
    struct peer_ctx *ctx = work->ctx;
    int64_t runs = read_runs(work, law);
    law->runs = runs;
    law->budgets = count_budgets(work, law);
    bool few = law->budgets < LAB_LAW_BUDGETS;
    /* Without runs the constants are NaN, and the reason is the fit's own. */
    enum peer_status status = lab_law_fit(&law->law, ctx, form, work->run, few ? 0 : runs);
    if (status == PEER_OK)
        status = lab_law_vpnls(&law->check, ctx, work->run,
                               law->law.fitted && form == LAB_LAW_JOINT ? runs : 0);
    if (status == PEER_OK && few && runs > 0)
        law->law.reason = law->budgets == 1 ? "1 budget, 3 are needed to tell an exponent"
                                            : "2 budgets, 3 are needed to tell an exponent";
    if (status == PEER_OK && law->law.fitted && law->size == LAB_LAW_ACTIVE)
        status = find_best(work, law);
    return status;
}

static bool stop_asked(void *user)
{
    const struct work *work = user;
    return work->watch && work->watch->stop && work->watch->stop(work->watch->user);
}

static void show_progress(void *user, int64_t done, int64_t draws)
{
    const struct work *work = user;
    (void)draws;
    if (work->watch && work->watch->progress)
        work->watch->progress(work->watch->user, work->done + (double)done, work->total);
}

static enum peer_status find_intervals(struct work *work, struct lab_sweep_law *law)
{
    struct peer_pool pool = {.ctx = work->ctx};
    struct lab_law_point *point =
        peer_pool_alloc(&pool, "points", sizeof *point, law->points, 1, 1);
    struct lab_law_range *range =
        peer_pool_alloc(&pool, "ranges", sizeof *range, law->points, 1, 1);
    enum peer_status status = pool.failed ? PEER_ERR_MEMORY : PEER_OK;
    for (int64_t i = 0; status == PEER_OK && i < law->points; i++)
        point[i] = (struct lab_law_point){6 * law->best[i].budget / law->best[i].flops_per,
                                          law->best[i].granularity};
    struct lab_law_bootstrap config = {.resample = LAB_LAW_NOISE,
                                       .draws = LAB_LAW_DRAWS,
                                       .seed = peer_stream(law->variant[0]),
                                       .point = point,
                                       .points = law->points,
                                       .user = work,
                                       .progress = show_progress,
                                       .stop = stop_asked};
    if (status == PEER_OK)
        status = lab_law_intervals(&law->intervals, range, work->ctx, &law->law, work->run,
                                   read_runs(work, law), &config);
    for (int64_t i = 0; status == PEER_OK && i < law->points; i++)
        law->best[i].range = range[i];
    peer_pool_free(&pool);
    work->done += law->law.fitted ? LAB_LAW_DRAWS : 0;
    return status;
}

/* Whether the vocabulary of all runs of the law is known. */
static bool knows_embedding(const struct work *work, const struct lab_sweep_law *law)
{
    for (int64_t i = 0; i < work->count; i++)
        if (of_law(law, &work->results[i]) && work->results[i].vocab < 1)
            return false;
    return true;
}

/* Adds the laws of both sizes; `variant` is in memory that stays. */
static enum peer_status add_laws(struct lab_sweep_laws *laws, struct work *work,
                                 enum lab_law_form form, const char *const *variant,
                                 int64_t variants)
{
    enum peer_status status = PEER_OK;
    for (int size = 0; status == PEER_OK && size < LAB_LAW_SIZES; size++) {
        struct lab_sweep_law *law = &laws->law[laws->count];
        *law = (struct lab_sweep_law){
            .variant = variant, .variants = variants, .size = (enum lab_law_size)size};
        if (size == LAB_LAW_BODY && !knows_embedding(work, law))
            continue;
        status = fit(work, law, form);
        work->total += law->law.fitted ? LAB_LAW_DRAWS : 0;
        laws->count += status == PEER_OK;
    }
    return status;
}

/* The design of a variant of PEER, by its first run; 0 for others. */
static uint64_t design_of(const struct work *work, const char *variant)
{
    for (int64_t i = 0; i < work->count; i++)
        if (!strcmp(work->results[i].variant, variant))
            return work->results[i].granularity > 0 ? work->results[i].design : 0;
    return 0;
}

/* The law of all variants of the first one's design, which is number `first`. */
static enum peer_status add_design(struct lab_sweep_laws *laws, struct work *work, int64_t first)
{
    const struct lab_minima *minima = work->minima;
    uint64_t design = design_of(work, minima->variant[first]);
    for (int64_t v = 0; v < first; v++)
        if (design_of(work, minima->variant[v]) == design)
            return PEER_OK;
    const char **variant = peer_pool_alloc(work->pool, "variants of one design", sizeof *variant,
                                           minima->variants, 1, 1);
    if (!variant)
        return PEER_ERR_MEMORY;
    struct lab_sweep_law all = {.variant = variant};
    for (int64_t v = first; design && v < minima->variants; v++)
        if (design_of(work, minima->variant[v]) == design)
            variant[all.variants++] = minima->variant[v];
    if (!next_granularity(work, &all, next_granularity(work, &all, 0)))
        return PEER_OK;
    return add_laws(laws, work, LAB_LAW_GRANULARITY, variant, all.variants);
}

static enum peer_status create_all(struct lab_sweep_laws *laws, struct work *work)
{
    int64_t variants = work->minima->variants;
    laws->law = peer_pool_alloc(work->pool, "laws", sizeof *laws->law, variants, LAB_LAW_SIZES, 2);
    work->run = peer_pool_alloc(work->pool, "runs", sizeof *work->run, work->count, 1, 1);
    enum peer_status status = work->pool->failed ? PEER_ERR_MEMORY : PEER_OK;
    for (int64_t v = 0; status == PEER_OK && v < variants; v++)
        status = stop_asked(work) ? PEER_ERR_STOPPED
                                  : add_laws(laws, work, LAB_LAW_JOINT,
                                             (const char *const *)&work->minima->variant[v], 1);
    for (int64_t v = 0; status == PEER_OK && v < variants; v++)
        status = stop_asked(work) ? PEER_ERR_STOPPED : add_design(laws, work, v);
    for (int64_t i = 0; status == PEER_OK && i < laws->count; i++)
        status = find_intervals(work, &laws->law[i]);
    return status == PEER_ERR_STOPPED ? peer_fail(work->ctx, status, "stopped; nothing is written")
                                      : status;
}

enum peer_status lab_sweep_laws_create(struct lab_sweep_laws **ret, struct peer_ctx *ctx,
                                       const struct lab_minima *minima,
                                       const struct lab_result *results, int64_t count,
                                       const struct lab_watch *watch)
{
    struct peer_pool pool = {.ctx = ctx};
    struct owned *owned = peer_pool_alloc(&pool, "laws", sizeof *owned, 1, 1, 1);
    if (!owned)
        return PEER_ERR_MEMORY;
    struct work work = {.ctx = ctx,
                        .pool = &pool,
                        .minima = minima,
                        .results = results,
                        .count = count,
                        .watch = watch};
    owned->laws.owner = owned;
    enum peer_status status = create_all(&owned->laws, &work);
    if (status != PEER_OK) {
        peer_pool_free(&pool);
        return status;
    }
    owned->pool = pool;
    *ret = &owned->laws;
    return PEER_OK;
}

void lab_sweep_laws_destroy(struct lab_sweep_laws **laws)
{
    if (!laws || !*laws)
        return;
    struct owned *owned = (*laws)->owner;
    struct peer_pool pool = owned->pool;
    peer_pool_free(&pool);
    *laws = NULL;
}

void lab_sweep_law_name(char *text, int size, const struct lab_sweep_law *law)
{
    int used = 0;
    text[0] = 0;
    for (int64_t i = 0; i < law->variants; i++) {
        int room = size - used;
        int length = snprintf(text + used, (size_t)room, "%s%s", i ? ", " : "", law->variant[i]);
        bool last = i + 1 == law->variants;
        if (length + (last ? 0 : 5) >= room) { /* 5: ", ..." */
            snprintf(text + used, (size_t)room, "%s", i ? ", ..." : "");
            return;
        }
        used += length;
    }
}

bool lab_sweep_laws_any(const struct lab_sweep_laws *laws)
{
    for (int64_t i = 0; i < laws->count; i++)
        if (laws->law[i].law.fitted)
            return true;
    return false;
}
