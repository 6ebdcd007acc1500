/* SPDX-License-Identifier: MIT */
#include "experiments/runs/usage_measures.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>

#define OF(field) offsetof(struct lm_usage_report, field)

const struct lab_measure lab_measures[] = {
    {"score_used", "usage, by gate", true, OF(score.used)},
    {"count_used", "usage, by retrieval", true, OF(count.used)},
    {"expected_used", "  that uniform draws would reach", true, OF(expected_used)},
    {"top1_used", "top-1 usage", true, OF(top1_used)},
    {"score_unevenness_nats", "unevenness, by gate (nats)", false, OF(score.unevenness)},
    {"count_unevenness_nats", "unevenness, by retrieval (nats)", false, OF(count.unevenness)},
    {"score_gini", "Gini index, by gate", false, OF(score.gini)},
    {"count_gini", "Gini index, by retrieval", false, OF(count.gini)},
    {"count_hold50", "experts that hold 50 % of retrievals", true, OF(count.hold50)},
    {"count_hold90", "experts that hold 90 %", true, OF(count.hold90)},
    {"count_hold99", "experts that hold 99 %", true, OF(count.hold99)},
    {"load_entropy_share", "entropy of loads, of log N", true, OF(load.entropy_share)},
    {"load_cv", "coefficient of variation of loads", false, OF(load.cv)},
    {"load_peak", "highest load over mean", false, OF(load.peak)},
    {"head_overlap", "a token's experts of several heads", true, OF(head_overlap)},
    {"dropped", "choices dropped", true, OF(load.dropped)},
    {"unserved", "tokens unserved", true, OF(load.unserved)},
    {NULL, NULL, false, 0}};

double lab_measure_of(const struct lm_usage_report *report, const struct lab_measure *measure)
{
    return *(const double *)(const void *)((const char *)report + measure->offset);
}

void lab_measure_print(FILE *file, double value, bool share, bool sign)
{
    if (!isfinite(value))
        fprintf(file, "%11s", "-");
    else if (share)
        fprintf(file, sign ? " %+7.2f pp" : " %8.2f %%", 100 * value);
    else
        fprintf(file, sign ? " %+10.4f" : " %10.4f", value);
}

json_t *lab_measure_json(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *lab_measures_json(const struct lm_usage_report *report)
{
    json_t *object = json_object();
    for (const struct lab_measure *m = lab_measures; m->name; m++)
        json_object_set_new(object, m->name, lab_measure_json(lab_measure_of(report, m)));
    return object;
}
