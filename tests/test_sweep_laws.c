/* SPDX-License-Identifier: MIT */
#include "experiments/fits/sweep_laws.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/runs/run.h"
#include "experiments/runs/run_result.h"
#include "experiments/sweeps/store.h"
#include "peer/layer.h"
#include "peer/types.h"
#include "tests/support/failing.h"
#include "tests/support/law_case.h"
#include "tests/support/tempdir.h"

/* A law of the size of a night's runs, and Krajewski et al.'s. */
static const double desk[] = {2.3, 30, 900, 0.31, 0.42};
static const double granular[] = {0.47, 18.1, 30.8, 0.115, 0.147, 2.1, 0.58};

static struct peer_ctx *context(int threads)
{
    struct peer_ctx_config config = peer_ctx_config_default();
    config.threads = threads;
    struct peer_ctx *ctx = NULL;
    cr_assert_eq(peer_ctx_create(&ctx, &config), PEER_OK);
    return ctx;
}

struct sweep {
    struct lab_result run[LAW_CASE_MOST];
    int64_t count;
};

/* law_case_make() as rows of a sweep: a variant per granularity; tokens are whole, and losses those
 * of whole tokens. */
static struct sweep make(enum lab_law_form form, const double *value, int budgets, int sizes,
                         int seeds, double noise)
{
    bool joint = form == LAB_LAW_JOINT;
    struct lab_law truth = law_case_of(form, value);
    struct law_case made =
        law_case_make(&truth, joint ? 1e11 : 1e18, budgets, sizes, seeds, noise, 3);
    struct sweep sweep = {.count = made.count};
    for (int64_t i = 0; i < made.count; i++) {
        const struct lab_law_run *from = &made.run[i];
        struct lab_result *r = &sweep.run[i];
        double luck =
            from->loss / lab_law_loss(&truth, from->params, from->tokens, from->granularity);
        int budget = (int)(i / seeds / sizes) % budgets;
        snprintf(r->variant, sizeof r->variant, "peer-%.0f", from->granularity);
        snprintf(r->ffw, sizeof r->ffw, "%s", joint ? "dense" : "peer");
        r->id = i + 1;
        r->seed = i % seeds + 1;
        r->state = LAB_DONE;
        r->width = 16;
        r->budget = (joint ? 1e11 : 1e18) * pow(4, budget);
        r->granularity = joint ? 0 : (int64_t)from->granularity;
        r->design = 77;
        r->params_active = r->params_total = (int64_t)from->params;
        r->tokens = (int64_t)round(from->tokens);
        r->flops = 6 * from->params * (double)r->tokens;
        r->nats = luck * lab_law_loss(&truth, from->params, (double)r->tokens, from->granularity);
    }
    return sweep;
}

struct found {
    struct lab_minima *minima;
    struct lab_sweep_laws *laws;
};

static struct found fit(struct peer_ctx *ctx, const struct lab_result *results, int64_t count)
{
    struct found found = {NULL, NULL};
    cr_assert_eq(lab_minima_create(&found.minima, ctx, results, count), PEER_OK);
    cr_assert_eq(lab_sweep_laws_create(&found.laws, ctx, found.minima, results, count, NULL),
                 PEER_OK, "%s", peer_ctx_error(ctx));
    return found;
}

static void release(struct found *found, struct peer_ctx *ctx)
{
    lab_sweep_laws_destroy(&found->laws);
    lab_minima_destroy(&found->minima);
    cr_expect_null(found->laws);
    cr_expect_eq(peer_ctx_bytes(ctx), 0);
}

static void expect_near(double got, double want, double tolerance, const char *what)
{
    cr_expect(fabs(got / want - 1) < tolerance, "%s: %.9g, expected %.9g", what, got, want);
}

static bool covers(struct lab_interval interval, double truth)
{
    return interval.known && interval.low <= truth && truth <= interval.high;
}

/* Without noise nothing but the minimiser's end keeps the constants from the truth. The FLOPs that
 * the runs spent, here 6 N D, decide where the optimum at a budget is. */
Test(sweep_laws, recover_a_joint_law)
{
    struct sweep sweep = make(LAB_LAW_JOINT, desk, 4, 6, 2, 0);
    struct lab_law truth = law_case_of(LAB_LAW_JOINT, desk);
    struct peer_ctx *ctx = context(1);
    struct found found = fit(ctx, sweep.run, sweep.count);
    cr_assert_eq(found.laws->count, 1, "the vocabulary is not known");
    const struct lab_sweep_law *law = &found.laws->law[0];
    cr_assert(law->law.fitted, "%s", law->law.reason);
    cr_assert(law->check.fitted, "%s", law->check.reason);
    for (int c = 0; c <= LAB_LAW_BETA; c++) {
        expect_near(law->law.value[c], desk[c], 1e-5, lab_law_names[c]);
        expect_near(law->check.value[c], desk[c], 1e-5, lab_law_names[c]);
    }
    cr_expect_eq(law->runs, 48);
    cr_expect_eq(law->law.settings, 24);
    cr_expect_eq(law->budgets, 4);
    cr_assert_eq(law->points, 5);
    struct lab_law_optimum ahead = lab_law_at(&truth, 6.4e13, 1);
    cr_expect(law->best[4].ahead && !law->best[4].inside && !law->best[3].ahead);
    expect_near(law->best[4].budget, 6.4e13, 1e-12, "ten times the largest budget");
    expect_near(law->best[4].best.params, ahead.params, 1e-4, "N ahead");
    expect_near(law->best[4].best.loss, ahead.loss, 1e-6, "loss ahead");
    for (int i = 0; i < 4; i++) {
        struct lab_law_optimum best = lab_law_at(&truth, 1e11 * pow(4, i), 1);
        expect_near(law->best[i].flops_per, 6, 1e-9, "FLOPs per parameter and token");
        expect_near(law->best[i].best.params, best.params, 1e-4, "N");
        expect_near(law->best[i].best.tokens, best.tokens, 1e-4, "D");
        expect_near(law->best[i].best.loss, best.loss, 1e-7, "loss");
        cr_expect(law->best[i].inside);
    }
    release(&found, ctx);
    peer_ctx_destroy(&ctx);
}

/* Twice the FLOPs for the same N and D: the optimum is that of half the budget. Sizes above it only
 * leave it outside. */
Test(sweep_laws, take_the_flops_that_were_spent)
{
    struct sweep sweep = make(LAB_LAW_JOINT, desk, 3, 5, 1, 0);
    struct lab_law truth = law_case_of(LAB_LAW_JOINT, desk);
    struct peer_ctx *ctx = context(1);
    int64_t kept = 0;
    for (int64_t i = 0; i < sweep.count; i++) {
        sweep.run[i].flops *= 2;
        if (sweep.run[i].budget > 1e11 || i % 5 >= 2)
            sweep.run[kept++] = sweep.run[i];
    }
    struct found found = fit(ctx, sweep.run, kept);
    const struct lab_sweep_law *law = &found.laws->law[0];
    cr_assert_eq(law->points, 4);
    expect_near(law->best[0].flops_per, 12, 1e-9, "FLOPs per parameter and token");
    expect_near(law->best[0].best.params, lab_law_at(&truth, 5e10, 1).params, 1e-4, "N");
    cr_expect_not(law->best[0].inside);
    cr_expect(law->best[2].inside);
    release(&found, ctx);
    peer_ctx_destroy(&ctx);
}

Test(sweep_laws, count_parameters_with_and_without_embedding)
{
    struct sweep sweep = make(LAB_LAW_JOINT, desk, 3, 5, 1, 0);
    struct peer_ctx *ctx = context(1);
    for (int64_t i = 0; i < sweep.count; i++) { /* the law is of N without 16 x 100 */
        sweep.run[i].vocab = 100;
        sweep.run[i].params_active += 1600;
    }
    struct found found = fit(ctx, sweep.run, sweep.count);
    cr_assert_eq(found.laws->count, 2);
    cr_expect_eq(found.laws->law[0].size, LAB_LAW_ACTIVE);
    cr_expect_eq(found.laws->law[1].size, LAB_LAW_BODY);
    expect_near(found.laws->law[1].law.value[LAB_LAW_ALPHA], desk[LAB_LAW_ALPHA], 1e-5, "alpha");
    cr_expect_gt(found.laws->law[0].law.value[LAB_LAW_ALPHA], desk[LAB_LAW_ALPHA] + 0.01);
    cr_expect_eq(found.laws->law[0].points, 4);
    cr_expect_eq(found.laws->law[1].points, 0);
    release(&found, ctx);
    peer_ctx_destroy(&ctx);
}

/* Of one seed and of two: intervals that hold the truth and say what they rest on. */
Test(sweep_laws, have_intervals)
{
    for (int seeds = 1; seeds <= 2; seeds++) {
        struct sweep sweep = make(LAB_LAW_JOINT, desk, 4, 6, seeds, 0.002);
        struct lab_law truth = law_case_of(LAB_LAW_JOINT, desk);
        struct peer_ctx *ctx = context(1);
        struct found found = fit(ctx, sweep.run, sweep.count);
        const struct lab_sweep_law *law = &found.laws->law[0];
        cr_expect_eq(law->intervals.draws, LAB_LAW_DRAWS);
        cr_expect(strstr(law->intervals.note, seeds == 1 ? "1 seed per setting" : "of seeds"));
        for (int c = 0; c <= LAB_LAW_BETA; c++)
            cr_expect(covers(law->intervals.value[c], desk[c]), "%s, %d seeds", lab_law_names[c],
                      seeds);
        cr_expect(covers(law->intervals.exponent, 0.42 / 0.73));
        for (int i = 0; i < 4; i++) {
            struct lab_law_optimum best = lab_law_at(&truth, 1e11 * pow(4, i), 1);
            cr_expect(covers(law->best[i].range.params, best.params));
            cr_expect(covers(law->best[i].range.tokens, best.tokens));
            cr_expect(covers(law->best[i].range.loss, best.loss));
        }
        cr_expect(covers(law->best[4].range.params, lab_law_at(&truth, 6.4e13, 1).params));
        release(&found, ctx);
        peer_ctx_destroy(&ctx);
    }
}

/* Over variants that differ in heads and kept alone; another design, with losses of its own, stays
 * apart. */
Test(sweep_laws, recover_a_law_of_granularity)
{
    struct sweep sweep = make(LAB_LAW_GRANULARITY, granular, 4, 6, 1, 0);
    struct peer_ctx *ctx = context(1);
    for (int64_t i = 0; i < 24; i++) {
        struct lab_result *r = &sweep.run[sweep.count++];
        *r = sweep.run[i];
        snprintf(r->variant, sizeof r->variant, "peer-other");
        r->design = 78;
        r->nats *= 1.5;
    }
    struct found found = fit(ctx, sweep.run, sweep.count);
    cr_assert_eq(found.laws->count, 6, "of five variants, and of four of them");
    const struct lab_sweep_law *law = &found.laws->law[5];
    cr_assert(law->law.fitted, "%s", law->law.reason);
    cr_expect_eq(law->law.form, LAB_LAW_GRANULARITY);
    cr_expect_eq(law->runs, 96);
    cr_expect_not(law->check.fitted);
    for (int c = 0; c < LAB_LAW_CONSTANTS; c++)
        expect_near(law->law.value[c], granular[c], 1e-3, lab_law_names[c]);
    struct lab_law truth = law_case_of(LAB_LAW_GRANULARITY, granular);
    cr_assert_eq(law->points, 20);
    for (int i = 0; i < 16; i++) {
        double G = 1 << i % 4, params = lab_law_at(&truth, 1e18 * pow(4, i / 4), G).params;
        cr_expect_eq(law->best[i].granularity, G);
        expect_near(law->best[i].best.params, params, 1e-3, "N");
    }
    char name[64];
    lab_sweep_law_name(name, sizeof name, law);
    cr_expect_str_eq(name, "peer-1, peer-2, peer-4, peer-8");
    lab_sweep_law_name(name, 20, law);
    cr_expect_str_eq(name, "peer-1, peer-2, ...");
    lab_sweep_law_name(name, 19, law);
    cr_expect_str_eq(name, "peer-1, ...");
    release(&found, ctx);
    peer_ctx_destroy(&ctx);
}

/* Sets every run's state and loss. */
static void spoil(struct sweep *sweep, int64_t from, enum lab_state state, double nats)
{
    for (int64_t i = from; i < sweep->count; i++) {
        sweep->run[i].state = state;
        sweep->run[i].nats = nats;
    }
}

static void expect_reason(const struct sweep *sweep, const char *reason)
{
    struct peer_ctx *ctx = context(1);
    struct found found = fit(ctx, sweep->run, sweep->count);
    cr_assert_gt(found.laws->count, 0);
    const struct lab_sweep_law *law = &found.laws->law[0];
    cr_expect_not(law->law.fitted);
    cr_expect_not(lab_sweep_laws_any(found.laws));
    cr_expect_str_eq(law->law.reason, reason);
    cr_expect_eq(law->points, 0);
    cr_expect_not(law->intervals.exponent.known);
    cr_expect(isnan(law->law.value[LAB_LAW_E]));
    release(&found, ctx);
    peer_ctx_destroy(&ctx);
}

Test(sweep_laws, say_why_there_is_none)
{
    struct sweep sweep = make(LAB_LAW_JOINT, desk, 1, 7, 2, 0.001);
    expect_reason(&sweep, "1 budget, 3 are needed to tell an exponent");
    sweep = make(LAB_LAW_JOINT, desk, 2, 7, 2, 0.001);
    expect_reason(&sweep, "2 budgets, 3 are needed to tell an exponent");
    sweep = make(LAB_LAW_JOINT, desk, 3, 7, 1, 0.001);
    spoil(&sweep, 14, LAB_FAILED, 0);
    expect_reason(&sweep, "2 budgets, 3 are needed to tell an exponent");
    spoil(&sweep, 0, LAB_DIVERGED, NAN);
    expect_reason(&sweep, "no finished run");
    sweep = make(LAB_LAW_JOINT, desk, 4, 2, 1, 0.001);
    for (int64_t i = 0; i < sweep.count; i++) /* the same two sizes at each budget */
        sweep.run[i].params_active = sweep.run[i % 2].params_active;
    expect_reason(&sweep, "fewer than 3 sizes");
    sweep = make(LAB_LAW_JOINT, desk, 3, 2, 1, 0.001);
    sweep.count = 5;
    expect_reason(&sweep, "no more settings than constants");
}

Test(sweep_laws, leave_out_what_is_not_done)
{
    struct sweep whole = make(LAB_LAW_JOINT, desk, 4, 6, 1, 0.002), some = whole;
    struct peer_ctx *ctx = context(1);
    some.run[3].state = LAB_DIVERGED;
    some.run[3].nats = NAN;
    some.run[9].state = LAB_FAILED;
    some.run[9].nats = 100;
    some.run[20].state = LAB_PENDING;
    some.run[20].nats = 0;
    struct found found = fit(ctx, some.run, some.count);
    int64_t kept = 0;
    for (int64_t i = 0; i < whole.count; i++)
        if (i != 3 && i != 9 && i != 20)
            whole.run[kept++] = whole.run[i];
    struct found other = fit(ctx, whole.run, kept);
    cr_expect_eq(found.laws->law[0].runs, 21);
    for (int c = 0; c <= LAB_LAW_BETA; c++)
        cr_expect_eq(found.laws->law[0].law.value[c], other.laws->law[0].law.value[c]);
    lab_sweep_laws_destroy(&other.laws);
    lab_minima_destroy(&other.minima);
    release(&found, ctx);
    peer_ctx_destroy(&ctx);
}

Test(sweep_laws, have_the_same_bits_for_any_number_of_threads)
{
    struct sweep sweep = make(LAB_LAW_JOINT, desk, 3, 5, 2, 0.002);
    struct peer_ctx *one = context(1), *three = context(3);
    struct found a = fit(one, sweep.run, sweep.count), b = fit(three, sweep.run, sweep.count);
    for (int i = 0; i < 3; i++) {
        struct lab_interval x = a.laws->law[0].best[i].range.params;
        struct lab_interval y = b.laws->law[0].best[i].range.params;
        cr_expect(x.known && x.low == y.low && x.high == y.high);
    }
    release(&a, one);
    release(&b, three);
    peer_ctx_destroy(&one);
    peer_ctx_destroy(&three);
}

struct watched {
    double done, total;
    int calls, allowed; /* looks at stop before it says so */
};

static void watch_progress(void *user, double done, double total)
{
    struct watched *watched = user;
    cr_expect_gt(done, watched->done);
    watched->done = done;
    watched->total = total;
}

static bool watch_stop(void *user)
{
    struct watched *watched = user;
    return watched->calls++ >= watched->allowed;
}

Test(sweep_laws, report_and_stop)
{
    struct sweep sweep = make(LAB_LAW_JOINT, desk, 3, 4, 1, 0.002);
    struct peer_ctx *ctx = context(1);
    struct lab_minima *minima = NULL;
    cr_assert_eq(lab_minima_create(&minima, ctx, sweep.run, sweep.count), PEER_OK);
    size_t held = peer_ctx_bytes(ctx);
    for (int allowed = 0; allowed < 40; allowed += 13) {
        struct lab_sweep_laws *laws = NULL;
        struct watched watched = {0, 0, 0, allowed};
        struct lab_watch watch = {&watched, watch_progress, watch_stop};
        enum peer_status status =
            lab_sweep_laws_create(&laws, ctx, minima, sweep.run, sweep.count, &watch);
        if (allowed < 26) {
            cr_expect_eq(status, PEER_ERR_STOPPED);
            cr_expect_str_eq(peer_ctx_error(ctx), "stopped; nothing is written");
            cr_expect_null(laws);
        } else {
            cr_expect_eq(status, PEER_OK);
            cr_expect_eq(watched.done, LAB_LAW_DRAWS);
            cr_expect_eq(watched.total, LAB_LAW_DRAWS);
        }
        lab_sweep_laws_destroy(&laws);
        cr_expect_eq(peer_ctx_bytes(ctx), held);
    }
    lab_minima_destroy(&minima);
    peer_ctx_destroy(&ctx);
}

struct given {
    const struct lab_minima *minima;
    const struct sweep *sweep;
};

static enum peer_status create_laws(void **ret, struct peer_ctx *ctx, const void *config)
{
    const struct given *given = config;
    return lab_sweep_laws_create((struct lab_sweep_laws **)ret, ctx, given->minima,
                                 given->sweep->run, given->sweep->count, NULL);
}

static void destroy_laws(void **object)
{
    lab_sweep_laws_destroy((struct lab_sweep_laws **)object);
}

Test(sweep_laws, survive_every_failed_allocation)
{
    struct sweep sweep = make(LAB_LAW_JOINT, desk, 3, 3, 1, 0.002);
    struct peer_ctx *ctx = context(1);
    struct given given = {NULL, &sweep};
    struct lab_minima *minima = NULL;
    cr_assert_eq(lab_minima_create(&minima, ctx, sweep.run, sweep.count), PEER_OK);
    given.minima = minima;
    cr_expect_gt(failing_every_allocation(create_laws, destroy_laws, &given), 10);
    lab_minima_destroy(&minima);
    peer_ctx_destroy(&ctx);
}

/* Puts a run into the store as if it had been trained: `row` says what came out. */
static void add_run(struct peer_ctx *ctx, struct lab_store *store, const struct tempdir *dir,
                    const struct lab_result *row, enum peer_norm norm)
{
    struct lab_run_config config;
    int64_t id = 0;
    lab_run_config_default(&config, 32, 2, peer_ffw_find("peer"));
    struct peer_layer_config *layer = (struct peer_layer_config *)(void *)config.ffw_config;
    layer->heads = row->granularity >= 4 ? 2 : 1;
    layer->kept = row->granularity / layer->heads;
    layer->query_norm = norm;
    snprintf(config.variant, sizeof config.variant, "%.47s", row->variant);
    config.model.vocab = 300;
    config.budget = row->budget;
    config.train.steps = row->id;
    cr_assert_eq(lab_store_add(store, &id, &config, row->budget), PEER_OK);
    cr_assert_eq(lab_run_result_write(ctx, dir->path, row), PEER_OK);
    cr_assert_eq(lab_store_set(store, id, LAB_DONE, NULL, dir->path), PEER_OK, "%s",
                 peer_ctx_error(ctx));
}

/* What the law needs of the configs comes back from the store. */
Test(sweep_laws, read_granularity_from_a_store)
{
    struct sweep sweep = make(LAB_LAW_GRANULARITY, granular, 3, 4, 1, 0);
    struct peer_ctx *ctx = context(1);
    struct tempdir dir = tempdir_create();
    struct lab_store *store = NULL;
    cr_assert_eq(lab_store_open(&store, ctx, dir.path, true), PEER_OK);
    for (int64_t i = 0; i < sweep.count; i++)
        add_run(ctx, store, &dir, &sweep.run[i], PEER_NORM_BATCH);
    snprintf(sweep.run[0].variant, sizeof sweep.run[0].variant, "other");
    add_run(ctx, store, &dir, &sweep.run[0], PEER_NORM_NONE);
    struct lab_result *rows = NULL;
    int64_t count = 0;
    cr_assert_eq(lab_store_results(store, &rows, &count), PEER_OK);
    cr_assert_eq(count, sweep.count + 1);
    for (int64_t i = 0; i < sweep.count; i++) {
        cr_expect_eq(rows[i].granularity, sweep.run[i].granularity);
        cr_expect_eq(rows[i].vocab, 300);
        cr_expect_eq(rows[i].design, rows[0].design);
    }
    cr_expect_neq(rows[count - 1].design, rows[0].design);
    struct found found = fit(ctx, rows, count);
    const struct lab_sweep_law *law = &found.laws->law[found.laws->count - 2];
    cr_assert(law->law.fitted, "%s", law->law.reason);
    cr_expect_eq(law->variants, 4);
    cr_expect_eq(law->runs, sweep.count);
    expect_near(law->law.value[LAB_LAW_GAMMA], granular[LAB_LAW_GAMMA], 1e-3, "gamma");
    release(&found, ctx);
    lab_results_free(&rows, count);
    lab_store_close(&store);
    tempdir_remove(&dir);
    peer_ctx_destroy(&ctx);
}
