/* SPDX-License-Identifier: MIT */
#include "experiments/report/study_page_lines.h"

#include <math.h>
#include <string.h>

#include "experiments/cli/progress.h"

bool lab_study_section_start(const struct lab_study_page *page, const struct lab_finding *finding,
                             const char *id, const char *title)
{
    if (!finding)
        return false;
    lab_document_heading(page->document, id, title);
    if (finding->finished == 0)
        lab_study_page_states(page, finding);
    const char *note = lab_study_note_on(page->findings->study, finding->rows.part->name);
    if (note)
        lab_document_block(page->document, LAB_WARNING, "%s", note);
    return finding->finished > 0;
}

void lab_study_section_end(const struct lab_study_page *page, const struct lab_finding *finding,
                           const char *const *tables)
{
    lab_study_page_states(page, finding);
    lab_study_page_source(page, finding->rows.part->name, tables);
}

void lab_study_section_paper(const struct lab_study_page *page)
{
    lab_document_block(page->document, LAB_PARAGRAPH,
                       "The paper's own numbers, at 6\xC3\x97"
                       "10\xC2\xB9\xE2\x81\xB8 FLOPs, C4, "
                       "without error bars; differences in nats are logarithms of ratios of its "
                       "perplexities:");
}

void lab_study_square_text(char text[32], double N)
{
    double side = floor(sqrt(N) + 0.5);
    if (N > 1 && side * side == N)
        snprintf(text, 32, "%.0f\xC2\xB2", side);
    else
        snprintf(text, 32, "%.0f", N);
}

void lab_study_say_effect(struct lab_document *document, const struct lab_effect *effect)
{
    if (!isfinite(effect->mean)) {
        lab_document_say(document, "not measured (%s)", effect->note);
        return;
    }
    lab_document_say(document, "%+.4f nats", effect->mean);
    if (effect->interval.known)
        lab_document_say(document, " (90\xC2\xA0%% interval %+.4f to %+.4f, %lld pairs)",
                         effect->interval.low, effect->interval.high, (long long)effect->seeds);
    else
        lab_document_say(document, " (%s)", effect->note);
}

void lab_study_say_setting(const struct lab_study_page *page, const struct lab_finding *finding)
{
    const struct lab_part *part = finding->rows.part;
    char power[48];
    if (part->sizes > 1)
        return;
    lab_power_text(power, part->budget[0]);
    lab_document_say(page->document, "All runs: width %lld, %lld blocks, %s FLOPs. ",
                     (long long)part->size[0].width, (long long)part->size[0].blocks, power);
    if (part->budgets > 1)
        lab_document_say(page->document, "Other budgets of this part are in runs.csv alone. ");
}

void lab_study_say_epochs(const struct lab_study_page *page, const struct lab_finding *finding)
{
    double most = 0;
    for (int64_t i = 0; i < finding->rows.count; i++)
        if (lab_row_done(&finding->rows.row[i]))
            most = fmax(most, finding->rows.row[i].result->epochs);
    if (most > 1)
        lab_document_say(page->document,
                         " The longest run passed %.2f times over its text; text that is read "
                         "again teaches less than new text.",
                         most);
}

/* The first column is for parts of several sizes. */
static const struct lab_column line_columns[] = {{"width \xC3\x97 blocks", true},
                                                 {"variant", false},
                                                 {"experts or memories", true},
                                                 {"h", true},
                                                 {"k", true},
                                                 {"seeds", true},
                                                 {"loss, nats", true},
                                                 {"perplexity", true},
                                                 {"minus", false},
                                                 {"difference, 90\xC2\xA0% interval", true},
                                                 {"used", true},
                                                 {"unevenness, nats", true},
                                                 {"used as first", true},
                                                 {"parameters", true},
                                                 {"active", true},
                                                 {"read per token", true},
                                                 {"\xC2\xB5s per token", true},
                                                 {NULL, false}};

static void share_cell(struct lab_document *document, double share)
{
    char text[32] = "";
    if (isfinite(share))
        snprintf(text, sizeof text, "%.1f\xC2\xA0%%", 100 * share);
    lab_document_cell(document, "%s", text);
}

static void count_cell(struct lab_document *document, double count)
{
    char text[32] = "";
    if (count > 0)
        lab_format_count(text, sizeof text, count);
    lab_document_cell(document, "%s", text);
}

static void layer_cells(const struct lab_study_page *page, const struct lab_finding *finding,
                        const struct lab_finding_line *line)
{
    struct lab_document *document = page->document;
    const struct lab_part_row *row = line->row;
    const struct lab_part *part = finding->rows.part;
    const struct lab_study_size *size = &part->size[line->size];
    char experts[32] = "", heads[24] = "", kept[24] = "";
    if (row && row->N > 0)
        lab_study_square_text(experts, row->N);
    if (row && row->heads > 0)
        snprintf(heads, sizeof heads, "%lld", (long long)row->heads);
    if (row && row->kept > 0)
        snprintf(kept, sizeof kept, "%lld", (long long)row->kept);
    if (part->sizes > 1)
        lab_document_cell(document, "%lld\xC3\x97%lld", (long long)size->width,
                          (long long)size->blocks);
    lab_document_cell(document, "%s", page->findings->study->variant[line->variant].name);
    lab_document_cell(document, "%s", experts);
    lab_document_cell(document, "%s", heads);
    lab_document_cell(document, "%s", kept);
    lab_document_cell(document, "%lld/%lld", (long long)line->seeds, (long long)line->planned);
}

static void loss_cells(const struct lab_study_page *page, const struct lab_finding *finding,
                       const struct lab_finding_line *line)
{
    struct lab_document *document = page->document;
    char loss[32] = "", spread[32] = "", difference[32] = "", range[64] = "";
    int base = lab_study_base(&finding->rows, line->variant);
    if (isfinite(line->nats))
        snprintf(loss, sizeof loss, "%.4f", line->nats);
    if (isfinite(line->deviation))
        snprintf(spread, sizeof spread, "\xC2\xB1 %.4f", line->deviation);
    lab_document_cell_with(document, NULL, loss, spread);
    lab_document_number(document, 2, exp(line->nats));
    lab_document_cell(document, "%s", base < 0 ? "" : page->findings->study->variant[base].name);
    if (base >= 0) {
        struct lab_effect effect =
            lab_part_effect(&finding->rows, line->variant, base, line->size, 0);
        if (isfinite(effect.mean))
            snprintf(difference, sizeof difference, "%+.4f", effect.mean);
        lab_study_interval_text(range, 4, effect.interval);
    }
    lab_document_cell_with(document, NULL, difference, range);
}

void lab_study_lines_table(const struct lab_study_page *page, const struct lab_finding *finding)
{
    struct lab_document *document = page->document;
    const struct lab_column *columns = line_columns + (finding->rows.part->sizes == 1);
    lab_document_table(document, columns, false);
    for (int64_t i = 0; i < finding->lines; i++) {
        const struct lab_finding_line *line = &finding->line[i];
        char bytes[32] = "";
        if (line->bytes_per_token > 0)
            lab_format_bytes(bytes, sizeof bytes, line->bytes_per_token);
        lab_document_row(document, columns);
        layer_cells(page, finding, line);
        loss_cells(page, finding, line);
        share_cell(document, line->used);
        lab_document_number(document, 3, line->unevenness);
        share_cell(document, line->top1);
        count_cell(document, line->params_total);
        count_cell(document, line->params_active);
        lab_document_cell(document, "%s", bytes);
        lab_document_number(document, 1, 1e6 * line->seconds_per_token);
        lab_document_row_end(document);
    }
    lab_document_table_end(document);
}
