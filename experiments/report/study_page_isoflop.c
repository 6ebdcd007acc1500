/* SPDX-License-Identifier: MIT */
/* Parts of several sizes: Figures 1 and 4. */
#include <math.h>
#include <string.h>

#include "experiments/cli/progress.h"
#include "experiments/report/headline.h"
#include "experiments/report/study_page_lines.h"
#include "nn/layers/ffw.h"

/* ---- Figure 1 ---- */

/* The first run that has a trait of its layer, by variant. */
static void say_trait(const struct lab_study_page *page, const struct lab_finding *finding,
                      unsigned trait, const char *text)
{
    const struct lab_part_rows *rows = &finding->rows;
    for (int64_t v = 0; v < rows->part->variants; v++)
        for (int64_t i = 0; i < rows->count; i++) {
            const struct lab_part_row *row = &rows->row[i];
            if (row->variant != rows->part->variant[v] || !lab_row_done(row) ||
                !(row->result->traits & trait))
                continue;
            lab_document_say(page->document, " %s%s",
                             page->findings->study->variant[row->variant].name, text);
            break;
        }
}

static void say_traits(const struct lab_study_page *page, const struct lab_finding *finding)
{
    say_trait(page, finding, PEER_FFW_NOT_CAUSAL,
              " lets tokens see later ones, at evaluation too: its loss is not comparable with the "
              "others'.");
    say_trait(
        page, finding, PEER_FFW_SHARES_CAPACITY,
        " gives the tokens of a batch shares of its experts' capacity, so that a token's loss "
        "depends on earlier ones of other sequences.");
}

static void say_minima(const struct lab_study_page *page, const struct lab_finding *finding)
{
    int64_t most = 0;
    lab_document_open(page->document, LAB_PARAGRAPH);
    for (int64_t b = 0; b < finding->minima->budgets; b++)
        lab_headline(page->document, finding->minima, b);
    for (int64_t i = 0; i < finding->minima->budgets * finding->minima->variants; i++)
        most = finding->minima->curve[i].seeds > most ? finding->minima->curve[i].seeds : most;
    lab_document_say(page->document,
                     most > 1 ? "Sizes have up to %lld seeds, the others one."
                              : "Every size has %lld seed, so the noise between "
                                "seeds is unknown here.",
                     (long long)most);
    say_traits(page, finding);
    lab_study_say_epochs(page, finding);
    lab_document_close(page->document, LAB_PARAGRAPH);
    lab_headline_reasons(page->document, finding->minima);
}

void lab_study_page_fig1(const struct lab_study_page *page)
{
    static const char *const tables[] = {"fig1", "fig1-minima", "effects", NULL};
    const struct lab_finding *finding = lab_findings_part(page->findings, "fig1");
    if (!lab_study_section_start(page, finding, "fig1",
                                 "Figure 1: loss against size at equal FLOPs"))
        return;
    lab_study_page_figure(
        page, LAB_STUDY_FIG1,
        "Validation loss against active parameters (those that one token's "
        "forward pass can use). Each mark is a run; lines are parabolas through "
        "the means of sizes; rings mark minima inside the grid; crosses, "
        "where there are five sizes, the lowest point of Akima's curve through "
        "the means, which assumes no shape. Beside or below: the minima with "
        "their 90\xC2\xA0% intervals, and the lowest run (+) of a variant that has "
        "none.");
    lab_study_page_figure(page, LAB_STUDY_FIG1_TOTAL,
                          "The same runs against all trained parameters: what has to be stored.");
    if (finding->minima)
        say_minima(page, finding);
    lab_study_section_end(page, finding, tables);
    lab_study_minima_table(page, finding);
}

/* ---- Figure 4 ---- */

static const struct lab_curve *curve_of(const struct lab_minima *minima, const char *variant,
                                        int64_t budget)
{
    for (int64_t v = 0; v < minima->variants; v++)
        if (strcmp(minima->variant[v], variant) == 0)
            return &minima->curve[budget * minima->variants + v];
    return NULL;
}

/* Differences of minima: with the norm minus without. */
static void say_minima_apart(const struct lab_study_page *page, const struct lab_finding *finding)
{
    const struct lab_study_variant *names = page->findings->study->variant;
    const struct lab_minima *minima = finding->minima;
    const struct lab_part *part = finding->rows.part;
    lab_document_open(page->document, LAB_PARAGRAPH);
    for (int64_t i = 0; i < minima->budgets * part->variants; i++) {
        int variant = part->variant[i % part->variants];
        int base = lab_study_base(&finding->rows, variant);
        const struct lab_curve *with = curve_of(minima, names[variant].name, i / part->variants);
        const struct lab_curve *without =
            base < 0 ? NULL : curve_of(minima, names[base].name, i / part->variants);
        if (!with || !without || !with->fit[LAB_ACTIVE].minimum ||
            !without->fit[LAB_ACTIVE].minimum)
            continue;
        struct lab_interval apart =
            lab_fit_difference(&with->fit[LAB_ACTIVE], &without->fit[LAB_ACTIVE]);
        char range[64];
        lab_study_interval_text(range, 4, apart);
        lab_document_say(page->document, "Minimum of %s minus that of %s: %+.4f nats%s%s%s. ",
                         names[variant].name, names[base].name,
                         with->fit[LAB_ACTIVE].y - without->fit[LAB_ACTIVE].y,
                         *range ? " (90\xC2\xA0% interval " : ", without an interval", range,
                         *range ? ")" : "");
    }
    lab_document_say(page->document,
                     "The pairs of each size, below, tell more than the minima: what "
                     "a seed does to both runs cancels in them.");
    lab_document_close(page->document, LAB_PARAGRAPH);
}

void lab_study_page_fig4(const struct lab_study_page *page)
{
    static const char *const tables[] = {"fig4", "fig4-minima", "effects", NULL};
    const struct lab_finding *finding = lab_findings_part(page->findings, "fig4");
    if (!lab_study_section_start(page, finding, "fig4", "Figure 4: query BatchNorm over sizes"))
        return;
    lab_study_page_figure(page, LAB_STUDY_FIG4,
                          "Validation loss against active parameters with and without BatchNorm of "
                          "the queries; marks, lines and rings as in Figure 1.");
    if (finding->minima) {
        say_minima(page, finding);
        say_minima_apart(page, finding);
    }
    lab_study_section_end(page, finding, tables);
    lab_study_effects_table(page, finding);
    lab_study_minima_table(page, finding);
}
