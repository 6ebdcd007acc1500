/* SPDX-License-Identifier: MIT */
#include "experiments/report/report_page.h"

#include <string.h>

#include "experiments/report/html.h"

static void write_figure(const struct lab_page *page, enum lab_figure_id id, const char *caption)
{
    lab_figure_inline(page->file, &page->figures->figure[id], (int)id, caption);
}

static void write_isoflop(const struct lab_page *page)
{
    static const char *const tables[] = {"runs", "minima", "curves", NULL};
    lab_document_heading(page->document, "isoflop", "Loss against size");
    if (*page->figures->note) {
        fputs("<p class=\"warn\">Figures are missing. ", page->file);
        lab_html_text(page->file, page->figures->note);
        fputs("</p>\n", page->file);
    }
    write_figure(page, LAB_FIGURE_ACTIVE,
                 "Validation loss against active parameters (those that one token's forward pass "
                 "can use, embedding included). Each mark is a run; the line is a parabola in the "
                 "logarithm of the parameters, fitted to the means over seeds; rings mark minima "
                 "inside the grid, stars the lowest points of Akima's interpolation of the means. "
                 "Beside or below: the minima with their 90&#160;% intervals, and the lowest run "
                 "(+) of a variant that has none. More than seven variants have a panel each, the "
                 "other curves grey in it.");
    write_figure(page, LAB_FIGURE_TOTAL,
                 "The same runs against all trained parameters: what has to be stored.");
    lab_page_data(page, tables);
}

static void write_usage(const struct lab_page *page)
{
    static const char *const tables[] = {"utilization", "usage_rank", "usage_lorenz", NULL};
    bool any = false;
    for (int64_t i = 0; i < page->count; i++)
        any |= page->results[i]->state == LAB_DONE && page->results[i]->usages > 0;
    if (!any)
        return;
    lab_document_heading(page->document, "utilization", "Are the experts used?");
    fputs("<p>Measured on the validation text, for every sparse block of every finished run. "
          "<em>Used</em> is the share of experts with any weight, <em>unevenness</em> the "
          "divergence of usage from even use in nats (0 = even), once weighted by gates, as the "
          "PEER paper does, and once by retrievals. <em>Hold 50/90/99</em> is the smallest share "
          "of experts that gets that part of all retrievals. <em>Entropy</em>, its share of the "
          "highest possible, log of the number of experts, <em>CV</em> (standard deviation over "
          "mean) and <em>peak load</em> (highest over mean) are of the retrievals per expert. "
          "<em>Dropped</em> is the share of the tokens' choices that found no room in an expert, "
          "<em>unserved</em> the share of tokens that no expert took; where experts choose their "
          "tokens there are no choices to drop.</p>\n",
          page->file);
    write_figure(page, LAB_FIGURE_UTILIZATION,
                 "How much of all retrievals goes to the most used experts, in the best run of "
                 "each variant. The further above the grey line, the less even.");
    write_figure(page, LAB_FIGURE_LORENZ,
                 "At the highest budget: the share of gate mass, or of retrievals, that the most "
                 "used experts get together. The grey curve is even use.");
    lab_page_utilization(page);
    lab_page_data(page, tables);
    write_figure(page, LAB_FIGURE_TIMELINE,
                 "Utilization over the training, at the highest budget, on the same validation "
                 "tokens at every point. Born dead and died experts and those in use are all of "
                 "them; with few tokens, experts that are rarely retrieved look dead.");
    write_figure(page, LAB_FIGURE_STEPS,
                 "Retrievals of every expert on the grid of product keys as training goes on, at "
                 "the highest budget.");
    write_figure(page, LAB_FIGURE_MAPS,
                 "Retrievals of every expert on the grid of product keys, best run of each variant "
                 "and budget. Stripes mean that single sub-keys are preferred. Above 64 sub-keys a "
                 "cell is the mean of neighbours.");
    write_figure(page, LAB_FIGURE_LOADS,
                 "Retrievals of every expert relative to the mean, where there are at most 256 "
                 "without a grid, best run of each variant and budget. The line is even use.");
    if (page->shown->left_out)
        fprintf(page->file, "<p class=\"soft\">%lld more blocks are not drawn.</p>\n",
                (long long)page->shown->left_out);
}

static void write_fact(const struct lab_page *page, const char *name, const char *value)
{
    if (!*value)
        return;
    fprintf(page->file, "<dt>%s</dt><dd>", name);
    lab_html_text(page->file, value);
    fputs("</dd>\n", page->file);
}

static void write_making(const struct lab_page *page)
{
    const struct lab_sweep_info *info = page->info;
    lab_document_heading(page->document, "making", "How this was made");
    fputs("<dl>\n", page->file);
    write_fact(page, "Command", info->command);
    write_fact(page, "Data", info->data);
    write_fact(page, "Machine", info->machine);
    write_fact(page, "Program", info->revision);
    write_fact(page, "Date", info->created);
    fputs("</dl>\n"
          "<p><strong>FLOPs.</strong> One multiply-add is 2 FLOPs. Every multiply-add of a matrix "
          "product, a score, an expert's dot product, a weighted sum of rows, attention and the "
          "vocabulary counts, and so does each addition of two sub-scores in retrieval; "
          "activations, softmaxes, norms and the optimizer do not. Backward counts the products "
          "that the gradients need. Tokens = budget / FLOPs per token.</p>\n"
          "<p><strong>Fits.</strong> Least squares of loss on log<sub>10</sub> parameters, a "
          "parabola per variant and budget, over the means of each size's seeds. A minimum counts "
          "if the parabola opens upward and has it inside the grid. Intervals are 90&#160;% "
          "percentiles of 1000 refits to resampled residuals and, where sizes have several seeds, "
          "the noise between seeds; the noise is widened for few degrees of freedom.</p>\n"
          "<p>The tables of this page are in <code>tables/</code> as CSV, the figures in "
          "<code>figures/</code> as SVG and PDF; every run is in <a href=\"tables/runs.csv\">"
          "runs.csv</a>.</p>\n",
          page->file);
    if (!info->config || !*info->config)
        return;
    fputs("<details>\n<summary>Configuration of the sweep</summary>\n<pre>", page->file);
    lab_html_text(page->file, info->config);
    fputs("</pre>\n</details>\n", page->file);
}

static void write_training(const struct lab_page *page)
{
    static const char *const tables[] = {"training", NULL};
    if (!page->figures->figure[LAB_FIGURE_TRAINING].wide)
        return;
    lab_document_heading(page->document, "training", "Training");
    write_figure(page, LAB_FIGURE_TRAINING,
                 "Loss of the training batches, best run of each variant and budget; steps are "
                 "averaged to some hundred points, and the first ones left out. Where runs "
                 "measured the loss on the validation text too (eval_every), that is the thick "
                 "line with marks, and training the thin one.");
    lab_page_data(page, tables);
}

static void write_all(struct lab_document *document, const void *made)
{
    struct lab_page page = *(const struct lab_page *)made;
    char title[256];
    page.document = document;
    page.file = document->file;
    snprintf(title, sizeof title, "%.200s: loss at equal FLOPs", page.info->name);
    lab_document_begin(document, title, "");
    lab_page_summary(&page);
    lab_document_contents(document);
    write_isoflop(&page);
    lab_page_minima(&page);
    lab_page_laws(&page);
    lab_page_caveats(&page);
    write_usage(&page);
    write_training(&page);
    lab_page_runs(&page);
    write_making(&page);
    lab_document_end(document);
}

void lab_page_write(FILE *file, const struct lab_page *page)
{
    lab_document_write(file, LAB_HTML, write_all, page);
}

void lab_page_data(const struct lab_page *page, const char *const *tables)
{
    lab_document_open(page->document, LAB_SMALL);
    lab_document_data(page->document, "tables", tables);
    lab_document_close(page->document, LAB_SMALL);
}
