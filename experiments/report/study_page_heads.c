/* SPDX-License-Identifier: MIT */
/* Active experts and their heads: Figure 3b. */
#include <math.h>

#include "experiments/fits/best.h"
#include "experiments/report/study_page_lines.h"
#include "experiments/report/study_paper.h"

static int64_t active_of(const struct lab_finding_line *line)
{
    return line->row ? line->row->heads * line->row->kept : 0;
}

/* The best h at the next larger number of active experts, and where it lies among those tried. */
static const struct lab_finding_line *next_best(const struct lab_finding *finding, int64_t after,
                                                int64_t *fewest, int64_t *most)
{
    int64_t next = INT64_MAX;
    const struct lab_finding_line *best = NULL;
    for (int64_t i = 0; i < finding->lines; i++)
        if (active_of(&finding->line[i]) > after && active_of(&finding->line[i]) < next &&
            isfinite(finding->line[i].nats))
            next = active_of(&finding->line[i]);
    *fewest = INT64_MAX;
    *most = 0;
    for (int64_t i = 0; i < finding->lines; i++) {
        const struct lab_finding_line *line = &finding->line[i];
        if (active_of(line) != next || !isfinite(line->nats))
            continue;
        *fewest = line->row->heads < *fewest ? line->row->heads : *fewest;
        *most = line->row->heads > *most ? line->row->heads : *most;
        if (!best || line->nats < best->nats)
            best = line;
    }
    return best;
}

static void say_heads(const struct lab_study_page *page, const struct lab_finding *finding)
{
    struct lab_document *document = page->document;
    int64_t fewest, most, edges = 0;
    const struct lab_finding_line *line = next_best(finding, 0, &fewest, &most);
    lab_document_open(document, LAB_PARAGRAPH);
    lab_study_say_setting(page, finding);
    lab_document_say(document, "Lowest mean loss by active experts h k:");
    for (bool first = true; line; first = false) {
        bool edge = lab_best_at_edge((double)line->row->heads, (double)fewest, (double)most);
        edges += edge;
        lab_document_say(document, "%s %lld at h = %lld, %.4f nats (%lld seed%s%s)",
                         first ? "" : ";", (long long)active_of(line), (long long)line->row->heads,
                         line->nats, (long long)line->seeds, line->seeds == 1 ? "" : "s",
                         edge ? ", the edge of the h tried" : "");
        line = next_best(finding, active_of(line), &fewest, &most);
    }
    lab_document_say(document, ".%s",
                     edges ? " Where the best h is at the edge, a better one may lie beyond it."
                           : "");
    lab_study_say_epochs(page, finding);
    lab_document_close(document, LAB_PARAGRAPH);
}

static void paper_heads(const struct lab_study_page *page)
{
    static const struct lab_column columns[] = {
        {"paper: h k", true}, {"h: perplexity", false}, {"best h", true}, {NULL, false}};
    struct lab_document *document = page->document;
    lab_document_block(document, LAB_PARAGRAPH,
                       "The paper's own numbers, at 6\xC3\x97"
                       "10\xC2\xB9\xE2\x81\xB8 FLOPs, C4, "
                       "read off the pixels of its figure (\xC2\xB1 0.03):");
    lab_document_table(document, columns, false);
    for (int i = 0; i < LAB_PAPER_ACTIVE; i++) {
        const struct lab_paper_heads *row = &lab_paper_heads[i];
        char text[96];
        int length = 0, best = 0;
        for (int j = 0; j < LAB_PAPER_HEADS; j++) {
            length += snprintf(text + length, sizeof text - (size_t)length, "%s%lld: %.2f",
                               j ? ", " : "", (long long)row->heads[j], row->perplexity[j]);
            best = row->perplexity[j] < row->perplexity[best] ? j : best;
        }
        lab_document_row(document, columns);
        lab_document_cell(document, "%lld", (long long)row->active);
        lab_document_cell(document, "%s", text);
        lab_document_cell(document, "%lld", (long long)row->heads[best]);
        lab_document_row_end(document);
    }
    lab_document_table_end(document);
}

void lab_study_page_fig3b(const struct lab_study_page *page)
{
    static const char *const tables[] = {"fig3b", "runs", "effects", NULL};
    const struct lab_finding *finding = lab_findings_part(page->findings, "fig3b");
    if (!lab_study_section_start(page, finding, "fig3b",
                                 "Figure 3b: active experts, and their heads"))
        return;
    lab_study_page_figure(
        page, LAB_STUDY_FIG3B,
        "Left: loss against heads h, a curve per number of active experts h k, "
        "the lowest mean of each ringed; small rings are runs. Right: that lowest "
        "mean against h k.");
    say_heads(page, finding);
    lab_study_section_end(page, finding, tables);
    lab_study_lines_table(page, finding);
    paper_heads(page);
}
