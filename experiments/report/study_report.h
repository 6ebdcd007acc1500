/* SPDX-License-Identifier: MIT */
/* The report of the paper's study: what was asked, what was found, and how, in order. */
#ifndef PEER_EXPERIMENTS_STUDY_REPORT_H
#define PEER_EXPERIMENTS_STUDY_REPORT_H

#include "experiments/report/report.h"
#include "experiments/study/findings.h"

struct lab_study_report {
    const struct lab_findings *findings;
    const struct lab_sweep_info *info;
    const struct lab_result *results; /* [count], all runs of the store, probes included */
    int64_t count;
    const char *sweep; /* the folder of their runs, for what these tracked; NULL = none */
    const char
        *options; /* behind `peerlab reproduce PART`: "--scale desk --data text --out desk" */
};

/* Writes into `folder`, making it where it is not there:
 *   report.html       the page: figures and style inside it, no scripts
 *   RESULTS.md        the same as Markdown, its figures and tables in results/
 *   results/NAME.csv  runs: every run, whatever its state; rates, rates-optima: the search of the
 *                     learning rates; power; claims; effects: paired differences; usage_...:
 * utilization over the training (usage_timeline.h); per part of one size its means, per part of
 * several its runs and NAME-minima results/NAME.svg and .pdf What is not known is an empty cell.
 * Parts without a run are named as missing. Without gnuplot, or where it fails, the page says so.
 * An older report is replaced only when the new one is whole. Errors: PEER_ERR_IO, PEER_ERR_MEMORY.
 */
enum peer_status lab_study_report_write(struct peer_ctx *ctx, const char *folder,
                                        const struct lab_study_report *report,
                                        const struct lab_report_tools *tools);

#endif
