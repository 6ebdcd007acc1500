/* SPDX-License-Identifier: MIT */
/* Utilization over the training, which the paper does not show. */
#include "experiments/report/study_page_lines.h"

static const struct lab_column columns[] = {{"variant", false},
                                            {"experts", true},
                                            {"seed", true},
                                            {"retrieved before training, %", true},
                                            {"most, %", true},
                                            {"at step", true},
                                            {"at the end, %", true},
                                            {"at step", true},
                                            {"born dead, %", true},
                                            {"died, %", true},
                                            {"first in a head, %", true},
                                            {"of a token's, shared by heads, %", true},
                                            {NULL, false}};

static void usage_table(const struct lab_study_page *page)
{
    struct lab_document *document = page->document;
    lab_document_table(document, columns, false);
    for (int64_t i = 0; i < page->usage->count; i++) {
        const struct lab_study_track *track = &page->usage->track[i];
        char experts[32];
        lab_study_square_text(experts, (double)track->track.experts);
        lab_document_row(document, columns);
        lab_document_cell(document, "%s", track->track.name);
        lab_document_cell(document, "%s", experts);
        lab_document_cell(document, "%lld", (long long)track->seed);
        lab_document_cell(document, "%.1f", 100 * track->first);
        lab_document_cell(document, "%.1f", 100 * track->most);
        lab_document_cell(document, "%lld", (long long)track->most_step);
        lab_document_cell(document, "%.1f", 100 * track->last);
        lab_document_cell(document, "%lld", (long long)track->last_step);
        lab_document_cell(document, "%.1f", 100 * track->born_dead);
        lab_document_cell(document, "%.1f", 100 * track->died);
        lab_document_cell(document, "%.2f", 100 * track->top1);
        lab_document_cell(document, "%.2f", 100 * track->overlap);
        lab_document_row_end(document);
    }
    lab_document_table_end(document);
}

void lab_study_page_usage(const struct lab_study_page *page)
{
    static const char *const tables[] = {"usage_timeline", "usage_lorenz", NULL};
    if (page->usage->count == 0)
        return;
    lab_document_heading(page->document, "usage", "Utilization over the training");
    lab_study_page_figure(
        page, LAB_STUDY_TIMELINE,
        "Experts that the same validation tokens retrieve, at chosen steps of the "
        "training (logarithmic; 0 is before it), one run of each setting.");
    lab_study_page_figure(
        page, LAB_STUDY_STEPS,
        "The same as maps, for the fewest and the most experts: rows are sub-keys "
        "of the first half, columns of the second, their load relative to even "
        "use.");
    lab_study_page_figure(page, LAB_STUDY_LORENZ,
                          "At the end: the share of all gates and retrievals that the most used "
                          "experts hold.");
    lab_document_block(page->document, LAB_PARAGRAPH,
                       "Each run has one seed, and its own points in the training. Born dead: "
                       "retrieved at no point; died: at an earlier one, but not at the last. "
                       "Fewer tokens are looked at here than at the end of a run, so that "
                       "usage is below that of the tables above.");
    lab_study_page_source(page, NULL, tables);
    usage_table(page);
}
