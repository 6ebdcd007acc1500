/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "experiments/report/study_page_lines.h"

static void fact(const struct lab_study_page *page, const char *name, const char *value)
{
    struct lab_document *document = page->document;
    if (!*value)
        return;
    lab_document_open(document, LAB_ITEM);
    lab_document_strong(document, name);
    lab_document_say(document, ": %s", value);
    lab_document_close(document, LAB_ITEM);
}

static void say_hours(const struct lab_study_page *page)
{
    const struct lab_study_report *report = page->report;
    int64_t states[LAB_STATE_COUNT] = {0};
    double seconds = 0, flops = 0, epochs = 0;
    double wall = lab_results_wall_seconds(report->results, report->count);
    char power[48], text[400];
    for (int64_t i = 0; i < report->count; i++) {
        const struct lab_result *r = &report->results[i];
        states[r->state]++;
        seconds += r->seconds > 0 ? r->seconds : 0;
        flops += r->flops > 0 ? r->flops : 0;
        epochs = r->state == LAB_DONE ? fmax(epochs, r->epochs) : epochs;
    }
    lab_power_text(power, flops);
    snprintf(text, sizeof text,
             "%.2f of training, summed over %lld finished runs, probes of learning rates "
             "included, in %.2f of wall-clock time with a run in training; %s FLOPs",
             seconds / 3600, (long long)states[LAB_DONE], wall / 3600, power);
    fact(page, "Hours", text);
    if (states[LAB_DIVERGED] + states[LAB_FAILED] > 0) {
        snprintf(text, sizeof text, "%lld diverged, %lld failed", (long long)states[LAB_DIVERGED],
                 (long long)states[LAB_FAILED]);
        fact(page, "Not finished", text);
    }
    snprintf(text, sizeof text,
             epochs > 1 ? "the longest run read its text %.2f times"
                        : "no run read its text more than once (most: %.2f)",
             epochs);
    if (epochs > 0)
        fact(page, "Epochs", text);
}

/* What of the plan is not there. */
static void say_cut(const struct lab_study_page *page)
{
    struct lab_document *document = page->document;
    const struct lab_findings *f = page->findings;
    int64_t missing = 0, planned = 0;
    for (int64_t p = 0; p < f->study->parts; p++) {
        missing += f->part[p].missing;
        planned += f->part[p].rows.count;
    }
    lab_document_open(document, LAB_ITEM);
    lab_document_strong(document, "What was cut");
    lab_document_say(document,
                     missing || *f->study->cut ? ": %lld of %lld planned runs are missing"
                                               : ": nothing; %lld of %lld planned runs are missing",
                     (long long)missing, (long long)planned);
    for (int64_t p = 0, first = 1; p < f->study->parts; p++) {
        if (f->part[p].missing == 0)
            continue;
        lab_document_say(document, "%s%s %lld of %lld", first ? ": " : ", ", f->study->part[p].name,
                         (long long)f->part[p].missing, (long long)f->part[p].rows.count);
        first = 0;
    }
    if (*f->study->cut)
        lab_document_say(document, "; %s", f->study->cut);
    lab_document_close(document, LAB_ITEM);
}

void lab_study_page_making(const struct lab_study_page *page)
{
    static const char *const tables[] = {"runs", "effects", NULL};
    struct lab_document *document = page->document;
    const struct lab_sweep_info *info = page->report->info;
    lab_document_heading(document, "making", "How this was made");
    lab_document_open(document, LAB_LIST);
    fact(page, "Text", info->data);
    fact(page, "Machine", info->machine);
    fact(page, "Program", info->revision);
    fact(page, "Date", info->created);
    say_hours(page);
    say_cut(page);
    lab_document_close(document, LAB_LIST);
    lab_document_block(
        document, LAB_PARAGRAPH,
        "Minima: least squares of loss on log10 parameters, a parabola per variant "
        "and budget, over the means of each size's seeds; a minimum counts if the "
        "parabola opens upward and has it inside the grid; intervals are percentiles "
        "of 1000 refits to resampled residuals and the noise between seeds. "
        "Differences: means over pairs with Student's intervals. All intervals are "
        "of 90\xC2\xA0%% each, not jointly.");
    lab_study_page_source(page, NULL, tables);
}
