/* SPDX-License-Identifier: MIT */
#include "experiments/fits/minima.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/pool.h"
#include "nn/random.h"

const char *const lab_axis_names[] = {"active", "total", NULL};

struct owned {
    struct lab_minima minima;
    struct peer_pool pool;
};

static int rising(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static int64_t find_variant(const struct lab_minima *minima, const char *name)
{
    int64_t i = 0;
    while (i < minima->variants && strcmp(minima->variant[i], name))
        i++;
    return i;
}

static int64_t find_budget(const struct lab_minima *minima, double budget)
{
    int64_t i = 0;
    while (i < minima->budgets && minima->budget[i] != budget)
        i++;
    return i;
}

const struct lab_curve *lab_minima_find(const struct lab_minima *minima,
                                        const struct lab_result *result)
{
    return &minima->curve[find_budget(minima, result->budget) * minima->variants +
                          find_variant(minima, result->variant)];
}

struct name {
    const char *variant, *ffw;
    int64_t most; /* parameters of its largest run */
};

/* Dense first, then by type, then small before large. */
static int by_type_then_size(const void *left, const void *right)
{
    const struct name *a = left, *b = right;
    bool a_dense = !strcmp(a->ffw, "dense"), b_dense = !strcmp(b->ffw, "dense");
    if (a_dense != b_dense)
        return a_dense ? -1 : 1;
    int types = strcmp(a->ffw, b->ffw);
    if (types || a->most == b->most)
        return types ? types : strcmp(a->variant, b->variant);
    return a->most < b->most ? -1 : 1;
}

/* `names` is scratch for `count` entries. */
static void list_names(struct lab_minima *minima, struct name *names,
                       const struct lab_result *results, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t place = find_variant(minima, results[i].variant);
        if (place == minima->variants) {
            minima->variant[minima->variants++] = results[i].variant;
            names[place] = (struct name){results[i].variant, results[i].ffw, 0};
        }
        if (results[i].params_total > names[place].most)
            names[place].most = results[i].params_total;
        if (find_budget(minima, results[i].budget) == minima->budgets)
            minima->budget[minima->budgets++] = results[i].budget;
    }
    qsort(names, (size_t)minima->variants, sizeof *names, by_type_then_size);
    for (int64_t i = 0; i < minima->variants; i++)
        minima->variant[i] = names[i].variant;
    qsort(minima->budget, (size_t)minima->budgets, sizeof *minima->budget, rising);
}

bool lab_result_counts(const struct lab_result *result)
{
    return result->state == LAB_DONE && isfinite(result->nats) && result->params_active > 0 &&
           result->params_total > 0;
}

static int64_t seeds_of_size(const struct lab_result *results, int64_t count, int64_t which)
{
    int64_t seeds = 0;
    for (int64_t i = 0; i < count; i++)
        seeds += lab_result_counts(&results[i]) && results[i].budget == results[which].budget &&
                 results[i].params_total == results[which].params_total &&
                 results[i].params_active == results[which].params_active &&
                 !strcmp(results[i].variant, results[which].variant);
    return seeds;
}

static void tally(struct lab_minima *minima, const struct lab_result *results, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const struct lab_result *result = &results[i];
        int64_t place = lab_minima_find(minima, result) - minima->curve;
        struct lab_curve *curve = &minima->curve[place];
        for (int64_t b = 0; b < minima->budgets; b++)
            minima->curve[b * minima->variants + place % minima->variants].ffw = result->ffw;
        curve->states[result->state]++;
        if (!lab_result_counts(result))
            continue;
        int64_t seeds = seeds_of_size(results, count, i);
        if (seeds > curve->seeds)
            curve->seeds = seeds;
        if (!curve->best || result->nats < curve->best->nats)
            curve->best = result;
    }
}

/* x and y are scratch for `count` points. */
static enum peer_status fit_curve(struct lab_curve *curve, struct peer_ctx *ctx,
                                  const struct lab_result *results, int64_t count, double *x,
                                  double *y)
{
    enum peer_status status = PEER_OK;
    for (int axis = 0; status == PEER_OK && axis < LAB_AXIS_COUNT; axis++) {
        int64_t n = 0;
        for (int64_t i = 0; i < count; i++) {
            const struct lab_result *r = &results[i];
            if (!lab_result_counts(r) || r->budget != curve->budget ||
                strcmp(r->variant, curve->variant))
                continue;
            x[n] = log10((double)(axis == LAB_ACTIVE ? r->params_active : r->params_total));
            y[n++] = r->nats;
        }
        uint64_t budget;
        memcpy(&budget, &curve->budget, sizeof budget);
        uint64_t seed = peer_stream(curve->variant) ^ budget ^ (uint64_t)axis;
        status = lab_fit_parabola(&curve->fit[axis], ctx, x, y, n, seed);
        if (status == PEER_OK)
            status = lab_akima_minimum(&curve->akima[axis], ctx, x, y, n);
    }
    return status;
}

/* The curves of one budget, [variants]. */
static const struct lab_curve *find_base(const struct lab_curve *curves, int64_t variants)
{
    const struct lab_curve *base = NULL;
    for (int64_t i = 0; i < variants; i++) {
        if (strcmp(curves[i].ffw, "dense"))
            continue;
        const struct lab_fit *fit = &curves[i].fit[LAB_ACTIVE];
        const struct lab_fit *best = base ? &base->fit[LAB_ACTIVE] : NULL;
        if (!best || (fit->minimum && (!best->minimum || fit->y < best->y)))
            base = &curves[i];
    }
    return base;
}

static struct lab_difference compare(const struct lab_curve *curve, enum lab_axis axis)
{
    struct lab_difference none = {NAN, {false, NAN, NAN}, ""};
    const struct lab_fit *fit = &curve->fit[axis];
    if (!curve->base)
        none.note = "no dense variant at this budget";
    else if (curve->base == curve)
        none.note = "the base";
    else if (!fit->minimum)
        none.note = fit->reason;
    else if (!curve->base->fit[axis].minimum)
        none.note = "dense has no minimum at this budget";
    if (*none.note)
        return none;
    const struct lab_fit *base = &curve->base->fit[axis];
    struct lab_interval interval = lab_fit_difference(fit, base);
    return (struct lab_difference){fit->y - base->y, interval,
                                   interval.known ? "" : "no interval: one of the fits has none"};
}

enum peer_status lab_minima_create(struct lab_minima **ret, struct peer_ctx *ctx,
                                   const struct lab_result *results, int64_t count)
{
    struct peer_pool pool = {.ctx = ctx};
    struct owned *owned = peer_pool_alloc(&pool, "minima", sizeof *owned, 1, 1, 1);
    if (!owned)
        return PEER_ERR_MEMORY;
    struct lab_minima *minima = &owned->minima;
    minima->owner = owned;
    minima->variant = peer_pool_alloc(&pool, "variants", sizeof *minima->variant, count, 1, 1);
    minima->budget = peer_pool_alloc(&pool, "budgets", sizeof *minima->budget, count, 1, 1);
    double *x = peer_pool_alloc(&pool, "points", sizeof(double), 2, count, 1);
    struct name *names = peer_pool_alloc(&pool, "names", sizeof *names, count, 1, 1);
    if (!pool.failed) {
        list_names(minima, names, results, count);
        minima->curve = peer_pool_alloc(&pool, "curves", sizeof *minima->curve, minima->budgets,
                                        minima->variants, 1);
    }
    enum peer_status status = pool.failed ? PEER_ERR_MEMORY : PEER_OK;
    int64_t curves = minima->budgets * minima->variants;
    for (int64_t i = 0; status == PEER_OK && i < curves; i++) {
        minima->curve[i].budget = minima->budget[i / minima->variants];
        minima->curve[i].variant = minima->variant[i % minima->variants];
    }
    if (status == PEER_OK)
        tally(minima, results, count);
    for (int64_t i = 0; status == PEER_OK && i < curves; i++)
        status = fit_curve(&minima->curve[i], ctx, results, count, x, x + count);
    if (status != PEER_OK) {
        peer_pool_free(&pool);
        return status;
    }
    for (int64_t i = 0; i < curves; i++) {
        const struct lab_curve *row = &minima->curve[i - i % minima->variants];
        minima->curve[i].base = find_base(row, minima->variants);
        for (int axis = 0; axis < LAB_AXIS_COUNT; axis++)
            minima->curve[i].difference[axis] = compare(&minima->curve[i], axis);
    }
    owned->pool = pool;
    *ret = minima;
    return PEER_OK;
}

void lab_minima_destroy(struct lab_minima **minima)
{
    if (!minima || !*minima)
        return;
    struct owned *owned = (*minima)->owner;
    struct peer_pool pool = owned->pool;
    peer_pool_free(&pool);
    *minima = NULL;
}
