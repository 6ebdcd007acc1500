/* SPDX-License-Identifier: MIT */
#include <math.h>

#include "experiments/report/csv.h"
#include "experiments/report/study_tables.h"

static const char columns[] =
    "part,run,variant,ffw,experts,heads,kept,query_norm,budget_flops,width,blocks,seed,state,lr,"
    "table_lr_scale,tokens,epochs,flops,flops_per_token,params_total,params_active,"
    "bytes_per_token,seconds,microseconds_per_token,peak_bytes,loss_nats,perplexity,bits_per_byte,"
    "used,unevenness_nats,top1_used,message\n";

/* A count that is known where it is above zero. */
static void count_cell(struct lab_csv *row, double value)
{
    lab_csv_number(row, value > 0 ? value : NAN);
}

static void what_cells(struct lab_csv *csv, const struct lab_findings *f,
                       const struct lab_part_row *row, const struct lab_part *part)
{
    const struct lab_study_variant *variant = &f->study->variant[row->variant];
    lab_csv_text(csv, part->name);
    count_cell(csv, row->result ? (double)row->result->id : 0);
    lab_csv_text(csv, variant->name);
    lab_csv_text(csv, variant->ffw);
    count_cell(csv, row->N);
    count_cell(csv, (double)row->heads);
    count_cell(csv, (double)row->kept);
    lab_csv_text(csv, row->norm);
    lab_csv_number(csv, part->budget[row->budget]);
    lab_csv_integer(csv, part->size[row->size].width);
    lab_csv_integer(csv, part->size[row->size].blocks);
    lab_csv_integer(csv, row->seed);
    lab_csv_text(csv, lab_study_state(row));
    count_cell(csv, row->lr);
    count_cell(csv, row->scale);
}

static void spent_cells(struct lab_csv *csv, const struct lab_part_row *row,
                        const struct lab_result *r)
{
    count_cell(csv, (double)r->tokens);
    count_cell(csv, r->epochs);
    count_cell(csv, r->flops);
    count_cell(csv, row->flops_per_token);
    count_cell(csv, (double)r->params_total);
    count_cell(csv, (double)r->params_active);
    count_cell(csv, r->bytes_per_token);
    count_cell(csv, r->seconds);
    count_cell(csv, r->tokens > 0 ? 1e6 * r->seconds / (double)r->tokens : 0);
    count_cell(csv, (double)r->peak_bytes);
}

static void found_cells(struct lab_csv *csv, const struct lab_part_row *row,
                        const struct lab_result *r)
{
    bool done = lab_row_done(row), routed = done && r->usages > 0;
    const struct lm_usage_report *usage = routed ? &r->usage[0].report : NULL;
    lab_csv_number(csv, done ? r->nats : NAN);
    lab_csv_number(csv, done ? r->perplexity : NAN);
    lab_csv_number(csv, done ? r->bits_per_byte : NAN);
    lab_csv_number(csv, usage ? usage->score.used : NAN);
    lab_csv_number(csv, usage ? usage->score.unevenness : NAN);
    lab_csv_number(csv, usage ? usage->top1_used : NAN);
    lab_csv_text(csv, r->message);
}

void lab_study_runs_table(FILE *file, const struct lab_findings *findings, int64_t part)
{
    static const struct lab_result nothing;
    fputs(columns, file);
    for (int64_t p = 0; p < findings->study->parts; p++) {
        const struct lab_part_rows *rows = &findings->part[p].rows;
        for (int64_t i = 0; i < rows->count && (part < 0 || part == p); i++) {
            const struct lab_part_row *row = &rows->row[i];
            const struct lab_result *result = row->result ? row->result : &nothing;
            struct lab_csv csv = {file, false};
            what_cells(&csv, findings, row, &findings->study->part[p]);
            spent_cells(&csv, row, result);
            found_cells(&csv, row, result);
            lab_csv_end(&csv);
        }
    }
}
