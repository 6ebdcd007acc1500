/* SPDX-License-Identifier: MIT */
/* The tables of parts of several sizes. */
#include <math.h>

#include "experiments/cli/progress.h"
#include "experiments/report/headline.h"
#include "experiments/report/study_page_lines.h"

static const struct lab_column minima_columns[] = {{"budget, FLOPs", true},
                                                   {"variant", false},
                                                   {"runs done", true},
                                                   {"sizes", true},
                                                   {"lowest loss, 90\xC2\xA0% interval", true},
                                                   {"difference from dense", true},
                                                   {"at active parameters", true},
                                                   {"at total parameters", true},
                                                   {"Akima's curve: lowest, at", true},
                                                   {"best run, nats", true},
                                                   {NULL, false}};

/* 10^x. */
static void params_cell(struct lab_document *document, const struct lab_fit *fit)
{
    char text[32] = "", low[32], high[32], range[80] = "";
    if (fit->minimum)
        lab_format_count(text, sizeof text, pow(10, fit->x));
    if (fit->minimum && fit->x_interval.known) {
        lab_format_count(low, sizeof low, pow(10, fit->x_interval.low));
        lab_format_count(high, sizeof high, pow(10, fit->x_interval.high));
        snprintf(range, sizeof range, "%s to %s", low, high);
    }
    lab_document_cell_with(document, NULL, text, range);
}

static void akima_cell(struct lab_document *document, const struct lab_akima *akima)
{
    char text[32] = "", at[32] = "";
    if (akima->minimum) {
        snprintf(text, sizeof text, "%.4f", akima->y);
        lab_format_count(at, sizeof at, pow(10, akima->x));
    }
    lab_document_cell_with(document, NULL, text, at);
}

static void minimum_row(struct lab_document *document, const struct lab_curve *curve)
{
    const struct lab_fit *fit = &curve->fit[LAB_ACTIVE];
    const struct lab_difference *difference = &curve->difference[LAB_ACTIVE];
    char budget[48], loss[32] = "", range[64] = "", minus[32] = "", minus_range[64];
    int64_t runs = 0;
    for (int state = 0; state < LAB_STATE_COUNT; state++)
        runs += curve->states[state];
    lab_power_text(budget, curve->budget);
    if (fit->minimum)
        snprintf(loss, sizeof loss, "%.4f", fit->y);
    if (fit->minimum && fit->y_interval.known)
        snprintf(range, sizeof range, "%.4f to %.4f", fit->y_interval.low, fit->y_interval.high);
    if (isfinite(difference->value))
        snprintf(minus, sizeof minus, "%+.4f", difference->value);
    lab_study_interval_text(minus_range, 4, difference->interval);
    lab_document_row(document, minima_columns);
    lab_document_cell(document, "%s", budget);
    lab_document_cell(document, "%s", curve->variant);
    lab_document_cell(document, "%lld/%lld", (long long)fit->runs, (long long)runs);
    lab_document_cell(document, "%lld", (long long)fit->sizes);
    lab_document_cell_with(document, NULL, loss, range);
    lab_document_cell_with(document, NULL, minus, minus_range);
    params_cell(document, fit);
    params_cell(document, &curve->fit[LAB_TOTAL]);
    akima_cell(document, &curve->akima[LAB_ACTIVE]);
    lab_document_number(document, 4, curve->best ? curve->best->nats : NAN);
    lab_document_row_end(document);
}

static void minimum_note(char *ret, size_t size, const void *of, int64_t i)
{
    const struct lab_fit *fit = &((const struct lab_minima *)of)->curve[i].fit[LAB_ACTIVE];
    snprintf(ret, size, "%s", fit->minimum ? fit->note : ""); /* reasons stand above */
}

void lab_study_minima_table(const struct lab_study_page *page, const struct lab_finding *finding)
{
    const struct lab_minima *minima = finding->minima;
    if (!minima)
        return;
    lab_document_table(page->document, minima_columns, false);
    for (int64_t i = 0; i < minima->budgets * minima->variants; i++)
        minimum_row(page->document, &minima->curve[i]);
    lab_document_table_end(page->document);
    const struct lab_notes notes = {minima, minima->budgets * minima->variants, "curves",
                                    minimum_note, lab_curve_name};
    lab_document_notes(page->document, &notes);
}

static const struct lab_column effect_columns[] = {
    {"budget, FLOPs", true}, {"width \xC3\x97 blocks", true},
    {"variant", false},      {"minus", false},
    {"pairs", true},         {"difference, 90\xC2\xA0% interval", true},
    {"note", false},         {NULL, false}};

static void effect_row(const struct lab_study_page *page, const struct lab_part_rows *rows,
                       int variant, int base, int64_t size, int64_t budget)
{
    struct lab_document *document = page->document;
    const struct lab_study_variant *list = page->findings->study->variant;
    struct lab_effect effect = lab_part_effect(rows, variant, base, size, budget);
    char power[48], range[64], mean[32];
    if (effect.seeds == 0)
        return;
    lab_power_text(power, rows->part->budget[budget]);
    lab_study_interval_text(range, 4, effect.interval);
    snprintf(mean, sizeof mean, "%+.4f", effect.mean);
    lab_document_row(document, effect_columns);
    lab_document_cell(document, "%s", power);
    lab_document_cell(document, "%lld\xC3\x97%lld", (long long)rows->part->size[size].width,
                      (long long)rows->part->size[size].blocks);
    lab_document_cell(document, "%s", list[variant].name);
    lab_document_cell(document, "%s", list[base].name);
    lab_document_cell(document, "%lld", (long long)effect.seeds);
    lab_document_cell_with(document, NULL, mean, range);
    lab_document_cell_with(document, "note", effect.note, "");
    lab_document_row_end(document);
}

void lab_study_effects_table(const struct lab_study_page *page, const struct lab_finding *finding)
{
    const struct lab_part_rows *rows = &finding->rows;
    const struct lab_part *part = rows->part;
    lab_document_table(page->document, effect_columns, true);
    for (int64_t b = 0; b < part->budgets; b++)
        for (int64_t s = 0; s < part->sizes; s++)
            for (int64_t v = 0; v < part->variants; v++) {
                int base = lab_study_base(rows, part->variant[v]);
                if (base >= 0)
                    effect_row(page, rows, part->variant[v], base, s, b);
            }
    lab_document_table_end(page->document);
}
