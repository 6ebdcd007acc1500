/* SPDX-License-Identifier: MIT */
#include "experiments/fits/best.h"

#include <math.h>
#include <stdlib.h>

#include "nn/pool.h"
#include "nn/random.h"

/* One setting: the mean loss of each choice over the seeds that ran them all. */
struct setting {
    double x; /* log setting */
    int64_t choices, seeds;
    const double *choice; /* [choices], rising */
    double *mean;         /* [choices] */
};

struct table {
    int64_t settings;
    struct setting *setting;
    double *choice, *mean; /* of all settings, one after the other */
    int64_t cells;         /* choices of all settings so far */
    double *deviation;     /* [deviations], of runs, unbiased in variance */
    int64_t deviations;
    double freedom;
};

bool lab_best_at_edge(double choice, double fewest, double most)
{
    return choice == most || (choice == fewest && fewest > 1);
}

static bool counts(const struct lab_choice_run *run)
{
    return isfinite(run->loss) && run->setting > 0 && run->choice > 0;
}

/* By setting, then by seed, then by choice. */
static int by_place(const void *left, const void *right)
{
    const struct lab_choice_run *a = left, *b = right;
    if (a->setting != b->setting)
        return a->setting < b->setting ? -1 : 1;
    if (a->seed != b->seed)
        return a->seed < b->seed ? -1 : 1;
    return (a->choice > b->choice) - (a->choice < b->choice);
}

static int rising(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void list_choices(struct setting *setting, double *choice, const struct lab_choice_run *run,
                         int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        choice[i] = run[i].choice;
    qsort(choice, (size_t)count, sizeof *choice, rising);
    for (int64_t i = 0; i < count; i++)
        if (setting->choices == 0 || choice[i] != choice[setting->choices - 1])
            choice[setting->choices++] = choice[i];
    setting->choice = choice;
    for (int64_t c = 0; c < setting->choices; c++)
        setting->mean[c] = 0; /* a setting that did not count may have left its own */
}

/* Whether the runs from `run` on, up to `count`, are one seed's with every choice once. */
static bool complete(const struct setting *setting, const struct lab_choice_run *run, int64_t count)
{
    if (count < setting->choices)
        return false;
    for (int64_t i = 0; i < setting->choices; i++)
        if (run[i].seed != run[0].seed || run[i].choice != setting->choice[i])
            return false;
    return true;
}

/* Adds the deviations of one seed, whose runs stand at `run`. */
static void add_deviations(struct table *table, const struct setting *setting,
                           const struct lab_choice_run *run, double scale)
{
    double level = 0;
    for (int64_t c = 0; c < setting->choices; c++)
        level += (run[c].loss - setting->mean[c]) / (double)setting->choices;
    for (int64_t c = 0; c < setting->choices; c++)
        table->deviation[table->deviations++] = scale * (run[c].loss - setting->mean[c] - level);
}

/* `run` holds the setting's runs, sorted by seed and choice. */
static void add_setting(struct table *table, const struct lab_choice_run *run, int64_t count)
{
    struct setting setting = {.x = log(run[0].setting), .mean = table->mean + table->cells};
    list_choices(&setting, table->choice + table->cells, run, count);
    for (int64_t i = 0; i < count; i++) {
        if (!complete(&setting, run + i, count - i))
            continue;
        setting.seeds++;
        for (int64_t c = 0; c < setting.choices; c++)
            setting.mean[c] += (run[i + c].loss - setting.mean[c]) / (double)setting.seeds;
    }
    if (setting.choices < LAB_BEST_CHOICES || setting.seeds < 1)
        return;
    double freedom = (double)((setting.choices - 1) * (setting.seeds - 1));
    double scale = freedom > 0 ? sqrt((double)(setting.choices * setting.seeds) / freedom) : 0;
    for (int64_t i = 0; i < count && freedom > 0; i++)
        if (complete(&setting, run + i, count - i))
            add_deviations(table, &setting, run + i, scale);
    table->freedom += freedom;
    table->cells += setting.choices;
    table->setting[table->settings++] = setting;
}

static int64_t lowest(const double *x, int64_t count)
{
    int64_t best = 0;
    for (int64_t i = 1; i < count; i++)
        if (x[i] < x[best])
            best = i;
    return best;
}

/* Of the log of choice best[i] on the log of setting i. */
static double slope_of(const struct table *table, const int64_t *best)
{
    double x = 0, xx = 0, xy = 0;
    for (int64_t i = 0; i < table->settings; i++)
        x += table->setting[i].x / (double)table->settings;
    for (int64_t i = 0; i < table->settings; i++) {
        double from = table->setting[i].x - x;
        xx += from * from;
        xy += from * log(table->setting[i].choice[best[i]]);
    }
    return xy / xx;
}

/* best[i] of one draw. `noisy` has room for the choices of a setting. */
static void draw(int64_t *best, const struct table *table, double *noisy, uint64_t seed,
                 uint64_t *index)
{
    uint64_t stream = peer_stream("best");
    double wider = lab_interval_widening(table->freedom);
    for (int64_t i = 0; i < table->settings; i++) {
        const struct setting *setting = &table->setting[i];
        for (int64_t c = 0; c < setting->choices; c++) {
            double sum = 0;
            for (int64_t s = 0; s < setting->seeds; s++)
                sum += table->deviation[peer_random_below(seed, stream, (*index)++,
                                                          (uint32_t)table->deviations)];
            noisy[c] = setting->mean[c] + wider * sum / (double)setting->seeds;
        }
        best[i] = lowest(noisy, setting->choices);
    }
}

static struct lab_best judge(const struct table *table, int64_t *best, double *noisy, uint64_t seed)
{
    struct lab_best ret = {.settings = table->settings,
                           .slope = NAN,
                           .interval = lab_interval_unknown(),
                           .note = "fewer than 2 settings with 3 choices"};
    for (int64_t i = 0; i < table->settings; i++) {
        const struct setting *setting = &table->setting[i];
        best[i] = lowest(setting->mean, setting->choices);
        ret.edges += lab_best_at_edge(setting->choice[best[i]], setting->choice[0],
                                      setting->choice[setting->choices - 1]);
        ret.seeds = i == 0 || setting->seeds < ret.seeds ? setting->seeds : ret.seeds;
    }
    if (table->settings < 2)
        return ret;
    ret.slope = slope_of(table, best);
    ret.note = "no interval: 1 seed";
    if (table->deviations == 0)
        return ret;
    double slopes[LAB_BEST_DRAWS];
    uint64_t index = 0;
    for (int64_t i = 0; i < LAB_BEST_DRAWS; i++) {
        draw(best, table, noisy, seed, &index);
        slopes[i] = slope_of(table, best);
    }
    ret.interval = lab_interval_draws(slopes, LAB_BEST_DRAWS);
    ret.note = "";
    return ret;
}

enum peer_status lab_best_slope(struct lab_best *ret, struct peer_ctx *ctx,
                                const struct lab_choice_run *run, int64_t count, uint64_t seed)
{
    struct peer_pool pool = {.ctx = ctx};
    struct lab_choice_run *sorted = peer_pool_alloc(&pool, "runs", sizeof *sorted, count, 1, 1);
    int64_t *best = peer_pool_alloc(&pool, "best choices", sizeof *best, count, 1, 1);
    double *noisy = peer_pool_alloc(&pool, "noisy means", sizeof *noisy, count, 1, 1);
    struct table table = {
        .setting = peer_pool_alloc(&pool, "settings", sizeof *table.setting, count, 1, 1),
        .choice = peer_pool_alloc(&pool, "choices", sizeof(double), count, 1, 1),
        .mean = peer_pool_alloc(&pool, "means", sizeof(double), count, 1, 1),
        .deviation = peer_pool_alloc(&pool, "deviations", sizeof(double), count, 1, 1)};
    if (pool.failed) {
        peer_pool_free(&pool);
        return PEER_ERR_MEMORY;
    }
    int64_t runs = 0;
    for (int64_t i = 0; i < count; i++)
        if (counts(&run[i]))
            sorted[runs++] = run[i];
    qsort(sorted, (size_t)runs, sizeof *sorted, by_place);
    for (int64_t i = 0, end; i < runs; i = end) {
        for (end = i; end < runs && sorted[end].setting == sorted[i].setting;)
            end++;
        add_setting(&table, sorted + i, end - i);
    }
    *ret = judge(&table, best, noisy, seed);
    peer_pool_free(&pool);
    return PEER_OK;
}
