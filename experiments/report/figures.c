/* SPDX-License-Identifier: MIT */
#include "experiments/report/figures.h"

static const struct lab_picture list[LAB_FIGURE_COUNT] = {
    {"isoflop-active", "isoflop.gp", "axis='active'",
     "Validation loss against active parameters at equal FLOPs", true},
    {"isoflop-total", "isoflop.gp", "axis='total'",
     "Validation loss against total parameters at equal FLOPs", true},
    {"utilization", "utilization.gp", "", "Share of all retrievals that the most used experts get",
     true},
    {"usage-maps", "usage-maps.gp", "columns=2", "Retrievals of each expert on the n x n grid",
     false},
    {"usage-loads", "usage-loads.gp", "columns=3",
     "Retrievals of each expert, relative to the mean", false},
    {"training", "training.gp", "", "Training loss against tokens of the best runs", true},
    {"lorenz", "lorenz.gp", "", "Share of the load that the most used experts hold", true},
    {"usage-timeline", "usage-timeline.gp", "", "Utilization of experts over the training", true},
    {"usage-steps", "usage-steps.gp", "", "Retrievals of each expert at steps of the training",
     false},
};

enum peer_status lab_figures_draw(struct lab_figures *ret, struct lab_stage *stage,
                                  const struct lab_report_tools *tools,
                                  const struct lab_minima *minima, const struct lab_shown *shown)
{
    int64_t runs = 0;
    for (int64_t i = 0; i < minima->budgets * minima->variants; i++)
        runs += minima->curve[i].fit[LAB_ACTIVE].runs;
    const struct lab_tracked *tracked = &shown->tracked;
    const int64_t data[] = {runs,         runs,          shown->ranks,    shown->maps,
                            shown->bars,  shown->curves, tracked->curves, tracked->timelines,
                            tracked->maps};
    struct lab_drawing drawing;
    enum peer_status status = PEER_OK;
    *ret = (struct lab_figures){.note = ""};
    lab_drawing_start(&drawing, stage, tools, "tables", "figures");
    for (int id = 0; status == PEER_OK && id < LAB_FIGURE_COUNT; id++)
        if (data[id] > 0)
            status = lab_drawing_figure(&drawing, &ret->figure[id], &list[id]);
    if (status != PEER_OK)
        lab_figures_free(ret);
    snprintf(ret->note, sizeof ret->note, "%s", drawing.note);
    return status;
}

void lab_figures_free(struct lab_figures *figures)
{
    for (int id = 0; id < LAB_FIGURE_COUNT; id++)
        lab_figure_free(&figures->figure[id]);
}

enum peer_status lab_figure_one_draw(struct lab_stage *stage, enum lab_figure_id id, int columns,
                                     const char *name, char *note, size_t size)
{
    struct lab_drawing drawing;
    lab_drawing_start(&drawing, stage, NULL, "tables", "figures");
    enum peer_status status = lab_drawing_svg(&drawing, &list[id], columns, name);
    if (*drawing.note)
        snprintf(note, size, "%s", drawing.note);
    return status;
}
