/* SPDX-License-Identifier: MIT */
/* The report of a sweep: one self-contained HTML page, its figures and its tables. */
#ifndef PEER_EXPERIMENTS_REPORT_H
#define PEER_EXPERIMENTS_REPORT_H

#include "experiments/fits/sweep_laws.h"
#include "experiments/sweeps/results.h"

/* Where a report's helpers are. NULL pointers mean the defaults. */
struct lab_report_tools {
    const char *plots;   /* folder of the gnuplot scripts. Default: the installed one, or else that
                            of the source tree the program was built from */
    const char *gnuplot; /* the program. Default: "gnuplot", looked for on PATH */
    const char *sweep;   /* folder that usage maps and training curves are relative to. Default: the
                            report's own */
    const struct lab_watch *watch; /* told of the bootstraps' draws. Default: nobody is */
};

/* Writes into `folder`, making it where it is not there:
 *   report.html      the page: pictures and style inside it, no scripts
 *   figures/NAME.svg and .pdf
 *   tables/NAME.csv  as lab_export_csv(), and the data of the utilization figures
 * Without gnuplot, or where it fails, the page says so in the figures' place. An older report is
 * replaced only when the new one is whole. Errors: PEER_ERR_STOPPED, PEER_ERR_IO,
 * PEER_ERR_MEMORY. */
enum peer_status lab_report_write(struct peer_ctx *ctx, const char *folder,
                                  const struct lab_sweep_info *info,
                                  const struct lab_result *results, int64_t count);
enum peer_status lab_report_write_with(struct peer_ctx *ctx, const char *folder,
                                       const struct lab_sweep_info *info,
                                       const struct lab_result *results, int64_t count,
                                       const struct lab_report_tools *tools);

#endif
