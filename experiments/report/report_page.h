/* SPDX-License-Identifier: MIT */
/* Internal. The parts of report.html. */
#ifndef PEER_EXPERIMENTS_REPORT_PAGE_H
#define PEER_EXPERIMENTS_REPORT_PAGE_H

#include "experiments/report/document.h"
#include "experiments/report/figures.h"

struct lab_page {
    struct lab_document *document; /* set while it is written */
    FILE *file;                    /* the document's */
    const struct lab_sweep_info *info;
    const struct lab_result *const *results; /* [count], by budget, variant, size, seed */
    int64_t count;
    const struct lab_minima *minima;
    const struct lab_sweep_laws *laws;
    const struct lab_figures *figures;
    const struct lab_shown *shown;
};

/* Errors stay in the stream. */
void lab_page_write(FILE *file, const struct lab_page *page);

/* "Data: ...", links to tables/NAME.csv; the list ends with NULL. */
void lab_page_data(const struct lab_page *page, const char *const *tables);

/* Prose: what was compared, what came out, what it cannot show. */
void lab_page_summary(const struct lab_page *page);
void lab_page_caveats(const struct lab_page *page);

/* Tables. */
void lab_page_minima(const struct lab_page *page);
/* Nothing where no law is fitted. */
void lab_page_laws(const struct lab_page *page);
void lab_page_utilization(const struct lab_page *page);
void lab_page_runs(const struct lab_page *page);

#endif
