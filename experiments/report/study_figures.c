/* SPDX-License-Identifier: MIT */
#include "experiments/report/study_figures.h"

#include <math.h>

/* Pictures of a part are named after it. */
static const struct lab_picture list[LAB_STUDY_PICTURES] = {
    {"claims", "study-claims.gp", "", "The claims' effects with 90 % intervals about zero", true},
    {"rates", "study-rates.gp", "", "Loss against learning rate, and the rule through the optima",
     true},
    {"power", "study-power.gp", "", "The smallest difference that a number of seeds shows", false},
    {"power-budgets", "study-power-budgets.gp", "",
     "What the budgets show, in pairs at equal sizes", true},
    {"fig1", "isoflop.gp", "axis='active'; part='fig1'",
     "Validation loss against active parameters at equal FLOPs", true},
    {"fig1-total", "isoflop.gp", "axis='total'; part='fig1'",
     "Validation loss against total parameters at equal FLOPs", true},
    {"table1", "study-table1.gp", "", "Bits per byte of the best models on several texts", true},
    {"fig3a", "study-experts.gp", "part='fig3a'",
     "Loss, differences, usage and unevenness against the number of experts", true},
    {"fig3b", "study-heads.gp", "part='fig3b'",
     "Loss against heads at each number of active "
     "experts",
     true},
    {"table2", "study-experts.gp", "part='table2'",
     "Loss, differences, usage and unevenness by norm of the queries and number of experts", true},
    {"fig4", "isoflop.gp", "axis='active'; part='fig4'",
     "Validation loss against active parameters with and without query BatchNorm", true},
    {"usage-timeline", "usage-timeline.gp", "", "Utilization of experts over the training", true},
    {"usage-steps", "usage-steps.gp", "", "Retrievals of each expert at steps of the training",
     false},
    {"lorenz", "lorenz.gp", "", "Share of the load that the most used experts hold", true},
    {"capacity", "study-capacity.gp", "part='capacity'",
     "Bits learned of a text of facts, against parameters and table size", true},
    {"outlook", "study-outlook.gp", "",
     "Differences of losses at the largest budget and at ten times it", false},
};

const char *lab_study_picture_name(enum lab_study_picture picture)
{
    return list[picture].name;
}

static bool probed(const struct lab_rates *rates)
{
    for (int64_t i = 0; i < rates->cells; i++)
        for (int64_t j = 0; j < rates->cell[i].probes; j++)
            if (isfinite(rates->cell[i].loss[j]))
                return true;
    return false;
}

static bool any_effect(const struct lab_findings *f)
{
    for (int64_t i = 0; i < f->claims; i++)
        if (isfinite(f->claim[i].effect))
            return true;
    return false;
}

/* Whether two models are scored: one alone has nothing to be held against. */
static bool scored(const struct lab_table1 *table)
{
    int64_t models = 0;
    for (int64_t i = 0; i < table->models; i++)
        models += table->model[i].texts > 0;
    return models > 1;
}

static bool any_outlook(const struct lab_findings *f)
{
    for (int64_t i = 0; i < f->outlooks; i++)
        if (isfinite(f->outlook[i].ahead.y))
            return true;
    return false;
}

/* Whether a part has finished runs, in the form that its picture shows. */
static bool has_part(const struct lab_findings *f, const char *name, bool several_sizes)
{
    const struct lab_finding *finding = lab_findings_part(f, name);
    return finding && finding->finished > 0 &&
           (several_sizes ? finding->minima != NULL : finding->lines > 0);
}

enum peer_status lab_study_figures_draw(struct lab_study_figures *ret, struct lab_stage *stage,
                                        const struct lab_study_report *report,
                                        const struct lab_tracked *tracked,
                                        const struct lab_report_tools *tools)
{
    const struct lab_findings *f = report->findings;
    const bool data[LAB_STUDY_PICTURES] = {any_effect(f),
                                           probed(&f->rates),
                                           isfinite(f->noise.deviation),
                                           f->budget_noises > 0,
                                           has_part(f, "fig1", true),
                                           has_part(f, "fig1", true),
                                           scored(&f->table1),
                                           has_part(f, "fig3a", false),
                                           has_part(f, "fig3b", false),
                                           has_part(f, "table2", false),
                                           has_part(f, "fig4", true),
                                           tracked->timelines > 0,
                                           tracked->maps > 0,
                                           tracked->curves > 0,
                                           has_part(f, "capacity", false),
                                           any_outlook(f)};
    struct lab_drawing drawing;
    enum peer_status status = PEER_OK;
    *ret = (struct lab_study_figures){.note = ""};
    lab_drawing_start(&drawing, stage, tools, "results", "results");
    for (int i = 0; status == PEER_OK && i < LAB_STUDY_PICTURES; i++)
        if (data[i])
            status = lab_drawing_figure(&drawing, &ret->figure[i], &list[i]);
    if (status != PEER_OK)
        lab_study_figures_free(ret);
    snprintf(ret->note, sizeof ret->note, "%s", drawing.note);
    return status;
}

void lab_study_figures_free(struct lab_study_figures *figures)
{
    for (int i = 0; i < LAB_STUDY_PICTURES; i++)
        lab_figure_free(&figures->figure[i]);
}
