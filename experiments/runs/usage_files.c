/* SPDX-License-Identifier: MIT */
#include "experiments/runs/usage_files.h"

#include <stdlib.h>

#include "experiments/report/export.h"
#include "experiments/report/figures.h"
#include "experiments/report/usage_tables.h"
#include "experiments/runs/run_result.h"
#include "lm/model.h"

static const char csv_name[] = "utilization.csv";

/* What is written, and the names of its files. */
struct files {
    struct lab_stage stage;
    char name[2 * LM_MAX_BLOCKS][24];
    const char *names[2 * LM_MAX_BLOCKS + 2]; /* ends with NULL */
    int count;
};

static const char *add_name(struct files *files, const char *format, int64_t block)
{
    char *name = files->name[files->count];
    snprintf(name, sizeof files->name[0], format, (int)block);
    files->names[files->count++] = name;
    return name;
}

static enum peer_status write_csv(struct lab_stage *stage, struct lm_usage *const *usage,
                                  int64_t blocks)
{
    FILE *file = lab_stage_create(stage, csv_name);
    enum peer_status status = PEER_OK;
    if (!file)
        return PEER_ERR_IO;
    fprintf(file, "%s\n", lab_usage_columns);
    for (int64_t block = 0; block < blocks && status == PEER_OK; block++) {
        struct lab_usage row = {.block = block};
        struct lab_csv csv = {file, false};
        if (!usage[block])
            continue;
        row.experts = usage[block]->experts;
        row.side = usage[block]->side;
        status = lm_usage_summarize(&row.report, stage->ctx, usage[block]);
        lab_csv_usage(&csv, &row);
        lab_csv_end(&csv);
    }
    enum peer_status closed = lab_stage_close(stage, file, csv_name);
    return status == PEER_OK ? closed : status;
}

/* Loads of the experts relative to their sum, malloc()ed, or NULL. */
static double *loads(const struct lm_usage *usage)
{
    double *load = malloc((size_t)usage->experts * sizeof *load), sum = 0;
    for (int64_t i = 0; i < usage->experts; i++)
        sum += (double)usage->count[i];
    for (int64_t i = 0; load && i < usage->experts; i++)
        load[i] = sum > 0 ? (double)usage->count[i] / sum : 0;
    return load;
}

/* A map, or bars of few experts without a grid. */
static enum peer_status draw_usage(struct files *files, const struct lm_usage *usage, int64_t block,
                                   char *note, size_t size)
{
    double *load = loads(usage);
    const struct lab_load_panel panel = {.name = "retrievals",
                                         .block = block,
                                         .side = usage->side,
                                         .experts = usage->experts,
                                         .load = load};
    if (!load)
        return peer_fail(files->stage.ctx, PEER_ERR_MEMORY, "no memory for a map of %lld experts",
                         (long long)usage->experts);
    enum peer_status status = usage->side ? lab_map_tables(&files->stage, &panel, 1)
                                          : lab_bar_tables(&files->stage, &panel, 1);
    free(load);
    if (status == PEER_OK)
        status =
            lab_figure_one_draw(&files->stage, usage->side ? LAB_FIGURE_MAPS : LAB_FIGURE_LOADS, 1,
                                add_name(files, "usage-%d.svg", block), note, size);
    return status;
}

static enum peer_status write_files(struct files *files, struct lm_usage *const *usage,
                                    int64_t blocks, char *note, size_t size)
{
    enum peer_status status = write_csv(&files->stage, usage, blocks);
    for (int64_t block = 0; block < blocks && status == PEER_OK; block++) {
        if (!usage[block])
            continue;
        const char *name = add_name(files, "usage-%d.txt", block);
        status = lab_usage_map_write(files->stage.ctx, files->stage.hidden, name, usage[block]);
        if (status == PEER_OK && (usage[block]->side || usage[block]->experts <= LAB_MOST_BARS))
            status = draw_usage(files, usage[block], block, note, size);
    }
    files->names[files->count++] = csv_name;
    return status == PEER_OK ? lab_stage_commit(&files->stage, files->names) : status;
}

enum peer_status lab_usage_files_write(struct peer_ctx *ctx, const char *folder,
                                       struct lm_usage *const *usage, int64_t blocks, char *note,
                                       size_t size)
{
    struct files *files = calloc(1, sizeof *files);
    if (!files)
        return peer_fail(ctx, PEER_ERR_MEMORY, "%s: no memory to write to it", folder);
    *note = 0;
    enum peer_status status = lab_stage_open(&files->stage, ctx, folder);
    if (status == PEER_OK) {
        status = write_files(files, usage, blocks, note, size);
        lab_stage_discard(&files->stage);
    }
    free(files);
    return status;
}
