/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "experiments/report/csv.h"
#include "experiments/report/study_tables.h"

double lab_study_table_size(const struct lab_findings *findings, int variant)
{
    for (int64_t p = 0; p < findings->study->parts; p++) {
        const struct lab_part_row *row = lab_study_row(&findings->part[p].rows, variant);
        if (row)
            return row->N;
    }
    return 0;
}

double lab_study_ruled(const struct lab_findings *findings, const struct lab_rate_cell *cell,
                       double N)
{
    const struct lab_rates *rates = &findings->rates;
    const struct lab_study *study = findings->study;
    double width = (double)study->tune.size[cell->size].width;
    for (int64_t i = 0; cell->scale && N > 0 && i < rates->scale_rules; i++)
        if (strcmp(rates->scale_rule[i].ffw, study->variant[cell->variant].ffw) == 0)
            return exp2(rates->scale_rule[i].base + rates->scale_rule[i].slope * log2(N));
    for (int64_t i = 0; !cell->scale && i < rates->rules; i++)
        if (rates->rule[i].variant == cell->variant)
            return exp2(
                rates->rule[i].base + rates->rule[i].width_slope * log2(width / rates->width0) +
                rates->budget_slope * log2(study->tune.budget[cell->budget] / rates->budget0));
    return NAN;
}

static const char *const what[] = {"learning rate", "table_lr_scale"};

static void cell_cells(struct lab_csv *csv, const struct lab_findings *f, int64_t index)
{
    const struct lab_rate_cell *cell = &f->rates.cell[index];
    const struct lab_study_size *size = &f->study->tune.size[cell->size];
    double N = lab_study_table_size(f, cell->variant);
    lab_csv_integer(csv, index + 1);
    lab_csv_text(csv, what[cell->scale]);
    lab_csv_text(csv, f->study->variant[cell->variant].name);
    lab_csv_text(csv, f->study->variant[cell->variant].ffw);
    lab_csv_number(csv, N > 0 ? N : NAN);
    lab_csv_integer(csv, size->width);
    lab_csv_integer(csv, size->blocks);
    lab_csv_number(csv, f->study->tune.budget[cell->budget]);
}

void lab_study_probes_table(FILE *file, const struct lab_findings *findings)
{
    fputs("cell,what,variant,ffw,experts,width,blocks,budget_flops,value,loss_nats,state\n", file);
    for (int64_t i = 0; i < findings->rates.cells; i++) {
        const struct lab_rate_cell *cell = &findings->rates.cell[i];
        for (int64_t j = 0; j < cell->probes; j++) {
            struct lab_csv csv = {file, false};
            double loss = cell->loss[j];
            cell_cells(&csv, findings, i);
            lab_csv_number(&csv, cell->start * pow(cell->factor, (double)cell->step[j]));
            lab_csv_number(&csv, loss);
            lab_csv_text(&csv, isfinite(loss) ? "done" : isnan(loss) ? "missing" : "diverged");
            lab_csv_end(&csv);
        }
    }
}

void lab_study_optima_table(FILE *file, const struct lab_findings *findings)
{
    fputs("cell,what,variant,ffw,experts,width,blocks,budget_flops,probes,optimum,inside_grid,"
          "rule\n",
          file);
    for (int64_t i = 0; i < findings->rates.cells; i++) {
        const struct lab_rate_cell *cell = &findings->rates.cell[i];
        struct lab_csv csv = {file, false};
        double N = lab_study_table_size(findings, cell->variant);
        cell_cells(&csv, findings, i);
        lab_csv_integer(&csv, cell->probes);
        lab_csv_number(&csv, cell->probes ? exp2(cell->log2_best) : NAN);
        lab_csv_integer(&csv, cell->found);
        lab_csv_number(&csv, cell->probes ? lab_study_ruled(findings, cell, N) : NAN);
        lab_csv_end(&csv);
    }
}
