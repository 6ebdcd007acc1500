/* SPDX-License-Identifier: MIT */
#include "experiments/runs/usage_pictures.h"

#include <stdlib.h>
#include <string.h>

#include "experiments/report/figures.h"
#include "experiments/runs/run_result.h"
#include "nn/file.h"
#include "nn/pool.h"

static const char *const names[] = {"tables/usage_timeline.csv",
                                    "tables/usage_steps.csv",
                                    "tables/usage_step_maps.csv",
                                    "tables/usage_lorenz.csv",
                                    "tables/usage_panels.csv",
                                    "tables/usage_maps.csv",
                                    "tables/usage_loads.csv",
                                    "lorenz.svg",
                                    "maps.svg",
                                    "loads.svg",
                                    "timeline.svg",
                                    "steps.svg",
                                    NULL};

struct pictures {
    struct lab_stage stage;
    const struct lab_usage_view *views;
    int64_t count;
    char *note;
    size_t size;
};

static enum peer_status draw(struct pictures *p, enum lab_figure_id id, int columns,
                             const char *name)
{
    return lab_figure_one_draw(&p->stage, id, columns, name, p->note, p->size);
}

/* Where the block's files are: of its run, or made here from its sums. */
static enum peer_status find_stem(struct pictures *p, int64_t i, char stem[LAB_STAGE_PATH])
{
    const struct lab_usage_block *block = p->views[i].block;
    char path[LAB_STAGE_PATH];
    bool there = false;
    snprintf(path, sizeof path, "%s-lorenz.csv", block->stem);
    snprintf(stem, LAB_STAGE_PATH, "%s", block->stem);
    enum peer_status status = peer_file_there(&there, p->stage.ctx, NULL, path);
    if (status != PEER_OK || there)
        return status;
    char name[32];
    snprintf(name, sizeof name, "%lld/usage", (long long)i);
    status = lab_stage_path(&p->stage, path, name);
    if (status != PEER_OK)
        return status;
    path[strlen(path) - strlen("/usage")] = 0;
    snprintf(stem, LAB_STAGE_PATH, "%.4000s/usage-%lld", path, (long long)block->block);
    return lab_usage_lorenz_write(p->stage.ctx, path, block->block, block->usage);
}

static enum peer_status draw_tracks(struct pictures *p, struct lab_track *tracks,
                                    char (*stems)[LAB_STAGE_PATH])
{
    struct lab_tracked tracked = {0};
    enum peer_status status = PEER_OK;
    for (int64_t i = 0; i < p->count && status == PEER_OK; i++) {
        const struct lab_usage_view *view = &p->views[i];
        tracks[i] = (struct lab_track){.name = view->name,
                                       .number = view->number,
                                       .block = view->block->block,
                                       .experts = view->block->usage->experts,
                                       .side = view->block->usage->side,
                                       .stem = stems[i]};
        status = find_stem(p, i, stems[i]);
    }
    if (status == PEER_OK)
        status = lab_track_tables(&tracked, &p->stage, "tables", tracks, p->count);
    if (status == PEER_OK && tracked.curves)
        status = draw(p, LAB_FIGURE_LORENZ, 2, "lorenz.svg");
    if (status == PEER_OK && tracked.timelines)
        status = draw(p, LAB_FIGURE_TIMELINE, 2, "timeline.svg");
    if (status == PEER_OK && tracked.maps)
        status = draw(p, LAB_FIGURE_STEPS, LAB_MOST_STEPS, "steps.svg");
    return status;
}

/* Loads relative to their sum. */
static void fill_load(double *load, const struct lm_usage *usage)
{
    double sum = 0;
    for (int64_t i = 0; i < usage->experts; i++)
        sum += (double)usage->count[i];
    for (int64_t i = 0; i < usage->experts; i++)
        load[i] = sum > 0 ? (double)usage->count[i] / sum : 0;
}

/* Maps of the blocks with a grid (`grid`), or bars of those without. */
static enum peer_status draw_loads(struct pictures *p, bool grid)
{
    struct peer_pool pool = {.ctx = p->stage.ctx};
    struct lab_load_panel panels[LAB_MOST_MAPS];
    int64_t count = 0;
    for (int64_t i = 0; i < p->count && count < LAB_MOST_MAPS; i++) {
        const struct lm_usage *usage = p->views[i].block->usage;
        if ((usage->side > 0) != grid || (!grid && usage->experts > LAB_MOST_BARS))
            continue;
        double *load = peer_pool_alloc(&pool, "loads", sizeof *load, usage->experts, 1, 1);
        if (load)
            fill_load(load, usage);
        panels[count++] = (struct lab_load_panel){.name = p->views[i].name,
                                                  .block = p->views[i].block->block,
                                                  .side = usage->side,
                                                  .experts = usage->experts,
                                                  .load = load};
    }
    enum peer_status status = pool.failed ? PEER_ERR_MEMORY : PEER_OK;
    if (status == PEER_OK && count > 0)
        status = grid ? lab_map_tables(&p->stage, panels, count)
                      : lab_bar_tables(&p->stage, panels, count);
    if (status == PEER_OK && count > 0)
        status = grid ? draw(p, LAB_FIGURE_MAPS, 2, "maps.svg")
                      : draw(p, LAB_FIGURE_LOADS, 2, "loads.svg");
    peer_pool_free(&pool);
    return status;
}

enum peer_status lab_usage_pictures(struct peer_ctx *ctx, const char *folder,
                                    const struct lab_usage_view *views, int64_t count, char *note,
                                    size_t size)
{
    struct peer_pool pool = {.ctx = ctx};
    struct pictures *p = peer_pool_alloc(&pool, folder, sizeof *p, 1, 1, 1);
    struct lab_track *tracks = peer_pool_alloc(&pool, folder, sizeof *tracks, count, 1, 1);
    char(*stems)[LAB_STAGE_PATH] = peer_pool_alloc(&pool, folder, sizeof *stems, count, 1, 1);
    *note = 0;
    enum peer_status status = PEER_ERR_MEMORY;
    if (!pool.failed) {
        *p = (struct pictures){.views = views, .count = count, .note = note, .size = size};
        status = lab_stage_open(&p->stage, ctx, folder);
        if (status == PEER_OK) {
            status = draw_tracks(p, tracks, stems);
            for (int grid = 0; grid < 2 && status == PEER_OK; grid++)
                status = draw_loads(p, grid);
            if (status == PEER_OK)
                status = lab_stage_commit(&p->stage, names);
            lab_stage_discard(&p->stage);
        }
    }
    peer_pool_free(&pool);
    return status;
}
