/* SPDX-License-Identifier: MIT */
/* The paper's claims (He 2024, Figures 1, 3, 4 and Table 2), each judged by its interval alone. */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/study/findings.h"

/* A new claim with its text; NULL when the table is full. */
static struct lab_claim *claim_add(struct lab_findings *f, int direction, const char *unit,
                                   const char *format, ...) PEER_PRINTF(4, 5);

static struct lab_claim *claim_add(struct lab_findings *f, int direction, const char *unit,
                                   const char *format, ...)
{
    if (f->claims == LAB_MOST_CLAIMS)
        return NULL;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(f->text[f->claims], sizeof f->text[0], format, arguments);
    va_end(arguments);
    struct lab_claim *claim = &f->claim[f->claims];
    *claim = (struct lab_claim){.text = f->text[f->claims],
                                .unit = unit,
                                .direction = direction,
                                .effect = NAN,
                                .interval = lab_interval_unknown(),
                                .note = ""};
    f->claims++;
    return claim;
}

/* A claim that is borne out by an effect of several runs. */
static void judge(struct lab_findings *f, struct lab_claim *claim, double effect,
                  struct lab_interval interval, int64_t seeds, const char *note)
{
    if (!claim)
        return;
    char *kept = f->note[claim - f->claim];
    snprintf(kept, sizeof f->note[0], "%s", note);
    claim->effect = effect;
    claim->interval = interval;
    claim->seeds = seeds;
    claim->note = kept;
    claim->verdict = lab_claim_judge(claim->direction, interval);
}

static bool done(const struct lab_part_row *row)
{
    return row->result && row->result->state == LAB_DONE && isfinite(row->result->nats);
}

/* ---- Figure 1: minima at equal FLOPs ---- */

static const struct lab_curve *curve_of(const struct lab_minima *minima, const char *variant,
                                        double budget)
{
    for (int64_t i = 0; i < minima->budgets * minima->variants; i++)
        if (strcmp(minima->curve[i].variant, variant) == 0 && minima->curve[i].budget == budget)
            return &minima->curve[i];
    return NULL;
}

static void judge_minimum(struct lab_findings *f, const struct lab_minima *minima, const char *peer,
                          const char *rival, double budget)
{
    const struct lab_curve *a = curve_of(minima, peer, budget);
    const struct lab_curve *b = curve_of(minima, rival, budget);
    struct lab_claim *claim = claim_add(
        f, -1, "nats", "%s below %s at %.3g FLOPs, each at its best size", peer, rival, budget);
    if (!a || !b) {
        judge(f, claim, NAN, lab_interval_unknown(), 0, "not all runs are done");
        return;
    }
    const struct lab_fit *x = &a->fit[LAB_ACTIVE], *y = &b->fit[LAB_ACTIVE];
    int64_t seeds = a->seeds < b->seeds ? a->seeds : b->seeds;
    if (!x->minimum || !y->minimum)
        judge(f, claim, NAN, lab_interval_unknown(), seeds, !x->minimum ? x->reason : y->reason);
    else
        judge(f, claim, x->y - y->y, lab_fit_difference(x, y), seeds, "");
}

static void judge_fig1(struct lab_findings *f)
{
    const struct lab_finding *fig1 = lab_findings_part(f, "fig1");
    if (!fig1 || !fig1->minima)
        return;
    const struct lab_part *part = fig1->rows.part;
    const char *peer = f->study->variant[part->variant[part->variants - 1]].name;
    for (int64_t b = 0; b < part->budgets; b++)
        for (int64_t v = 0; v + 1 < part->variants; v++)
            judge_minimum(f, fig1->minima, peer, f->study->variant[part->variant[v]].name,
                          part->budget[b]);
}

/* ---- Figure 3: number of experts, and active ones ---- */

typedef double axis_of(const struct lab_part_row *row);

static double log10_experts(const struct lab_part_row *row)
{
    return log10(row->N);
}

static double log10_active(const struct lab_part_row *row)
{
    return log10((double)(row->heads * row->kept));
}

/* The slope of loss on the logarithm of something, over the runs that `take` admits. */
static enum peer_status judge_trend(struct lab_findings *f, struct peer_ctx *ctx,
                                    const struct lab_finding *finding, axis_of *axis,
                                    const bool *take, const char *text)
{
    const struct lab_part_rows *rows = &finding->rows;
    struct lab_trend_run *run = calloc((size_t)rows->count + 1, sizeof *run);
    int64_t count = 0;
    char note[160] = "";
    if (!run)
        return peer_fail(ctx, PEER_ERR_MEMORY, "no memory for a trend");
    for (int64_t i = 0; i < rows->count; i++)
        if (rows->row[i].N > 0 && done(&rows->row[i]) && (!take || take[i]))
            run[count++] = (struct lab_trend_run){.x = axis(&rows->row[i]),
                                                  .seed = (uint64_t)rows->row[i].seed,
                                                  .y = rows->row[i].result->nats};
    struct lab_trend trend = lab_trend_of(run, count);
    snprintf(note, sizeof note, "%s%s%lld of %lld neighbours falling", trend.note,
             *trend.note ? "; " : "", (long long)trend.falling, (long long)trend.neighbours);
    judge(f, claim_add(f, -1, "nats per decade", "%s", text), trend.slope, trend.interval,
          trend.seeds, note);
    free(run);
    return PEER_OK;
}

/* Rows of the variant with the lowest mean loss among those of equal h k. */
static void take_best(bool *take, const struct lab_finding *finding)
{
    const struct lab_part_rows *rows = &finding->rows;
    for (int64_t i = 0; i < rows->count; i++) {
        const struct lab_part_row *row = &rows->row[i];
        double own = lab_part_mean(rows, row->variant, row->size, row->budget, NULL);
        take[i] = true;
        for (int64_t j = 0; j < rows->count; j++) {
            const struct lab_part_row *other = &rows->row[j];
            if (other->heads * other->kept == row->heads * row->kept &&
                lab_part_mean(rows, other->variant, other->size, other->budget, NULL) < own)
                take[i] = false;
        }
    }
}

static enum peer_status judge_best_heads(struct lab_findings *f, struct peer_ctx *ctx,
                                         const struct lab_finding *finding)
{
    const struct lab_part_rows *rows = &finding->rows;
    struct lab_choice_run *run = calloc((size_t)rows->count + 1, sizeof *run);
    struct lab_best best;
    int64_t count = 0;
    if (!run)
        return peer_fail(ctx, PEER_ERR_MEMORY, "no memory for the best heads");
    for (int64_t i = 0; i < rows->count; i++)
        if (done(&rows->row[i]) && rows->row[i].heads > 0)
            run[count++] =
                (struct lab_choice_run){.setting = (double)(rows->row[i].heads * rows->row[i].kept),
                                        .choice = (double)rows->row[i].heads,
                                        .seed = (uint64_t)rows->row[i].seed,
                                        .loss = rows->row[i].result->nats};
    enum peer_status status = lab_best_slope(&best, ctx, run, count, 1);
    free(run);
    if (status == PEER_OK)
        judge(f,
              claim_add(f, 1, "log h per log hk",
                        "the best number of heads grows with the active experts h k"),
              best.slope, best.interval, best.seeds, best.note);
    return status;
}

static enum peer_status judge_fig3(struct lab_findings *f, struct peer_ctx *ctx)
{
    const struct lab_finding *a = lab_findings_part(f, "fig3a");
    const struct lab_finding *b = lab_findings_part(f, "fig3b");
    enum peer_status status = PEER_OK;
    if (a)
        status = judge_trend(f, ctx, a, log10_experts, NULL,
                             "loss falls with the number of experts N, at equal FLOPs");
    if (status != PEER_OK || !b)
        return status;
    bool *take = calloc((size_t)b->rows.count + 1, sizeof *take);
    if (!take)
        return peer_fail(ctx, PEER_ERR_MEMORY, "no memory for a trend");
    take_best(take, b);
    status = judge_trend(f, ctx, b, log10_active, take,
                         "loss falls with the active experts h k (best h of each), at equal FLOPs");
    free(take);
    return status == PEER_OK ? judge_best_heads(f, ctx, b) : status;
}

/* ---- Table 2 and Figure 4: BatchNorm of the queries ---- */

static double loss_of(const struct lab_result *result)
{
    return result->nats;
}

static double unevenness_of(const struct lab_result *result)
{
    return result->usages ? result->usage[0].report.score.unevenness : NAN;
}

/* The run that differs from `row` in the norm of the queries only. */
static const struct lab_part_row *twin_of(const struct lab_part_rows *rows,
                                          const struct lab_part_row *row, const char *norm)
{
    for (int64_t i = 0; i < rows->count; i++) {
        const struct lab_part_row *other = &rows->row[i];
        if (other->N == row->N && other->size == row->size && other->budget == row->budget &&
            other->seed == row->seed && other->heads == row->heads && other->kept == row->kept &&
            strcmp(other->norm, norm) == 0 && done(other))
            return other;
    }
    return NULL;
}

/* With BatchNorm minus without, over the pairs of a part. */
static enum peer_status judge_norm(struct lab_findings *f, struct peer_ctx *ctx, const char *name,
                                   const char *norm, double (*value)(const struct lab_result *),
                                   const char *what)
{
    const struct lab_finding *finding = lab_findings_part(f, name);
    if (!finding)
        return PEER_OK;
    const struct lab_part_rows *rows = &finding->rows;
    struct lab_pair *pair = calloc((size_t)rows->count + 1, sizeof *pair);
    int64_t count = 0, most = 0;
    if (!pair)
        return peer_fail(ctx, PEER_ERR_MEMORY, "no memory for pairs");
    for (int64_t i = 0; i < rows->count; i++) {
        const struct lab_part_row *row = &rows->row[i];
        const struct lab_part_row *twin =
            strcmp(row->norm, norm) == 0 && done(row) ? twin_of(rows, row, "none") : NULL;
        if (twin)
            pair[count++] =
                (struct lab_pair){.size = (int64_t)row->N * LAB_STUDY_SIZES + row->size,
                                  .seed = (uint64_t)row->seed,
                                  .difference = value(row->result) - value(twin->result)};
    }
    struct lab_pooled pooled = lab_effect_pooled(pair, count);
    most = pooled.sizes ? pooled.effect.seeds / pooled.sizes : 0;
    char note[160];
    snprintf(note, sizeof note, "%s%smean over %lld %s, %lld pairs", pooled.effect.note,
             *pooled.effect.note ? "; " : "", (long long)pooled.sizes,
             strcmp(name, "table2") == 0 ? "numbers of experts" : "sizes", (long long)count);
    judge(f, claim_add(f, -1, "nats", "%s (%s)", what, name), pooled.effect.mean,
          pooled.effect.interval, most, note);
    free(pair);
    return PEER_OK;
}

/* Usage of the largest table, as share of experts that are missing. */
static void judge_usage(struct lab_findings *f)
{
    const struct lab_finding *finding = lab_findings_part(f, "fig3a");
    const struct lab_finding_line *line = NULL;
    double missing[LAB_STUDY_SEEDS];
    int64_t count = 0;
    for (int64_t i = 0; finding && i < finding->lines; i++)
        if (finding->line[i].row && (!line || finding->line[i].row->N > line->row->N))
            line = &finding->line[i];
    if (!line || line->row->N <= 0)
        return;
    for (int64_t i = 0; i < finding->rows.count && count < LAB_STUDY_SEEDS; i++) {
        const struct lab_part_row *row = &finding->rows.row[i];
        if (row->variant == line->variant && done(row) && row->result->usages)
            missing[count++] = 100 * row->result->usage[0].report.score.used - 99;
    }
    struct lab_effect effect = lab_effect_paired(missing, count);
    char note[160];
    snprintf(note, sizeof note, "%s%susage minus 99 %%; usage is %.2f %%", effect.note,
             *effect.note ? "; " : "", effect.mean + 99);
    judge(f,
          claim_add(f, 1, "% points", "usage is near 100 %% (above 99 %%) with %.0f experts",
                    line->row->N),
          effect.mean, effect.interval, count, note);
}

enum peer_status lab_findings_judge(struct lab_findings *findings, struct peer_ctx *ctx)
{
    static const char uneven[] = "query BatchNorm lowers unevenness";
    static const char loss[] = "query BatchNorm lowers loss, slightly";
    findings->claims = 0;
    judge_fig1(findings);
    enum peer_status status = judge_fig3(findings, ctx);
    if (status == PEER_OK)
        status = judge_norm(findings, ctx, "table2", "batch", unevenness_of, uneven);
    if (status == PEER_OK)
        status = judge_norm(findings, ctx, "table2", "batch", loss_of, loss);
    if (status == PEER_OK)
        status = judge_norm(findings, ctx, "fig4", "batch", loss_of, loss);
    if (status == PEER_OK)
        judge_usage(findings);
    return status;
}
