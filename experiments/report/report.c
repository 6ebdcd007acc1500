/* SPDX-License-Identifier: MIT */
#include "experiments/report/report.h"

#include <stdlib.h>
#include <string.h>

#include "experiments/report/export.h"
#include "experiments/report/report_page.h"
#include "nn/pool.h"

/* Everything a report may consist of; the page comes last, when what it speaks of is there. */
static const char *const names[] = {"tables/runs.csv",
                                    "tables/utilization.csv",
                                    "tables/minima.csv",
                                    "tables/curves.csv",
                                    "tables/fits.csv",
                                    "tables/usage_rank.csv",
                                    "tables/usage_panels.csv",
                                    "tables/usage_maps.csv",
                                    "tables/usage_loads.csv",
                                    "tables/training.csv",
                                    "tables/usage_timeline.csv",
                                    "tables/usage_steps.csv",
                                    "tables/usage_step_maps.csv",
                                    "tables/usage_lorenz.csv",
                                    "figures/isoflop-active.svg",
                                    "figures/isoflop-active.pdf",
                                    "figures/isoflop-total.svg",
                                    "figures/isoflop-total.pdf",
                                    "figures/utilization.svg",
                                    "figures/utilization.pdf",
                                    "figures/usage-maps.svg",
                                    "figures/usage-maps.pdf",
                                    "figures/usage-loads.svg",
                                    "figures/usage-loads.pdf",
                                    "figures/training.svg",
                                    "figures/training.pdf",
                                    "figures/lorenz.svg",
                                    "figures/lorenz.pdf",
                                    "figures/usage-timeline.svg",
                                    "figures/usage-timeline.pdf",
                                    "figures/usage-steps.svg",
                                    "figures/usage-steps.pdf",
                                    "report.html",
                                    NULL};

/* Position of a result's curve: by budget, then variant. */
struct placed {
    const struct lab_result *result;
    const struct lab_curve *curve;
};

static int by_place(const void *left, const void *right)
{
    const struct placed *a = left, *b = right;
    const struct lab_result *x = a->result, *y = b->result;
    if (a->curve != b->curve)
        return a->curve < b->curve ? -1 : 1;
    if (x->blocks * x->width * x->width != y->blocks * y->width * y->width)
        return x->blocks * x->width * x->width < y->blocks * y->width * y->width ? -1 : 1;
    if (x->seed != y->seed)
        return x->seed < y->seed ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

/* Results in the order of the tables, or NULL. */
static const struct lab_result **sorted(struct peer_pool *pool, const struct lab_minima *minima,
                                        const struct lab_result *results, int64_t count)
{
    struct placed *placed = peer_pool_alloc(pool, "order", sizeof *placed, count, 1, 1);
    const struct lab_result **list =
        peer_pool_alloc(pool, "order", sizeof(struct lab_result *), count, 1, 1);
    if (pool->failed)
        return NULL;
    for (int64_t i = 0; i < count; i++)
        placed[i] = (struct placed){&results[i], lab_minima_find(minima, &results[i])};
    qsort(placed, (size_t)count, sizeof *placed, by_place);
    for (int64_t i = 0; i < count; i++)
        list[i] = placed[i].result;
    return list;
}

static enum peer_status write_page(struct lab_stage *stage, const struct lab_page *page)
{
    FILE *file = lab_stage_create(stage, "report.html");
    if (!file)
        return PEER_ERR_IO;
    lab_page_write(file, page);
    return lab_stage_close(stage, file, "report.html");
}

static enum peer_status write_all(struct lab_stage *stage, struct lab_page *page,
                                  const struct lab_result *results,
                                  const struct lab_report_tools *tools)
{
    const char *sweep = tools && tools->sweep ? tools->sweep : stage->folder;
    struct lab_shown shown = {0};
    struct lab_figures figures = {.note = ""};
    enum peer_status status =
        lab_export_tables(stage, "tables/", page->minima, page->laws, results, page->count);
    if (status == PEER_OK)
        status = lab_usage_tables(&shown, stage, sweep, page->minima);
    if (status == PEER_OK)
        status = lab_figures_draw(&figures, stage, tools, page->minima, &shown);
    if (status != PEER_OK)
        return status;
    page->shown = &shown;
    page->figures = &figures;
    status = write_page(stage, page);
    lab_figures_free(&figures);
    return status == PEER_OK ? lab_stage_commit(stage, names) : status;
}

enum peer_status lab_report_write_with(struct peer_ctx *ctx, const char *folder,
                                       const struct lab_sweep_info *info,
                                       const struct lab_result *results, int64_t count,
                                       const struct lab_report_tools *tools)
{
    struct peer_pool pool = {.ctx = ctx};
    struct lab_minima *minima = NULL;
    struct lab_sweep_laws *laws = NULL;
    struct lab_stage stage;
    enum peer_status status = lab_minima_create(&minima, ctx, results, count);
    if (status == PEER_OK)
        status =
            lab_sweep_laws_create(&laws, ctx, minima, results, count, tools ? tools->watch : NULL);
    if (status != PEER_OK) {
        lab_minima_destroy(&minima);
        return status;
    }
    struct lab_page page = {.info = info,
                            .count = count,
                            .minima = minima,
                            .laws = laws,
                            .results = sorted(&pool, minima, results, count)};
    status = page.results ? lab_stage_open(&stage, ctx, folder) : PEER_ERR_MEMORY;
    if (status == PEER_OK) {
        status = write_all(&stage, &page, results, tools);
        lab_stage_discard(&stage);
    }
    peer_pool_free(&pool);
    lab_sweep_laws_destroy(&laws);
    lab_minima_destroy(&minima);
    return status;
}

enum peer_status lab_report_write(struct peer_ctx *ctx, const char *folder,
                                  const struct lab_sweep_info *info,
                                  const struct lab_result *results, int64_t count)
{
    return lab_report_write_with(ctx, folder, info, results, count, NULL);
}
