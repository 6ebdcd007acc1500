/* SPDX-License-Identifier: MIT */
#include "experiments/report/usage_tables.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/report/csv.h"
#include "nn/file.h"
#include "nn/pool.h"

enum { RANKS = 200, CURVE_POINTS = 120, MOST_STEPS = 1 << 16 };

struct writer {
    struct lab_stage *stage;
    const char *sweep;
    struct lab_shown shown;
    FILE *rank, *panels, *maps, *loads;
};

/* Numbers of a text file into load [N]; *ret = false where it does not hold exactly those. */
static enum peer_status read_numbers(bool *ret, const struct writer *writer, const char *name,
                                     double *load, int64_t N)
{
    char path[LAB_STAGE_PATH];
    FILE *file = NULL;
    enum peer_status status = PEER_OK;
    if (*name && snprintf(path, sizeof path, "%s/%s", writer->sweep, name) < LAB_STAGE_PATH)
        status = peer_file_stream(&file, writer->stage->ctx, NULL, path);
    *ret = false;
    if (!file)
        return status;
    int64_t n = 0;
    double value, sum = 0;
    while (n <= N && fscanf(file, "%lf", &value) == 1 && value >= 0 && isfinite(value)) {
        if (n < N)
            load[n] = value;
        n++;
        sum += value;
    }
    bool whole = n == N && feof(file) && sum > 0;
    for (int64_t i = 0; whole && i < N; i++)
        load[i] /= sum;
    if (ferror(file))
        status = peer_fail(writer->stage->ctx, PEER_ERR_IO, "%s: cannot read: %s", path,
                           strerror(errno));
    fclose(file);
    *ret = whole;
    return status;
}

static void write_map(struct writer *writer, const struct lab_load_panel *panel)
{
    int64_t n = panel->side, step = (n + LAB_MOST_CELLS - 1) / LAB_MOST_CELLS;
    struct lab_csv row = {writer->panels, false};
    lab_csv_text(&row, panel->name);
    lab_csv_number(&row, panel->flops);
    lab_csv_integer(&row, panel->run);
    lab_csv_integer(&row, panel->block);
    lab_csv_integer(&row, n);
    lab_csv_integer(&row, step);
    lab_csv_end(&row);
    if (writer->shown.maps++)
        fputs("\n\n", writer->maps);
    for (int64_t top = 0; top < n; top += step) {
        row = (struct lab_csv){writer->maps, false};
        for (int64_t left = 0; left < n; left += step) {
            double sum = 0;
            int64_t cells = 0;
            for (int64_t i = top; i < top + step && i < n; i++)
                for (int64_t j = left; j < left + step && j < n; j++, cells++)
                    sum += panel->load[i * n + j];
            lab_csv_number(&row, (double)(float)(sum / (double)cells * (double)(n * n)));
        }
        lab_csv_end(&row);
    }
}

static void write_bars(struct writer *writer, const struct lab_load_panel *panel)
{
    for (int64_t i = 0; i < panel->experts; i++) {
        struct lab_csv row = {writer->loads, false};
        lab_csv_text(&row, panel->name);
        lab_csv_number(&row, panel->flops);
        lab_csv_integer(&row, panel->run);
        lab_csv_integer(&row, panel->block);
        lab_csv_integer(&row, i);
        lab_csv_number(&row, (double)(float)(panel->load[i] * (double)panel->experts));
        lab_csv_end(&row);
    }
    writer->shown.bars++;
}

static int falling(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a < b) - (a > b);
}

/* Sorts load [N] and writes its running sums where the number of experts is a square over RANKS^2:
 * dense where the curve bends. */
static void write_rank(struct writer *writer, const struct lab_result *result,
                       const struct lab_usage *usage, double *load)
{
    int64_t N = usage->experts, next = 0;
    double sum = 0;
    qsort(load, (size_t)N, sizeof *load, falling);
    for (int64_t rank = 0; rank <= RANKS; rank++) {
        double share = (double)(rank * rank) / (double)(RANKS * RANKS);
        int64_t end = (int64_t)ceil(share * (double)N);
        if (rank && end == next)
            continue;
        for (; next < end; next++)
            sum += load[next];
        struct lab_csv row = {writer->rank, false};
        lab_csv_text(&row, result->variant);
        lab_csv_number(&row, result->budget);
        lab_csv_integer(&row, result->id);
        lab_csv_integer(&row, usage->block);
        lab_csv_number(&row, (double)end / (double)N);
        lab_csv_number(&row, fmin(sum, 1));
        lab_csv_end(&row);
    }
    writer->shown.ranks++;
}

static enum peer_status show_usage(struct writer *writer, const struct lab_result *result,
                                   const struct lab_usage *usage)
{
    struct peer_pool pool = {.ctx = writer->stage->ctx};
    double *load = peer_pool_alloc(&pool, "usage", sizeof *load, usage->experts, 1, 1);
    bool whole = false;
    enum peer_status status =
        load ? read_numbers(&whole, writer, usage->map, load, usage->experts) : PEER_ERR_MEMORY;
    if (status == PEER_OK && !whole) {
        writer->shown.unread++;
    } else if (status == PEER_OK) {
        const struct lab_load_panel panel = {.name = result->variant,
                                             .flops = result->budget,
                                             .run = result->id,
                                             .block = usage->block,
                                             .side = usage->side,
                                             .experts = usage->experts,
                                             .load = load};
        bool square = usage->side > 0 && usage->side * usage->side == usage->experts;
        bool bars = !square && usage->experts <= LAB_MOST_BARS;
        if (square && writer->shown.maps < LAB_MOST_MAPS)
            write_map(writer, &panel);
        else if (bars && writer->shown.bars < LAB_MOST_MAPS)
            write_bars(writer, &panel);
        else
            writer->shown.left_out += square || bars;
        write_rank(writer, result, usage, load);
    }
    peer_pool_free(&pool);
    return status;
}

/* Number of the column called `name` in a header line, or -1. */
static int find_column(const char *header, const char *name)
{
    size_t length = strlen(name);
    for (int column = 0; header; column++) {
        if (!strncmp(header, name, length) && strchr(",\r\n", header[length]))
            return column;
        header = strchr(header, ',');
        header = header ? header + 1 : NULL;
    }
    return -1;
}

static double cell(const char *line, int column)
{
    while (column-- > 0) {
        line = strchr(line, ',');
        if (!line)
            return NAN;
        line++;
    }
    char *end;
    double value = strtod(line, &end);
    return end == line ? NAN : value;
}

/* A run's curve: what it trained on and, where it was measured, the validation loss; NaN = not. */
struct training {
    double *tokens, *loss, *valid; /* [MOST_STEPS] */
    int64_t steps;
};

/* Reads rows rising in tokens: where a resumed run repeated steps the last count.
 * False where the disk fails. */
static bool read_curve(struct training *curve, FILE *file)
{
    char line[1024];
    curve->steps = 0;
    if (!fgets(line, sizeof line, file))
        return !ferror(file);
    int token_column = find_column(line, "tokens"), loss_column = find_column(line, "loss"),
        valid_column = find_column(line, "valid_loss");
    int64_t n = 0;
    while (token_column >= 0 && loss_column >= 0 && n < MOST_STEPS &&
           fgets(line, sizeof line, file)) {
        double tokens = cell(line, token_column), loss = cell(line, loss_column),
               valid = valid_column < 0 ? NAN : cell(line, valid_column);
        if (!isfinite(tokens) || (!isfinite(loss) && !isfinite(valid)))
            continue;
        while (n > 0 && curve->tokens[n - 1] >= tokens)
            n--;
        curve->tokens[n] = tokens;
        curve->loss[n] = loss;
        curve->valid[n++] = valid;
    }
    curve->steps = n;
    return !ferror(file);
}

static void write_point(FILE *out, const struct lab_result *result, double tokens, double loss,
                        double valid)
{
    struct lab_csv row = {out, false};
    lab_csv_text(&row, result->variant);
    lab_csv_number(&row, result->budget);
    lab_csv_integer(&row, result->id);
    lab_csv_number(&row, tokens);
    lab_csv_number(&row, loss);
    lab_csv_number(&row, valid);
    lab_csv_end(&row);
}

/* Training losses are averaged to some points, validation losses are all there, in rows of their
 * own. */
static void write_curve(FILE *out, const struct lab_result *result, const struct training *curve)
{
    int64_t n = curve->steps, points = n < CURVE_POINTS ? n : CURVE_POINTS;
    for (int64_t point = 0; point < points; point++) {
        int64_t begin = n * point / points, end = n * (point + 1) / points, count = 0;
        double sum = 0;
        for (int64_t i = begin; i < end; i++) {
            if (isfinite(curve->valid[i]))
                write_point(out, result, curve->tokens[i], NAN, curve->valid[i]);
            count += isfinite(curve->loss[i]);
            sum += isfinite(curve->loss[i]) ? curve->loss[i] : 0;
        }
        if (count > 0)
            write_point(out, result, curve->tokens[end - 1], sum / (double)count, NAN);
    }
}

static enum peer_status close_table(struct writer *writer, FILE *file, const char *name,
                                    enum peer_status status)
{
    enum peer_status closed = file ? lab_stage_close(writer->stage, file, name) : PEER_OK;
    return status == PEER_OK ? closed : status;
}

static enum peer_status write_training(struct writer *writer, const struct lab_minima *minima)
{
    static const char name[] = "tables/training.csv";
    struct peer_pool pool = {.ctx = writer->stage->ctx};
    double *tokens = peer_pool_alloc(&pool, "curve", sizeof *tokens, 3, MOST_STEPS, 1);
    FILE *out = tokens ? lab_stage_create(writer->stage, name) : NULL;
    if (!out) {
        peer_pool_free(&pool);
        return tokens ? PEER_ERR_IO : PEER_ERR_MEMORY;
    }
    struct training curve = {tokens, tokens + MOST_STEPS, tokens + 2 * MOST_STEPS, 0};
    fputs("variant,budget_flops,run,tokens,loss_nats,valid_nats\n", out);
    enum peer_status status = PEER_OK;
    for (int64_t i = 0; i < minima->budgets * minima->variants && status == PEER_OK; i++) {
        const struct lab_result *result = minima->curve[i].best;
        char path[LAB_STAGE_PATH];
        if (!result || !*result->curve ||
            snprintf(path, sizeof path, "%s/%s", writer->sweep, result->curve) >= LAB_STAGE_PATH)
            continue;
        FILE *file = NULL;
        status = peer_file_stream(&file, writer->stage->ctx, NULL, path);
        curve.steps = 0;
        if (file) {
            if (!read_curve(&curve, file))
                status = peer_fail(writer->stage->ctx, PEER_ERR_IO, "%s: cannot read: %s", path,
                                   strerror(errno));
            fclose(file);
        }
        write_curve(out, result, &curve);
        writer->shown.curves += curve.steps > 0;
        writer->shown.unread += curve.steps == 0;
    }
    peer_pool_free(&pool);
    return close_table(writer, out, name, status);
}

static enum peer_status open_table(struct writer *writer, FILE **ret, const char *name,
                                   const char *header)
{
    *ret = lab_stage_create(writer->stage, name);
    if (*ret)
        fputs(header, *ret);
    return *ret ? PEER_OK : PEER_ERR_IO;
}

static const char panels_csv[] = "tables/usage_panels.csv", maps_csv[] = "tables/usage_maps.csv",
                  loads_csv[] = "tables/usage_loads.csv",
                  loads_header[] = "variant,budget_flops,run,block,expert,load\n";

static enum peer_status open_maps(struct writer *writer)
{
    enum peer_status status = open_table(writer, &writer->panels, panels_csv,
                                         "variant,budget_flops,run,block,side,cell\n");
    return status == PEER_OK ? open_table(writer, &writer->maps, maps_csv, "") : status;
}

static enum peer_status close_maps(struct writer *writer, enum peer_status status)
{
    status = close_table(writer, writer->panels, panels_csv, status);
    return close_table(writer, writer->maps, maps_csv, status);
}

enum peer_status lab_map_tables(struct lab_stage *stage, const struct lab_load_panel *panels,
                                int64_t count)
{
    struct writer writer = {.stage = stage};
    enum peer_status status = open_maps(&writer);
    for (int64_t i = 0; i < count && status == PEER_OK; i++)
        write_map(&writer, &panels[i]);
    return close_maps(&writer, status);
}

enum peer_status lab_bar_tables(struct lab_stage *stage, const struct lab_load_panel *panels,
                                int64_t count)
{
    struct writer writer = {.stage = stage};
    enum peer_status status = open_table(&writer, &writer.loads, loads_csv, loads_header);
    for (int64_t i = 0; i < count && status == PEER_OK; i++)
        write_bars(&writer, &panels[i]);
    return close_table(&writer, writer.loads, loads_csv, status);
}

static enum peer_status write_tracks(struct writer *writer, const struct lab_minima *minima)
{
    struct peer_pool pool = {.ctx = writer->stage->ctx};
    int64_t curves = minima->budgets * minima->variants, count = 0;
    for (int64_t i = 0; i < curves; i++)
        count += minima->curve[i].best ? minima->curve[i].best->usages : 0;
    struct lab_track *tracks = peer_pool_alloc(&pool, "tracks", sizeof *tracks, count, 1, 1);
    char *stems = peer_pool_alloc(&pool, "tracks", LAB_STAGE_PATH, count, 1, 1);
    enum peer_status status = pool.failed ? PEER_ERR_MEMORY : PEER_OK;
    for (int64_t i = count = 0; i < curves && status == PEER_OK; i++) {
        const struct lab_result *best = minima->curve[i].best;
        for (int j = 0; best && j < best->usages; j++, count++)
            tracks[count] = lab_track_of(writer->sweep, best, &best->usage[j],
                                         i % minima->variants + 1, stems + count * LAB_STAGE_PATH);
    }
    if (status == PEER_OK)
        status = lab_track_tables(&writer->shown.tracked, writer->stage, "tables", tracks, count);
    writer->shown.unread += writer->shown.tracked.unread;
    peer_pool_free(&pool);
    return status;
}

enum peer_status lab_usage_tables(struct lab_shown *ret, struct lab_stage *stage, const char *sweep,
                                  const struct lab_minima *minima)
{
    static const char rank[] = "tables/usage_rank.csv";
    struct writer writer = {.stage = stage, .sweep = sweep};
    enum peer_status status = open_table(
        &writer, &writer.rank, rank, "variant,budget_flops,run,block,experts_share,load_share\n");
    if (status == PEER_OK)
        status = open_maps(&writer);
    if (status == PEER_OK)
        status = open_table(&writer, &writer.loads, loads_csv, loads_header);
    for (int64_t i = 0; i < minima->budgets * minima->variants; i++) {
        const struct lab_result *best = minima->curve[i].best;
        for (int j = 0; status == PEER_OK && best && j < best->usages; j++)
            status = show_usage(&writer, best, &best->usage[j]);
    }
    status = close_maps(&writer, close_table(&writer, writer.rank, rank, status));
    status = close_table(&writer, writer.loads, loads_csv, status);
    if (status == PEER_OK)
        status = write_tracks(&writer, minima);
    if (status == PEER_OK)
        status = write_training(&writer, minima);
    if (status == PEER_OK)
        *ret = writer.shown;
    return status;
}
