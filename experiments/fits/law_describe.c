/* SPDX-License-Identifier: MIT */
/* What a law's constants say of its runs: residuals, leverage, condition. */
#include <gsl/gsl_linalg.h>
#include <math.h>

#include "experiments/fits/law_data.h"
#include "experiments/fits/quiet.h"

static const double too_alike = 1e7; /* condition; about half the digits of a double */

struct lab_law lab_law_empty(const struct lab_law_data *data)
{
    struct lab_law law = {.form = data->form,
                          .runs = data->sizes.runs,
                          .settings = data->sizes.count,
                          .reason = lab_law_data_reason(data),
                          .huber = NAN,
                          .rms = NAN,
                          .condition = NAN,
                          .note = ""};
    for (int c = 0; c < LAB_LAW_CONSTANTS; c++)
        law.value[c] = NAN;
    return law;
}

/* jacobian [settings, constants] with columns of length 1. */
static void fill_jacobian(gsl_matrix *jacobian, const struct lab_law_data *data,
                          const double *theta)
{
    double gradient[LAB_LAW_CONSTANTS], square[LAB_LAW_CONSTANTS] = {0};
    size_t constants = (size_t)data->constants;
    for (size_t i = 0; i < jacobian->size1; i++) {
        lab_law_predict(data, &data->setting[i], theta, gradient);
        for (size_t c = 0; c < constants; c++) {
            gsl_matrix_set(jacobian, i, c, gradient[c]);
            square[c] += gradient[c] * gradient[c];
        }
    }
    for (size_t i = 0; i < jacobian->size1; i++)
        for (size_t c = 0; c < constants; c++)
            *gsl_matrix_ptr(jacobian, i, c) /= sqrt(square[c]);
}

/* Residuals unbiased in variance: U of the Jacobian's decomposition holds the leverage. */
static void find_residuals(struct lab_law_data *data, const gsl_matrix *u, const double *theta)
{
    for (int64_t i = 0; i < data->sizes.count; i++) {
        double leverage = 0;
        for (size_t c = 0; c < u->size2; c++)
            leverage += pow(gsl_matrix_get(u, (size_t)i, c), 2);
        double rest = data->y[i] - lab_law_predict(data, &data->setting[i], theta, NULL);
        data->sizes.residual[i] = leverage < 1 - 1e-9 ? rest / sqrt(1 - leverage) : 0;
    }
}

/* Sets law->condition, NaN where the Jacobian is not finite, and the residuals. */
static enum peer_status decompose(struct lab_law *law, struct lab_law_data *data,
                                  struct peer_ctx *ctx, const double *theta)
{
    size_t settings = (size_t)data->sizes.count, constants = (size_t)data->constants;
    lab_fits_quiet();
    gsl_matrix *u = gsl_matrix_alloc(settings, constants);
    gsl_matrix *v = gsl_matrix_alloc(constants, constants);
    gsl_vector *s = gsl_vector_alloc(constants);
    bool held = u && v && s;
    if (held) {
        fill_jacobian(u, data, theta);
        double sum = 0;
        for (size_t i = 0; i < settings * constants; i++)
            sum += u->data[i];
        if (isfinite(sum) && !gsl_linalg_SV_decomp_jacobi(u, v, s)) {
            law->condition = gsl_vector_get(s, 0) / gsl_vector_get(s, constants - 1);
            find_residuals(data, u, theta);
        }
    }
    gsl_vector_free(s);
    gsl_matrix_free(v);
    gsl_matrix_free(u);
    return held ? PEER_OK
                : peer_fail(ctx, PEER_ERR_MEMORY, "lab_law_fit: no memory for %zu settings",
                            settings);
}

/* Which constant the runs leave open; "" where they leave none. */
static const char *open_constant(const struct lab_law_data *data, const double *theta)
{
    double least = INFINITY;
    for (int64_t i = 0; i < data->sizes.count; i++)
        least = fmin(least, data->y[i]);
    double floor = least + log(1e-3), term = least + log(1e-6);
    if (theta[LAB_LAW_A] < term)
        return "A is not told from zero: loss does not fall with size";
    if (theta[LAB_LAW_B] < term)
        return "B is not told from zero: loss does not fall with tokens";
    if (!(theta[LAB_LAW_ALPHA] > 0))
        return "alpha is not above zero: loss does not fall with size";
    if (!(theta[LAB_LAW_BETA] > 0))
        return "beta is not above zero: loss does not fall with tokens";
    if (data->form == LAB_LAW_GRANULARITY && !(theta[LAB_LAW_GAMMA] > 0))
        return "gamma is not above zero: loss does not fall with granularity";
    return theta[LAB_LAW_E] < floor ? "E is not told from zero" : "";
}

enum peer_status lab_law_describe(struct lab_law *law, struct lab_law_data *data,
                                  struct peer_ctx *ctx, const double *theta)
{
    enum peer_status status = decompose(law, data, ctx, theta);
    if (status != PEER_OK)
        return status;
    if (!(law->condition < too_alike)) {
        law->reason = "the runs do not tell the constants apart";
        return PEER_OK;
    }
    struct lab_law_job job = {data, data->y, NULL};
    double squares = 0;
    for (int64_t i = 0; i < data->sizes.count; i++) {
        double rest = data->y[i] - lab_law_predict(data, &data->setting[i], theta, NULL);
        squares += rest * rest;
    }
    law->fitted = true;
    lab_law_from_theta(law->value, data, theta);
    law->huber = lab_law_objective(&job, theta, NULL) * LAB_LAW_DELTA * LAB_LAW_DELTA;
    law->rms = sqrt(squares / (double)data->sizes.count);
    law->note = open_constant(data, theta);
    return PEER_OK;
}
