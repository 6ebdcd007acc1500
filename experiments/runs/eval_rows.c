/* SPDX-License-Identifier: MIT */
#include "experiments/runs/eval_rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/base/memory.h"
#include "experiments/cli/terminal.h"
#include "experiments/report/csv.h"
#include "experiments/runs/run_result.h"
#include "lm/json.h"

/* What is known of a row, by name; 0 or NaN = nothing. */
struct cell {
    const char *name;
    bool whole; /* a count: `number` is an integer */
    double number;
};

enum { CELLS = 18 };

/* Standard errors: of means as they are counted, of their exponentials and multiples by the slope;
 * bytes and words are taken as given. Of all right or all wrong there is none to tell. */
static void cells_of(struct cell cells[CELLS], const struct lab_eval_score *s)
{
    double error = s->result.nats_error, tokens = (double)s->result.tokens;
    double p = s->last_accuracy, passages = (double)s->passages;
    const struct cell all[CELLS] = {
        {"documents", true, (double)s->documents},
        {"longer", true, s->documents ? (double)s->longer : NAN},
        {"tokens", true, (double)s->result.tokens},
        {"bytes", true, s->result.bytes ? (double)s->result.bytes : NAN},
        {"nats", false, s->result.nats},
        {"perplexity", false, s->result.perplexity},
        {"bits_per_byte", false, s->result.bits_per_byte},
        {"words", true, s->words ? (double)s->words : NAN},
        {"word_perplexity", false, s->word_perplexity},
        {"passages", true, s->passages ? (double)s->passages : NAN},
        {"last_word_perplexity", false, s->last_perplexity},
        {"last_word_accuracy", false, s->last_accuracy},
        {"nats_error", false, error},
        {"perplexity_error", false, error * s->result.perplexity},
        {"bits_per_byte_error", false,
         s->result.bytes ? error * tokens / ((double)s->result.bytes * log(2)) : NAN},
        {"word_perplexity_error", false,
         s->words ? error * tokens / (double)s->words * s->word_perplexity : NAN},
        {"last_word_perplexity_error", false, s->last_nats_error * s->last_perplexity},
        {"last_word_accuracy_error", false,
         passages > 1 && p > 0 && p < 1 ? sqrt(p * (1 - p) / (passages - 1)) : NAN},
    };
    memcpy(cells, all, sizeof all);
    if (!s->documents)
        cells[0].number = NAN;
}

/* Columns of the table for people. */
struct column {
    const char *title, *cell, *format;
    double scale;
};

static const struct column columns[] = {
    {"tokens", "tokens", "%.0f", 1},
    {"bytes", "bytes", "%.0f", 1},
    {"nats/token", "nats", "%.4f", 1},
    {"perplexity", "perplexity", "%.3f", 1},
    {"bits/byte", "bits_per_byte", "%.4f", 1},
    {"per word", "word_perplexity", "%.2f", 1},
    {"last word", "last_word_perplexity", "%.2f", 1},
    {"right", "last_word_accuracy", "%.2f %%", 100},
};
enum { COLUMNS = sizeof columns / sizeof *columns };

/* The value or, with the suffix "_error", its standard error. */
static double number_of(const struct lab_eval_row *row, const struct column *column,
                        const char *suffix)
{
    struct cell cells[CELLS];
    char name[40];
    snprintf(name, sizeof name, "%s%s", column->cell, suffix);
    cells_of(cells, &row->score);
    for (int i = 0; i < CELLS; i++)
        if (strcmp(cells[i].name, name) == 0)
            return column->scale * cells[i].number;
    return NAN;
}

static double value_of(const struct lab_eval_row *row, const struct column *column)
{
    return number_of(row, column, "");
}

/* The value, and behind it its standard error where there is one. */
static void cell_text(char *text, size_t size, const struct lab_eval_row *row,
                      const struct column *column)
{
    double value = value_of(row, column), error = number_of(row, column, "_error");
    snprintf(text, size, "-");
    if (isnan(value))
        return;
    int used = snprintf(text, size, column->format, value);
    if (isfinite(error) && used > 0 && (size_t)used + 4 < size) {
        used += snprintf(text + used, size - (size_t)used, " +- ");
        snprintf(text + used, size - (size_t)used, column->format, error);
    }
}

static int column_width(const struct lab_eval_rows *rows, const struct column *column)
{
    size_t width = 11;
    for (int64_t i = 0; i < rows->count; i++) {
        char text[80];
        cell_text(text, sizeof text, &rows->rows[i], column);
        width = strlen(text) > width ? strlen(text) : width;
    }
    return (int)width;
}

static bool is_used(const struct lab_eval_rows *rows, const struct column *column)
{
    for (int64_t i = 0; i < rows->count; i++)
        if (!isnan(value_of(&rows->rows[i], column)))
            return true;
    return false;
}

/* Width of the column of names. */
static int widest(const struct lab_eval_rows *rows, bool model)
{
    int width = 5;
    for (int64_t i = 0; i < rows->count; i++) {
        int length = lab_cell_width(model ? rows->rows[i].model : rows->rows[i].text);
        width = length > width ? length : width;
    }
    return width;
}

static bool has_models(const struct lab_eval_rows *rows)
{
    for (int64_t i = 1; i < rows->count; i++)
        if (strcmp(rows->rows[i].model, rows->rows[0].model) != 0)
            return true;
    return false;
}

static void print_row(FILE *file, const struct lab_eval_rows *rows, const struct lab_eval_row *row)
{
    for (int i = 0; i < COLUMNS; i++) {
        char text[80];
        if (!is_used(rows, &columns[i]))
            continue;
        cell_text(text, sizeof text, row, &columns[i]);
        fprintf(file, " %*s", column_width(rows, &columns[i]), text);
    }
    fputc('\n', file);
}

static void print_truncation(FILE *file, const struct lab_eval_row *row, int64_t length)
{
    if (row->score.passages)
        fprintf(file,
                "%s: %lld of %lld passages have more than %lld tokens; their last word sees the "
                "last %lld only\n",
                row->text, (long long)row->score.longer, (long long)row->score.documents,
                (long long)length, (long long)length);
}

void lab_eval_rows_print(FILE *file, const struct lab_eval_rows *rows)
{
    bool models = has_models(rows);
    int text = widest(rows, false), model = widest(rows, true);
    fprintf(file, "%-*s %-8s", text, "text", "form");
    if (models)
        fprintf(file, " %-*s", model, "model");
    for (int i = 0; i < COLUMNS; i++)
        if (is_used(rows, &columns[i]))
            fprintf(file, " %*s", column_width(rows, &columns[i]), columns[i].title);
    fputc('\n', file);
    for (int64_t i = 0; i < rows->count; i++) {
        const struct lab_eval_row *row = &rows->rows[i];
        lab_print_cell(file, text, row->text);
        fprintf(file, " %-8s", lab_form_names[row->form]);
        if (models) {
            fputc(' ', file);
            lab_print_cell(file, model, row->model);
        }
        print_row(file, rows, row);
    }
    for (int64_t i = 0; i < rows->count; i++)
        if (strcmp(rows->rows[i].model, rows->rows[0].model) == 0)
            print_truncation(file, &rows->rows[i], rows->length);
}

/* A name in a cell of Markdown. */
static void print_markdown(FILE *file, const char *name)
{
    fputs(" ", file);
    for (; *name; name++)
        fprintf(file, strchr("\\`*_{}[]<>|#", *name) ? "\\%c" : "%c", *name);
    fputs(" |", file);
}

void lab_eval_rows_markdown(FILE *file, const struct lab_eval_rows *rows)
{
    bool models = has_models(rows);
    fprintf(file, "| text | form |%s", models ? " model |" : "");
    for (int i = 0; i < COLUMNS; i++)
        if (is_used(rows, &columns[i]))
            fprintf(file, " %s |", columns[i].title);
    fprintf(file, "\n|---|---|%s", models ? "---|" : "");
    for (int i = 0; i < COLUMNS; i++)
        if (is_used(rows, &columns[i]))
            fputs("---:|", file);
    for (int64_t r = 0; r < rows->count; r++) {
        const struct lab_eval_row *row = &rows->rows[r];
        fputs("\n|", file);
        print_markdown(file, row->text);
        print_markdown(file, lab_form_names[row->form]);
        if (models)
            print_markdown(file, row->model);
        for (int i = 0; i < COLUMNS; i++) {
            char text[80];
            cell_text(text, sizeof text, row, &columns[i]);
            if (is_used(rows, &columns[i]))
                fprintf(file, " %s |", text);
        }
    }
    fputc('\n', file);
}

static json_t *row_json(const struct lab_eval_row *row)
{
    struct cell cells[CELLS];
    cells_of(cells, &row->score);
    json_t *object = json_pack("{s:s, s:s, s:s}", "model", row->model, "text", row->text, "form",
                               lab_form_names[row->form]);
    for (int i = 0; i < CELLS; i++) {
        double number = cells[i].number;
        json_t *value = !isfinite(number) ? json_null() /* JSON has no NaN */
                        : cells[i].whole  ? json_integer((json_int_t)number)
                                          : json_real(number);
        json_object_set_new(object, cells[i].name, value);
    }
    return object;
}

/* Errors of writing stay in the stream and show at its end. */
static enum peer_status put(struct peer_ctx *ctx, FILE *file, char *text, size_t size)
{
    if (!text)
        return peer_fail(ctx, PEER_ERR_MEMORY, "no memory to write the scores");
    fwrite(text, 1, size, file);
    free(text);
    return PEER_OK;
}

enum peer_status lab_eval_rows_json(struct peer_ctx *ctx, FILE *file,
                                    const struct lab_eval_rows *rows)
{
    lm_json_watch();
    json_t *list = json_array();
    for (int64_t i = 0; i < rows->count; i++)
        json_array_append_new(list, row_json(&rows->rows[i]));
    json_t *object = json_pack("{s:s, s:i, s:I, s:o}", "format", "peerlab-eval", "version", 1,
                               "length", (json_int_t)rows->length, "rows", list);
    char *text = lm_json_text(object, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    json_decref(object);
    return put(ctx, file, text, text ? strlen(text) : 0);
}

enum peer_status lab_eval_rows_csv(struct peer_ctx *ctx, FILE *file,
                                   const struct lab_eval_rows *rows)
{
    size_t size = 0;
    struct lab_memory memory;
    if (!lab_memory_open(&memory))
        return put(ctx, file, NULL, 0);
    struct lab_csv line = {memory.file, false};
    struct cell cells[CELLS];
    lab_csv_text(&line, "model");
    lab_csv_text(&line, "text");
    lab_csv_text(&line, "form");
    cells_of(cells, &(struct lab_eval_score){0});
    for (int i = 0; i < CELLS; i++)
        lab_csv_text(&line, cells[i].name);
    lab_csv_end(&line);
    for (int64_t r = 0; r < rows->count; r++) {
        const struct lab_eval_row *row = &rows->rows[r];
        lab_csv_text(&line, row->model);
        lab_csv_text(&line, row->text);
        lab_csv_text(&line, lab_form_names[row->form]);
        cells_of(cells, &row->score);
        for (int i = 0; i < CELLS; i++)
            lab_csv_number(&line, cells[i].number);
        lab_csv_end(&line);
    }
    char *text = lab_memory_close(&memory, &size);
    return put(ctx, file, text, size);
}
