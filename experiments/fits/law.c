/* SPDX-License-Identifier: MIT */
#include "experiments/fits/law.h"

#include <math.h>
#include <string.h>

#include "experiments/fits/bfgs.h"
#include "experiments/fits/law_data.h"

const char *const lab_law_names[] = {"E", "A", "B", "alpha", "beta", "g", "gamma", NULL};

int lab_law_constants(enum lab_law_form form)
{
    return form == LAB_LAW_GRANULARITY ? LAB_LAW_CONSTANTS : LAB_LAW_BETA + 1;
}

bool lab_law_at_bound(const struct lab_law *law, enum lab_law_constant constant)
{
    const double *value = law->value;
    bool falls = true; /* a term that rises with size may matter however small its factor is */
    if (constant == LAB_LAW_A)
        falls = value[LAB_LAW_ALPHA] >= 0;
    else if (constant == LAB_LAW_B)
        falls = value[LAB_LAW_BETA] >= 0;
    else if (constant == LAB_LAW_G)
        falls = value[LAB_LAW_ALPHA] >= 0 && value[LAB_LAW_GAMMA] >= 0;
    else if (constant != LAB_LAW_E)
        return false;
    return law->fitted && falls && value[constant] < LAB_LAW_ZERO;
}

double lab_law_loss(const struct lab_law *law, double params, double tokens, double granularity)
{
    const double *c = law->value;
    if (!law->fitted)
        return NAN;
    double a = c[LAB_LAW_A];
    if (law->form == LAB_LAW_GRANULARITY)
        a += c[LAB_LAW_G] / pow(granularity, c[LAB_LAW_GAMMA]);
    return c[LAB_LAW_E] + a / pow(params, c[LAB_LAW_ALPHA]) +
           c[LAB_LAW_B] / pow(tokens, c[LAB_LAW_BETA]);
}

struct lab_law_optimum lab_law_at(const struct lab_law *law, double flops, double granularity)
{
    const double *c = law->value, alpha = c[LAB_LAW_ALPHA], beta = c[LAB_LAW_BETA];
    if (!law->fitted || !(alpha > 0) || !(beta > 0))
        return (struct lab_law_optimum){NAN, NAN, NAN, NAN};
    double a = c[LAB_LAW_A];
    if (law->form == LAB_LAW_GRANULARITY)
        a += c[LAB_LAW_G] / pow(granularity, c[LAB_LAW_GAMMA]);
    struct lab_law_optimum best = {.exponent = beta / (alpha + beta)};
    best.params =
        pow(alpha * a / (beta * c[LAB_LAW_B]), 1 / (alpha + beta)) * pow(flops / 6, best.exponent);
    best.tokens = flops / 6 / best.params;
    best.loss = lab_law_loss(law, best.params, best.tokens, granularity);
    return best;
}

/* The grid of starts: logs of constants, and exponents. */
static const double log_e[] = {-1, -0.5, 0, 0.5, 1};
static const double log_a[] = {0, 5, 10, 15, 20, 25}; /* of B and g as well */
static const double exponent[] = {0, 0.5, 1, 1.5, 2};
static const double gammas[] = {0.25, 0.75, 1.5};

enum {
    E_STARTS = sizeof log_e / sizeof *log_e,
    A_STARTS = sizeof log_a / sizeof *log_a,
    EXPONENTS = sizeof exponent / sizeof *exponent,
    GAMMAS = sizeof gammas / sizeof *gammas
};

/* value[] with constants number `which` of the grid. */
static void set_constants(double *value, int which)
{
    value[LAB_LAW_E] = exp(log_e[which % E_STARTS]);
    which /= E_STARTS;
    value[LAB_LAW_A] = exp(log_a[which % A_STARTS]);
    which /= A_STARTS;
    value[LAB_LAW_B] = exp(log_a[which % A_STARTS]);
    value[LAB_LAW_G] = exp(log_a[which / A_STARTS]);
}

/* theta at the best constants of the grid for value[]'s exponents. */
static void best_start(double *theta, const struct lab_law_job *job, double *value)
{
    const struct lab_law_data *data = job->data;
    bool granular = data->form == LAB_LAW_GRANULARITY;
    int choices = E_STARTS * A_STARTS * A_STARTS * (granular ? A_STARTS : 1);
    double lowest = INFINITY, next[LAB_LAW_CONSTANTS];
    for (int i = 0; i < choices; i++) {
        set_constants(value, i);
        lab_law_to_theta(next, data, value);
        double objective = lab_law_objective(job, next, NULL);
        if (isfinite(lowest) && !(objective < lowest))
            continue;
        lowest = objective;
        memcpy(theta, next, sizeof next);
    }
}

/* theta at the lowest end of all searches; sets starts, agree. */
static void search(struct lab_law *law, double *theta, const struct lab_law_job *job)
{
    enum { MOST = EXPONENTS * EXPONENTS * GAMMAS };
    double end[MOST], lowest = INFINITY;
    law->starts = EXPONENTS * EXPONENTS * (law->form == LAB_LAW_GRANULARITY ? GAMMAS : 1);
    for (int64_t i = 0; i < law->starts; i++) {
        double value[LAB_LAW_CONSTANTS], next[LAB_LAW_CONSTANTS];
        value[LAB_LAW_ALPHA] = exponent[i % EXPONENTS];
        value[LAB_LAW_BETA] = exponent[i / EXPONENTS % EXPONENTS];
        value[LAB_LAW_GAMMA] = gammas[i / (EXPONENTS * EXPONENTS)];
        best_start(next, job, value);
        end[i] = lab_bfgs(next, job->data->constants, lab_law_objective, job);
        if (isfinite(lowest) && !(end[i] < lowest))
            continue;
        lowest = end[i];
        memcpy(theta, next, sizeof next);
    }
    for (int64_t i = 0; i < law->starts; i++)
        law->agree += end[i] <= lowest * (1 + 1e-6) + 1e-9;
}

enum peer_status lab_law_fit(struct lab_law *ret, struct peer_ctx *ctx, enum lab_law_form form,
                             const struct lab_law_run *run, int64_t count)
{
    struct peer_pool pool = {.ctx = ctx};
    struct lab_law_data data;
    enum peer_status status = lab_law_data_build(&data, &pool, form, run, count);
    struct lab_law law;
    if (status == PEER_OK) {
        double theta[LAB_LAW_CONSTANTS];
        struct lab_law_job job = {&data, data.y, NULL};
        law = lab_law_empty(&data);
        if (!*law.reason) {
            search(&law, theta, &job);
            status = lab_law_describe(&law, &data, ctx, theta);
        }
    }
    peer_pool_free(&pool);
    if (status == PEER_OK)
        *ret = law;
    return status;
}
