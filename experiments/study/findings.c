/* SPDX-License-Identifier: MIT */
#include "experiments/study/findings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/cli/draws.h"

/* ---- parts of one size ---- */

struct sums {
    double nats, squares, bits, used, unevenness, top1, seconds;
    double facts, facts_squares, accuracy;
    int64_t count, routed, asked;
};

static void add_run(struct sums *sums, const struct lab_result *r)
{
    sums->count++;
    sums->nats += r->nats;
    sums->squares += r->nats * r->nats;
    sums->bits += r->bits_per_byte;
    sums->seconds += r->tokens ? r->seconds / (double)r->tokens : 0;
    if (r->facts.facts > 0) {
        sums->asked++;
        sums->facts += r->facts.bits;
        sums->facts_squares += r->facts.bits * r->facts.bits;
        sums->accuracy += r->facts.accuracy;
    }
    if (r->usages == 0)
        return;
    const struct lm_usage_report *usage = &r->usage[0].report;
    sums->routed++;
    sums->used += usage->score.used;
    sums->unevenness += usage->score.unevenness;
    sums->top1 += usage->top1_used;
}

/* Standard deviation out of a sum and a sum of squares. */
static double spread(double sum, double squares, double n)
{
    return n > 1 ? sqrt(fmax(0, (squares - sum * sum / n) / (n - 1))) : NAN;
}

static void take_means(struct lab_finding_line *line, const struct sums *sums)
{
    double n = (double)sums->count, routed = (double)sums->routed, asked = (double)sums->asked;
    line->bits = asked > 0 ? sums->facts / asked : NAN;
    line->bits_deviation = spread(sums->facts, sums->facts_squares, asked);
    line->accuracy = asked > 0 ? sums->accuracy / asked : NAN;
    line->seeds = sums->count;
    line->nats = n > 0 ? sums->nats / n : NAN;
    line->deviation = spread(sums->nats, sums->squares, n);
    line->bits_per_byte = n > 0 ? sums->bits / n : NAN;
    line->seconds_per_token = n > 0 ? sums->seconds / n : NAN;
    line->used = routed > 0 ? sums->used / routed : NAN;
    line->unevenness = routed > 0 ? sums->unevenness / routed : NAN;
    line->top1 = routed > 0 ? sums->top1 / routed : NAN;
}

static void fill_line(struct lab_finding_line *line, const struct lab_part_rows *rows, int variant,
                      int64_t size)
{
    struct sums sums = {0};
    *line = (struct lab_finding_line){.variant = variant, .size = size, .bytes_per_token = NAN};
    for (int64_t i = 0; i < rows->count; i++) {
        const struct lab_part_row *row = &rows->row[i];
        if (row->variant != variant || row->size != size || row->budget != 0)
            continue;
        line->planned++;
        if (!line->row)
            line->row = row;
        if (!lab_row_done(row))
            continue;
        add_run(&sums, row->result);
        line->bytes_per_token = row->result->bytes_per_token;
        line->params_total = (double)row->result->params_total;
        line->params_active = (double)row->result->params_active;
        line->flops = row->result->flops;
    }
    take_means(line, &sums);
    line->effect = lab_part_effect(rows, variant, rows->part->variant[0], size, 0);
}

/* ---- parts of several sizes ---- */

/* Not stopped by what stops the training: what is there is to be seen. */
static enum peer_status fit_laws(struct lab_finding *finding, struct peer_ctx *ctx)
{
    struct lab_progress progress;
    const struct lab_watch watch = lab_watch_draws(&progress, NULL);
    enum peer_status status = lab_sweep_laws_create(
        &finding->laws, ctx, finding->minima, finding->results, finding->result_count, &watch);
    lab_progress_end(&progress);
    return status;
}

static enum peer_status fit_sizes(struct lab_finding *finding, struct peer_ctx *ctx)
{
    const struct lab_part_rows *rows = &finding->rows;
    finding->results = calloc((size_t)rows->count + 1, sizeof *finding->results);
    if (!finding->results)
        return peer_fail(ctx, PEER_ERR_MEMORY, "no memory for the results of %s", rows->part->name);
    for (int64_t i = 0; i < rows->count; i++) {
        bool twice = false; /* rows that were planned again with more seeds */
        for (int64_t j = 0; j < i; j++)
            twice |= rows->row[j].result == rows->row[i].result;
        if (!rows->row[i].result || twice)
            continue;
        struct lab_result *result = &finding->results[finding->result_count++];
        *result = *rows->row[i].result;
        /* A row is of the study's variant, however many that name has in the folder. */
        snprintf(result->variant, sizeof result->variant, "%s", result->name);
    }
    if (finding->result_count == 0)
        return PEER_OK;
    enum peer_status status =
        lab_minima_create(&finding->minima, ctx, finding->results, finding->result_count);
    return status == PEER_OK && finding->minima->budgets >= LAB_LAW_BUDGETS ? fit_laws(finding, ctx)
                                                                            : status;
}

static enum peer_status find(struct lab_finding *finding, struct peer_ctx *ctx)
{
    const struct lab_part *part = finding->rows.part;
    for (int64_t i = 0; i < finding->rows.count; i++) {
        const struct lab_part_row *row = &finding->rows.row[i];
        finding->finished += lab_row_done(row);
        finding->failed += row->result && !lab_row_done(row);
        finding->missing += !row->result;
    }
    if (part->sizes > 1 && !part->facts)
        return fit_sizes(finding, ctx);
    finding->line = calloc((size_t)(part->variants * part->sizes), sizeof *finding->line);
    if (!finding->line)
        return peer_fail(ctx, PEER_ERR_MEMORY, "no memory for the lines of %s", part->name);
    finding->lines = part->variants * part->sizes;
    for (int64_t i = 0; i < finding->lines; i++)
        fill_line(&finding->line[i], &finding->rows, part->variant[i / part->sizes],
                  i % part->sizes);
    return PEER_OK;
}

/* ---- the whole ---- */

/* Which difference the seeds can show: from the pairs of the part "power". */
static enum peer_status weigh_noise(struct lab_findings *f, struct lab_campaign *campaign)
{
    const struct lab_part *part = lab_study_part(f->study, "power");
    struct lab_part_rows rows = {0};
    enum peer_status status = PEER_OK;
    f->seeds = 2;
    if (part)
        status = lab_part_train(&rows, campaign, &f->rates, part, f->study->seeds);
    if (status != PEER_OK)
        return status;
    if (part && part->variants > 1)
        f->noise_pair = lab_part_effect(&rows, part->variant[1], part->variant[0], 0, 0);
    else
        f->noise_pair = lab_effect_paired(NULL, 0);
    f->noise = lab_seed_noise_of(f->noise_pair.deviation, f->noise_pair.freedom);
    lab_power_table(f->detectable, f->noise, 1);
    f->needed = lab_power_seeds(f->noise, f->study->effect, 1);
    bool beyond =
        isfinite(f->noise.deviation) && f->needed.seeds == 0; /* more than can be counted */
    if (f->needed.seeds > f->seeds || beyond)
        f->seeds = beyond ? f->study->seeds : f->needed.seeds;
    if (f->seeds > f->study->seeds)
        f->seeds = f->study->seeds;
    lab_part_rows_free(&rows);
    return PEER_OK;
}

static bool named(const char *const *names, const char *name)
{
    if (!names)
        return true;
    for (; *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

/* The noise is measured with all the seeds that its part allows. */
static int64_t seeds_of(const struct lab_findings *f, const char *part)
{
    return strcmp(part, "power") == 0 ? f->study->seeds : f->seeds;
}

/* Trains or collects a part, by its own rates where it has a text of its own. */
static enum peer_status take_part(struct lab_part_rows *ret, struct lab_findings *f,
                                  struct lab_campaign *campaign, int64_t i)
{
    const struct lab_part *part = &f->study->part[i];
    const struct lab_rates *rates = &f->rates;
    enum peer_status status = PEER_OK;
    if (part->facts) {
        if (!f->own[i] && !(f->own[i] = calloc(1, sizeof **f->own)))
            return peer_fail(campaign->ctx, PEER_ERR_MEMORY, "no memory for the rates of %s",
                             part->name);
        if (!campaign->plan_only || (campaign->list && !campaign->list->only_count))
            status = lab_part_make_text(campaign, part);
        if (status == PEER_OK)
            status = lab_rates_find_own(f->own[i], campaign, part, &f->rates);
        rates = f->own[i];
    }
    if (status == PEER_OK)
        status = lab_part_train(ret, campaign, rates, part, seeds_of(f, part->name));
    return status;
}

/* The runs that table 1 chooses from, and whose checkpoints stay. */
static enum peer_status note_fig1(struct lab_findings *f, struct lab_campaign *campaign)
{
    const struct lab_part *fig1 = lab_study_part(f->study, "fig1");
    lab_plan_free(&campaign->fig1);
    return fig1 ? lab_part_plan(&campaign->fig1, campaign, &f->rates, fig1) : PEER_OK;
}

static enum peer_status train_parts(struct lab_findings *f, struct lab_campaign *campaign,
                                    const struct lab_request *request)
{
    enum peer_status status = lab_rates_find(&f->rates, campaign);
    if (status == PEER_OK)
        status = note_fig1(f, campaign);
    lab_campaign_stage(campaign);
    if (status == PEER_OK)
        status = weigh_noise(f, campaign);
    lab_campaign_stage(campaign);
    for (int64_t i = 0; i < f->study->parts && status == PEER_OK; i++) {
        struct lab_part_rows rows;
        const char *name = f->study->part[i].name;
        bool for_table1 = strcmp(name, "fig1") == 0 && named(request->parts, "table1");
        if (!named(request->parts, name) && !for_table1)
            continue;
        status = take_part(&rows, f, campaign, i);
        if (status == PEER_OK)
            lab_part_rows_free(&rows);
    }
    return status;
}

/* What is there of every part, whatever was asked for. */
static enum peer_status collect(struct lab_findings *f, struct lab_campaign *campaign)
{
    bool plan_only = campaign->plan_only;
    struct lab_job_list *list = campaign->list;
    campaign->plan_only = true;
    campaign->list = NULL;
    enum peer_status status = lab_rates_find(&f->rates, campaign);
    if (status == PEER_OK)
        status = note_fig1(f, campaign);
    if (status == PEER_OK)
        status = weigh_noise(f, campaign);
    for (int64_t i = 0; i < f->study->parts && status == PEER_OK; i++) {
        status = take_part(&f->part[i].rows, f, campaign, i);
        if (status == PEER_OK)
            status = find(&f->part[i], campaign->ctx);
    }
    campaign->plan_only = plan_only;
    campaign->list = list;
    return status == PEER_OK ? lab_findings_judge(f, campaign->ctx) : status;
}

enum peer_status lab_findings_make(struct lab_findings **ret, struct lab_campaign *campaign,
                                   const struct lab_request *request)
{
    struct lab_findings *f = calloc(1, sizeof *f);
    if (!f)
        return peer_fail(campaign->ctx, PEER_ERR_MEMORY, "no memory for the findings");
    f->study = campaign->study;
    enum peer_status trained = train_parts(f, campaign, request);
    enum peer_status status = trained, scored = PEER_OK;
    if (trained == PEER_OK || trained == PEER_ERR_STOPPED)
        status = collect(f, campaign);
    if (status == PEER_OK) /* what is there stays, whatever becomes of table 1 */
        scored = lab_table1_make(
            &f->table1, campaign, request->text,
            trained == PEER_OK && named(request->parts, "table1") ? request->texts : 0);
    if (status != PEER_OK) {
        lab_findings_free(&f);
        return status;
    }
    *ret = f;
    if (trained == PEER_OK)
        return scored;
    return peer_fail(campaign->ctx, trained, "stopped; the same command carries on from here");
}

void lab_findings_free(struct lab_findings **findings)
{
    if (!findings || !*findings)
        return;
    for (int64_t i = 0; i < LAB_STUDY_PARTS; i++) {
        struct lab_finding *finding = &(*findings)->part[i];
        lab_sweep_laws_destroy(&finding->laws);
        lab_minima_destroy(&finding->minima);
        lab_part_rows_free(&finding->rows);
        free(finding->line);
        free(finding->results);
        free((*findings)->own[i]);
    }
    lab_table1_free(&(*findings)->table1);
    free((*findings)->budget_noise);
    free(*findings);
    *findings = NULL;
}

const struct lab_finding *lab_findings_part(const struct lab_findings *findings, const char *name)
{
    for (int64_t i = 0; i < findings->study->parts; i++)
        if (strcmp(findings->study->part[i].name, name) == 0)
            return &findings->part[i];
    return NULL;
}
