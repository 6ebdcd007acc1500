/* SPDX-License-Identifier: MIT */
/* fits.csv: a row per law and constant. */
#include <math.h>

#include "experiments/report/export.h"

/* A row's own cells; the others are those of its law. */
struct constant {
    const char *name;
    const struct lab_law_best *best; /* of an optimum; else NULL */
    double value, check;
    struct lab_interval interval;
};

static void write_row(FILE *file, const struct lab_sweep_law *law, const struct constant *constant)
{
    char name[1024];
    const struct lab_law_best *best = constant->best;
    bool optimum = best && isfinite(best->best.params);
    struct lab_csv row = {file, false};
    lab_sweep_law_name(name, sizeof name, law);
    lab_csv_text(&row, name);
    lab_csv_text(&row, law->law.form == LAB_LAW_JOINT ? "joint" : "granularity");
    lab_csv_text(&row, lab_law_size_names[law->size]);
    lab_csv_text(&row, constant->name);
    lab_csv_number(&row, best ? best->budget : NAN);
    lab_csv_number(&row, best && best->granularity > 0 ? best->granularity : NAN);
    lab_csv_number(&row, constant->value);
    lab_csv_number(&row, constant->interval.low);
    lab_csv_number(&row, constant->interval.high);
    lab_csv_number(&row, constant->check);
    lab_csv_text(&row, !optimum ? "" : best->inside ? "1" : "0");
    lab_csv_number(&row, best ? best->flops_per : NAN);
    lab_csv_integer(&row, law->runs);
    lab_csv_integer(&row, law->law.settings);
    lab_csv_integer(&row, law->budgets);
    lab_csv_integer(&row, law->law.starts);
    lab_csv_integer(&row, law->law.agree);
    lab_csv_number(&row, law->law.condition);
    lab_csv_number(&row, law->law.rms);
    lab_csv_integer(&row, law->intervals.draws);
    lab_csv_text(&row, law->law.reason);
    lab_csv_text(&row, law->law.note);
    lab_csv_text(&row, law->intervals.note);
    lab_csv_end(&row);
}

static void write_exponents(FILE *file, const struct lab_sweep_law *law)
{
    double here = lab_law_at(&law->law, 1, 1).exponent;
    double check = lab_law_at(&law->check, 1, 1).exponent;
    struct lab_interval interval = law->intervals.exponent;
    write_row(file, law, &(struct constant){"N_exponent", NULL, here, check, interval});
    interval = (struct lab_interval){interval.known, 1 - interval.high, 1 - interval.low};
    write_row(file, law, &(struct constant){"D_exponent", NULL, 1 - here, 1 - check, interval});
}

static void write_best(FILE *file, const struct lab_sweep_law *law, const struct lab_law_best *best)
{
    struct lab_law_optimum check =
        lab_law_at(&law->check, 6 * best->budget / best->flops_per, best->granularity);
    const struct constant rows[] = {
        {"N_best", best, best->best.params, check.params, best->range.params},
        {"D_best", best, best->best.tokens, check.tokens, best->range.tokens},
        {"loss_best", best, best->best.loss, check.loss, best->range.loss}};
    for (int i = 0; i < 3; i++)
        write_row(file, law, &rows[i]);
}

static void write_law(FILE *file, const struct lab_sweep_law *law)
{
    if (!law->law.fitted) {
        write_row(file, law, &(struct constant){"", NULL, NAN, NAN, lab_interval_unknown()});
        return;
    }
    for (int c = 0; c < lab_law_constants(law->law.form); c++)
        write_row(file, law,
                  &(struct constant){lab_law_names[c], NULL, law->law.value[c], law->check.value[c],
                                     law->intervals.value[c]});
    write_exponents(file, law);
    for (int64_t i = 0; i < law->points; i++)
        write_best(file, law, &law->best[i]);
}

void lab_export_fits(FILE *file, const struct lab_sweep_laws *laws)
{
    fputs("variant,law,N,constant,budget_flops,granularity,value,low,high,projection,inside_grid,"
          "flops_per_param_token,runs,settings,budgets,starts,starts_agree,condition,"
          "residual_rms_log,draws,reason,note,interval_note\n",
          file);
    for (int64_t i = 0; i < laws->count; i++)
        write_law(file, &laws->law[i]);
}
