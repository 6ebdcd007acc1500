/* SPDX-License-Identifier: MIT */
#include "experiments/report/study_view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const lab_study_table_names[LAB_STUDY_TABLES] = {
    "runs",    "rates",   "rates-optima", "power",  "power-budgets",  "claims",
    "effects", "outlook", "fits",         "table1", "usage_timeline", "usage_lorenz"};

void lab_study_file_name(char name[LAB_STUDY_NAME], const struct lab_study *study, int64_t part)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const char *given = study->part[part].name;
    bool fit = *given && !given[strspn(given, plain)];
    for (int i = 0; i < LAB_STUDY_TABLES; i++)
        fit = fit && strcmp(given, lab_study_table_names[i]) != 0;
    if (fit)
        snprintf(name, LAB_STUDY_NAME, "%s", given);
    else
        snprintf(name, LAB_STUDY_NAME, "part-%lld", (long long)part + 1);
}

const char *lab_study_state(const struct lab_part_row *row)
{
    return row->result ? lab_state_names[row->result->state] : "missing";
}

const struct lab_part_row *lab_study_row(const struct lab_part_rows *rows, int variant)
{
    for (int64_t i = 0; i < rows->count; i++)
        if (rows->row[i].variant == variant)
            return &rows->row[i];
    return NULL;
}

int lab_study_base(const struct lab_part_rows *rows, int variant)
{
    const struct lab_part_row *own = lab_study_row(rows, variant);
    bool unnormed = false;
    int base = -1;
    for (int64_t v = 0; own && v < rows->part->variants; v++) {
        const struct lab_part_row *row = lab_study_row(rows, rows->part->variant[v]);
        if (!row || strcmp(row->norm, "none") != 0)
            continue;
        unnormed = true;
        if (row->N == own->N && row->heads == own->heads && row->kept == own->kept)
            base = row->variant;
    }
    if (!unnormed)
        base = rows->part->variant[0];
    return base == variant ? -1 : base;
}

double lab_study_facts_bits(const struct lab_part *part)
{
    const struct lab_facts_config *table = &part->make.table;
    return (double)(table->people * table->attributes) * log2((double)table->values);
}

void lab_study_interval_text(char text[64], int digits, struct lab_interval interval)
{
    *text = 0;
    if (interval.known)
        snprintf(text, 64, "%+.*f to %+.*f", digits, interval.low, digits, interval.high);
}
