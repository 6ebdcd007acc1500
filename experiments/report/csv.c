/* SPDX-License-Identifier: MIT */
#include "experiments/report/csv.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "experiments/report/html.h"

static void next(struct lab_csv *row)
{
    if (row->open)
        fputc(',', row->file);
    row->open = true;
}

/* Whether a spreadsheet would compute what stands in the cell: "=", "+", "-" or "@", in the wide
 * forms too, behind any space. */
static bool is_formula(const char *text)
{
    static const char *const signs[] = {
        "=", "+", "-", "@", "\xEF\xBC\x9D", "\xEF\xBC\x8B", "\xEF\xBC\x8D", "\xEF\xBC\xA0"};
    while (*text && (unsigned char)*text <= ' ')
        text++;
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (strncmp(text, signs[i], strlen(signs[i])) == 0)
            return true;
    return false;
}

void lab_csv_text(struct lab_csv *row, const char *text)
{
    next(row);
    bool quoted = strchr(text, ',');
    if (quoted)
        fputc('"', row->file);
    if (is_formula(text))
        fputc('\'', row->file);
    char character[5];
    for (int length; (length = lab_next_character(character, text)) > 0; text += length) {
        bool broken = (unsigned char)*character < ' ';
        fputs(*character == '"' ? "'" : broken ? " " : character, row->file);
    }
    if (quoted)
        fputc('"', row->file);
}

void lab_csv_integer(struct lab_csv *row, int64_t value)
{
    next(row);
    fprintf(row->file, "%" PRId64, value);
}

void lab_csv_number(struct lab_csv *row, double value)
{
    next(row);
    if (isfinite(value))
        fprintf(row->file, "%.10g", value);
}

void lab_csv_end(struct lab_csv *row)
{
    fputc('\n', row->file);
    row->open = false;
}
