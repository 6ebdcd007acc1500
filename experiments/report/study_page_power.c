/* SPDX-License-Identifier: MIT */
/* The seeds' noise, and which difference how many seeds and which budget can show. */
#include <math.h>

#include "experiments/report/study_page_lines.h"

static void say_noise(const struct lab_study_page *page)
{
    struct lab_document *document = page->document;
    const struct lab_findings *f = page->findings;
    lab_document_open(document, LAB_PARAGRAPH);
    lab_document_say(
        document,
        "The difference of a pair of runs scatters by %.4f nats over seeds (90\xC2\xA0%% "
        "interval %.4f to %.4f, %.0f degrees of freedom). ",
        f->noise.deviation, f->noise.interval.low, f->noise.interval.high, f->noise.freedom);
    for (int i = 0; i < 3 && isfinite(f->detectable[i].difference); i++)
        lab_document_say(document,
                         i ? ", %lld %.4f" : "In four of five studies %lld seeds show %.4f",
                         (long long)f->detectable[i].seeds, f->detectable[i].difference);
    lab_document_say(document, " nats. To show %g nats takes ", f->study->effect);
    if (f->needed.seeds)
        lab_document_say(document, "%lld seeds", (long long)f->needed.seeds);
    else
        lab_document_say(document, "more seeds than can be told");
    if (f->needed.low && f->needed.high)
        lab_document_say(document, " (%lld to %lld at the ends of the noise's interval)",
                         (long long)f->needed.low, (long long)f->needed.high);
    lab_document_say(
        document, "; the study takes up to %lld.%s", (long long)f->seeds,
        f->needed.seeds > f->seeds
            ? " So smaller differences than the wanted one can be real and not be seen."
            : "");
    lab_document_close(document, LAB_PARAGRAPH);
}

static void write_power(const struct lab_study_page *page)
{
    static const struct lab_column columns[] = {{"paired seeds", true},
                                                {"smallest difference shown, nats", true},
                                                {"at the ends of the noise's interval", true},
                                                {NULL, false}};
    static const char *const tables[] = {"power", "effects", NULL};
    struct lab_document *document = page->document;
    const struct lab_findings *f = page->findings;
    lab_document_heading(document, "power", "Noise and power");
    if (!isfinite(f->noise.deviation)) {
        lab_document_block(document, LAB_WARNING,
                           "The seeds' noise is unknown: it takes two finished pairs of the part "
                           "\xE2\x80\x9Cpower\xE2\x80\x9D. Which difference can be shown is not "
                           "known either.");
        return;
    }
    lab_study_page_figure(
        page, LAB_STUDY_POWER,
        "The smallest difference that a number of paired seeds shows in 80\xC2\xA0% "
        "of studies, and the difference that is wanted.");
    say_noise(page);
    lab_study_page_source(page, lab_study_part(f->study, "power") ? "power" : NULL, tables);
    lab_document_table(document, columns, true);
    for (int i = 0; i < LAB_POWER_ROWS; i++) {
        const struct lab_detectable *row = &f->detectable[i];
        char range[64] = "";
        if (row->likely.known)
            snprintf(range, sizeof range, "%.4f to %.4f", row->likely.low, row->likely.high);
        lab_document_row(document, columns);
        lab_document_cell(document, "%lld", (long long)row->seeds);
        lab_document_number(document, 4, row->difference);
        lab_document_cell(document, "%s", range);
        lab_document_row_end(document);
    }
    lab_document_table_end(document);
}

static const struct lab_column budget_columns[] = {{"FLOPs a run", true},
                                                   {"minus", false},
                                                   {"pairs", true},
                                                   {"sizes", true},
                                                   {"difference at equal sizes, nats", true},
                                                   {"noise of a pair, nats", true},
                                                   {"the study's seeds show, nats", true},
                                                   {"seeds that show the difference", true},
                                                   {"their FLOPs", true},
                                                   {"seeds that show what is wanted", true},
                                                   {NULL, false}};

static void with_range(struct lab_document *document, const char *format, double value,
                       struct lab_interval interval)
{
    char text[32] = "", low[32] = "", high[32] = "", range[72] = "";
    if (isfinite(value))
        snprintf(text, sizeof text, format, value);
    if (interval.known) {
        snprintf(low, sizeof low, format, interval.low);
        snprintf(high, sizeof high, format, interval.high);
        snprintf(range, sizeof range, "%s to %s", low, high);
    }
    lab_document_cell_with(document, NULL, text, range);
}

static void seeds_cell(struct lab_document *document, const struct lab_budget_noise *noise,
                       struct lab_seeds_needed needed)
{
    char text[32] = "", range[64] = "";
    if (needed.seeds)
        snprintf(text, sizeof text, "%lld", (long long)needed.seeds);
    else if (isfinite(noise->noise.deviation))
        snprintf(text, sizeof text, "more than %d", LAB_POWER_MOST);
    if (needed.low && needed.high)
        snprintf(range, sizeof range, "%lld to %lld", (long long)needed.low,
                 (long long)needed.high);
    lab_document_cell_with(document, NULL, text, range);
}

static void budget_row(const struct lab_study_page *page, const struct lab_part *fig1,
                       const struct lab_budget_noise *noise)
{
    struct lab_document *document = page->document;
    const struct lab_effect *effect = &noise->pooled.effect;
    double budget = fig1->budget[noise->budget];
    char power[48], cost[48] = "";
    lab_power_text(power, budget);
    if (noise->to_see.seeds)
        lab_power_text(cost, 2 * budget * (double)noise->to_see.seeds);
    lab_document_row(document, budget_columns);
    lab_document_cell(document, "%s", power);
    lab_document_cell(document, "%s", page->findings->study->variant[noise->base].name);
    lab_document_cell(document, "%lld", (long long)effect->seeds);
    lab_document_cell(document, "%lld", (long long)noise->pooled.sizes);
    with_range(document, "%+.4f", effect->mean, effect->interval);
    with_range(document, "%.4f", noise->noise.deviation, noise->noise.interval);
    with_range(document, "%.4f", noise->shown.difference, noise->shown.likely);
    seeds_cell(document, noise, noise->to_see);
    lab_document_cell(document, "%s", cost);
    seeds_cell(document, noise, noise->to_want);
    lab_document_row_end(document);
}

static void write_budgets(const struct lab_study_page *page)
{
    static const char *const tables[] = {"power-budgets", NULL};
    struct lab_document *document = page->document;
    const struct lab_findings *f = page->findings;
    const struct lab_part *fig1 = lab_study_part(f->study, "fig1");
    if (f->budget_noises == 0)
        return;
    lab_study_page_figure(
        page, LAB_STUDY_BUDGETS_SHOW,
        "Differences in pairs at equal sizes with 90\xC2\xA0% intervals, over all sizes of a "
        "budget. "
        "Shaded: what the study's seeds of one size show in fewer than 80\xC2\xA0% of studies.");
    lab_document_block(
        document, LAB_PARAGRAPH,
        "Which budget can show what: %s minus each other variant of Figure 1, in pairs at equal "
        "sizes. The noise of a pair is that within sizes, pooled; what %lld seeds of one size "
        "show, the seeds that it takes at one size to show the difference that was seen, and the "
        "%g nats that are wanted, follow from it as above. The ranges are those of the noise's "
        "90\xC2\xA0%% interval.",
        f->study->variant[fig1->variant[fig1->variants - 1]].name, (long long)f->seeds,
        f->study->effect);
    lab_study_page_source(page, "fig1", tables);
    lab_document_table(document, budget_columns, true);
    for (int64_t i = 0; i < f->budget_noises; i++)
        budget_row(page, fig1, &f->budget_noise[i]);
    lab_document_table_end(document);
}

void lab_study_page_power(const struct lab_study_page *page)
{
    write_power(page);
    write_budgets(page);
}
