/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "experiments/report/study_page.h"
#include "experiments/report/study_paper.h"

/* What a part asks, and what the paper found. */
static const struct {
    const char *part, *text;
} questions[] = {
    {"fig1", "Figure 1: at equal training FLOPs, is the loss of a model whose middle feed-forward "
             "layer is PEER below that of dense, mixture-of-experts and PKM models, each at its "
             "best size? "},
    {"fig3a", "Figure 3a: does the loss fall as the number of experts N grows, at the same number "
              "of active ones? "},
    {"fig3b", "Figure 3b: does it fall with the number of active experts h k, and does the best "
              "number of heads h grow with it? "},
    {"table2", "Table 2: does BatchNorm of the queries even out the use of experts, and lower the "
               "loss? "},
    {"fig4", "Figure 4: does it lower the loss at every size? "},
};

static void say_paper(struct lab_document *document, const char *part)
{
    const struct lab_paper_norm *few = &lab_paper_norms[0], *many = few + LAB_PAPER_NORMS - 1;
    if (strcmp(part, "fig1") == 0) {
        lab_document_say(document, "There, C4 perplexity of the best models:");
        for (int i = 0; i < LAB_PAPER_AT_6E18; i++)
            lab_document_say(document, "%s %s %.2f", i ? "," : "", lab_paper_methods[i].name,
                             lab_paper_methods[i].perplexity[LAB_PAPER_TEXTS - 1]);
        lab_document_say(document, ".");
    } else if (strcmp(part, "fig3a") == 0) {
        lab_document_say(document, "There from %.2f at N = 128\xC2\xB2 to %.2f at 1024\xC2\xB2.",
                         few->perplexity[1], many->perplexity[1]);
    } else if (strcmp(part, "fig3b") == 0) {
        const struct lab_paper_heads *first = &lab_paper_heads[0];
        const struct lab_paper_heads *last = first + LAB_PAPER_ACTIVE - 1;
        lab_document_say(
            document,
            "There from about %.1f at h k = %lld (best h = %lld) to about %.1f at %lld "
            "(best h = %lld).",
            first->perplexity[0], (long long)first->active, (long long)first->heads[0],
            last->perplexity[1], (long long)last->active, (long long)last->heads[1]);
    } else if (strcmp(part, "table2") == 0) {
        lab_document_say(document,
                         "There unevenness %.2f without and %.2f with it at N = 1024\xC2\xB2, "
                         "perplexity %.2f and %.2f.",
                         many->unevenness[0], many->unevenness[1], many->perplexity[0],
                         many->perplexity[1]);
    } else {
        lab_document_say(document, "There by at most about 0.1 of perplexity.");
    }
}

void lab_study_page_question(const struct lab_study_page *page)
{
    struct lab_document *document = page->document;
    const struct lab_findings *f = page->findings;
    lab_document_block(
        document, LAB_LEAD,
        "What He (2024), \xE2\x80\x9CMixture of A Million Experts\xE2\x80\x9D, "
        "measured at 6\xC3\x97"
        "10\xC2\xB9\xE2\x81\xB8 FLOPs and more is measured "
        "here again at a scale that a CPU can pay, with paired seeds and 90\xC2\xA0%% "
        "intervals. What was found is below, whatever it is: nothing was tuned to "
        "make a claim true.");
    lab_document_open(document, LAB_LIST);
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        if (!lab_findings_part(f, questions[i].part))
            continue;
        lab_document_open(document, LAB_ITEM);
        lab_document_say(document, "%s", questions[i].text);
        say_paper(document, questions[i].part);
        lab_document_close(document, LAB_ITEM);
    }
    lab_document_close(document, LAB_LIST);
}

/* Claims of a verdict that the study's file has something to say of. */
static int64_t noted(const struct lab_findings *f, enum lab_verdict verdict)
{
    int64_t count = 0;
    for (int64_t i = 0; i < f->claims; i++)
        count += f->claim[i].verdict == verdict && lab_study_note_on(f->study, f->claim[i].text);
    return count;
}

static void say_family(const struct lab_study_page *page)
{
    static const enum lab_verdict order[] = {LAB_REPRODUCED, LAB_CONTRADICTED,
                                             LAB_NOT_AT_THIS_SCALE, LAB_NOT_MEASURED};
    const struct lab_findings *f = page->findings;
    struct lab_family family = lab_claims_family(f->claim, f->claims);
    struct lab_document *document = page->document;
    lab_document_open(document, LAB_PARAGRAPH);
    lab_document_say(document, "Of %lld claims:", (long long)family.claims);
    for (size_t i = 0, told = 0; i < sizeof order / sizeof *order; i++) {
        int64_t count = family.verdicts[order[i]];
        if (count == 0)
            continue;
        lab_document_say(document, "%s %lld %s", told++ ? "," : "", (long long)count,
                         lab_verdict_names[order[i]]);
        if ((count = noted(f, order[i])) > 0)
            lab_document_say(document, " (%lld with a note beside the verdict)", (long long)count);
    }
    lab_document_say(document, ". Reproduced: the interval lies on the claimed side of zero; "
                               "contradicted: on the other; not at this scale: it includes zero.");
    if (family.judged)
        lab_document_say(
            document,
            " If every true effect were zero, %.1f of the %lld judged would come out "
            "as reproduced by chance; for all intervals to hold together at 90\xC2\xA0%% "
            "each would have to be one of %.1f\xC2\xA0%%.",
            family.by_chance, (long long)family.judged, 100 * family.level);
    lab_document_close(document, LAB_PARAGRAPH);
}

/* Beside the verdict stands what the study's file has to say of it. */
static void claim_row(struct lab_document *document, const struct lab_column *columns,
                      const struct lab_claim *claim, const char *note)
{
    static const char *const classes[] = {"wide unclear", "wide reproduced", "wide unclear",
                                          "wide contradicted"};
    static const char *const marks[] = {"", "\xE2\x97\x8F ", "\xE2\x97\x8B ", "\xE2\x97\x86 "};
    char effect[64] = "", range[64], verdict[64];
    if (isfinite(claim->effect))
        snprintf(effect, sizeof effect, "%+.4f", claim->effect);
    lab_study_interval_text(range, 4, claim->interval);
    snprintf(verdict, sizeof verdict, "%s%s", marks[claim->verdict],
             lab_verdict_names[claim->verdict]);
    lab_document_row(document, columns);
    lab_document_cell_with(document, "wide", claim->text, "");
    lab_document_cell(document, claim->direction < 0 ? "below 0" : "above 0");
    lab_document_cell_with(document, NULL, effect, range);
    lab_document_cell(document, "%s", claim->unit);
    lab_document_cell(document, "%lld", (long long)claim->seeds);
    lab_document_cell_with(document, classes[claim->verdict], verdict, note ? note : "");
    lab_document_cell_with(document, "note", claim->note, "");
    lab_document_row_end(document);
}

void lab_study_page_claims(const struct lab_study_page *page)
{
    static const struct lab_column columns[] = {{"claim of the paper", false},
                                                {"claimed", false},
                                                {"effect, 90\xC2\xA0% interval", true},
                                                {"unit", false},
                                                {"seeds", true},
                                                {"verdict", false},
                                                {"rests on", false},
                                                {NULL, false}};
    static const char *const tables[] = {"claims", NULL};
    struct lab_document *document = page->document;
    const struct lab_findings *f = page->findings;
    lab_document_heading(document, "claims", "The claims, judged");
    if (f->claims == 0) {
        lab_document_block(document, LAB_WARNING, "Nothing is done yet that a claim rests on.");
        return;
    }
    lab_study_page_figure(
        page, LAB_STUDY_CLAIMS,
        "Effects with 90\xC2\xA0% intervals, a panel per unit. The shaded side of "
        "zero is the one that is claimed. Filled circle: reproduced; ring: not at "
        "this scale; diamond: contradicted.");
    say_family(page);
    lab_study_page_source(page, NULL, tables);
    lab_document_table(document, columns, false);
    for (int64_t i = 0; i < f->claims; i++)
        claim_row(document, columns, &f->claim[i], lab_study_note_on(f->study, f->claim[i].text));
    lab_document_table_end(document);
}
