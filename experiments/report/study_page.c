/* SPDX-License-Identifier: MIT */
#include "experiments/report/study_page.h"

#include <math.h>
#include <string.h>

static const char style[] =
    ".reproduced{color:#00754f;font-weight:600}.contradicted{color:var(--bad);font-weight:600}\n"
    ".unclear{color:var(--soft)}\n"
    "@media screen and (prefers-color-scheme:dark){.reproduced{color:#4cc79b}}\n"
    "code{font-size:.92em;overflow-wrap:anywhere}\n"
    "a{color:inherit}\n"
    ".scroll{width:fit-content;max-width:100%}table{min-width:0}\n"
    "th{white-space:normal}td.wide{white-space:normal;min-width:11rem}td .range{font-weight:400}\n"
    "@media print{td.wide{min-width:0}}\n";

void lab_study_page_figure(const struct lab_study_page *page, enum lab_study_picture picture,
                           const char *caption)
{
    lab_document_figure(page->document, &page->figures->figure[picture], "results",
                        lab_study_picture_name(picture), caption);
}

void lab_study_page_source(const struct lab_study_page *page, const char *part,
                           const char *const *tables)
{
    struct lab_document *document = page->document;
    char text[1024];
    snprintf(text, sizeof text, "peerlab reproduce %.24s %.900s", part ? part : "all",
             page->report->options);
    lab_document_open(document, LAB_SMALL);
    lab_document_say(document, "Made by ");
    lab_document_code(document, text);
    lab_document_say(document, ". ");
    lab_document_data(document, "results", tables);
    lab_document_close(document, LAB_SMALL);
}

/* A run that ended without a loss. */
static void name_failed(const struct lab_study_page *page, const struct lab_finding *finding,
                        const struct lab_part_row *row, bool first)
{
    const struct lab_study_size *size = &finding->rows.part->size[row->size];
    lab_document_say(page->document, "%s%s (width %lld, seed %lld) %s", first ? ": " : "; ",
                     page->findings->study->variant[row->variant].name, (long long)size->width,
                     (long long)row->seed, lab_study_state(row));
    if (*row->result->message)
        lab_document_say(page->document, ", %.120s", row->result->message);
}

void lab_study_page_states(const struct lab_study_page *page, const struct lab_finding *finding)
{
    enum { NAMED = 12 };
    struct lab_document *document = page->document;
    int64_t named = 0;
    if (finding->missing == 0 && finding->failed == 0)
        return;
    lab_document_open(document, LAB_WARNING);
    lab_document_say(document, "%lld of %lld runs are done", (long long)finding->finished,
                     (long long)finding->rows.count);
    if (finding->missing)
        lab_document_say(document, ", %lld missing", (long long)finding->missing);
    if (finding->failed)
        lab_document_say(document, ", %lld failed or diverged", (long long)finding->failed);
    for (int64_t i = 0; i < finding->rows.count; i++) {
        const struct lab_part_row *row = &finding->rows.row[i];
        if (row->result && !lab_row_done(row) && named < NAMED)
            name_failed(page, finding, row, named++ == 0);
    }
    if (finding->failed > NAMED)
        lab_document_say(document, "; and %lld more", (long long)finding->failed - NAMED);
    lab_document_say(document, ". What is not done counts nowhere.");
    lab_document_close(document, LAB_WARNING);
}

static void write_all(struct lab_document *document, const void *made)
{
    struct lab_study_page own = *(const struct lab_study_page *)made;
    const struct lab_study_page *page = &own;
    char title[160];
    own.document = document;
    snprintf(title, sizeof title, "The PEER paper's study, repeated: %.64s",
             page->findings->study->name);
    lab_document_begin(page->document, title, style);
    lab_study_page_question(page);
    lab_document_contents(document);
    if (*page->figures->note)
        lab_document_block(page->document, LAB_WARNING, "Figures are missing. %s",
                           page->figures->note);
    lab_study_page_claims(page);
    lab_study_page_fairness(page);
    lab_study_page_power(page);
    lab_study_page_fig1(page);
    lab_study_page_laws(page);
    lab_study_page_table1(page);
    lab_study_page_fig3a(page);
    lab_study_page_fig3b(page);
    lab_study_page_table2(page);
    lab_study_page_fig4(page);
    lab_study_page_usage(page);
    lab_study_page_others(page);
    lab_study_page_outlook(page);
    lab_study_page_making(page);
    lab_document_end(page->document);
}

void lab_study_page_write(FILE *file, enum lab_markup markup, const struct lab_study_page *page)
{
    lab_document_write(file, markup, write_all, page);
}
