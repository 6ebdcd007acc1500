/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "experiments/cli/progress.h"
#include "experiments/report/headline.h"
#include "experiments/report/html.h"
#include "experiments/report/report_page.h"

static void power_cell(FILE *file, double flops)
{
    fputs("<td class=\"n\">", file);
    if (flops > 0)
        lab_html_power(file, flops);
    else
        fputs("\xE2\x80\x93", file);
    fputs("</td>", file);
}

/* 10^x with its interval below. */
static void params_cell(FILE *file, const struct lab_fit *fit)
{
    char at[32], low[32], high[32];
    if (!fit->minimum) {
        lab_html_count(file, NAN);
        return;
    }
    lab_format_count(at, sizeof at, pow(10, fit->x));
    fprintf(file, "<td class=\"n\">%s", at);
    if (fit->x_interval.known) {
        lab_format_count(low, sizeof low, pow(10, fit->x_interval.low));
        lab_format_count(high, sizeof high, pow(10, fit->x_interval.high));
        fprintf(file, "<span class=\"range\">%s to %s</span>", low, high);
    }
    fputs("</td>", file);
}

static void value_cell(FILE *file, double value, struct lab_interval interval, bool sign)
{
    if (!isfinite(value)) {
        lab_html_number(file, 3, value);
        return;
    }
    fprintf(file, sign ? "<td class=\"n\">%+.3f" : "<td class=\"n\">%.3f", value);
    if (interval.known)
        fprintf(file,
                sign ? "<span class=\"range\">%+.3f to %+.3f</span>"
                     : "<span class=\"range\">%.3f to %.3f</span>",
                interval.low, interval.high);
    fputs("</td>", file);
}

static void akima_cell(FILE *file, const struct lab_akima *akima)
{
    char at[32];
    if (!akima->minimum) {
        lab_html_number(file, 3, NAN);
        return;
    }
    lab_format_count(at, sizeof at, pow(10, akima->x));
    fprintf(file, "<td class=\"n\">%.3f<span class=\"range\">at %s</span></td>", akima->y, at);
}

static void best_cell(FILE *file, const struct lab_result *best)
{
    if (!best) {
        lab_html_number(file, 3, NAN);
        return;
    }
    fprintf(file, "<td class=\"n\">%.3f", best->nats);
    if (isfinite(best->bits_per_byte))
        fprintf(file, "<span class=\"range\">%.3f bits/byte</span>", best->bits_per_byte);
    fputs("</td>", file);
}

static void minimum_row(FILE *file, const struct lab_curve *curve, bool first)
{
    const struct lab_fit *active = &curve->fit[LAB_ACTIVE], *total = &curve->fit[LAB_TOTAL];
    const struct lab_difference *difference = &curve->difference[LAB_ACTIVE];
    int64_t runs = 0;
    for (int state = 0; state < LAB_STATE_COUNT; state++)
        runs += curve->states[state];
    fprintf(file, "<tr%s>", first ? " class=\"first\"" : "");
    power_cell(file, curve->budget);
    lab_html_cell(file, curve->variant);
    fprintf(file, "<td class=\"n\">%lld/%lld<span class=\"range\">%lld size%s</span></td>",
            (long long)active->runs, (long long)runs, (long long)active->sizes,
            active->sizes == 1 ? "" : "s");
    value_cell(file, active->y, active->y_interval, false);
    value_cell(file, difference->value, difference->interval, true);
    params_cell(file, active);
    params_cell(file, total);
    akima_cell(file, &curve->akima[LAB_ACTIVE]);
    best_cell(file, curve->best);
    fputs("</tr>\n", file);
}

/* Notes of the minima: four for each curve. */
enum { INTERVAL = 0, AKIMA, TOTAL, DIFFERENCE, KINDS };

static void minimum_note(char *ret, size_t size, const void *of, int64_t i)
{
    const struct lab_minima *minima = of;
    const struct lab_curve *curve = &minima->curve[i / KINDS];
    const struct lab_fit *active = &curve->fit[LAB_ACTIVE], *total = &curve->fit[LAB_TOTAL];
    const struct lab_difference *difference = &curve->difference[LAB_ACTIVE];
    *ret = 0;
    switch (i % KINDS) {
    case INTERVAL:
        snprintf(ret, size, "%s%s", active->minimum ? "" : "no minimum: ",
                 active->minimum ? active->note : active->reason);
        break;
    case AKIMA:
        if (!curve->akima[LAB_ACTIVE].minimum)
            snprintf(ret, size, "no minimum of Akima's curve: %s", curve->akima[LAB_ACTIVE].reason);
        break;
    case TOTAL:
        if (active->minimum && !total->minimum)
            snprintf(ret, size, "no minimum against total parameters: %s", total->reason);
        break;
    default:
        if (active->minimum && isnan(difference->value) && curve->base != curve)
            snprintf(ret, size, "no difference: %s", difference->note);
    }
}

static void minimum_name(char *ret, size_t size, const void *of, int64_t i)
{
    lab_curve_name(ret, size, of, i / KINDS);
}

void lab_page_minima(const struct lab_page *page)
{
    FILE *file = page->file;
    const struct lab_minima *minima = page->minima;
    lab_document_heading(page->document, "minima", "Minima");
    fputs("<p>At each budget, the lowest loss that each variant's parabola "
          "reaches, and at how many parameters. The difference is from the best dense variant at "
          "that budget; below zero is better. Small print: 90&#160;% intervals. Beside it the "
          "lowest point of Akima's interpolation, which assumes no shape and follows noise: where "
          "both lie far apart the parabola's shape is wrong.</p>\n",
          file);
    lab_html_table(
        file, false,
        "<th class=\"n\">budget<br/>FLOPs</th><th>variant</th>"
        "<th class=\"n\">runs<br/>done</th>"
        "<th class=\"n\">lowest loss<br/>nats per token</th>"
        "<th class=\"n\">difference<br/>from dense</th>"
        "<th class=\"n\">at active<br/>parameters</th>"
        "<th class=\"n\">at total<br/>parameters</th><th class=\"n\">Akima,<br/>active</th>"
        "<th class=\"n\">best run<br/>nats</th>");
    for (int64_t i = 0; i < minima->budgets * minima->variants; i++)
        minimum_row(file, &minima->curve[i], i % minima->variants == 0);
    lab_html_table_end(file);
    const struct lab_notes notes = {minima, KINDS * minima->budgets * minima->variants, "curves",
                                    minimum_note, minimum_name};
    lab_document_notes(page->document, &notes);
}

static void stats_cells(FILE *file, const struct lm_usage_stats *stats)
{
    lab_html_share(file, stats->used);
    lab_html_number(file, 2, stats->unevenness);
    lab_html_number(file, 2, stats->gini);
}

static void load_cells(FILE *file, const struct lm_usage_load *load)
{
    lab_html_number(file, 2, load->entropy);
    lab_html_share(file, load->entropy_share);
    lab_html_number(file, 2, load->cv);
    lab_html_number(file, 2, load->peak);
    lab_html_share(file, load->dropped);
    lab_html_share(file, load->unserved);
}

static void utilization_row(FILE *file, const struct lab_result *result,
                            const struct lab_usage *usage)
{
    fprintf(file, "<tr><td class=\"n\">%lld</td>", (long long)result->id);
    lab_html_cell(file, result->variant);
    power_cell(file, result->budget);
    lab_html_count(file, (double)result->params_active);
    fprintf(file, "<td class=\"n\">%lld</td>", (long long)usage->block);
    lab_html_count(file, (double)usage->experts);
    stats_cells(file, &usage->report.score);
    stats_cells(file, &usage->report.count);
    load_cells(file, &usage->report.load);
    lab_html_share(file, usage->report.expected_used);
    lab_html_share(file, usage->report.top1_used);
    lab_html_share(file, usage->report.count.hold50);
    lab_html_share(file, usage->report.count.hold90);
    lab_html_share(file, usage->report.count.hold99);
    fputs("</tr>\n", file);
}

void lab_page_utilization(const struct lab_page *page)
{
    FILE *file = page->file;
    lab_html_table(
        file, true,
        "<th class=\"n\">run</th><th>variant</th><th class=\"n\">budget<br/>FLOPs</th>"
        "<th class=\"n\">active<br/>parameters</th><th class=\"n\">block</th>"
        "<th class=\"n\">experts</th>"
        "<th class=\"n\">by gates:<br/>used</th><th class=\"n\">uneven-<br/>ness</th>"
        "<th class=\"n\">Gini</th>"
        "<th class=\"n\">by retrievals:<br/>used</th><th class=\"n\">uneven-<br/>ness</th>"
        "<th class=\"n\">Gini</th><th class=\"n\">entropy<br/>nats</th>"
        "<th class=\"n\">of the<br/>highest</th><th class=\"n\">CV</th>"
        "<th class=\"n\">peak<br/>load</th><th class=\"n\">choices<br/>dropped</th>"
        "<th class=\"n\">tokens<br/>unserved</th>"
        "<th class=\"n\">used if<br/>uniform</th>"
        "<th class=\"n\">used<br/>as first</th><th class=\"n\">hold<br/>50&#160;%</th>"
        "<th class=\"n\">hold<br/>90&#160;%</th><th class=\"n\">hold<br/>99&#160;%</th>");
    for (int64_t i = 0; i < page->count; i++) {
        const struct lab_result *result = page->results[i];
        for (int j = 0; result->state == LAB_DONE && j < result->usages; j++)
            utilization_row(file, result, &result->usage[j]);
    }
    lab_html_table_end(file);
}

static void run_row(FILE *file, const struct lab_result *r)
{
    bool done = r->state == LAB_DONE;
    fprintf(file, "<tr><td class=\"n\">%lld</td>", (long long)r->id);
    lab_html_cell(file, r->variant);
    power_cell(file, r->budget);
    fprintf(file, "<td class=\"n\">%lld\xC3\x97%lld</td><td class=\"n\">%lld</td>",
            (long long)r->width, (long long)r->blocks, (long long)r->seed);
    fprintf(file, done ? "<td>%s</td>" : "<td class=\"state\">%s</td>", lab_state_names[r->state]);
    lab_html_number(file, 4, done ? r->nats : NAN);
    lab_html_number(file, 4, done ? r->bits_per_byte : NAN);
    lab_html_count(file, (double)r->params_active);
    lab_html_count(file, (double)r->params_total);
    lab_html_count(file, (double)r->tokens);
    lab_html_number(file, 2, r->epochs > 0 ? r->epochs : NAN);
    power_cell(file, r->flops);
    lab_html_bytes(file, r->bytes_per_token);
    lab_html_count(file, r->seconds > 0 ? (double)r->tokens / r->seconds : NAN);
    lab_html_seconds(file, r->seconds);
    lab_html_bytes(file, (double)r->peak_bytes);
    fputs("<td class=\"note\">", file);
    lab_html_text(file, r->message);
    fputs("</td></tr>\n", file);
}

void lab_page_runs(const struct lab_page *page)
{
    FILE *file = page->file;
    static const char *const tables[] = {"runs", NULL};
    lab_document_heading(page->document, "runs", "All runs");
    lab_page_data(page, tables);
    lab_html_table(
        file, true,
        "<th class=\"n\">run</th><th>variant</th><th class=\"n\">budget<br/>FLOPs</th>"
        "<th class=\"n\">width<br/>\xC3\x97 blocks</th><th class=\"n\">seed</th>"
        "<th>state</th><th class=\"n\">loss<br/>nats</th>"
        "<th class=\"n\">bits<br/>per byte</th><th class=\"n\">active<br/>parameters</th>"
        "<th class=\"n\">total<br/>parameters</th><th class=\"n\">tokens</th>"
        "<th class=\"n\">epochs</th><th class=\"n\">FLOPs<br/>spent</th>"
        "<th class=\"n\">read<br/>per token</th><th class=\"n\">tokens<br/>per s</th>"
        "<th class=\"n\">time</th><th class=\"n\">peak<br/>memory</th><th>message</th>");
    for (int64_t i = 0; i < page->count; i++)
        run_row(file, page->results[i]);
    lab_html_table_end(file);
}
