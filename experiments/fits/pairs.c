/* SPDX-License-Identifier: MIT */
#include "experiments/fits/pairs.h"

#include <math.h>
#include <stddef.h>

/* Of the finite values of a list. */
struct moments {
    int64_t count;
    double mean, squares; /* squared deviations from the mean, added up */
};

static void add(struct moments *m, double x)
{
    double step = x - m->mean;
    m->mean += step / (double)++m->count;
    m->squares += step * (x - m->mean);
}

static struct moments moments_of(const double *x, int64_t count)
{
    struct moments m = {0, 0, 0};
    for (int64_t i = 0; i < count; i++)
        if (isfinite(x[i]))
            add(&m, x[i]);
    return m;
}

static double variance_of(struct moments m)
{
    return m.count > 1 ? m.squares / (double)(m.count - 1) : NAN;
}

/* With the interval that follows from the other fields. */
static struct lab_effect finish(struct lab_effect effect, const char *unknown)
{
    effect.interval = lab_interval_student(effect.mean, effect.error, effect.freedom);
    effect.note = effect.interval.known ? "" : unknown;
    return effect;
}

static struct lab_effect nothing(void)
{
    return (struct lab_effect){0, NAN, NAN, NAN, 0, lab_interval_unknown(), "no finished runs"};
}

struct lab_effect lab_effect_paired(const double *difference, int64_t count)
{
    struct moments m = moments_of(difference, count);
    if (m.count == 0)
        return nothing();
    double variance = variance_of(m);
    return finish((struct lab_effect){.seeds = m.count,
                                      .mean = m.mean,
                                      .deviation = sqrt(variance),
                                      .error = sqrt(variance / (double)m.count),
                                      .freedom = (double)(m.count - 1)},
                  "no interval: 1 seed");
}

/* The finite differences of the size of pair `which`, where no earlier one has that size. */
static struct moments size_moments(const struct lab_pair *pair, int64_t count, int64_t which)
{
    struct moments m = {0, 0, 0};
    for (int64_t i = 0; i < count; i++) {
        if (pair[i].size != pair[which].size || !isfinite(pair[i].difference))
            continue;
        if (i < which)
            return m;
        add(&m, pair[i].difference);
    }
    return m;
}

/* How the means of sizes lie, and what seeds say of it. */
struct scatter {
    int64_t pairs;
    struct moments means; /* one per size */
    double within;        /* squared deviations within sizes, added up */
    double inverse;       /* 1 / pairs of a size, added up */
};

static struct scatter scatter_of(const struct lab_pair *pair, int64_t count)
{
    struct scatter s = {0};
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(pair[i].difference))
            continue;
        struct moments m = size_moments(pair, count, i);
        if (m.count == 0)
            continue;
        s.pairs += m.count;
        s.within += m.squares;
        s.inverse += 1 / (double)m.count;
        add(&s.means, m.mean);
    }
    return s;
}

struct lab_pooled lab_effect_pooled(const struct lab_pair *pair, int64_t count)
{
    struct scatter s = scatter_of(pair, count);
    struct lab_pooled pooled = {nothing(), s.means.count, NAN, lab_interval_unknown()};
    if (pooled.sizes == 0)
        return pooled;
    double sizes = (double)pooled.sizes, freedom = (double)(s.pairs - pooled.sizes);
    double variance = freedom > 0 ? s.within / freedom : NAN;
    double seeds = variance * s.inverse / sizes; /* variance of a size's mean */
    pooled.effect = finish((struct lab_effect){.seeds = s.pairs,
                                               .mean = s.means.mean,
                                               .deviation = sqrt(variance),
                                               .error = sqrt(seeds / sizes),
                                               .freedom = freedom},
                           "no interval: 1 seed per size");
    if (pooled.sizes < 2 || freedom <= 0)
        return pooled;
    double excess = fmax(0, variance_of(s.means) - seeds);
    double all = lab_satterthwaite(excess, sizes - 1, seeds, freedom);
    pooled.between = sqrt(excess);
    pooled.any_size =
        lab_interval_student(s.means.mean, sqrt((excess + seeds) / sizes), all > 0 ? all : freedom);
    return pooled;
}
