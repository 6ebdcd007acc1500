/* SPDX-License-Identifier: MIT */
#include "experiments/runs/usage_show.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/report/csv.h"
#include "experiments/runs/run_result.h"
#include "experiments/runs/usage_measures.h"
#include "experiments/runs/usage_track.h"
#include "lm/json.h"
#include "nn/file.h"

/* The first columns are counts, which a double holds exactly. */
enum { TRACK_COUNTS = 3 };
#define TRACK_COUNT_MAX 9007199254740992.0

/* Cells of one line; false where they are not LAB_TRACK_COLUMNS numbers or empty, the counts there.
 */
static bool read_row(struct lab_track_row *row, const char *line)
{
    for (int i = 0; i < LAB_TRACK_COLUMNS; i++) {
        char *end;
        row->value[i] = strtod(line, &end);
        if (end == line)
            row->value[i] = NAN;
        if (i < TRACK_COUNTS && !(row->value[i] >= 0 && row->value[i] < TRACK_COUNT_MAX))
            return false;
        if (*end != (i + 1 < LAB_TRACK_COLUMNS ? ',' : '\n'))
            return false;
        line = end + 1;
    }
    return true;
}

/* Rows of the lines of `text`; returns their number, and in *end where it stopped. */
static int64_t read_rows(struct lab_track_row *rows, const char *text, const char **end)
{
    int64_t n = 0;
    while (*text && strchr(text, '\n') && read_row(&rows[n], text)) {
        text = strchr(text, '\n') + 1;
        n++;
    }
    *end = text;
    return n;
}

enum peer_status lab_track_read(struct lab_track_row **ret, int64_t *count, struct peer_ctx *ctx,
                                const char *path)
{
    char *text = lab_read_file(ctx, path);
    if (!text)
        return PEER_ERR_IO;
    const char *end = text;
    size_t header = strlen(lab_track_columns);
    int64_t lines = 0;
    for (const char *c = text; *c; c++)
        lines += *c == '\n';
    struct lab_track_row *rows = calloc((size_t)lines + 1, sizeof *rows);
    bool headed = strncmp(text, lab_track_columns, header) == 0 && text[header] == '\n';
    int64_t n = rows && headed ? read_rows(rows, text + header + 1, &end) : 0;
    enum peer_status status = PEER_OK;
    if (!rows)
        status = peer_fail(ctx, PEER_ERR_MEMORY, "%s: no memory to read it", path);
    else if (!headed || *end)
        status = peer_fail(ctx, PEER_ERR_FORMAT, "%s:%lld: expected %s", path,
                           (long long)(headed ? n + 2 : 1),
                           headed ? "numbers between commas" : lab_track_columns);
    free(text);
    if (status == PEER_OK) {
        *ret = rows;
        *count = n;
    } else {
        free(rows);
    }
    return status;
}

/* A block of a run: its track, its end, or both. */
struct shown {
    FILE *file;
    json_t *blocks;
    const char *path;
    enum lab_usage_format format;
    bool finished;
};

static void print_timeline(FILE *file, const struct lab_track_row *rows, int64_t count)
{
    static const struct {
        const char *head;
        int column;
        bool share;
    } columns[] = {{"usage", 4, true},   {"uneven", 5, false},   {"top-1", 7, true},
                   {"shared", 8, true},  {"born dead", 9, true}, {"died", 10, true},
                   {"revived", 11, true}};
    fprintf(file, "%10s %12s", "step", "tokens");
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        fprintf(file, "%11s", columns[i].head);
    fputc('\n', file);
    for (int64_t row = 0; row < count; row++) {
        fprintf(file, "%10.0f %12.0f", rows[row].value[0], rows[row].value[1]);
        for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
            lab_measure_print(file, rows[row].value[columns[i].column], columns[i].share, false);
        fputc('\n', file);
    }
}

static void print_end(FILE *file, const struct lm_usage_report *report)
{
    for (const struct lab_measure *m = lab_measures; m->name; m++) {
        fprintf(file, "  %-36s", m->label);
        lab_measure_print(file, lab_measure_of(report, m), m->share, false);
        fputc('\n', file);
    }
}

static void print_block(const struct shown *s, int64_t number, const struct lab_usage_block *block,
                        const struct lab_track_row *rows, int64_t count)
{
    fprintf(s->file, "\n%s, block %lld", s->path, (long long)number);
    if (block)
        fprintf(s->file, ": %lld experts", (long long)block->usage->experts);
    fputc('\n', s->file);
    if (count)
        print_timeline(s->file, rows, count);
    else
        fputs("  not tracked during training (train: {usage_points: P})\n", s->file);
    if (!block) {
        fputs(s->finished ? "  the run ended without a measurement: it diverged\n"
                          : "  the run has not finished\n",
              s->file);
        return;
    }
    fputs(count ? "at the end:\n" : "", s->file);
    print_end(s->file, &block->report);
}

/* Rows of the track, and of a block that was not tracked none. */
static void print_csv(const struct shown *s, int64_t number, const struct lab_track_row *rows,
                      int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        struct lab_csv row = {s->file, false};
        lab_csv_text(&row, s->path);
        lab_csv_integer(&row, number);
        for (int j = 0; j < LAB_TRACK_COLUMNS; j++)
            lab_csv_number(&row, rows[i].value[j]);
        lab_csv_end(&row);
    }
}

static json_t *row_json(const struct lab_track_row *row)
{
    json_t *object = json_object();
    const char *name = lab_track_columns;
    for (int i = 0; i < LAB_TRACK_COLUMNS; i++) {
        char key[32];
        size_t length = strcspn(name, ",");
        snprintf(key, sizeof key, "%.*s", (int)length, name);
        json_object_set_new(object, key,
                            i < TRACK_COUNTS ? json_integer((json_int_t)row->value[i])
                                             : lab_measure_json(row->value[i]));
        name += length + 1;
    }
    return object;
}

static enum peer_status add_json(const struct shown *s, struct peer_ctx *ctx, int64_t number,
                                 const struct lab_usage_block *block,
                                 const struct lab_track_row *rows, int64_t count)
{
    lm_json_watch();
    json_t *timeline = json_array(), *end = block ? lab_measures_json(&block->report) : json_null();
    for (int64_t i = 0; i < count; i++)
        json_array_append_new(timeline, row_json(&rows[i]));
    json_array_append_new(s->blocks,
                          json_pack("{s:I,s:o,s:o,s:o}", "block", (json_int_t)number, "experts",
                                    block ? json_integer(block->usage->experts) : json_null(),
                                    "timeline", timeline, "end", end));
    return lm_json_failed() ? peer_fail(ctx, PEER_ERR_MEMORY, "%s: no memory to show it", s->path)
                            : PEER_OK;
}

/* One block, if the run has it: `found` says so. */
static enum peer_status show_block(const struct shown *s, struct peer_ctx *ctx, int64_t number,
                                   const struct lab_usage_block *block, bool *found)
{
    char path[LAB_PATH];
    struct lab_track_row *rows = NULL;
    int64_t count = 0;
    bool there = false;
    snprintf(path, sizeof path, "%.900s/usage-%lld.csv", s->path, (long long)number);
    enum peer_status status = peer_file_there(&there, ctx, NULL, path);
    if (there)
        status = lab_track_read(&rows, &count, ctx, path);
    bool any = status == PEER_OK && (block || rows);
    if (any && s->format == LAB_USAGE_TEXT)
        print_block(s, number, block, rows, count);
    else if (any && s->format == LAB_USAGE_CSV)
        print_csv(s, number, rows, count);
    else if (any)
        status = add_json(s, ctx, number, block, rows, count);
    *found |= any;
    free(rows);
    return status;
}

enum peer_status lab_usage_show(FILE *file, json_t *list, struct peer_ctx *ctx, const char *path,
                                enum lab_usage_format format, bool first)
{
    struct lab_usage_source source = {.path = path};
    struct shown s = {.file = file, .blocks = json_array(), .path = path, .format = format};
    bool found = false;
    enum peer_status status = lab_run_finished(&s.finished, ctx, path);
    if (status == PEER_OK && s.finished)
        status = lab_usage_source_read(&source, ctx, path);
    if (status == PEER_ERR_ARGUMENT) /* no block at the end; there may be tracks */
        status = PEER_OK;
    if (status == PEER_OK && format == LAB_USAGE_CSV && first)
        fprintf(file, "run,block,%s\n", lab_track_columns);
    for (int64_t block = 0; block < LM_MAX_BLOCKS && status == PEER_OK; block++)
        status = show_block(&s, ctx, block, lab_usage_source_find(&source, block), &found);
    if (status == PEER_OK && !found)
        status = peer_fail(ctx, PEER_ERR_ARGUMENT,
                           "%s: neither a finished run nor one that tracks utilization (train: "
                           "{usage_points: P}); of a checkpoint: peerlab eval --usage",
                           path);
    lm_json_watch();
    if (status == PEER_OK && list &&
        (json_array_append_new(list, json_pack("{s:s,s:b,s:O}", "run", path, "finished", s.finished,
                                               "blocks", s.blocks)) != 0 ||
         lm_json_failed()))
        status = peer_fail(ctx, PEER_ERR_MEMORY, "%s: no memory to show it", path);
    json_decref(s.blocks);
    lab_usage_source_free(&source);
    return status;
}
