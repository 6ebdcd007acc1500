/* SPDX-License-Identifier: MIT */
/* Joint laws through the budgets of Figure 1. */
#include <math.h>

#include "experiments/cli/progress.h"
#include "experiments/report/study_page_lines.h"

/* With the interval below, both by `format` of one double. */
static void value_cell(struct lab_document *document, int digits, double value,
                       struct lab_interval interval)
{
    char text[32] = "", range[64] = "";
    if (isfinite(value))
        snprintf(text, sizeof text, "%.*g", digits, value);
    if (isfinite(value) && interval.known)
        snprintf(range, sizeof range, "%.*g to %.*g", digits, interval.low, digits, interval.high);
    lab_document_cell_with(document, NULL, text, range);
}

static void count_cell(struct lab_document *document, double value, struct lab_interval interval)
{
    char text[32] = "", low[24], high[24], range[64] = "";
    if (isfinite(value))
        lab_format_count(text, sizeof text, value);
    if (isfinite(value) && interval.known) {
        lab_format_count(low, sizeof low, interval.low);
        lab_format_count(high, sizeof high, interval.high);
        snprintf(range, sizeof range, "%s to %s", low, high);
    }
    lab_document_cell_with(document, NULL, text, range);
}

static void laws_table(struct lab_document *document, const struct lab_sweep_laws *laws)
{
    static const struct lab_column columns[] = {{"variant", false},
                                                {"N", false},
                                                {"runs", true},
                                                {"exponent of N on FLOPs", true},
                                                {"by projection", true},
                                                {"E", true},
                                                {"A", true},
                                                {"alpha", true},
                                                {"B", true},
                                                {"beta", true},
                                                {"condition", true},
                                                {"why not, or note", false},
                                                {NULL, false}};
    static const enum lab_law_constant order[] = {LAB_LAW_E, LAB_LAW_A, LAB_LAW_ALPHA, LAB_LAW_B,
                                                  LAB_LAW_BETA};
    lab_document_table(document, columns, false);
    for (int64_t i = 0; i < laws->count; i++) {
        const struct lab_sweep_law *law = &laws->law[i];
        if (law->law.form != LAB_LAW_JOINT)
            continue;
        lab_document_row(document, columns);
        lab_document_cell(document, "%s", law->variant[0]);
        lab_document_cell(document, "%s", lab_law_size_names[law->size]);
        lab_document_cell(document, "%lld", (long long)law->runs);
        value_cell(document, 3, lab_law_at(&law->law, 1, 1).exponent, law->intervals.exponent);
        value_cell(document, 3, lab_law_at(&law->check, 1, 1).exponent, lab_interval_unknown());
        for (size_t c = 0; c < sizeof order / sizeof *order; c++)
            if (lab_law_at_bound(&law->law, order[c]))
                lab_document_cell_with(document, NULL, "0", "at its bound");
            else
                value_cell(document, 3, law->law.value[order[c]], law->intervals.value[order[c]]);
        lab_document_number(document, 0, law->law.condition);
        lab_document_cell(document, "%s", law->law.fitted ? law->law.note : law->law.reason);
        lab_document_row_end(document);
    }
    lab_document_table_end(document);
}

static void optima_table(struct lab_document *document, const struct lab_sweep_laws *laws)
{
    static const struct lab_column columns[] = {{"budget, FLOPs", true},
                                                {"variant", false},
                                                {"N, active parameters", true},
                                                {"D, tokens", true},
                                                {"loss, nats", true},
                                                {"", false},
                                                {NULL, false}};
    lab_document_table(document, columns, false);
    for (int64_t i = 0; i < laws->count; i++)
        for (int64_t j = 0; j < laws->law[i].points; j++) {
            const struct lab_sweep_law *law = &laws->law[i];
            const struct lab_law_best *best = &law->best[j];
            char power[48];
            if (law->law.form != LAB_LAW_JOINT)
                continue;
            lab_power_text(power, best->budget);
            lab_document_row(document, columns);
            lab_document_cell(document, "%s", power);
            lab_document_cell(document, "%s", law->variant[0]);
            count_cell(document, best->best.params, best->range.params);
            count_cell(document, best->best.tokens, best->range.tokens);
            value_cell(document, 4, best->best.loss, best->range.loss);
            lab_document_cell(document, "%s",
                              best->ahead    ? "ten times the largest budget"
                              : best->inside ? "inside the sizes trained"
                                             : "outside the sizes trained");
            lab_document_row_end(document);
        }
    lab_document_table_end(document);
}

void lab_study_page_laws(const struct lab_study_page *page)
{
    static const char *const tables[] = {"fits", NULL};
    const struct lab_finding *fig1 = lab_findings_part(page->findings, "fig1");
    if (!fig1 || !fig1->laws)
        return;
    lab_document_heading(page->document, "laws", "Figure 1: joint laws");
    lab_document_block(
        page->document, LAB_PARAGRAPH,
        "Loss = E + A / N^alpha + B / D^beta, fitted to all budgets of a variant at "
        "once: N active parameters, with and without the embedding, D tokens. The "
        "exponent of N is beta / (alpha + beta). Intervals are of 1000 refits to the "
        "noise of residuals and seeds. Where the condition is in the hundreds the "
        "constants are not to be trusted one by one; where variable projection, "
        "another objective and minimiser, differs, a few runs decide. What a law says "
        "at ten times the largest budget no run has seen.");
    lab_study_page_source(page, "fig1", tables);
    laws_table(page->document, fig1->laws);
    optima_table(page->document, fig1->laws);
}
