/* SPDX-License-Identifier: MIT */
/* Parts that the paper does not have: texts of facts, and those of a study of one's own. */
#include <math.h>
#include <string.h>

#include "experiments/report/study_page_lines.h"

static const struct lab_column facts_columns[] = {{"variant", false},
                                                  {"width \xC3\x97 blocks", true},
                                                  {"seeds", true},
                                                  {"bits learned", true},
                                                  {"of all", true},
                                                  {"likeliest is right", true},
                                                  {"bits per parameter", true},
                                                  {"bits per 10\xE2\x81\xB9 FLOPs", true},
                                                  {NULL, false}};

static void share_cell(struct lab_document *document, double share)
{
    char text[32] = "";
    if (isfinite(share))
        snprintf(text, sizeof text, "%.2f\xC2\xA0%%", 100 * share);
    lab_document_cell(document, "%s", text);
}

static void say_facts(const struct lab_study_page *page, const struct lab_finding *finding)
{
    const struct lab_part *part = finding->rows.part;
    const struct lab_facts_config *table = &part->make.table;
    const struct lab_finding_line *best = NULL;
    double all = lab_study_facts_bits(part);
    for (int64_t i = 0; i < finding->lines; i++)
        if (isfinite(finding->line[i].bits) && (!best || finding->line[i].bits > best->bits))
            best = &finding->line[i];
    lab_document_open(page->document, LAB_PARAGRAPH);
    lab_document_say(
        page->document,
        "The text states %lld attributes of %lld names, one of %lld values each: %.0f "
        "bits that nothing but the text tells. Learned bits are the sum of what a model "
        "knows of each value beyond a guess; below zero it is surer than it is right.",
        (long long)table->attributes, (long long)table->people, (long long)table->values, all);
    if (best)
        lab_document_say(page->document,
                         " The most are learned by %s (width %lld), %.0f bits or %.2f\xC2\xA0%% of "
                         "all, %.3g per parameter.",
                         page->findings->study->variant[best->variant].name,
                         (long long)part->size[best->size].width, best->bits,
                         100 * best->bits / all, best->bits / best->params_total);
    lab_study_say_epochs(page, finding);
    lab_document_close(page->document, LAB_PARAGRAPH);
}

static void facts_table(const struct lab_study_page *page, const struct lab_finding *finding)
{
    struct lab_document *document = page->document;
    double all = lab_study_facts_bits(finding->rows.part);
    lab_document_table(document, facts_columns, false);
    for (int64_t i = 0; i < finding->lines; i++) {
        const struct lab_finding_line *line = &finding->line[i];
        const struct lab_study_size *size = &finding->rows.part->size[line->size];
        char bits[32] = "", spread[32] = "";
        if (isfinite(line->bits))
            snprintf(bits, sizeof bits, "%.0f", line->bits);
        if (isfinite(line->bits_deviation))
            snprintf(spread, sizeof spread, "\xC2\xB1 %.0f", line->bits_deviation);
        lab_document_row(document, facts_columns);
        lab_document_cell(document, "%s", page->findings->study->variant[line->variant].name);
        lab_document_cell(document, "%lld\xC3\x97%lld", (long long)size->width,
                          (long long)size->blocks);
        lab_document_cell(document, "%lld/%lld", (long long)line->seeds, (long long)line->planned);
        lab_document_cell_with(document, NULL, bits, spread);
        share_cell(document, line->bits / all);
        share_cell(document, line->accuracy);
        lab_document_number(document, 3,
                            line->params_total > 0 ? line->bits / line->params_total : NAN);
        lab_document_number(document, 3, line->flops > 0 ? 1e9 * line->bits / line->flops : NAN);
        lab_document_row_end(document);
    }
    lab_document_table_end(document);
}

static bool known(const char *name)
{
    static const char *const names[] = {"power", "fig1", "fig3a", "fig3b", "table2", "fig4"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

void lab_study_page_others(const struct lab_study_page *page)
{
    const struct lab_study *study = page->findings->study;
    for (int64_t p = 0; p < study->parts; p++) {
        const struct lab_finding *finding = &page->findings->part[p];
        const struct lab_part *part = &study->part[p];
        char name[LAB_STUDY_NAME], title[80], minima[LAB_STUDY_NAME + 8];
        if (known(part->name))
            continue;
        lab_study_file_name(name, study, p);
        snprintf(title, sizeof title, part->facts ? "A text of facts: %.24s" : "%.24s", part->name);
        snprintf(minima, sizeof minima, "%s-minima", name);
        const char *const tables[] = {name, finding->minima ? minima : NULL, NULL};
        lab_document_heading(page->document, name, title);
        if (strcmp(part->name, "capacity") == 0)
            lab_study_page_figure(page, LAB_STUDY_CAPACITY,
                                  "Bits learned of the text of facts, means with the standard "
                                  "deviation over seeds. Left: against all parameters. Right: of "
                                  "layers with a table, against its size.");
        if (part->facts && finding->finished)
            say_facts(page, finding);
        lab_study_page_states(page, finding);
        lab_study_page_source(page, part->name, tables);
        if (part->facts && finding->finished)
            facts_table(page, finding);
        if (finding->lines && finding->finished)
            lab_study_lines_table(page, finding);
        lab_study_minima_table(page, finding);
    }
}
