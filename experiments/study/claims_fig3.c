/* SPDX-License-Identifier: MIT */
/* Figure 3: the number of experts, and that of active ones. */
#include <math.h>
#include <stdlib.h>

#include "experiments/study/claims.h"

/* Rows of the variant with the lowest mean loss among those of equal h k. The lowest of several
 * means is low by chance too, alike where each h k has as many. */
static void take_best(bool *take, const struct lab_part_rows *rows)
{
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

/* Where the best h of some h k is at the edge of those tried, a better one may lie beyond, and
 * neither the best h nor its loss is known: the claims from `first` on lose their interval. */
static void tell_edges(struct lab_findings *f, int64_t first, const struct lab_best *best)
{
    char note[160];
    snprintf(note, sizeof note,
             "no interval: best h at the edge of those tried for %lld of %lld h k",
             (long long)best->edges, (long long)best->settings);
    for (int64_t i = first; i < f->claims && best->edges > 0; i++)
        lab_claim_set(f, &f->claim[i], f->claim[i].effect, lab_interval_unknown(),
                      f->claim[i].seeds, note);
}

static enum peer_status find_best_heads(struct lab_best *best, struct peer_ctx *ctx,
                                        const struct lab_part_rows *rows)
{
    struct lab_choice_run *run = calloc((size_t)rows->count + 1, sizeof *run);
    int64_t count = 0;
    if (!run)
        return peer_fail(ctx, PEER_ERR_MEMORY, "no memory for the best heads");
    for (int64_t i = 0; i < rows->count; i++)
        if (lab_row_done(&rows->row[i]) && rows->row[i].heads > 0)
            run[count++] =
                (struct lab_choice_run){.setting = (double)(rows->row[i].heads * rows->row[i].kept),
                                        .choice = (double)rows->row[i].heads,
                                        .seed = (uint64_t)rows->row[i].seed,
                                        .loss = rows->row[i].result->nats};
    enum peer_status status = lab_best_slope(best, ctx, run, count, 1);
    free(run);
    return status;
}

static enum peer_status judge_active(struct lab_findings *f, struct peer_ctx *ctx,
                                     const struct lab_finding *fig3b)
{
    bool *take = calloc((size_t)fig3b->rows.count + 1, sizeof *take);
    if (!take)
        return peer_fail(ctx, PEER_ERR_MEMORY, "no memory for a trend");
    take_best(take, &fig3b->rows);
    const struct lab_trend_claim trend = {
        .finding = fig3b,
        .axis = lab_axis_active,
        .value = lab_value_loss,
        .take = take,
        .direction = -1,
        .unit = "nats per decade",
        .text = "loss falls with the active experts h k (best h of each), at equal FLOPs"};
    struct lab_best best;
    int64_t first = f->claims;
    enum peer_status status = find_best_heads(&best, ctx, &fig3b->rows);
    if (status == PEER_OK)
        status = lab_claim_trend(f, ctx, &trend);
    free(take);
    if (status != PEER_OK)
        return status;
    lab_claim_set(f,
                  lab_claim_add(f, 1, "log h per log hk",
                                "the best number of heads grows with the active experts h k"),
                  best.slope, best.interval, best.seeds, best.note);
    tell_edges(f, first, &best);
    return PEER_OK;
}

/* Each number of experts against the part's first variant, at one width. */
static void judge_lines(struct lab_findings *f, const struct lab_finding *fig3a)
{
    for (int64_t i = 1; i < fig3a->lines; i++) {
        const struct lab_finding_line *line = &fig3a->line[i];
        if (!line->row || line->row->N <= 0)
            continue;
        lab_claim_set(f,
                      lab_claim_add(f, -1, "nats", "%s below %s at width %lld",
                                    f->study->variant[line->variant].name,
                                    f->study->variant[fig3a->line[0].variant].name,
                                    (long long)fig3a->rows.part->size[line->size].width),
                      line->effect.mean, line->effect.interval, line->effect.seeds,
                      line->effect.note);
    }
}

/* Usage of the largest table, against 99 %. */
static void judge_usage(struct lab_findings *f, const struct lab_finding *fig3a)
{
    const struct lab_finding_line *line = NULL;
    double above[LAB_STUDY_SEEDS];
    int64_t count = 0;
    for (int64_t i = 0; i < fig3a->lines; i++)
        if (fig3a->line[i].row && (!line || fig3a->line[i].row->N > line->row->N))
            line = &fig3a->line[i];
    if (!line || line->row->N <= 0)
        return;
    for (int64_t i = 0; i < fig3a->rows.count && count < LAB_STUDY_SEEDS; i++) {
        const struct lab_part_row *row = &fig3a->rows.row[i];
        if (row->variant == line->variant && lab_row_done(row) && row->result->usages)
            above[count++] = 100 * row->result->usage[0].report.score.used - 99;
    }
    struct lab_effect effect = lab_effect_paired(above, count);
    char note[160];
    snprintf(note, sizeof note, "%s", effect.note);
    if (count > 0)
        snprintf(note, sizeof note, "%s%susage minus 99 %%; usage is %.2f %%", effect.note,
                 *effect.note ? "; " : "", effect.mean + 99);
    lab_claim_set(f,
                  lab_claim_add(f, 1, "% points",
                                "usage is near 100 %% (above 99 %%) with %.0f experts",
                                line->row->N),
                  effect.mean, effect.interval, count, note);
}

enum peer_status lab_claims_fig3(struct lab_findings *f, struct peer_ctx *ctx)
{
    const struct lab_finding *a = lab_findings_part(f, "fig3a");
    const struct lab_finding *b = lab_findings_part(f, "fig3b");
    const struct lab_trend_claim trend = {
        .finding = a,
        .axis = lab_axis_experts,
        .value = lab_value_loss,
        .direction = -1,
        .unit = "nats per decade",
        .text = "loss falls with the number of experts N, at equal FLOPs"};
    enum peer_status status = a ? lab_claim_trend(f, ctx, &trend) : PEER_OK;
    if (status == PEER_OK && a) {
        judge_lines(f, a);
        judge_usage(f, a);
    }
    return status == PEER_OK && b ? judge_active(f, ctx, b) : status;
}
