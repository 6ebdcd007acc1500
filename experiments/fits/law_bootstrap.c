/* SPDX-License-Identifier: MIT */
#include "experiments/fits/law_bootstrap.h"

#include <math.h>
#include <string.h>

#include "experiments/fits/bfgs.h"
#include "experiments/fits/law_data.h"
#include "nn/parallel.h"
#include "nn/random.h"

/* What is kept of a draw: the constants, the exponent, then N, D and loss of each point's optimum.
 */
enum { EXPONENT = LAB_LAW_CONSTANTS, OPTIMA, PER_POINT = 3 };

enum { BATCH = 64 }; /* draws between two looks at config->stop */

struct bootstrap {
    const struct lab_law_bootstrap *config;
    struct lab_law law;
    struct lab_law_data data;
    double theta[LAB_LAW_CONSTANTS];
    int64_t numbers; /* of the random stream that a draw takes */
    int64_t first;   /* draw of this batch */
    double *fitted;  /* [settings]: the law's log losses */
    double *drawn;   /* [threads, settings]: log losses, or how often each setting counts */
    double *kept;    /* [OPTIMA + PER_POINT * points, draws]; NaN where a draw is lost */
};

/* The stream's place where a draw begins. */
static uint64_t begin(const struct bootstrap *b, int64_t draw)
{
    return (uint64_t)(draw * b->numbers);
}

static void draw_noise(double *y, const struct bootstrap *b, int64_t draw)
{
    uint64_t index = begin(b, draw), stream = peer_stream("law");
    for (int64_t i = 0; i < b->data.sizes.count; i++)
        y[i] = b->fitted[i] + lab_sizes_noise(&b->data.sizes, i, b->config->seed, stream, &index);
}

static void draw_settings(double *times, const struct bootstrap *b, int64_t draw)
{
    uint64_t index = begin(b, draw), stream = peer_stream("law settings");
    int64_t settings = b->data.sizes.count;
    for (int64_t i = 0; i < settings; i++)
        times[i] = 0;
    for (int64_t i = 0; i < settings; i++)
        times[peer_random_below(b->config->seed, stream, index++, (uint32_t)settings)]++;
}

static void keep(const struct bootstrap *b, int64_t draw, const struct lab_law *law)
{
    int64_t draws = b->config->draws;
    double *row = b->kept + draw;
    for (int c = 0; c < LAB_LAW_CONSTANTS; c++, row += draws)
        *row = law->value[c];
    *row = lab_law_at(law, 1, 1).exponent;
    for (int64_t i = 0; i < b->config->points; i++, row += PER_POINT * draws) {
        const struct lab_law_point *point = &b->config->point[i];
        struct lab_law_optimum best = lab_law_at(law, point->flops, point->granularity);
        row[draws] = best.params;
        row[2 * draws] = best.tokens;
        row[3 * draws] = best.loss;
    }
}

static void one_draw(void *job, int64_t tile, int thread)
{
    const struct bootstrap *b = job;
    int64_t draw = b->first + tile;
    double theta[LAB_LAW_CONSTANTS], *drawn = b->drawn + thread * b->data.sizes.count;
    struct lab_law_job fit = {&b->data, b->data.y, NULL};
    if (b->config->resample == LAB_LAW_SETTINGS) {
        draw_settings(drawn, b, draw);
        fit.times = drawn;
    } else {
        draw_noise(drawn, b, draw);
        fit.y = drawn;
    }
    memcpy(theta, b->theta, sizeof theta);
    struct lab_law law = b->law;
    if (isfinite(lab_bfgs(theta, b->data.constants, lab_law_objective, &fit)))
        lab_law_from_theta(law.value, &b->data, theta);
    else
        for (int i = 0; i < LAB_LAW_CONSTANTS; i++)
            law.value[i] = NAN;
    keep(b, draw, &law);
}

static enum peer_status run_draws(struct bootstrap *b, struct peer_ctx *ctx)
{
    const struct lab_law_bootstrap *config = b->config;
    for (b->first = 0; b->first < config->draws; b->first += BATCH) {
        if (config->stop && config->stop(config->user))
            return peer_fail(ctx, PEER_ERR_STOPPED,
                             "lab_law_intervals: stopped after %lld of %lld draws",
                             (long long)b->first, (long long)config->draws);
        int64_t left = config->draws - b->first, batch = peer_min(left, BATCH);
        peer_parallel(ctx, batch, one_draw, b);
        if (config->progress)
            config->progress(config->user, b->first + batch, config->draws);
    }
    return PEER_OK;
}

static struct lab_law_intervals nothing(const char *note)
{
    struct lab_law_intervals ret = {.note = note};
    for (int c = 0; c < LAB_LAW_CONSTANTS; c++)
        ret.value[c] = lab_interval_unknown();
    ret.exponent = lab_interval_unknown();
    return ret;
}

static void no_ranges(struct lab_law_range *ranges, int64_t points)
{
    struct lab_interval unknown = lab_interval_unknown();
    for (int64_t i = 0; i < points; i++)
        ranges[i] = (struct lab_law_range){unknown, unknown, unknown};
}

static const char *basis(const struct bootstrap *b)
{
    if (b->config->resample == LAB_LAW_SETTINGS)
        return "from settings drawn with replacement";
    return b->data.sizes.spread > 0
               ? "from residuals and the noise of seeds"
               : "from residuals only: 1 seed per setting, their noise is unknown";
}

static struct lab_law_intervals read_draws(struct lab_law_range *ranges, const struct bootstrap *b)
{
    int64_t draws = b->config->draws;
    struct lab_law_intervals ret = nothing(basis(b));
    ret.draws = draws;
    for (int64_t i = 0; i < draws; i++)
        ret.lost += isnan(b->kept[i]);
    for (int c = 0; c < b->data.constants; c++)
        ret.value[c] = lab_interval_draws(b->kept + c * draws, draws);
    ret.exponent = lab_interval_draws(b->kept + EXPONENT * draws, draws);
    double *row = b->kept + OPTIMA * draws;
    for (int64_t i = 0; i < b->config->points; i++, row += PER_POINT * draws) {
        ranges[i].params = lab_interval_draws(row, draws);
        ranges[i].tokens = lab_interval_draws(row + draws, draws);
        ranges[i].loss = lab_interval_draws(row + 2 * draws, draws);
    }
    return ret;
}

/* The law's own losses, and how much noise a draw adds to them. */
static enum peer_status prepare(struct bootstrap *b, struct peer_ctx *ctx, struct peer_pool *pool)
{
    int64_t settings = b->data.sizes.count;
    b->fitted = peer_pool_alloc(pool, "fitted losses", sizeof(double), settings, 1, 1);
    b->drawn = peer_pool_alloc(pool, "draw", sizeof(double), peer_ctx_threads(ctx), settings, 1);
    b->kept = peer_pool_alloc(pool, "draws", sizeof(double), OPTIMA + PER_POINT * b->config->points,
                              b->config->draws, 1);
    if (pool->failed)
        return PEER_ERR_MEMORY;
    lab_law_to_theta(b->theta, &b->data, b->law.value);
    struct lab_law again = lab_law_empty(&b->data);
    enum peer_status status = lab_law_describe(&again, &b->data, ctx, b->theta);
    for (int64_t i = 0; i < settings; i++) {
        b->fitted[i] = lab_law_predict(&b->data, &b->data.setting[i], b->theta, NULL);
        b->numbers += lab_sizes_draws(&b->data.sizes, i);
    }
    return status;
}

static enum peer_status resample(struct lab_law_intervals *ret, struct lab_law_range *ranges,
                                 struct bootstrap *b, struct peer_ctx *ctx, struct peer_pool *pool)
{
    enum peer_status status = prepare(b, ctx, pool);
    if (status != PEER_OK)
        return status;
    if (!lab_sizes_weigh(&b->data.sizes, b->data.constants)) {
        *ret = nothing("no interval: no noise to resample");
        no_ranges(ranges, b->config->points);
        return PEER_OK;
    }
    status = run_draws(b, ctx);
    if (status == PEER_OK)
        *ret = read_draws(ranges, b);
    return status;
}

enum peer_status lab_law_intervals(struct lab_law_intervals *ret, struct lab_law_range *ranges,
                                   struct peer_ctx *ctx, const struct lab_law *law,
                                   const struct lab_law_run *run, int64_t count,
                                   const struct lab_law_bootstrap *config)
{
    if (config->draws < 1)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "lab_law_intervals: %lld draws, want >= 1",
                         (long long)config->draws);
    if (!law->fitted) {
        *ret = nothing("no interval: the law is not fitted");
        no_ranges(ranges, config->points);
        return PEER_OK;
    }
    struct peer_pool pool = {.ctx = ctx};
    struct bootstrap b = {.config = config, .law = *law};
    enum peer_status status = lab_law_data_build(&b.data, &pool, law->form, run, count);
    if (status == PEER_OK)
        status = resample(ret, ranges, &b, ctx, &pool);
    peer_pool_free(&pool);
    return status;
}
