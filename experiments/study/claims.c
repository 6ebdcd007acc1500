/* SPDX-License-Identifier: MIT */
#include "experiments/study/claims.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>

struct lab_claim *lab_claim_add(struct lab_findings *f, int direction, const char *unit,
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

void lab_claim_set(struct lab_findings *f, struct lab_claim *claim, double effect,
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

double lab_value_loss(const struct lab_result *result)
{
    return result->nats;
}

double lab_axis_experts(const struct lab_part_row *row)
{
    return log10(row->N);
}

double lab_axis_active(const struct lab_part_row *row)
{
    return log10((double)(row->heads * row->kept));
}

enum peer_status lab_claim_trend(struct lab_findings *f, struct peer_ctx *ctx,
                                 const struct lab_trend_claim *of)
{
    const struct lab_part_rows *rows = &of->finding->rows;
    struct lab_trend_run *run = calloc((size_t)rows->count + 1, sizeof *run);
    int64_t count = 0;
    char note[160];
    if (!run)
        return peer_fail(ctx, PEER_ERR_MEMORY, "no memory for a trend");
    for (int64_t i = 0; i < rows->count; i++) {
        const struct lab_part_row *row = &rows->row[i];
        if (row->N > 0 && lab_row_done(row) && (!of->take || of->take[i]))
            run[count++] = (struct lab_trend_run){
                .x = of->axis(row), .seed = (uint64_t)row->seed, .y = of->value(row->result)};
    }
    struct lab_trend trend = lab_trend_of(run, count);
    free(run);
    snprintf(note, sizeof note, "%s%s%lld of %lld neighbours %s", trend.note,
             *trend.note ? "; " : "", (long long)(of->direction < 0 ? trend.falling : trend.rising),
             (long long)trend.neighbours, of->direction < 0 ? "falling" : "rising");
    lab_claim_set(f, lab_claim_add(f, of->direction, of->unit, "%s", of->text), trend.slope,
                  trend.interval, trend.seeds, note);
    return PEER_OK;
}

enum peer_status lab_findings_judge(struct lab_findings *findings, struct peer_ctx *ctx)
{
    findings->claims = 0;
    enum peer_status status = lab_claims_fig1(findings, ctx);
    if (status == PEER_OK)
        status = lab_claims_fig3(findings, ctx);
    if (status == PEER_OK)
        status = lab_claims_norm(findings, ctx);
    if (status == PEER_OK)
        status = lab_claims_capacity(findings, ctx);
    if (status == PEER_OK)
        status = lab_budget_noise_make(findings, ctx);
    return status == PEER_OK ? lab_outlook_make(findings, ctx) : status;
}
