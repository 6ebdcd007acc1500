/* SPDX-License-Identifier: MIT */
/* The page's section on joint laws. */
#include <math.h>

#include "experiments/base/text.h"
#include "experiments/cli/progress.h"
#include "experiments/report/html.h"
#include "experiments/report/report_page.h"

/* Four digits, with the interval below. */
static void constant_cell(FILE *file, double value, struct lab_interval interval)
{
    if (!isfinite(value)) {
        lab_html_number(file, 3, value);
        return;
    }
    fprintf(file, "<td class=\"n\">%.4g", value);
    if (interval.known)
        fprintf(file, "<span class=\"range\">%.3g to %.3g</span>", interval.low, interval.high);
    fputs("</td>", file);
}

static void count_cell(FILE *file, double value, struct lab_interval interval)
{
    char at[32], low[32], high[32];
    lab_format_count(at, sizeof at, value);
    lab_format_count(low, sizeof low, interval.low);
    lab_format_count(high, sizeof high, interval.high);
    fprintf(file, "<td class=\"n\">%s", isfinite(value) ? at : "\xE2\x80\x93");
    if (interval.known)
        fprintf(file, "<span class=\"range\">%s to %s</span>", low, high);
    fputs("</td>", file);
}

static void loss_cell(FILE *file, double value, struct lab_interval interval)
{
    fprintf(file, isfinite(value) ? "<td class=\"n\">%.3f" : "<td class=\"n\">\xE2\x80\x93", value);
    if (interval.known)
        fprintf(file, "<span class=\"range\">%.3f to %.3f</span>", interval.low, interval.high);
    fputs("</td>", file);
}

static void name_cell(FILE *file, const struct lab_sweep_law *law)
{
    char name[1024];
    lab_sweep_law_name(name, sizeof name, law);
    fputs(law->variants > 1 ? "<td class=\"note\">" : "<td>", file);
    lab_html_text(file, name);
    fputs("</td>", file);
}

static void law_note(char *ret, size_t size, const void *of, int64_t i)
{
    const struct lab_sweep_laws *laws = of;
    const struct lab_sweep_law *law = &laws->law[i];
    *ret = 0;
    if (law->law.fitted)
        snprintf(ret, size, "%s%s%s", law->law.note,
                 *law->law.note && *law->intervals.note ? "; " : "", law->intervals.note);
}

static void law_name(char *ret, size_t size, const void *of, int64_t i)
{
    const struct lab_sweep_laws *laws = of;
    char name[1024];
    lab_sweep_law_name(name, sizeof name, &laws->law[i]);
    lab_text_cut(name, 101, name);
    snprintf(ret, size, "%s%s", name, laws->law[i].size == LAB_LAW_BODY ? ", no embedding" : "");
}

static void law_row(FILE *file, const struct lab_sweep_law *law)
{
    fputs("<tr>", file);
    name_cell(file, law);
    fprintf(file, "<td>active%s</td>",
            law->size == LAB_LAW_BODY ? "<span class=\"range\">no embedding</span>" : "");
    fprintf(file, "<td class=\"n\">%lld<span class=\"range\">%lld settings</span></td>",
            (long long)law->runs, (long long)law->law.settings);
    constant_cell(file, lab_law_at(&law->law, 1, 1).exponent, law->intervals.exponent);
    constant_cell(file, lab_law_at(&law->check, 1, 1).exponent, lab_interval_unknown());
    for (int c = 0; c < LAB_LAW_CONSTANTS; c++)
        if (lab_law_at_bound(&law->law, c))
            fputs("<td class=\"n\">0<span class=\"range\">at its bound</span></td>", file);
        else
            constant_cell(file, law->law.value[c], law->intervals.value[c]);
    fprintf(file, "<td class=\"n\">%lld/%lld</td>", (long long)law->law.agree,
            (long long)law->law.starts);
    lab_html_number(file, 0, law->law.condition);
    fputs("</tr>\n", file);
}

static void best_row(FILE *file, const struct lab_sweep_law *law, const struct lab_law_best *best)
{
    fputs("<tr><td class=\"n\">", file);
    lab_html_power(file, best->budget);
    fputs("</td>", file);
    name_cell(file, law);
    lab_html_count(file, best->granularity);
    count_cell(file, best->best.params, best->range.params);
    count_cell(file, best->best.tokens, best->range.tokens);
    loss_cell(file, best->best.loss, best->range.loss);
    fprintf(file, "<td class=\"note\">%s</td></tr>\n",
            best->ahead                                    ? "ten times the largest budget"
            : best->inside || !isfinite(best->best.params) ? ""
                                                           : "outside the sizes that were trained");
}

static void write_laws(const struct lab_page *page)
{
    fputs("<div class=\"dense\">\n", page->file);
    lab_html_table(page->file, false,
                   "<th>variant</th><th>N</th><th class=\"n\">runs</th>"
                   "<th class=\"n\">exponent<br/>of N</th>"
                   "<th class=\"n\">by pro-<br/>jection</th><th class=\"n\">E</th>"
                   "<th class=\"n\">A</th><th class=\"n\">B</th><th class=\"n\">alpha</th>"
                   "<th class=\"n\">beta</th><th class=\"n\">g</th><th class=\"n\">gamma</th>"
                   "<th class=\"n\">starts<br/>agree</th><th class=\"n\">condi-<br/>tion</th>");
    for (int64_t i = 0; i < page->laws->count; i++)
        if (page->laws->law[i].law.fitted)
            law_row(page->file, &page->laws->law[i]);
    lab_html_table_end(page->file);
    fputs("</div>\n", page->file);
    const struct lab_notes notes = {page->laws, page->laws->count, "laws", law_note, law_name};
    lab_document_notes(page->document, &notes);
}

static void write_optima(const struct lab_page *page)
{
    fputs("<p>Where each law has its lowest loss, N with the embedding:</p>\n", page->file);
    lab_html_table(page->file, true,
                   "<th class=\"n\">budget<br/>FLOPs</th><th>variant</th>"
                   "<th class=\"n\">G</th><th class=\"n\">N<br/>parameters</th>"
                   "<th class=\"n\">D<br/>tokens</th><th class=\"n\">loss<br/>nats</th><th></th>");
    for (int64_t i = 0; i < page->laws->count; i++) {
        const struct lab_sweep_law *law = &page->laws->law[i];
        for (int64_t j = 0; j < law->points; j++)
            best_row(page->file, law, &law->best[j]);
    }
    lab_html_table_end(page->file);
}

void lab_page_laws(const struct lab_page *page)
{
    if (!lab_sweep_laws_any(page->laws))
        return;
    static const char *const tables[] = {"fits", NULL};
    lab_document_heading(page->document, "laws", "Joint laws");
    fputs("<p>loss = E + A / N<sup>alpha</sup> + B / D<sup>beta</sup>, fitted to all budgets of a "
          "variant at once; N active parameters, with and without the embedding, D tokens. The "
          "exponent of N is beta / (alpha + beta): the best size grows as FLOPs to that power. "
          "With several granularities G (the experts of a token, h k) of one PEER design, also "
          "loss = E + (g / G<sup>gamma</sup> + A) / N<sup>alpha</sup> + B / D<sup>beta</sup>. "
          "Small print: 90&#160;% intervals from 1000 refits. Where few starts agree, or the "
          "condition is in the hundreds, the constants are not to be trusted one by one; where "
          "variable projection, another objective and minimiser, differs, a few runs decide.</p>\n",
          page->file);
    lab_page_data(page, tables);
    write_laws(page);
    write_optima(page);
}
