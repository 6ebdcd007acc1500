/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "experiments/report/csv.h"
#include "experiments/report/study_tables.h"

/* N of a tuned variant's table, from the rows of the parts; 0 where none has it. */
static double table_size(const struct lab_findings *findings, int variant)
{
    for (int64_t p = 0; p < findings->study->parts; p++) {
        const struct lab_part_row *row = lab_study_row(&findings->part[p].rows, variant);
        if (row)
            return row->N;
    }
    return 0;
}

double lab_study_ruled(const struct lab_findings *findings, const struct lab_rates *rates,
                       const struct lab_rate_cell *cell)
{
    double width = (double)rates->tune.size[cell->size].width;
    double N = table_size(findings, cell->variant);
    double budget = log2(rates->tune.budget[cell->budget] / rates->budget0);
    const struct lab_scale_rule *scale =
        lab_rates_scale(rates, findings->study->variant[cell->variant].ffw);
    if (cell->scale)
        return scale && N > 0
                   ? exp2(scale->base + scale->slope * log2(N) + scale->budget_slope * budget)
                   : NAN;
    for (int64_t i = 0; i < rates->rules; i++)
        if (rates->rule[i].variant == cell->variant)
            return exp2(rates->rule[i].base +
                        rates->rule[i].width_slope * log2(width / rates->width0) +
                        rates->budget_slope * budget);
    return NAN;
}

const struct lab_rates *lab_study_rates(const struct lab_findings *findings, int64_t which)
{
    return which < 0 ? &findings->rates : findings->own[which];
}

static const char *const what[] = {"learning rate", "table_lr_scale"};

/* Calls for every cell of every search; cells are numbered through. */
static void each_cell(FILE *file, const struct lab_findings *f,
                      void (*call)(struct lab_csv *csv, const struct lab_findings *f, int64_t which,
                                   int64_t cell, int64_t number))
{
    int64_t number = 0;
    for (int64_t which = -1; which < f->study->parts; which++) {
        const struct lab_rates *rates = lab_study_rates(f, which);
        for (int64_t i = 0; rates && i < rates->cells; i++)
            call(&(struct lab_csv){file, false}, f, which, i, ++number);
    }
}

static void cell_cells(struct lab_csv *csv, const struct lab_findings *f, int64_t which,
                       int64_t index, int64_t number)
{
    const struct lab_rates *rates = lab_study_rates(f, which);
    const struct lab_rate_cell *cell = &rates->cell[index];
    const struct lab_study_size *size = &rates->tune.size[cell->size];
    double N = table_size(f, cell->variant);
    lab_csv_integer(csv, number);
    lab_csv_text(csv, which < 0 ? "" : f->study->part[which].name);
    lab_csv_text(csv, what[cell->scale]);
    lab_csv_text(csv, f->study->variant[cell->variant].name);
    lab_csv_text(csv, f->study->variant[cell->variant].ffw);
    lab_csv_number(csv, N > 0 ? N : NAN);
    lab_csv_integer(csv, size->width);
    lab_csv_integer(csv, size->blocks);
    lab_csv_number(csv, rates->tune.budget[cell->budget]);
}

static void probe_rows(struct lab_csv *csv, const struct lab_findings *f, int64_t which,
                       int64_t index, int64_t number)
{
    const struct lab_rate_cell *cell = &lab_study_rates(f, which)->cell[index];
    for (int64_t j = 0; j < cell->probes; j++) {
        double loss = cell->loss[j];
        cell_cells(csv, f, which, index, number);
        lab_csv_number(csv, cell->start * pow(cell->factor, (double)cell->step[j]));
        lab_csv_number(csv, loss);
        lab_csv_text(csv, isfinite(loss) ? "done" : isnan(loss) ? "missing" : "diverged");
        lab_csv_end(csv);
    }
}

void lab_study_probes_table(FILE *file, const struct lab_findings *findings)
{
    fputs("cell,part,what,variant,ffw,experts,width,blocks,budget_flops,value,loss_nats,state\n",
          file);
    each_cell(file, findings, probe_rows);
}

static void optimum_row(struct lab_csv *csv, const struct lab_findings *f, int64_t which,
                        int64_t index, int64_t number)
{
    const struct lab_rates *rates = lab_study_rates(f, which);
    const struct lab_rate_cell *cell = &rates->cell[index];
    cell_cells(csv, f, which, index, number);
    lab_csv_integer(csv, cell->probes);
    lab_csv_number(csv, cell->probes ? exp2(cell->log2_best) : NAN);
    lab_csv_integer(csv, cell->found);
    lab_csv_number(csv, cell->probes ? lab_study_ruled(f, rates, cell) : NAN);
    lab_csv_end(csv);
}

void lab_study_optima_table(FILE *file, const struct lab_findings *findings)
{
    fputs("cell,part,what,variant,ffw,experts,width,blocks,budget_flops,probes,optimum,inside_grid,"
          "rule\n",
          file);
    each_cell(file, findings, optimum_row);
}
