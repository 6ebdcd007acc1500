/* SPDX-License-Identifier: MIT */
/* Internal to the fits. Runs as the laws see them: settings with the logs of what was trained. */
#ifndef PEER_EXPERIMENTS_FITS_LAW_DATA_H
#define PEER_EXPERIMENTS_FITS_LAW_DATA_H

#include "experiments/fits/law.h"
#include "experiments/fits/sizes.h"

enum { LAB_LAW_AXES = 3, LAB_LAW_TERMS = 4 };

/* Logs of N, D and granularity, from their centre, so that constants and exponents do not move
 * together. */
struct lab_law_setting {
    double x[LAB_LAW_AXES];
};

struct lab_law_data {
    enum lab_law_form form;
    int constants, terms;
    double center[LAB_LAW_AXES];     /* means of the logs */
    struct lab_law_setting *setting; /* [sizes.count] */
    struct lab_sizes sizes;          /* x: the setting's number; y: log loss */
    double *y;                       /* [sizes.count]: mean log loss */
};

/* Groups runs into settings. Memory comes from `pool`. Errors: PEER_ERR_MEMORY. */
enum peer_status lab_law_data_build(struct lab_law_data *ret, struct peer_pool *pool,
                                    enum lab_law_form form, const struct lab_law_run *run,
                                    int64_t count);

/* Why these settings carry no fit; "" where they do. */
const char *lab_law_data_reason(const struct lab_law_data *data);

/* Law and theta: the logs of E, A, B, g at the centre, and the exponents, by lab_law_constant. */
void lab_law_from_theta(double *value, const struct lab_law_data *data, const double *theta);
void lab_law_to_theta(double *theta, const struct lab_law_data *data, const double *value);

/* The log of the loss at a setting, and its derivatives by theta where `gradient` is not NULL. */
double lab_law_predict(const struct lab_law_data *data, const struct lab_law_setting *setting,
                       const double *theta, double *gradient);

/* A fit's objective and its gradient: data's law against the log losses y[sizes.count]. A
 * lab_bfgs_fn; `job` is a struct lab_law_job. In units of LAB_LAW_DELTA squared. */
struct lab_law_job {
    const struct lab_law_data *data;
    const double *y;
    const double *times; /* [sizes.count]: how often each setting counts; NULL = once */
};
double lab_law_objective(const void *job, const double *theta, double *gradient);

/* What a fit reports of its runs, before theta is known. */
struct lab_law lab_law_empty(const struct lab_law_data *data);

/* Fills in the constants and what follows from them; the residuals of data->sizes, by the leverage
 * of each setting, for the bootstrap. Errors: PEER_ERR_MEMORY. */
enum peer_status lab_law_describe(struct lab_law *law, struct lab_law_data *data,
                                  struct peer_ctx *ctx, const double *theta);

#endif
