/* SPDX-License-Identifier: MIT */
/* Claims judged on made-up runs whose effects are known. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/study/findings.h"

enum { MOST = 64 };

static struct peer_ctx *ctx;
static struct lab_study study;
static struct lab_findings findings;
static struct lab_part_row rows[MOST];
static struct lab_result results[MOST];
static struct lab_usage usages[MOST];

static void set_up(void)
{
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    findings.study = &study;
    study.parts = 1;
    study.part[0].sizes = study.part[0].budgets = 1;
    findings.part[0].rows = (struct lab_part_rows){.part = &study.part[0], .row = rows};
}

static void tear_down(void)
{
    free(findings.budget_noise);
    peer_ctx_destroy(&ctx);
}

TestSuite(study_claims, .init = set_up, .fini = tear_down);

/* One finished run. */
struct run {
    int variant;
    double N;
    int64_t heads, kept, seed;
    const char *norm;
    double nats, unevenness, used;
};

static void add(struct run run)
{
    struct lab_part_rows *all = &findings.part[0].rows;
    int64_t i = all->count++;
    rows[i] = (struct lab_part_row){.variant = run.variant,
                                    .seed = run.seed,
                                    .N = run.N,
                                    .heads = run.heads,
                                    .kept = run.kept,
                                    .result = &results[i]};
    snprintf(rows[i].norm, sizeof rows[i].norm, "%s", run.norm);
    usages[i].report.score.unevenness = run.unevenness;
    usages[i].report.score.used = run.used;
    results[i] =
        (struct lab_result){.state = LAB_DONE, .nats = run.nats, .usages = 1, .usage = &usages[i]};
    strcpy(results[i].ffw, "peer");
}

static const struct lab_claim *judged(const char *part, const char *text)
{
    strcpy(study.part[0].name, part);
    cr_assert_eq(lab_findings_judge(&findings, ctx), PEER_OK);
    for (int64_t i = 0; i < findings.claims; i++)
        if (strstr(findings.claim[i].text, text))
            return &findings.claim[i];
    cr_assert_fail("no claim \"%s\"", text);
    return NULL;
}

/* Losses fall by 0.1 per decade of N; seeds differ by 0.5 as a whole and hide nothing. */
Test(study_claims, a_trend_over_experts_in_pairs)
{
    static const double wobble[] = {0.001, -0.001, 0.0005, -0.0005};
    for (int64_t seed = 0; seed < 2; seed++)
        for (int n = 0; n < 3; n++)
            add((struct run){.N = pow(10, 2 + n),
                             .heads = 8,
                             .kept = 16,
                             .seed = seed,
                             .norm = "batch",
                             .nats = 5 + 0.5 * (double)seed - 0.1 * n + wobble[n + seed]});
    const struct lab_claim *claim = judged("fig3a", "loss falls with the number of experts");
    cr_assert_float_eq(claim->effect, -0.1, 0.001, "%g", claim->effect);
    cr_assert(claim->interval.known && claim->interval.high < 0);
    cr_assert_eq(claim->verdict, LAB_REPRODUCED);
    cr_assert_eq(claim->seeds, 2);
}

Test(study_claims, one_seed_is_no_interval)
{
    for (int n = 0; n < 3; n++)
        add((struct run){.N = pow(10, 2 + n), .heads = 8, .kept = 16, .norm = "batch", .nats = 5});
    const struct lab_claim *claim = judged("fig3a", "loss falls with the number of experts");
    cr_assert_not(claim->interval.known);
    cr_assert_eq(claim->verdict, LAB_NOT_MEASURED);
}

/* peer minus dense: -0.1 at 1e12, -0.13 at 1e13, at every size and seed, whose losses differ by far
 * more; a size with one budget tells nothing; usage halves from 60 %. */
Test(study_claims, an_outlook_is_the_line_through_pairs)
{
    study.part[0] = (struct lab_part){.budgets = 2, .sizes = 3, .variants = 2, .variant = {0, 1}};
    study.part[0].budget[0] = 1e12;
    study.part[0].budget[1] = 1e13;
    strcpy(study.variant[0].name, "dense");
    strcpy(study.variant[1].name, "peer");
    for (int64_t size = 0; size < 3; size++)
        for (int64_t seed = 0; seed < 2; seed++)
            for (int budget = 0; budget < (size < 2 ? 2 : 1); budget++)
                for (int variant = 0; variant < 2; variant++) {
                    double less = variant ? -0.1 - 0.03 * budget : 0;
                    add((struct run){.variant = variant,
                                     .N = 100 * variant,
                                     .seed = seed,
                                     .norm = "batch",
                                     .used = 0.6 / (1 + budget),
                                     .nats = 5 - budget - (double)(size * size + seed) + less});
                    struct lab_part_row *row = &rows[findings.part[0].rows.count - 1];
                    row->size = size;
                    row->budget = budget;
                }
    strcpy(study.part[0].name, "fig1");
    cr_assert_eq(lab_findings_judge(&findings, ctx), PEER_OK);
    cr_assert_eq(findings.outlooks, 3);
    const struct lab_outlook *first = &findings.outlook[0];
    cr_expect_str_eq(first->text, "peer minus dense");
    cr_expect_eq(first->trend.runs, 8);
    cr_expect_eq(first->trend.seeds, 4);
    cr_expect_float_eq(first->trend.slope, -0.03, 1e-12);
    cr_expect_float_eq(first->here.y, -0.13, 1e-12);
    cr_expect_float_eq(first->ahead.y, -0.16, 1e-12);
    cr_expect_str_eq(findings.outlook[1].text, "usage of peer");
    cr_expect_float_eq(findings.outlook[1].ahead.y, 0, 1e-9);
}

/* peer minus dense at 1e13: -0.1 and -0.3 at one size, -0.2 twice at another, whose losses differ
 * by far more: the mean is -0.2, and a pair's deviation sqrt(0.02 / 2). At 1e12 there is nothing.
 */
Test(study_claims, the_noise_of_a_budget_is_that_within_sizes)
{
    static const double less[2][2] = {{0.1, 0.3}, {0.2, 0.2}};
    study.effect = 0.05;
    findings.seeds = 4;
    study.part[0] = (struct lab_part){.budgets = 2, .sizes = 2, .variants = 2, .variant = {0, 1}};
    study.part[0].budget[0] = 1e12;
    study.part[0].budget[1] = 1e13;
    for (int64_t size = 0; size < 2; size++)
        for (int64_t seed = 0; seed < 2; seed++)
            for (int variant = 0; variant < 2; variant++) {
                add((struct run){.variant = variant,
                                 .seed = seed,
                                 .norm = "",
                                 .nats = 5 - (double)(3 * size + seed) -
                                         (variant ? less[size][seed] : 0)});
                struct lab_part_row *row = &rows[findings.part[0].rows.count - 1];
                row->size = size;
                row->budget = 1;
            }
    strcpy(study.part[0].name, "fig1");
    cr_assert_eq(lab_findings_judge(&findings, ctx), PEER_OK);
    cr_assert_eq(findings.budget_noises, 1);
    const struct lab_budget_noise *noise = findings.budget_noise;
    cr_expect_eq(noise->budget, 1);
    cr_expect_eq(noise->base, 0);
    cr_expect_eq(noise->pooled.effect.seeds, 4);
    cr_expect_float_eq(noise->pooled.effect.mean, -0.2, 1e-12);
    cr_expect_float_eq(noise->noise.deviation, 0.1, 1e-12);
    cr_expect_eq(noise->noise.freedom, 2);
    cr_expect_eq(noise->shown.seeds, 4);
    cr_expect_eq(noise->to_see.seeds, lab_power_seeds(noise->noise, 0.2, 1).seeds);
    cr_expect_eq(noise->to_want.seeds, lab_power_seeds(noise->noise, 0.05, 1).seeds);
    cr_expect_gt(noise->to_want.seeds, noise->to_see.seeds);
}

/* With BatchNorm minus without: unevenness -1.5 and -0.5 at N = 256, -1 and -1 at N = 1024, so the
 * mean of the sizes' means is -1; loss +0.01 each. LayerNorm counts nowhere. */
Test(study_claims, a_norm_against_none_in_pairs)
{
    static const double less[2][2] = {{1.5, 0.5}, {1, 1}};
    for (int n = 0; n < 2; n++)
        for (int64_t seed = 0; seed < 2; seed++) {
            struct run run = {.N = n ? 1024 : 256, .heads = 4, .kept = 8, .seed = seed};
            run.norm = "none";
            run.nats = 4 + 0.1 * (double)seed + n;
            run.unevenness = 2;
            add(run);
            run.norm = "batch";
            run.nats += 0.01;
            run.unevenness -= less[n][seed];
            add(run);
            run.norm = "layer";
            run.nats += 7;
            run.unevenness = 90;
            add(run);
        }
    const struct lab_claim *claim = judged("table2", "lowers unevenness");
    cr_assert_float_eq(claim->effect, -1, 1e-12, "%.17g", claim->effect);
    cr_assert_eq(claim->verdict, LAB_REPRODUCED);
    claim = judged("table2", "lowers loss");
    cr_assert_float_eq(claim->effect, 0.01, 1e-12);
    cr_assert_eq(claim->verdict, LAB_CONTRADICTED, "no scatter at all: the interval is a point");
}

/* Of h k = 16 the best is h = 2, of h k = 64 h = 8: log best h / log h k has slope 1. */
Test(study_claims, the_best_number_of_heads)
{
    static const int64_t heads[] = {1, 2, 4, 8, 16};
    static const double wobble[] = {0, 0.001, -0.001};
    for (int64_t seed = 0; seed < 3; seed++)
        for (int big = 0; big < 2; big++)
            for (int h = 0; h < 5; h++)
                add((struct run){.variant = 5 * big + h,
                                 .N = 1024,
                                 .heads = heads[h],
                                 .kept = (big ? 64 : 16) / heads[h],
                                 .seed = seed,
                                 .norm = "batch",
                                 .nats = 5 - 0.2 * big + 0.1 * abs(h - 1 - 2 * big) +
                                         wobble[(h + big + seed) % 3]});
    const struct lab_claim *claim = judged("fig3b", "best number of heads");
    cr_assert_float_eq(claim->effect, 1, 1e-12, "%.17g", claim->effect);
    cr_assert_eq(claim->verdict, LAB_REPRODUCED);
    claim = judged("fig3b", "loss falls with the active experts");
    cr_assert_float_eq(claim->effect, -0.2 / log10(4), 0.005, "%.17g", claim->effect);
    cr_assert_eq(claim->verdict, LAB_REPRODUCED);
}

/* The best h of both h k is the smallest tried: smaller ones may be better still. */
Test(study_claims, heads_at_the_edge_tell_nothing)
{
    for (int64_t seed = 0; seed < 3; seed++)
        for (int big = 0; big < 2; big++)
            for (int h = 0; h < 3; h++)
                add((struct run){.variant = 3 * big + h,
                                 .N = 1024,
                                 .heads = 2 << (h + big),
                                 .kept = (big ? 256 : 64) >> (h + big),
                                 .seed = seed,
                                 .norm = "batch",
                                 .nats = 5 + 0.1 * h + 0.001 * (double)((h + seed) % 3)});
    const struct lab_claim *claim = judged("fig3b", "best number of heads");
    cr_expect_eq(claim->verdict, LAB_NOT_MEASURED);
    cr_expect(strstr(claim->note, "edge"), "%s", claim->note);
    claim = judged("fig3b", "loss falls with the active experts");
    cr_expect_eq(claim->verdict, LAB_NOT_MEASURED);
}

/* 100 % and 99.8 % used: 0.9 points above 99 on the mean, with an interval of +- 0.1 * 6.3138. */
Test(study_claims, usage_against_99_percent)
{
    struct lab_finding_line line = {.row = &rows[0]};
    add((struct run){.N = 1024, .heads = 1, .kept = 1, .seed = 1, .norm = "batch", .used = 1});
    add((struct run){.N = 1024, .heads = 1, .kept = 1, .seed = 2, .norm = "batch", .used = 0.998});
    findings.part[0].line = &line;
    findings.part[0].lines = 1;
    const struct lab_claim *claim = judged("fig3a", "usage is near 100 %");
    cr_assert_float_eq(claim->effect, 0.9, 1e-9, "%.17g", claim->effect);
    cr_assert_float_eq(claim->interval.low, 0.9 - 0.63138, 1e-4, "%.17g", claim->interval.low);
    cr_assert_eq(claim->verdict, LAB_REPRODUCED);
}

/* The line's paired effect, -0.03 +- 0.01 with 3 pairs, is the claim's. */
Test(study_claims, a_number_of_experts_against_dense)
{
    struct lab_finding_line line[] = {
        {.variant = 0, .row = &rows[0]},
        {.variant = 1,
         .row = &rows[1],
         .effect = {.seeds = 3, .mean = -0.03, .interval = {true, -0.04, -0.02}, .note = ""}}};
    strcpy(study.variant[0].name, "dense");
    strcpy(study.variant[1].name, "peer-32");
    study.part[0].size[0].width = 96;
    add((struct run){.variant = 0, .seed = 1, .norm = ""});
    add((struct run){.variant = 1, .N = 1024, .heads = 1, .kept = 1, .seed = 1, .norm = "batch"});
    findings.part[0].line = line;
    findings.part[0].lines = 2;
    const struct lab_claim *claim = judged("fig3a", "peer-32 below dense at width 96");
    cr_assert_eq(claim->effect, -0.03);
    cr_assert_eq(claim->seeds, 3);
    cr_assert_eq(claim->verdict, LAB_REPRODUCED);
}

/* Runs that failed or diverged count nowhere. */
Test(study_claims, what_is_not_finished_is_left_out)
{
    for (int64_t seed = 0; seed < 2; seed++)
        for (int n = 0; n < 2; n++)
            add((struct run){.N = pow(10, 2 + n),
                             .heads = 8,
                             .kept = 16,
                             .seed = seed,
                             .norm = "batch",
                             .nats = 5 - n});
    results[0].state = LAB_DIVERGED;
    rows[3].result = NULL;
    const struct lab_claim *claim = judged("fig3a", "loss falls with the number of experts");
    cr_assert_eq(claim->verdict, LAB_NOT_MEASURED);
    cr_assert(isnan(claim->effect));
}
