/* SPDX-License-Identifier: MIT */
/* The best models on several texts: Table 1. */
#include <math.h>
#include <string.h>

#include "experiments/report/study_page_lines.h"
#include "experiments/report/study_paper.h"
#include "nn/layers/ffw.h"

static const struct lab_column columns[] = {{"text", false},
                                            {"form", false},
                                            {"budget, FLOPs", true},
                                            {"variant", false},
                                            {"width", true},
                                            {"perplexity", true},
                                            {"bits per byte", true},
                                            {"nats per token", true},
                                            {"perplexity per word", true},
                                            {"last word right", true},
                                            {NULL, false}};

static const struct lab_text_score *score_of(const struct lab_table1_model *model, const char *text,
                                             const char *form)
{
    for (int64_t i = 0; i < model->texts; i++)
        if (strcmp(model->text[i].text, text) == 0 && strcmp(model->text[i].form, form) == 0)
            return &model->text[i];
    return NULL;
}

static void score_row(const struct lab_study_page *page, const struct lab_table1_model *model,
                      const struct lab_text_score *score)
{
    struct lab_document *document = page->document;
    const struct lab_part *fig1 = lab_study_part(page->findings->study, "fig1");
    char power[48], last[32] = "";
    lab_power_text(power, fig1->budget[model->budget]);
    if (isfinite(score->last_word_accuracy))
        snprintf(last, sizeof last, "%.1f\xC2\xA0%%", 100 * score->last_word_accuracy);
    lab_document_row(document, columns);
    lab_document_cell(document, "%s", score->text);
    lab_document_cell(document, "%s", score->form);
    lab_document_cell(document, "%s", power);
    lab_document_cell(document, "%s", page->findings->study->variant[model->variant].name);
    lab_document_cell(document, "%lld", (long long)model->result->width);
    lab_document_number(document, 2, score->perplexity);
    lab_document_number(document, 4, score->bits_per_byte);
    lab_document_number(document, 4, score->nats);
    lab_document_number(document, 2, score->word_perplexity);
    lab_document_cell(document, "%s", last);
    lab_document_row_end(document);
}

typedef void per_text(const struct lab_study_page *page, const char *text, const char *form);

/* Calls once for every text, in the order in which models name them. */
static void each_text(const struct lab_study_page *page, per_text *call)
{
    const struct lab_table1 *table = &page->findings->table1;
    for (int64_t i = 0; i < table->models; i++)
        for (int64_t j = 0; j < table->model[i].texts; j++) {
            const struct lab_text_score *score = &table->model[i].text[j];
            bool told = false;
            for (int64_t k = 0; k < i && !told; k++)
                told = score_of(&table->model[k], score->text, score->form) != NULL;
            if (!told)
                call(page, score->text, score->form);
        }
}

static void text_rows(const struct lab_study_page *page, const char *text, const char *form)
{
    const struct lab_table1 *table = &page->findings->table1;
    for (int64_t i = 0; i < table->models; i++) {
        const struct lab_text_score *score = score_of(&table->model[i], text, form);
        if (score)
            score_row(page, &table->model[i], score);
    }
}

/* Of the models that see no later tokens. */
static void say_text(const struct lab_study_page *page, const char *text, const char *form)
{
    const struct lab_findings *f = page->findings;
    const struct lab_part *fig1 = lab_study_part(f->study, "fig1");
    lab_document_open(page->document, LAB_ITEM);
    lab_document_say(page->document, "%s (%s): lowest", text, form);
    for (int64_t b = 0, told = 0; b < fig1->budgets; b++) {
        const struct lab_table1_model *best = NULL;
        const struct lab_text_score *lowest = NULL;
        for (int64_t i = 0; i < f->table1.models; i++) {
            const struct lab_table1_model *model = &f->table1.model[i];
            const struct lab_text_score *score = score_of(model, text, form);
            if (model->budget == b && score && !(model->result->traits & PEER_FFW_NOT_CAUSAL) &&
                (!lowest || score->bits_per_byte < lowest->bits_per_byte)) {
                best = model;
                lowest = score;
            }
        }
        char power[48];
        lab_power_text(power, fig1->budget[b]);
        if (lowest)
            lab_document_say(page->document, "%s at %s FLOPs %s, %.4f bits per byte",
                             told++ ? ";" : "", power, f->study->variant[best->variant].name,
                             lowest->bits_per_byte);
    }
    lab_document_say(page->document, ".");
    lab_document_close(page->document, LAB_ITEM);
}

static void paper_methods(const struct lab_study_page *page)
{
    static const struct lab_column of_paper[] = {{"paper: method", false},
                                                 {"budget, FLOPs", true},
                                                 {"Curation Corpus", true},
                                                 {"Lambada", true},
                                                 {"Pile", true},
                                                 {"Wikitext", true},
                                                 {"C4", true},
                                                 {NULL, false}};
    struct lab_document *document = page->document;
    lab_document_block(
        document, LAB_PARAGRAPH,
        "The paper's own Table 1, perplexities of its models and vocabulary, without "
        "error bars:");
    lab_document_table(document, of_paper, false);
    for (int i = 0; i < LAB_PAPER_METHODS; i++) {
        char power[48];
        lab_power_text(power, lab_paper_methods[i].budget);
        lab_document_row(document, of_paper);
        lab_document_cell(document, "%s", lab_paper_methods[i].name);
        lab_document_cell(document, "%s", power);
        for (int j = 0; j < LAB_PAPER_TEXTS; j++)
            lab_document_number(document, 2, lab_paper_methods[i].perplexity[j]);
        lab_document_row_end(document);
    }
    lab_document_table_end(document);
}

void lab_study_page_table1(const struct lab_study_page *page)
{
    static const char *const tables[] = {"table1", NULL};
    const struct lab_table1 *table = &page->findings->table1;
    struct lab_document *document = page->document;
    int64_t scores = 0;
    for (int64_t i = 0; i < table->models; i++)
        scores += table->model[i].texts;
    if (scores == 0 || !lab_study_part(page->findings->study, "fig1"))
        return;
    lab_document_heading(document, "table1", "Table 1: the best models on several texts");
    lab_study_page_figure(page, LAB_STUDY_TABLE1,
                          "Bits per byte minus those of the first variant, which stand beside the "
                          "text: a row per text, a panel per budget, one seed each.");
    lab_document_block(document, LAB_PARAGRAPH,
                       "Of every variant and budget of Figure 1 the size with the lowest loss, one "
                       "seed each, so without intervals. Of those that see no later tokens:");
    lab_document_open(document, LAB_LIST);
    each_text(page, say_text);
    lab_document_close(document, LAB_LIST);
    lab_study_page_source(page, "table1", tables);
    lab_document_table(document, columns, true);
    each_text(page, text_rows);
    lab_document_table_end(document);
    paper_methods(page);
}
