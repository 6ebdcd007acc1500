/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "experiments/study/rates.h"

/* Least squares of a line; the slope is 0 for fewer than two different x. */
static void line(double *base, double *slope, const double *x, const double *y, int64_t count)
{
    double mx = 0, my = 0, sxx = 0, sxy = 0;
    for (int64_t i = 0; i < count; i++) {
        mx += x[i] / (double)count;
        my += y[i] / (double)count;
    }
    for (int64_t i = 0; i < count; i++) {
        sxx += (x[i] - mx) * (x[i] - mx);
        sxy += (x[i] - mx) * (y[i] - my);
    }
    *slope = sxx > 0 ? sxy / sxx : 0;
    *base = my - *slope * mx;
}

static double cell_width(const struct lab_rates *rates, int64_t i)
{
    return log2((double)rates->tune.size[rates->cell[i].size].width / rates->width0);
}

void lab_rates_fit_rules(struct lab_rates *rates)
{
    double gap = 0, reach = 0, squares = 0;
    for (int64_t v = 0; v < rates->tune.variants; v++) {
        struct lab_rate_rule *rule = &rates->rule[rates->rules++];
        double x[LAB_STUDY_SIZES], y[LAB_STUDY_SIZES];
        int64_t count = 0;
        rule->variant = rates->tune.variant[v];
        for (int64_t i = 0; i < rates->cells; i++)
            if (!rates->cell[i].scale && rates->cell[i].variant == rule->variant &&
                rates->cell[i].budget == 0) {
                x[count] = cell_width(rates, i);
                y[count++] = rates->cell[i].log2_best;
            }
        line(&rule->base, &rule->width_slope, x, y, count);
    }
    for (int pass = 0; pass < 2; pass++) { /* the common slope, then what is left over */
        for (int64_t i = 0; i < rates->cells; i++) {
            const struct lab_rate_cell *cell = &rates->cell[i];
            const struct lab_rate_rule *rule = rates->rule;
            if (cell->scale)
                continue;
            while (rule->variant != cell->variant)
                rule++;
            double width = cell_width(rates, i);
            double budget = log2(rates->tune.budget[cell->budget] / rates->budget0);
            double left = cell->log2_best - rule->base - rule->width_slope * width;
            gap += pass == 0 ? left * budget : 0;
            reach += pass == 0 ? budget * budget : 0;
            left -= rates->budget_slope * budget;
            squares += pass == 1 ? left * left : 0;
        }
        if (pass == 0 && !rates->pinned)
            rates->budget_slope = reach > 0 ? gap / reach : 0;
    }
    int64_t cells = 0;
    for (int64_t i = 0; i < rates->cells; i++)
        cells += !rates->cell[i].scale;
    rates->residual = cells ? sqrt(squares / (double)cells) : 0;
}

const struct lab_scale_rule *lab_rates_scale(const struct lab_rates *rates, const char *ffw)
{
    for (int64_t i = 0; i < rates->scale_rules; i++)
        if (strcmp(rates->scale_rule[i].ffw, ffw) == 0)
            return &rates->scale_rule[i];
    return NULL;
}

/* Base and slope of a layer type from the cells of the first budget, then what the others leave. */
static void fit_scale(struct lab_scale_rule *rule, const struct lab_rates *rates,
                      const struct lab_study *study, int64_t first)
{
    double x[LAB_CELLS], y[LAB_CELLS], gap = 0, reach = 0;
    int64_t count = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = first; i < rates->cells; i++) {
            const struct lab_rate_cell *cell = &rates->cell[i];
            double budget = log2(rates->tune.budget[cell->budget] / rates->budget0);
            if (strcmp(study->variant[cell->variant].ffw, rule->ffw) != 0 ||
                (pass == 0) != (cell->budget == 0))
                continue;
            if (pass == 0) {
                x[count] = log2(cell->N);
                y[count++] = cell->log2_best;
                continue;
            }
            gap += (cell->log2_best - rule->base - rule->slope * log2(cell->N)) * budget;
            reach += budget * budget;
        }
        if (pass == 0)
            line(&rule->base, &rule->slope, x, y, count);
    }
    rule->budget_slope = reach > 0 ? gap / reach : 0;
}

void lab_rates_fit_scales(struct lab_rates *rates, const struct lab_study *study, int64_t first)
{
    for (int64_t i = first; i < rates->cells; i++) {
        const char *ffw = study->variant[rates->cell[i].variant].ffw;
        if (lab_rates_scale(rates, ffw) || rates->scale_rules == LAB_SCALE_RULES)
            continue;
        struct lab_scale_rule *rule = &rates->scale_rule[rates->scale_rules++];
        *rule = (struct lab_scale_rule){0};
        snprintf(rule->ffw, sizeof rule->ffw, "%s", ffw);
        fit_scale(rule, rates, study, first);
    }
}

void lab_rates_move_scales(struct lab_rates *rates, const struct lab_study *study)
{
    for (int64_t i = 0; i < rates->cells; i++) {
        const struct lab_rate_cell *cell = &rates->cell[i];
        for (int64_t j = 0; j < rates->scale_rules; j++) {
            struct lab_scale_rule *rule = &rates->scale_rule[j];
            if (cell->scale && strcmp(rule->ffw, study->variant[cell->variant].ffw) == 0)
                rule->base = cell->log2_best - rule->slope * log2(cell->N);
        }
    }
}
