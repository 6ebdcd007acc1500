/* SPDX-License-Identifier: MIT */
#include "experiments/fits/law_data.h"

#include <math.h>
#include <stdlib.h>

/* Term k of a law is value[constant] / N^alpha / D^beta / G^gamma with the exponents it has. */
static const struct {
    enum lab_law_constant constant;
    bool has[LAB_LAW_AXES];
} terms[LAB_LAW_TERMS] = {
    {LAB_LAW_E, {false, false, false}},
    {LAB_LAW_A, {true, false, false}},
    {LAB_LAW_B, {false, true, false}},
    {LAB_LAW_G, {true, false, true}},
};
static const enum lab_law_constant exponents[LAB_LAW_AXES] = {LAB_LAW_ALPHA, LAB_LAW_BETA,
                                                              LAB_LAW_GAMMA};

struct row {
    double x[LAB_LAW_AXES], y;
};

static int by_setting(const void *left, const void *right)
{
    const struct row *a = left, *b = right;
    for (int axis = 0; axis < LAB_LAW_AXES; axis++)
        if (a->x[axis] != b->x[axis])
            return a->x[axis] < b->x[axis] ? -1 : 1;
    return 0;
}

/* Rows of the runs that count; returns their number. */
static int64_t read_rows(struct row *row, enum lab_law_form form, const struct lab_law_run *run,
                         int64_t count)
{
    int64_t rows = 0;
    for (int64_t i = 0; i < count; i++) {
        double granularity = form == LAB_LAW_GRANULARITY ? run[i].granularity : 1;
        struct row next = {{log(run[i].params), log(run[i].tokens), log(granularity)},
                           log(run[i].loss)};
        if (isfinite(next.x[0]) && isfinite(next.x[1]) && isfinite(next.x[2]) && isfinite(next.y))
            row[rows++] = next;
    }
    qsort(row, (size_t)rows, sizeof *row, by_setting);
    return rows;
}

static void center_settings(struct lab_law_data *data)
{
    for (int axis = 0; axis < LAB_LAW_AXES; axis++) {
        double sum = 0;
        for (int64_t i = 0; i < data->sizes.count; i++)
            sum += data->setting[i].x[axis];
        data->center[axis] = data->sizes.count ? sum / (double)data->sizes.count : 0;
        for (int64_t i = 0; i < data->sizes.count; i++)
            data->setting[i].x[axis] -= data->center[axis];
    }
}

enum peer_status lab_law_data_build(struct lab_law_data *ret, struct peer_pool *pool,
                                    enum lab_law_form form, const struct lab_law_run *run,
                                    int64_t count)
{
    struct row *row = peer_pool_alloc(pool, "runs", sizeof *row, count, 1, 1);
    double *number = peer_pool_alloc(pool, "numbers", sizeof *number, count, 1, 1);
    double *loss = peer_pool_alloc(pool, "losses", sizeof *loss, count, 1, 1);
    struct lab_law_data data = {
        .form = form,
        .constants = lab_law_constants(form),
        .terms = form == LAB_LAW_GRANULARITY ? LAB_LAW_TERMS : LAB_LAW_TERMS - 1,
        .setting = peer_pool_alloc(pool, "settings", sizeof *data.setting, count, 1, 1),
        .y = peer_pool_alloc(pool, "mean losses", sizeof *data.y, count, 1, 1)};
    if (pool->failed)
        return PEER_ERR_MEMORY;
    int64_t rows = read_rows(row, form, run, count), settings = 0;
    for (int64_t i = 0; i < rows; i++) {
        if (i == 0 || by_setting(&row[i - 1], &row[i]))
            for (int axis = 0; axis < LAB_LAW_AXES; axis++)
                data.setting[settings].x[axis] = row[i].x[axis];
        settings += i == 0 || by_setting(&row[i - 1], &row[i]);
        number[i] = (double)(settings - 1);
        loss[i] = row[i].y;
    }
    enum peer_status status = lab_sizes_group(&data.sizes, pool, number, loss, rows);
    if (status != PEER_OK)
        return status;
    for (int64_t i = 0; i < settings; i++)
        data.y[i] = data.sizes.size[i].y;
    center_settings(&data);
    *ret = data;
    return PEER_OK;
}

/* Whether an axis has `wanted` different values. */
static bool differ(const struct lab_law_data *data, int axis, int wanted)
{
    double seen[4];
    int found = 0;
    for (int64_t i = 0; i < data->sizes.count && found < wanted; i++) {
        int j = 0;
        while (j < found && seen[j] != data->setting[i].x[axis])
            j++;
        if (j == found)
            seen[found++] = data->setting[i].x[axis];
    }
    return found == wanted;
}

/* The smaller over the larger variance of log N and log D along their principal axes. */
static double flatness(const struct lab_law_data *data)
{
    double nn = 0, nd = 0, dd = 0;
    for (int64_t i = 0; i < data->sizes.count; i++) {
        const double *x = data->setting[i].x;
        nn += x[0] * x[0];
        nd += x[0] * x[1];
        dd += x[1] * x[1];
    }
    double middle = (nn + dd) / 2, apart = hypot((nn - dd) / 2, nd);
    return (middle - apart) / (middle + apart);
}

const char *lab_law_data_reason(const struct lab_law_data *data)
{
    static const double flat = 1e-3; /* budgets a factor of 2 apart, sizes within 64: 2e-2 */
    if (data->sizes.count == 0)
        return "no finished run";
    if (data->sizes.count <= data->constants)
        return "no more settings than constants";
    if (!differ(data, 0, 3))
        return "fewer than 3 sizes";
    if (!differ(data, 1, 3))
        return "fewer than 3 numbers of tokens";
    if (data->form == LAB_LAW_GRANULARITY && !differ(data, 2, 3))
        return "fewer than 3 granularities";
    return flatness(data) < flat ? "sizes and tokens lie on one line, as with one budget" : "";
}

/* What the centre takes from the log of term k's constant. */
static double shift(const struct lab_law_data *data, int k, const double *exponent)
{
    double sum = 0;
    for (int axis = 0; axis < LAB_LAW_AXES; axis++)
        if (terms[k].has[axis])
            sum += exponent[exponents[axis]] * data->center[axis];
    return sum;
}

void lab_law_from_theta(double *value, const struct lab_law_data *data, const double *theta)
{
    for (int i = 0; i < data->constants; i++)
        value[i] = theta[i];
    for (int k = 0; k < data->terms; k++)
        value[terms[k].constant] = exp(theta[terms[k].constant] + shift(data, k, theta));
}

void lab_law_to_theta(double *theta, const struct lab_law_data *data, const double *value)
{
    for (int i = 0; i < data->constants; i++)
        theta[i] = value[i];
    for (int k = 0; k < data->terms; k++)
        theta[terms[k].constant] = log(value[terms[k].constant]) - shift(data, k, value);
}

double lab_law_predict(const struct lab_law_data *data, const struct lab_law_setting *setting,
                       const double *theta, double *gradient)
{
    double log_term[LAB_LAW_TERMS], term[LAB_LAW_TERMS], most = -INFINITY, sum = 0;
    for (int k = 0; k < data->terms; k++) {
        log_term[k] = theta[terms[k].constant];
        for (int axis = 0; axis < LAB_LAW_AXES; axis++)
            if (terms[k].has[axis])
                log_term[k] -= theta[exponents[axis]] * setting->x[axis];
        most = fmax(most, log_term[k]);
    }
    for (int k = 0; k < data->terms; k++) {
        term[k] = exp(log_term[k] - most);
        sum += term[k];
    }
    double loss = most + log(sum);
    if (!gradient)
        return loss;
    for (int i = 0; i < data->constants; i++)
        gradient[i] = 0;
    for (int k = 0; k < data->terms; k++) {
        double share = term[k] / sum;
        gradient[terms[k].constant] = share;
        for (int axis = 0; axis < LAB_LAW_AXES; axis++)
            if (terms[k].has[axis])
                gradient[exponents[axis]] -= share * setting->x[axis];
    }
    return loss;
}

double lab_law_objective(const void *job, const double *theta, double *gradient)
{
    const struct lab_law_job *fit = job;
    const struct lab_law_data *data = fit->data;
    double sum = 0, by_theta[LAB_LAW_CONSTANTS];
    for (int c = 0; gradient && c < data->constants; c++)
        gradient[c] = 0;
    for (int64_t i = 0; i < data->sizes.count; i++) {
        double loss = lab_law_predict(data, &data->setting[i], theta, gradient ? by_theta : NULL);
        double times = fit->times ? fit->times[i] : 1;
        double r = (loss - fit->y[i]) / LAB_LAW_DELTA, slope = times * fmax(-1, fmin(r, 1));
        sum += times * (fabs(r) <= 1 ? r * r / 2 : fabs(r) - 0.5);
        for (int c = 0; gradient && c < data->constants; c++)
            gradient[c] += slope * by_theta[c] / LAB_LAW_DELTA;
    }
    return sum;
}
