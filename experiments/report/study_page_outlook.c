/* SPDX-License-Identifier: MIT */
/* What more FLOPs would change. */
#include <math.h>

#include "experiments/report/study_page_lines.h"

static const struct lab_column columns[] = {{"quantity", false},
                                            {"unit", false},
                                            {"runs or pairs", true},
                                            {"largest budget, FLOPs", true},
                                            {"there", true},
                                            {"change per tenfold FLOPs", true},
                                            {"at ten times that, if it goes on", true},
                                            {"note", false},
                                            {NULL, false}};

/* With a sign where it is a change. */
static void value_cell(struct lab_document *document, bool change, double value,
                       struct lab_interval interval)
{
    char text[32] = "", range[64] = "";
    if (isfinite(value))
        snprintf(text, sizeof text, change ? "%+.4f" : "%.4f", value);
    if (interval.known)
        snprintf(range, sizeof range, change ? "%+.4f to %+.4f" : "%.4f to %.4f", interval.low,
                 interval.high);
    lab_document_cell_with(document, NULL, text, range);
}

static void outlook_table(const struct lab_study_page *page)
{
    struct lab_document *document = page->document;
    lab_document_table(document, columns, false);
    for (int64_t i = 0; i < page->findings->outlooks; i++) {
        const struct lab_outlook *outlook = &page->findings->outlook[i];
        char power[48];
        lab_power_text(power, outlook->budget);
        lab_document_row(document, columns);
        lab_document_cell(document, "%s", outlook->text);
        lab_document_cell(document, "%s", outlook->unit);
        lab_document_cell(document, "%lld", (long long)outlook->trend.runs);
        lab_document_cell(document, "%s", power);
        value_cell(document, outlook->difference, outlook->here.y, outlook->here.interval);
        value_cell(document, true, outlook->trend.slope, outlook->trend.interval);
        value_cell(document, outlook->difference, outlook->ahead.y, outlook->ahead.interval);
        lab_document_cell(document, "%s", outlook->trend.note);
        lab_document_row_end(document);
    }
    lab_document_table_end(document);
}

/* Which differences would be told from zero. */
static void say_told(const struct lab_study_page *page)
{
    const struct lab_findings *f = page->findings;
    int64_t known = 0, told = 0, moving = 0;
    for (int64_t i = 0; i < f->outlooks; i++) {
        const struct lab_interval slope = f->outlook[i].trend.interval;
        const struct lab_interval ahead = f->outlook[i].ahead.interval;
        if (!f->outlook[i].difference || !slope.known)
            continue;
        known++;
        moving += slope.low > 0 || slope.high < 0;
        told += ahead.low > 0 || ahead.high < 0;
    }
    if (known == 0)
        lab_document_say(page->document,
                         "Not measured: too few sizes and seeds have two budgets. ");
    else
        lab_document_say(
            page->document,
            "Of %lld differences with an interval %lld change with the FLOPs, and %lld "
            "would lie apart from zero at ten times the largest budget. ",
            (long long)known, (long long)moving, (long long)told);
}

void lab_study_page_outlook(const struct lab_study_page *page)
{
    static const char *const tables[] = {"outlook", NULL};
    struct lab_document *document = page->document;
    if (page->findings->outlooks == 0)
        return;
    lab_document_heading(document, "outlook", "With ten times the FLOPs");
    lab_study_page_figure(
        page, LAB_STUDY_OUTLOOK,
        "Differences of losses in pairs of one size and seed, on the line through "
        "the budgets, with 90\xC2\xA0% intervals.");
    lab_document_open(document, LAB_PARAGRAPH);
    say_told(page);
    lab_document_say(document,
                     "Lines through the budgets of Figure 1, on the logarithm of the FLOPs, each "
                     "size and seed with a level of its own, as far as it has two budgets. What "
                     "they say beyond the largest budget rests on their being lines, which no "
                     "interval knows.");
    lab_document_close(document, LAB_PARAGRAPH);
    lab_study_page_source(page, "fig1", tables);
    outlook_table(page);
}
