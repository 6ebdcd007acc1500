/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "experiments/report/study_page.h"
#include "experiments/report/study_tables.h"

static const struct lab_column cell_columns[] = {
    {"rate of", false}, {"variant", false},      {"width", true}, {"FLOPs", true}, {"probes", true},
    {"optimum", true},  {"the rule says", true}, {"note", false}, {NULL, false}};

static void cell_row(const struct lab_study_page *page, const struct lab_rates *rates,
                     const struct lab_rate_cell *cell)
{
    struct lab_document *document = page->document;
    const struct lab_findings *f = page->findings;
    const struct lab_part *tune = &rates->tune;
    double ruled = cell->probes ? lab_study_ruled(f, rates, cell) : NAN;
    char power[48], best[32] = "", rule[32] = "";
    const char *edge = cell->probes == 0 ? "not probed"
                       : cell->found     ? ""
                                         : "lowest at the grid's edge";
    int64_t lost = 0;
    for (int64_t i = 0; i < cell->probes; i++)
        lost += !isfinite(cell->loss[i]);
    lab_power_text(power, tune->budget[cell->budget]);
    if (cell->probes)
        snprintf(best, sizeof best, "%.3g", exp2(cell->log2_best));
    if (isfinite(ruled))
        snprintf(rule, sizeof rule, "%.3g", ruled);
    lab_document_row(document, cell_columns);
    lab_document_cell(document, cell->scale ? "tables" : "model");
    lab_document_cell(document, "%s", f->study->variant[cell->variant].name);
    lab_document_cell(document, "%lld", (long long)tune->size[cell->size].width);
    lab_document_cell(document, "%s", power);
    lab_document_cell(document, "%lld", (long long)cell->probes);
    lab_document_cell(document, "%s", best);
    lab_document_cell(document, "%s", rule);
    lab_document_cell(document, "%s%s%s", edge, *edge && lost ? "; " : "",
                      lost ? "probes failed or diverged" : "");
    lab_document_row_end(document);
}

/* Whether a rate of a variant has been tried; a rule without any is its starting value. */
static bool tried(const struct lab_rates *rates, int variant)
{
    bool any = rates->cells == 0;
    for (int64_t i = 0; i < rates->cells; i++)
        any |= rates->cell[i].variant == variant && rates->cell[i].probes > 0;
    return any;
}

static void say_rule(const struct lab_study_page *page)
{
    struct lab_document *document = page->document;
    const struct lab_findings *f = page->findings;
    const struct lab_rates *rates = &f->rates;
    int64_t probes = 0, edges = 0;
    char power[48];
    for (int64_t i = 0; i < rates->cells; i++) {
        probes += rates->cell[i].probes;
        edges += rates->cell[i].probes > 0 && !rates->cell[i].found;
    }
    lab_power_text(power, rates->budget0);
    lab_document_open(document, LAB_PARAGRAPH);
    lab_document_say(
        document,
        "Learning rates come from a search, %lld runs: for every tuned variant and "
        "size a grid of rates a factor of two apart that grows until its lowest loss is "
        "inside, its optimum the vertex of a parabola; through the optima a rule. ",
        (long long)probes);
    lab_document_say(document,
                     "Rate = r (width / %.0f)^a (FLOPs / %s)^%.2f, off by a factor of %.2f (root "
                     "mean square)",
                     rates->width0, power, rates->budget_slope, exp2(rates->residual));
    for (int64_t i = 0; i < rates->rules; i++)
        if (tried(rates, rates->rule[i].variant))
            lab_document_say(document, "; %s: r = %.3g, a = %.2f",
                             f->study->variant[rates->rule[i].variant].name,
                             exp2(rates->rule[i].base), rates->rule[i].width_slope);
    lab_document_say(document, ".");
    for (int64_t i = 0; i < rates->scale_rules; i++)
        lab_document_say(document, " Tables of %s: %.3g N^%.2f (FLOPs / %s)^%.2f times that.",
                         rates->scale_rule[i].ffw, exp2(rates->scale_rule[i].base),
                         rates->scale_rule[i].slope, power, rates->scale_rule[i].budget_slope);
    if (edges)
        lab_document_say(document, " %lld of %lld optima lie at the edge of their grid.",
                         (long long)edges, (long long)rates->cells);
    lab_document_close(document, LAB_PARAGRAPH);
}

static void cell_table(const struct lab_study_page *page, const struct lab_rates *rates)
{
    lab_document_table(page->document, cell_columns, true);
    for (int64_t i = 0; i < rates->cells; i++)
        cell_row(page, rates, &rates->cell[i]);
    lab_document_table_end(page->document);
}

static void write_rates(const struct lab_study_page *page)
{
    static const char *const tables[] = {"rates", "rates-optima", NULL};
    const struct lab_rates *rates = &page->findings->rates;
    struct lab_document *document = page->document;
    int64_t probes = 0;
    for (int64_t i = 0; i < rates->cells; i++)
        probes += rates->cell[i].probes;
    lab_document_heading(document, "rates", "Fair runs: learning rates");
    if (probes == 0) {
        lab_document_block(document, LAB_WARNING,
                           "No learning rate is searched yet: runs would "
                           "have the rate that the study's file states.");
        return;
    }
    lab_study_page_figure(
        page, LAB_STUDY_RATES,
        "Final validation loss against learning rate, and against the tables' own "
        "rate relative to it; rings mark optima inside the grid. Last: optima of "
        "the learning rate against width, and the rule.");
    say_rule(page);
    lab_study_page_source(page, NULL, tables);
    cell_table(page, rates);
    for (int64_t p = 0; p < page->findings->study->parts; p++) {
        const struct lab_rates *own = lab_study_rates(page->findings, p);
        if (!own)
            continue;
        lab_document_block(document, LAB_PARAGRAPH,
                           "The part %s, on a text of facts, has learning rates of its own:",
                           page->findings->study->part[p].name);
        cell_table(page, own);
    }
}

static void write_accounting(const struct lab_study_page *page)
{
    struct lab_document *document = page->document;
    lab_document_heading(document, "flops", "Fair runs: FLOPs and pairs");
    lab_document_block(document, LAB_PARAGRAPH,
                       "One multiply-add is 2 FLOPs. Every multiply-add of a matrix product, a "
                       "score, an expert, a weighted sum of rows, attention, the router and the "
                       "vocabulary counts, and so does each addition of two sub-scores in "
                       "retrieval; activations, softmaxes, norms and the optimizer do not. A run "
                       "trains on budget / FLOPs per token tokens.");
    lab_document_block(
        document, LAB_PARAGRAPH,
        "Runs of one size, budget and seed are pairs: the same backbone at the start "
        "and the same batches in the same order, whatever the layer. Differences are "
        "taken seed by seed, so that what a seed does to both cancels. Also reported "
        "for every run: all parameters, bytes of parameters read per token, and "
        "wall-clock per token, which on a shared machine is what it was.");
}

void lab_study_page_fairness(const struct lab_study_page *page)
{
    write_rates(page);
    write_accounting(page);
}
