/* SPDX-License-Identifier: MIT */
#include "tests/support/study_case.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY = 20000 };

static const struct {
    const char *name, *ffw, *norm;
    double N;
    int64_t heads, kept;
} variants[] = {{"dense", "dense", "", 0, 0, 0},
                {"peer-16", "peer", "batch", 256, 4, 8},
                {"peer-32", "peer", "batch", 1024, 4, 8},
                {"peer-16-none", "peer", "none", 256, 4, 8},
                {"peer-32-none", "peer", "none", 1024, 4, 8},
                {"peer-32-h2", "peer", "batch", 1024, 2, 16},
                {"peer-32-h2k4", "peer", "batch", 1024, 2, 4},
                {STUDY_CASE_HOSTILE, "pkm", "batch", 1000, 4, 8}};

static const struct {
    const char *name;
    bool sizes, facts;
    int budgets, variants, variant[6];
} parts[] = {{"power", false, false, 1, 2, {0, 2}},    {"fig3a", false, false, 1, 4, {0, 1, 2, 7}},
             {"fig1", true, false, 3, 3, {0, 7, 2}},   {"table2", false, false, 1, 4, {1, 3, 2, 4}},
             {"fig3b", false, false, 1, 3, {2, 5, 6}}, {"fig4", true, false, 1, 2, {2, 4}},
             {"capacity", false, true, 1, 2, {0, 2}},  {"own/part", false, false, 1, 2, {0, 7}}};

static double noise(int64_t seed, int64_t salt)
{
    return 0.01 * sin(12.9898 * (double)seed + 78.233 * (double)salt);
}

/* A parabola over sizes with its minimum inside the grid, and what the layer and seed do. */
static double loss_of(int variant, int64_t size, int64_t sizes, int64_t budget, int64_t seed)
{
    double off = (double)size - 0.5 * (double)(sizes - 1);
    return 4 - 0.2 * (double)budget + 0.03 * off * off - 0.01 * log1p(variants[variant].N) +
           noise(seed, 0) + 0.2 * noise(seed, variant + 1);
}

static void fill_result(struct lab_result *r, int variant, const struct lab_part_row *row,
                        const struct lab_part *part)
{
    const struct lab_study_size *size = &part->size[row->size];
    snprintf(r->variant, sizeof r->variant, "%s", variants[variant].name);
    snprintf(r->ffw, sizeof r->ffw, "%s", variants[variant].ffw);
    r->budget = part->budget[row->budget];
    r->width = size->width;
    r->blocks = size->blocks;
    r->seed = row->seed;
    r->params_active = 12 * size->width * size->width * size->blocks;
    r->params_total = r->params_active + (int64_t)variants[variant].N * size->width;
    r->tokens = (int64_t)(r->budget / (6 * (double)r->params_active));
    r->flops = r->budget;
    r->bytes_per_token = 4.0 * (double)r->params_active;
    r->seconds = 36;
    r->epochs = 1.5;
    r->nats = loss_of(variant, row->size, part->sizes, row->budget, row->seed);
    r->perplexity = exp(r->nats);
    r->bits_per_byte = r->nats / 3;
    if (variants[variant].N <= 0)
        return;
    r->usages = 1;
    r->usage = calloc(1, sizeof *r->usage);
    cr_assert(r->usage);
    r->usage->report.score.used = 0.5;
    r->usage->report.score.unevenness = variants[variant].norm[0] == 'n' ? 2 : 1;
    r->usage->report.top1_used = 0.25;
}

static void add_row(struct study_case *made, struct lab_part_rows *rows, int variant, int64_t size,
                    int64_t budget, int64_t seed, const struct study_case_config *config)
{
    struct lab_part_row *row = &rows->row[rows->count++];
    *row = (struct lab_part_row){.variant = variant,
                                 .size = size,
                                 .budget = budget,
                                 .seed = seed,
                                 .lr = 0.01,
                                 .N = variants[variant].N,
                                 .heads = variants[variant].heads,
                                 .kept = variants[variant].kept,
                                 .flops_per_token = 1e6,
                                 .step_tokens = 512};
    snprintf(row->norm, sizeof row->norm, "%s", variants[variant].norm);
    if (config->seeds == 0 || (config->lost && rows->count == 3))
        return;
    cr_assert_lt(made->count, CAPACITY);
    struct lab_result *result = &made->results[made->count];
    result->id = ++made->count;
    fill_result(result, variant, row, rows->part);
    result->state = config->lost && rows->count < 3 ? LAB_DONE + (int)rows->count : LAB_DONE;
    if (result->state == LAB_FAILED)
        snprintf(result->message, sizeof result->message, "%s", STUDY_CASE_HOSTILE);
    row->result = result;
}

static bool done(const struct lab_part_row *row)
{
    return row->result && row->result->state == LAB_DONE;
}

static void fill_lines(struct lab_finding *finding)
{
    const struct lab_part *part = finding->rows.part;
    finding->lines = part->variants;
    finding->line = calloc((size_t)finding->lines, sizeof *finding->line);
    cr_assert(finding->line);
    for (int64_t v = 0; v < part->variants; v++) {
        struct lab_finding_line *line = &finding->line[v];
        bool routed = variants[part->variant[v]].N > 0;
        *line = (struct lab_finding_line){.variant = part->variant[v], .bytes_per_token = NAN};
        for (int64_t i = 0; i < finding->rows.count; i++)
            if (finding->rows.row[i].variant == line->variant) {
                line->planned++;
                line->row = line->row ? line->row : &finding->rows.row[i];
            }
        line->nats = lab_part_mean(&finding->rows, line->variant, 0, 0, &line->seeds);
        line->deviation = line->seeds > 1 ? 0.01 : NAN;
        line->bits_per_byte = line->nats / 3;
        line->used = line->seeds && routed ? 0.5 : NAN;
        line->unevenness = line->seeds && routed ? 1.25 : NAN;
        line->top1 = line->seeds && routed ? 0.25 : NAN;
        line->seconds_per_token = line->seeds ? 1e-5 : NAN;
        line->bits = line->seeds && part->facts ? 5000 : NAN;
        line->bits_deviation = line->accuracy = NAN;
        line->params_total = line->seeds ? 20000 : 0;
    }
}

static void fill_finding(struct study_case *made, struct lab_finding *finding)
{
    for (int64_t i = 0; i < finding->rows.count; i++) {
        const struct lab_part_row *row = &finding->rows.row[i];
        finding->finished += done(row);
        finding->failed += row->result && !done(row);
        finding->missing += !row->result;
    }
    if (finding->rows.part->sizes == 1) {
        fill_lines(finding);
        return;
    }
    finding->results = calloc((size_t)finding->rows.count + 1, sizeof *finding->results);
    cr_assert(finding->results);
    for (int64_t i = 0; i < finding->rows.count; i++)
        if (finding->rows.row[i].result)
            finding->results[finding->result_count++] = *finding->rows.row[i].result;
    if (finding->result_count)
        cr_assert_eq(
            lab_minima_create(&finding->minima, made->ctx, finding->results, finding->result_count),
            PEER_OK);
    if (finding->minima && finding->minima->budgets >= LAB_LAW_BUDGETS)
        cr_assert_eq(lab_sweep_laws_create(&finding->laws, made->ctx, finding->minima,
                                           finding->results, finding->result_count, NULL),
                     PEER_OK);
}

static void add_part(struct study_case *made, int index, const struct study_case_config *config)
{
    struct lab_part *part = &made->study->part[made->study->parts];
    struct lab_finding *finding = &made->findings->part[made->study->parts++];
    int64_t seeds = config->seeds > 0 ? config->seeds : 1;
    snprintf(part->name, sizeof part->name, "%s", parts[index].name);
    part->facts = parts[index].facts;
    part->make.table = (struct lab_facts_config){.people = 100, .attributes = 5, .values = 256};
    part->budgets = parts[index].budgets;
    part->sizes = parts[index].sizes ? config->sizes : 1;
    part->variants = parts[index].variants;
    for (int64_t b = 0; b < part->budgets; b++)
        part->budget[b] = 1e11 * pow(4, (double)b);
    for (int64_t s = 0; s < part->sizes; s++)
        part->size[s] = (struct lab_study_size){.width = 16 + 8 * s, .blocks = 3};
    for (int64_t v = 0; v < part->variants; v++)
        part->variant[v] = parts[index].variant[v];
    finding->rows.part = part;
    finding->rows.row = calloc((size_t)(part->variants * part->budgets * part->sizes * seeds),
                               sizeof *finding->rows.row);
    cr_assert(finding->rows.row);
    for (int64_t v = 0; v < part->variants; v++)
        for (int64_t b = 0; b < part->budgets; b++)
            for (int64_t s = 0; s < part->sizes; s++)
                for (int64_t seed = 1; seed <= seeds; seed++)
                    add_row(made, &finding->rows, part->variant[v], s, b, seed, config);
    fill_finding(made, finding);
}

/* A search with its optimum inside, one of the tables' rate at the edge with lost probes, and one
 * that is not begun. */
static void fill_rates(struct study_case *made, bool done_any)
{
    struct lab_rates *rates = &made->findings->rates;
    made->study->tune = rates->tune = made->study->part[0];
    rates->width0 = 16;
    rates->budget0 = 1e11;
    rates->cells = 3;
    rates->cell[0] = (struct lab_rate_cell){.variant = 0,
                                            .start = 0.01,
                                            .factor = 2,
                                            .probes = 3,
                                            .step = {-1, 0, 1},
                                            .loss = {4.1, 4.0, 4.2},
                                            .found = true,
                                            .log2_best = log2(0.01)};
    rates->cell[1] = (struct lab_rate_cell){.variant = 7,
                                            .scale = true,
                                            .start = 4,
                                            .factor = 4,
                                            .probes = 3,
                                            .step = {-1, 0, 1},
                                            .loss = {4.1, INFINITY, NAN},
                                            .log2_best = 0};
    rates->cell[2] = (struct lab_rate_cell){.variant = 2, .start = 0.01, .factor = 2};
    rates->rules = 1;
    rates->rule[0] = (struct lab_rate_rule){.variant = 0, .base = log2(0.01), .width_slope = -0.5};
    if (!done_any)
        rates->cell[0].probes = rates->cell[1].probes = 0;
}

/* Two models of fig1 on two texts and on one, and one without a score. */
static void fill_table1(struct study_case *made)
{
    const struct lab_finding *fig1 = lab_findings_part(made->findings, "fig1");
    struct lab_table1 *table = &made->findings->table1;
    table->models = 3;
    table->model = calloc(3, sizeof *table->model);
    cr_assert(table->model);
    for (int i = 0; i < 3; i++)
        table->model[i] = (struct lab_table1_model){
            .variant = i == 1 ? 2 : 0, .budget = i == 2, .result = fig1->rows.row[0].result};
    table->model[1].texts = 1;
    table->model[1].text[0] =
        (struct lab_text_score){"held out", "held-out", 1001, 1000, 3.9, 49.4, 1.7, NAN, NAN, NAN};
    table->model[0].texts = 2;
    table->model[0].text[0] =
        (struct lab_text_score){"held out", "held-out", 1001, 1000, 4, 54.6, 1.75, NAN, NAN, NAN};
    table->model[0].text[1] = (struct lab_text_score){
        STUDY_CASE_HOSTILE, "lambada", 1000, 1000, 5, 148.4, 2.25, 900, 800, 0.125};
}

static void fill_claims(struct lab_findings *f, int seeds)
{
    f->claim[0] = (struct lab_claim){.text = "loss falls, with commas, and <tags>",
                                     .unit = "nats",
                                     .direction = -1,
                                     .effect = seeds ? -0.02 : NAN,
                                     .interval = lab_interval_unknown(),
                                     .seeds = seeds,
                                     .note = seeds > 1 ? "" : "no interval: 1 seed"};
    if (seeds > 1)
        f->claim[0].interval = (struct lab_interval){true, -0.03, -0.01};
    f->claim[0].verdict = lab_claim_judge(-1, f->claim[0].interval);
    f->claim[1] = (struct lab_claim){.text = "nobody knows",
                                     .unit = "%",
                                     .direction = 1,
                                     .effect = NAN,
                                     .interval = lab_interval_unknown(),
                                     .note = "no finished runs"};
    f->claims = 2;
}

struct study_case study_case_make(const struct study_case_config *config)
{
    struct study_case made = {.study = calloc(1, sizeof *made.study),
                              .findings = calloc(1, sizeof *made.findings),
                              .results = calloc(CAPACITY, sizeof *made.results)};
    cr_assert(made.study && made.findings && made.results);
    cr_assert_eq(peer_ctx_create(&made.ctx, NULL), PEER_OK);
    snprintf(made.study->name, sizeof made.study->name, "made up");
    made.study->effect = 0.01;
    for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
        struct lab_study_variant *variant = &made.study->variant[made.study->variants++];
        snprintf(variant->name, sizeof variant->name, "%s", variants[v].name);
        snprintf(variant->ffw, sizeof variant->ffw, "%s", variants[v].ffw);
    }
    made.findings->study = made.study;
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++)
        add_part(&made, (int)p, config);
    fill_rates(&made, config->seeds > 0);
    made.findings->seeds = config->seeds;
    made.findings->noise_pair = lab_effect_paired(NULL, 0);
    made.findings->noise = lab_seed_noise_of(config->seeds > 1 ? 0.01 : NAN, config->seeds - 1);
    lab_power_table(made.findings->detectable, made.findings->noise, 1);
    made.findings->needed = lab_power_seeds(made.findings->noise, made.study->effect, 1);
    fill_claims(made.findings, config->seeds);
    if (config->seeds > 0)
        fill_table1(&made);
    cr_assert_eq(lab_budget_noise_make(made.findings, made.ctx), PEER_OK);
    cr_assert_eq(lab_outlook_make(made.findings, made.ctx), PEER_OK);
    snprintf(made.info.machine, sizeof made.info.machine, "a made-up machine");
    snprintf(made.info.revision, sizeof made.info.revision, "0123abc");
    made.report = (struct lab_study_report){.findings = made.findings,
                                            .results = made.results,
                                            .count = made.count,
                                            .options = "--scale made --out <here>"};
    return made;
}

void study_case_free(struct study_case *made)
{
    for (int64_t p = 0; p < made->study->parts; p++) {
        struct lab_finding *finding = &made->findings->part[p];
        lab_sweep_laws_destroy(&finding->laws);
        lab_minima_destroy(&finding->minima);
        free(finding->rows.row);
        free(finding->line);
        free(finding->results);
    }
    free(made->findings->table1.model);
    free(made->findings->budget_noise);
    for (int64_t i = 0; i < made->count; i++)
        free(made->results[i].usage);
    free(made->results);
    free(made->findings);
    free(made->study);
    cr_expect_eq(peer_ctx_bytes(made->ctx), 0);
    peer_ctx_destroy(&made->ctx);
}
