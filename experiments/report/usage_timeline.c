/* SPDX-License-Identifier: MIT */
#include "experiments/report/usage_timeline.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/report/csv.h"
#include "nn/file.h"

const char lab_track_columns[] =
    "step,tokens,counted,score_used,count_used,score_unevenness_nats,count_unevenness_nats,"
    "top1_used,head_overlap,born_dead,died,revived";

static const char timeline_csv[] = "usage_timeline.csv", steps_csv[] = "usage_steps.csv",
                  maps_csv[] = "usage_step_maps.csv", lorenz_csv[] = "usage_lorenz.csv",
                  lorenz_columns[] = "experts_share,score_share,count_share";

/* Bytes of a line: those that a run writes have LAB_TRACK_CELLS numbers at most. */
enum { LINE_MOST = 64 * LAB_TRACK_CELLS };

struct writer {
    struct lab_stage *stage;
    const char *folder;
    struct lab_tracked tracked;
    enum peer_status status; /* of reading */
    FILE *rows, *panels, *maps, *lorenz;
    double *cells;            /* [LAB_TRACK_CELLS^2] of one map */
    char line[LINE_MOST + 2]; /* being read, of `path`, with its line feed */
    bool too_long;            /* it is: it counts as the end of the file */
    char path[LAB_STAGE_PATH];
};

/* A file of the track, or NULL where it has none. */
static FILE *open_part(struct writer *writer, const struct lab_track *track, const char *suffix)
{
    FILE *file = NULL;
    if (snprintf(writer->path, sizeof writer->path, "%s%s", track->stem, suffix) >= LAB_STAGE_PATH)
        return NULL;
    enum peer_status status = peer_file_stream(&file, writer->stage->ctx, NULL, writer->path);
    if (writer->status == PEER_OK)
        writer->status = status;
    return file;
}

/* An end that is not the file's is a failure. */
static bool next_line(struct writer *writer, FILE *file)
{
    if (fgets(writer->line, sizeof writer->line, file)) {
        writer->too_long = strlen(writer->line) > LINE_MOST && !strchr(writer->line, '\n');
        return !writer->too_long;
    }
    if (!feof(file) && writer->status == PEER_OK)
        writer->status = peer_fail(writer->stage->ctx, PEER_ERR_IO, "%s: cannot read: %s",
                                   writer->path, strerror(errno));
    return false;
}

/* Whether a line holds numbers alone: what else a file of somebody's run holds is not copied. */
static bool is_row(const char *line)
{
    return !line[strspn(line, "0123456789.,+-eEnaifNAIF\r\n")];
}

/* Copies the lines below the header `columns`, each behind the cells that name the track. Returns
 * their number, 0 also where there is no such file. */
static int64_t copy_rows(struct writer *writer, FILE *out, const struct lab_track *track,
                         const char *suffix, const char *columns)
{
    int64_t copied = 0;
    FILE *file = open_part(writer, track, suffix);
    if (!file)
        return 0;
    writer->too_long = false;
    bool known = next_line(writer, file) && !strncmp(writer->line, columns, strlen(columns)) &&
                 writer->line[strlen(columns)] == '\n';
    while (known && next_line(writer, file) && is_row(writer->line)) {
        struct lab_csv row = {out, false};
        lab_csv_text(&row, track->name);
        lab_csv_integer(&row, track->number);
        lab_csv_number(&row, track->flops);
        lab_csv_integer(&row, track->run);
        lab_csv_integer(&row, track->block);
        fprintf(out, ",%s", writer->line);
        copied++;
    }
    writer->tracked.unread += !known || writer->too_long;
    fclose(file);
    return copied;
}

/* Reads the cells of one map, up to an empty line; false where they are not `count`. */
static bool read_cells(struct writer *writer, FILE *file, int64_t count)
{
    int64_t n = 0;
    while (next_line(writer, file) && *writer->line != '\n') {
        char *at = writer->line, *end;
        for (double value; value = strtod(at, &end), end != at; at = end, n++)
            if (n < count)
                writer->cells[n] = value;
    }
    return n == count;
}

/* Three digits: more than a colour shows. */
static double shown(double value)
{
    char text[32];
    snprintf(text, sizeof text, "%.3g", value);
    return strtod(text, NULL);
}

/* A panel, and its cells relative to even use. */
static void write_map(struct writer *writer, const struct lab_track *track, int64_t step)
{
    int64_t cell = lab_track_cell(track->side), side = (track->side + cell - 1) / cell;
    double sum = 0;
    struct lab_csv row = {writer->panels, false};
    lab_csv_text(&row, track->name);
    lab_csv_number(&row, track->flops);
    lab_csv_integer(&row, track->run);
    lab_csv_integer(&row, track->block);
    lab_csv_integer(&row, track->side);
    lab_csv_integer(&row, cell);
    lab_csv_integer(&row, step);
    lab_csv_end(&row);
    for (int64_t i = 0; i < side * side; i++)
        sum += writer->cells[i];
    if (writer->tracked.maps++)
        fputs("\n\n", writer->maps);
    for (int64_t i = 0; i < side; i++) {
        row = (struct lab_csv){writer->maps, false};
        for (int64_t j = 0; j < side; j++) {
            double height = fmin((double)cell, (double)(track->side - i * cell));
            double width = fmin((double)cell, (double)(track->side - j * cell));
            double even = sum * height * width / (double)track->experts;
            lab_csv_number(&row, sum > 0 ? shown(writer->cells[i * side + j] / even) : 0);
        }
        lab_csv_end(&row);
    }
}

/* Whether point i of `points` is one of LAB_MOST_STEPS evenly chosen, the first and last included.
 */
static bool is_chosen(int64_t i, int64_t points)
{
    bool chosen = points <= LAB_MOST_STEPS;
    for (int64_t j = 0; j < LAB_MOST_STEPS && !chosen; j++)
        chosen = i == (j * (points - 1) + (LAB_MOST_STEPS - 1) / 2) / (LAB_MOST_STEPS - 1);
    return chosen;
}

/* Maps of one block over its training; false where it has none. */
static bool write_maps(struct writer *writer, const struct lab_track *track)
{
    static const char mark[] = "# step ";
    FILE *file = track->side ? open_part(writer, track, "-maps.txt") : NULL;
    int64_t cell = lab_track_cell(track->side), side = (track->side + cell - 1) / cell;
    int64_t points = 0, point = 0;
    bool good = true;
    if (!file)
        return false;
    writer->too_long = false;
    while (next_line(writer, file))
        points += !strncmp(writer->line, mark, strlen(mark));
    rewind(file);
    while (good && next_line(writer, file)) {
        if (strncmp(writer->line, mark, strlen(mark)) != 0 || !is_chosen(point++, points))
            continue;
        int64_t step = strtoll(writer->line + strlen(mark), NULL, 10);
        good = read_cells(writer, file, side * side);
        if (good)
            write_map(writer, track, step);
    }
    writer->tracked.unread += !good || points == 0 || writer->too_long;
    fclose(file);
    return points > 0;
}

/* The first tracks of the highest budget that have maps. */
static void write_all_maps(struct writer *writer, const struct lab_track *tracks, int64_t count)
{
    double highest = 0;
    int64_t rows = 0;
    for (int64_t i = 0; i < count; i++)
        if (tracks[i].side)
            highest = fmax(highest, tracks[i].flops);
    for (int64_t i = 0; i < count && rows < LAB_MOST_STEP_ROWS; i++)
        if (tracks[i].flops == highest)
            rows += write_maps(writer, &tracks[i]);
}

static FILE *open_table(struct writer *writer, const char *name, const char *more,
                        const char *columns)
{
    char path[64];
    snprintf(path, sizeof path, "%.24s/%s", writer->folder, name);
    FILE *file = lab_stage_create(writer->stage, path);
    if (file && *columns)
        fprintf(file, "variant,%sbudget_flops,run,block,%s\n", more, columns);
    return file;
}

static enum peer_status close_table(struct writer *writer, FILE *file, const char *name,
                                    enum peer_status status)
{
    char path[64];
    snprintf(path, sizeof path, "%.24s/%s", writer->folder, name);
    enum peer_status closed = file ? lab_stage_close(writer->stage, file, path) : PEER_ERR_IO;
    return status == PEER_OK ? closed : status;
}

struct lab_track lab_track_of(const char *sweep, const struct lab_result *result,
                              const struct lab_usage *usage, int64_t number,
                              char stem[LAB_STAGE_PATH])
{
    size_t length = strlen(usage->map), end = length > 4 ? length - 4 : 0; /* ".txt" */
    snprintf(stem, LAB_STAGE_PATH, "%s/%.*s", sweep, (int)end, usage->map);
    return (struct lab_track){.name = result->variant,
                              .number = number,
                              .flops = result->budget,
                              .run = result->id,
                              .block = usage->block,
                              .experts = usage->experts,
                              .side = usage->side,
                              .stem = stem};
}

enum peer_status lab_track_tables(struct lab_tracked *ret, struct lab_stage *stage,
                                  const char *folder, const struct lab_track *tracks, int64_t count)
{
    struct writer w = {.stage = stage, .folder = folder};
    w.cells = malloc(sizeof *w.cells * LAB_TRACK_CELLS * LAB_TRACK_CELLS);
    if (!w.cells)
        return peer_fail(stage->ctx, PEER_ERR_MEMORY, "%s: no memory for a map", stage->folder);
    w.rows = open_table(&w, timeline_csv, "number,", lab_track_columns);
    w.lorenz = open_table(&w, lorenz_csv, "number,", lorenz_columns);
    w.panels = open_table(&w, steps_csv, "", "side,cell,step");
    w.maps = open_table(&w, maps_csv, "", "");
    if (w.rows && w.lorenz && w.panels && w.maps) {
        for (int64_t i = 0; i < count; i++) {
            w.tracked.timelines += copy_rows(&w, w.rows, &tracks[i], ".csv", lab_track_columns) > 0;
            w.tracked.curves +=
                copy_rows(&w, w.lorenz, &tracks[i], "-lorenz.csv", lorenz_columns) > 0;
        }
        write_all_maps(&w, tracks, count);
    }
    enum peer_status status = close_table(&w, w.rows, timeline_csv, w.status);
    status = close_table(&w, w.lorenz, lorenz_csv, status);
    status = close_table(&w, w.panels, steps_csv, status);
    status = close_table(&w, w.maps, maps_csv, status);
    free(w.cells);
    if (status == PEER_OK)
        *ret = w.tracked;
    return status;
}
