/* SPDX-License-Identifier: MIT */
#include "experiments/study/outlook.h"

#include <math.h>
#include <stdlib.h>

#include "experiments/study/findings.h"

/* A value of a row, NaN where it has none: of the run itself, or of it and its pair. */
struct quantity {
    int base; /* the pair's variant; -1 = none */
    double (*value)(const struct lab_result *result, const struct lab_result *base);
};

static double difference(const struct lab_result *result, const struct lab_result *base)
{
    return result->nats - base->nats;
}

static double used(const struct lab_result *result, const struct lab_result *base)
{
    (void)base;
    return result->usages ? 100 * result->usage[0].report.score.used : NAN;
}

static double unevenness(const struct lab_result *result, const struct lab_result *base)
{
    (void)base;
    return result->usages ? result->usage[0].report.score.unevenness : NAN;
}

/* The trend of a quantity of a variant; runs is room for as many as there are rows. */
static void fit(struct lab_outlook *ret, struct lab_trend_run *runs, const struct lab_finding *fig1,
                int variant, const struct quantity *of)
{
    const struct lab_part_rows *rows = &fig1->rows;
    int64_t count = 0;
    for (int64_t i = 0; i < rows->count; i++) {
        const struct lab_part_row *row = &rows->row[i], *base = row;
        if (row->variant != variant || !lab_row_done(row))
            continue;
        if (of->base >= 0)
            base = lab_part_find(rows, of->base, row->size, row->budget, row->seed);
        double value = base ? of->value(row->result, base->result) : NAN;
        if (!isfinite(value))
            continue;
        ret->budget = fmax(ret->budget, rows->part->budget[row->budget]);
        runs[count++] = (struct lab_trend_run){
            .x = log10(rows->part->budget[row->budget]),
            .seed = (uint64_t)(row->seed * LAB_STUDY_SIZES + row->size),
            .y = value,
        };
    }
    ret->trend = lab_trend_of(runs, count);
    ret->here = lab_trend_at(&ret->trend, log10(ret->budget));
    ret->ahead = lab_trend_at(&ret->trend, log10(ret->budget) + 1);
}

static struct lab_outlook *next(struct lab_findings *f, const char *unit)
{
    struct lab_outlook *outlook = &f->outlook[f->outlooks++];
    *outlook = (struct lab_outlook){.unit = unit};
    return outlook;
}

enum peer_status lab_outlook_make(struct lab_findings *f, struct peer_ctx *ctx)
{
    static const struct quantity use[] = {{-1, used}, {-1, unevenness}};
    static const char *const names[] = {"usage", "unevenness"}, *const units[] = {"% of experts",
                                                                                  "nats"};
    const struct lab_finding *fig1 = lab_findings_part(f, "fig1");
    f->outlooks = 0;
    if (!fig1 || fig1->rows.part->budgets < 2)
        return PEER_OK;
    const struct lab_part *part = fig1->rows.part;
    int last = part->variant[part->variants - 1];
    const char *name = f->study->variant[last].name;
    struct lab_trend_run *runs = calloc((size_t)fig1->rows.count + 1, sizeof *runs);
    if (!runs)
        return peer_fail(ctx, PEER_ERR_MEMORY, "no memory for trends");
    for (int64_t v = 0; v + 1 < part->variants; v++) {
        struct lab_outlook *outlook = next(f, "nats");
        const struct quantity of = {part->variant[v], difference};
        snprintf(outlook->text, sizeof outlook->text, "%s minus %s", name,
                 f->study->variant[part->variant[v]].name);
        outlook->difference = true;
        fit(outlook, runs, fig1, last, &of);
    }
    for (int i = 0; i < 2; i++) {
        struct lab_outlook *outlook = next(f, units[i]);
        snprintf(outlook->text, sizeof outlook->text, "%s of %s", names[i], name);
        fit(outlook, runs, fig1, last, &use[i]);
        f->outlooks -= outlook->budget == 0; /* its layer has no experts */
    }
    free(runs);
    return PEER_OK;
}
