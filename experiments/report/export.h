/* SPDX-License-Identifier: MIT */
/* A sweep's results as CSV tables. The first row names the columns; units are in the names' endings
 * or below. */
#ifndef PEER_EXPERIMENTS_REPORT_EXPORT_H
#define PEER_EXPERIMENTS_REPORT_EXPORT_H

#include "experiments/fits/sweep_laws.h"
#include "experiments/report/csv.h"
#include "experiments/report/stage.h"

/* Writes into `folder`, making it where it is not there; older tables are replaced together.
 *   runs.csv         every run, whatever its state; facts_... of runs on a text of facts
 *   utilization.csv  every sparse block of every finished run; shares 0 ... 1, unevenness in nats
 *   minima.csv       every variant, budget and axis (active or total parameters): the parabola
 *                    loss = c0 + c1 (x - center) + c2 (x - center)^2 in nats, x = log10 parameters,
 *                    its minimum, 90 % intervals, the difference from dense; beside it the minimum
 *                    of Akima's interpolation
 *   curves.csv       the parabolas at 65 parameter counts each
 *   fits.csv         every joint law: a row per constant, exponent (N_exponent = beta / (alpha +
 *                    beta), D_exponent = 1 - that) and optimum at a budget (N_best parameters,
 *                    D_best tokens, loss_best nats), with its 90 % interval and what variable
 *                    projection gives; one row with a reason for a law that is not fitted
 * `watch` is told of the bootstraps' draws; NULL = nobody. Errors: PEER_ERR_STOPPED, PEER_ERR_IO,
 * PEER_ERR_MEMORY; the older tables are whole then. */
enum peer_status lab_export_csv(struct peer_ctx *ctx, const char *folder,
                                const struct lab_result *results, int64_t count,
                                const struct lab_watch *watch);

/* The same tables as files of `stage`, in its folder `under` ("tables/" or ""). */
enum peer_status lab_export_tables(struct lab_stage *stage, const char *under,
                                   const struct lab_minima *minima,
                                   const struct lab_sweep_laws *laws,
                                   const struct lab_result *results, int64_t count);

/* minima.csv alone. Errors stay in the stream. */
void lab_export_minima(FILE *file, const struct lab_minima *minima);
/* The whole of fits.csv. Errors stay in the stream. */
void lab_export_fits(FILE *file, const struct lab_sweep_laws *laws);

/* The cells of utilization.csv that do not tell whose block it is, and their names. */
extern const char lab_usage_columns[];
void lab_csv_usage(struct lab_csv *row, const struct lab_usage *usage);

#endif
