/* SPDX-License-Identifier: MIT */
#include "experiments/fits/trend.h"

#include <math.h>

static bool counts(const struct lab_trend_run *run)
{
    return isfinite(run->x) && isfinite(run->y);
}

/* The runs of one seed. */
struct block {
    int64_t runs;
    double x, y; /* means */
    double low, high;
};

static struct block block_of(const struct lab_trend_run *run, int64_t count, uint64_t seed)
{
    struct block block = {0, 0, 0, INFINITY, -INFINITY};
    for (int64_t i = 0; i < count; i++) {
        if (run[i].seed != seed || !counts(&run[i]))
            continue;
        block.runs++;
        block.x += (run[i].x - block.x) / (double)block.runs;
        block.y += (run[i].y - block.y) / (double)block.runs;
        block.low = fmin(block.low, run[i].x);
        block.high = fmax(block.high, run[i].x);
    }
    return block;
}

static bool first_of_seed(const struct lab_trend_run *run, int64_t which)
{
    for (int64_t i = 0; i < which; i++)
        if (run[i].seed == run[which].seed)
            return false;
    return true;
}

/* Sums over runs of products of deviations from their seed's means. */
struct products {
    double xx, xy, rest; /* rest: squared residuals about `slope` */
    double x, y;         /* sums of the runs' own values */
};

static struct products add_products(const struct lab_trend_run *run, int64_t count, double slope)
{
    struct products sum = {0};
    for (int64_t i = 0; i < count; i++) {
        struct block block = block_of(run, count, run[i].seed);
        if (!counts(&run[i]) || !(block.low < block.high))
            continue;
        double x = run[i].x - block.x, y = run[i].y - block.y, rest = y - slope * x;
        sum.xx += x * x;
        sum.xy += x * y;
        sum.rest += rest * rest;
        sum.x += run[i].x;
        sum.y += run[i].y;
    }
    return sum;
}

/* The mean over shared seeds of y at `right` minus y at `left`; NaN without one. */
static double step_between(const struct lab_trend_run *run, int64_t count, double left,
                           double right)
{
    double sum = 0;
    int64_t pairs = 0;
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j < count; j++)
            if (run[i].seed == run[j].seed && run[i].x == left && run[j].x == right &&
                counts(&run[i]) && counts(&run[j])) {
                sum += run[j].y - run[i].y;
                pairs++;
            }
    return pairs > 0 ? sum / (double)pairs : NAN;
}

static void compare_neighbours(struct lab_trend *trend, const struct lab_trend_run *run,
                               int64_t count)
{
    for (double left = -INFINITY, right;; left = right) {
        right = INFINITY;
        for (int64_t i = 0; i < count; i++)
            if (counts(&run[i]) && run[i].x > left && run[i].x < right)
                right = run[i].x;
        if (isinf(right))
            return;
        double step = step_between(run, count, left, right);
        trend->neighbours += !isnan(step);
        trend->falling += step < 0;
        trend->rising += step > 0;
    }
}

struct lab_trend lab_trend_of(const struct lab_trend_run *run, int64_t count)
{
    struct lab_trend trend = {.slope = NAN,
                              .error = NAN,
                              .x = NAN,
                              .y = NAN,
                              .deviation = NAN,
                              .interval = lab_interval_unknown()};
    for (int64_t i = 0; i < count; i++) {
        struct block block = block_of(run, count, run[i].seed);
        if (!first_of_seed(run, i) || !(block.low < block.high))
            continue;
        trend.seeds++;
        trend.runs += block.runs;
    }
    compare_neighbours(&trend, run, count);
    trend.note = "no seed has two settings";
    if (trend.seeds == 0)
        return trend;
    struct products sum = add_products(run, count, 0);
    trend.slope = sum.xy / sum.xx;
    trend.x = sum.x / (double)trend.runs;
    trend.y = sum.y / (double)trend.runs;
    trend.note = "no interval: 1 seed";
    if (trend.seeds < 2)
        return trend;
    trend.freedom = (double)(trend.runs - trend.seeds - 1);
    trend.deviation = sqrt(add_products(run, count, trend.slope).rest / trend.freedom);
    trend.error = trend.deviation / sqrt(sum.xx);
    trend.interval = lab_interval_student(trend.slope, trend.error, trend.freedom);
    trend.note = "";
    return trend;
}

struct lab_trend_point lab_trend_at(const struct lab_trend *trend, double x)
{
    double off = x - trend->x;
    struct lab_trend_point point = {trend->y + trend->slope * off, lab_interval_unknown()};
    double mean = trend->deviation / sqrt((double)trend->runs), line = trend->error * off;
    if (trend->interval.known)
        point.interval = lab_interval_student(point.y, hypot(mean, line), trend->freedom);
    return point;
}
