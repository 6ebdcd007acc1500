/* SPDX-License-Identifier: MIT */
/* Internal. The figures of the study's report, drawn from the tables of study_tables.h. */
#ifndef PEER_EXPERIMENTS_STUDY_FIGURES_H
#define PEER_EXPERIMENTS_STUDY_FIGURES_H

#include "experiments/report/gnuplot.h"
#include "experiments/report/study_view.h"
#include "experiments/report/usage_timeline.h"

enum lab_study_picture {
    LAB_STUDY_CLAIMS = 0,
    LAB_STUDY_RATES,
    LAB_STUDY_POWER,
    LAB_STUDY_BUDGETS_SHOW,
    LAB_STUDY_FIG1,
    LAB_STUDY_FIG1_TOTAL,
    LAB_STUDY_TABLE1,
    LAB_STUDY_FIG3A,
    LAB_STUDY_FIG3B,
    LAB_STUDY_TABLE2,
    LAB_STUDY_FIG4,
    LAB_STUDY_TIMELINE,
    LAB_STUDY_STEPS,
    LAB_STUDY_LORENZ,
    LAB_STUDY_CAPACITY,
    LAB_STUDY_OUTLOOK,
    LAB_STUDY_PICTURES
};

struct lab_study_figures {
    struct lab_figure figure[LAB_STUDY_PICTURES];
    char note[512]; /* why figures are missing; "" = none is */
};

/* "claims", ...: of the figure's files in results/. */
const char *lab_study_picture_name(enum lab_study_picture picture);

/* Draws what there is data for, of tables that are written already. Release with
 * lab_study_figures_free(). Errors: PEER_ERR_IO. */
enum peer_status lab_study_figures_draw(struct lab_study_figures *ret, struct lab_stage *stage,
                                        const struct lab_study_report *report,
                                        const struct lab_tracked *tracked,
                                        const struct lab_report_tools *tools);
void lab_study_figures_free(struct lab_study_figures *figures);

#endif
