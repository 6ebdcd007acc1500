/* SPDX-License-Identifier: MIT */
/* The number of experts, and the norm of their queries: Figure 3a and Table 2. */
#include <math.h>
#include <string.h>

#include "experiments/report/study_page_lines.h"
#include "experiments/report/study_paper.h"

/* ---- Figure 3a ---- */

/* The line with the fewest or most experts that is measured. */
static const struct lab_finding_line *extreme(const struct lab_finding *finding, bool most)
{
    const struct lab_finding_line *found = NULL;
    for (int64_t i = 0; i < finding->lines; i++) {
        const struct lab_finding_line *line = &finding->line[i];
        if (!line->row || line->row->N <= 0 || !isfinite(line->nats))
            continue;
        if (!found || (most ? line->row->N > found->row->N : line->row->N < found->row->N))
            found = line;
    }
    return found;
}

/* How often a step of so many tokens retrieves an expert on average. */
static double retrievals(const struct lab_part_row *row, double tokens)
{
    return tokens * (double)(row->heads * row->kept) / row->N;
}

static void say_retrievals(struct lab_document *document, const struct lab_part_row *few,
                           const struct lab_part_row *many)
{
    char from[32], to[32];
    lab_study_square_text(from, few->N);
    lab_study_square_text(to, many->N);
    lab_document_say(document,
                     " A step of training, %lld tokens, retrieves each of %s experts %.4g times on "
                     "average, each of %s %.4g times; the paper's, %d tokens, %.4g and %.4g times, "
                     "so that usage here need not be what it is there.",
                     (long long)many->step_tokens, from, retrievals(few, (double)few->step_tokens),
                     to, retrievals(many, (double)many->step_tokens), LAB_PAPER_STEP,
                     retrievals(few, LAB_PAPER_STEP), retrievals(many, LAB_PAPER_STEP));
}

static void say_experts(const struct lab_study_page *page, const struct lab_finding *finding)
{
    struct lab_document *document = page->document;
    const struct lab_finding_line *few = extreme(finding, false), *many = extreme(finding, true);
    const struct lab_study_variant *names = page->findings->study->variant;
    char from[32], to[32];
    lab_document_open(document, LAB_PARAGRAPH);
    lab_study_say_setting(page, finding);
    if (!few || few == many) {
        lab_document_say(document, "Fewer than two numbers of experts are measured.");
        lab_document_close(document, LAB_PARAGRAPH);
        return;
    }
    struct lab_effect effect =
        lab_part_effect(&finding->rows, many->variant, few->variant, many->size, 0);
    int base = lab_study_base(&finding->rows, many->variant);
    lab_study_square_text(from, few->row->N);
    lab_study_square_text(to, many->row->N);
    lab_document_say(document, "From N = %s to %s the loss goes from %.4f to %.4f, ", from, to,
                     few->nats, many->nats);
    lab_study_say_effect(document, &effect);
    if (base >= 0) {
        struct lab_effect off = lab_part_effect(&finding->rows, many->variant, base, many->size, 0);
        lab_document_say(document, "; at %s it is ", to);
        lab_study_say_effect(document, &off);
        lab_document_say(document, " from %s", names[base].name);
    }
    if (isfinite(few->used) && isfinite(many->used))
        lab_document_say(document,
                         ". The share of experts in use goes from %.1f\xC2\xA0%% to "
                         "%.1f\xC2\xA0%%, unevenness from %.2f to %.2f nats",
                         100 * few->used, 100 * many->used, few->unevenness, many->unevenness);
    lab_document_say(document, ".");
    say_retrievals(document, few->row, many->row);
    lab_study_say_epochs(page, finding);
    lab_document_close(document, LAB_PARAGRAPH);
}

static void paper_experts(const struct lab_study_page *page)
{
    static const struct lab_column columns[] = {{"paper: experts N", true},
                                                {"perplexity", true},
                                                {"minus no PEER (24.2, read off), nats", true},
                                                {NULL, false}};
    struct lab_document *document = page->document;
    lab_study_section_paper(page);
    lab_document_table(document, columns, false);
    for (int i = 0; i < LAB_PAPER_NORMS; i++) {
        char experts[32];
        lab_study_square_text(experts, lab_paper_norms[i].experts);
        lab_document_row(document, columns);
        lab_document_cell(document, "%s", experts);
        lab_document_number(document, 2, lab_paper_norms[i].perplexity[1]);
        lab_document_cell(document, "%+.3f",
                          log(lab_paper_norms[i].perplexity[1] / LAB_PAPER_DENSE));
        lab_document_row_end(document);
    }
    lab_document_table_end(document);
}

void lab_study_page_fig3a(const struct lab_study_page *page)
{
    static const char *const tables[] = {"fig3a", "runs", "effects", NULL};
    const struct lab_finding *finding = lab_findings_part(page->findings, "fig3a");
    if (!lab_study_section_start(page, finding, "fig3a", "Figure 3a: the number of experts"))
        return;
    lab_study_page_figure(page, LAB_STUDY_FIG3A,
                          "Against the number of experts, at equal FLOPs and equally many active "
                          "ones. Loss: means, with the standard deviation over seeds, and runs as "
                          "small rings; dashed, the first variant. Differences: in pairs, with "
                          "90\xC2\xA0% intervals. Usage and unevenness by gates, means.");
    say_experts(page, finding);
    lab_study_section_end(page, finding, tables);
    lab_study_lines_table(page, finding);
    paper_experts(page);
}

/* ---- Table 2 ---- */

static const struct lab_finding_line *line_of(const struct lab_finding *finding, int variant)
{
    for (int64_t i = 0; i < finding->lines; i++)
        if (finding->line[i].variant == variant)
            return &finding->line[i];
    return NULL;
}

static void say_norms(const struct lab_study_page *page, const struct lab_finding *finding)
{
    struct lab_document *document = page->document;
    const struct lab_finding_line *last = NULL, *twin = NULL;
    bool first = true;
    lab_document_open(document, LAB_PARAGRAPH);
    lab_study_say_setting(page, finding);
    lab_document_say(document, "With BatchNorm of the queries minus without:");
    for (int64_t i = 0; i < finding->lines; i++) {
        const struct lab_finding_line *line = &finding->line[i];
        int base = lab_study_base(&finding->rows, line->variant);
        if (!line->row || strcmp(line->row->norm, "batch") != 0 || base < 0)
            continue;
        struct lab_effect effect = lab_part_effect(&finding->rows, line->variant, base, 0, 0);
        char experts[32];
        lab_study_square_text(experts, line->row->N);
        lab_document_say(document, "%s at N = %s ", first ? "" : ";", experts);
        lab_study_say_effect(document, &effect);
        first = false;
        last = line;
        twin = line_of(finding, base);
    }
    lab_document_say(document, first ? " not measured." : ".");
    if (last && twin && isfinite(last->unevenness) && isfinite(twin->unevenness)) {
        char experts[32];
        lab_study_square_text(experts, last->row->N);
        lab_document_say(document,
                         " At N = %s unevenness is %.2f with and %.2f nats without it, and "
                         "%.1f\xC2\xA0%% against %.1f\xC2\xA0%% of the experts are used.",
                         experts, last->unevenness, twin->unevenness, 100 * last->used,
                         100 * twin->used);
    }
    lab_study_say_epochs(page, finding);
    lab_document_close(document, LAB_PARAGRAPH);
}

static void paper_norms(const struct lab_study_page *page)
{
    static const struct lab_column columns[] = {
        {"paper: experts N", true},          {"perplexity without / with", true},
        {"with minus without, nats", true},  {"used without / with, %", true},
        {"unevenness without / with", true}, {NULL, false}};
    struct lab_document *document = page->document;
    lab_study_section_paper(page);
    lab_document_table(document, columns, false);
    for (int i = 0; i < LAB_PAPER_NORMS; i++) {
        const struct lab_paper_norm *row = &lab_paper_norms[i];
        char experts[32];
        lab_study_square_text(experts, row->experts);
        lab_document_row(document, columns);
        lab_document_cell(document, "%s", experts);
        lab_document_cell(document, "%.2f / %.2f", row->perplexity[0], row->perplexity[1]);
        lab_document_cell(document, "%+.4f", log(row->perplexity[1] / row->perplexity[0]));
        lab_document_cell(document, "%.1f / %.1f", row->used[0], row->used[1]);
        lab_document_cell(document, "%.2f / %.2f", row->unevenness[0], row->unevenness[1]);
        lab_document_row_end(document);
    }
    lab_document_table_end(document);
}

void lab_study_page_table2(const struct lab_study_page *page)
{
    static const char *const tables[] = {"table2", "runs", "effects", NULL};
    const struct lab_finding *finding = lab_findings_part(page->findings, "table2");
    if (!lab_study_section_start(page, finding, "table2", "Table 2: norm of the queries"))
        return;
    lab_study_page_figure(page, LAB_STUDY_TABLE2,
                          "By norm of the queries and number of experts. Loss: means, and runs as "
                          "small rings. Differences: from the twin without a norm, in pairs, with "
                          "90\xC2\xA0% intervals. LayerNorm and RMSNorm are not in the paper.");
    say_norms(page, finding);
    lab_study_section_end(page, finding, tables);
    lab_study_lines_table(page, finding);
    paper_norms(page);
}
