/* SPDX-License-Identifier: MIT */
/* Internal. The parts of the study's page. */
#ifndef PEER_EXPERIMENTS_STUDY_PAGE_H
#define PEER_EXPERIMENTS_STUDY_PAGE_H

#include "experiments/report/document.h"
#include "experiments/report/study_figures.h"
#include "experiments/report/study_usage.h"

struct lab_study_page {
    struct lab_document *document; /* set while it is written */
    const struct lab_study_report *report;
    const struct lab_findings *findings;
    const struct lab_study_figures *figures;
    const struct lab_study_usage *usage;
};

/* Errors stay in the stream. */
void lab_study_page_write(FILE *file, enum lab_markup markup, const struct lab_study_page *page);

/* What is asked, and the table of claims. */
void lab_study_page_question(const struct lab_study_page *page);
void lab_study_page_claims(const struct lab_study_page *page);

/* Learning rates, FLOPs, pairs; noise and power. */
void lab_study_page_fairness(const struct lab_study_page *page);
void lab_study_page_power(const struct lab_study_page *page);

/* Figures and tables of the paper; each writes nothing where the study has no such part. */
void lab_study_page_fig1(const struct lab_study_page *page);
void lab_study_page_laws(const struct lab_study_page *page);
void lab_study_page_table1(const struct lab_study_page *page);
void lab_study_page_fig3a(const struct lab_study_page *page);
void lab_study_page_fig3b(const struct lab_study_page *page);
void lab_study_page_table2(const struct lab_study_page *page);
void lab_study_page_fig4(const struct lab_study_page *page);

void lab_study_page_usage(const struct lab_study_page *page);
void lab_study_page_outlook(const struct lab_study_page *page);

/* Parts that the paper does not have, runs that are missing, machine, hours, revision. */
void lab_study_page_others(const struct lab_study_page *page);
void lab_study_page_making(const struct lab_study_page *page);

/* Of study_page.c: a picture with its caption, or nothing. */
void lab_study_page_figure(const struct lab_study_page *page, enum lab_study_picture picture,
                           const char *caption);

/* The command that makes a part (NULL = all), and the tables behind it: names in results/,
 * NULL-terminated. */
void lab_study_page_source(const struct lab_study_page *page, const char *part,
                           const char *const *tables);

/* "3 of 12 runs are missing", and which failed; nothing where all are done. */
void lab_study_page_states(const struct lab_study_page *page, const struct lab_finding *finding);

#endif
