/* SPDX-License-Identifier: MIT */
#include "experiments/report/study_report.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "experiments/report/study_tables.h"
#include "experiments/report/usage_timeline.h"
#include "tests/support/markup.h"
#include "tests/support/study_case.h"
#include "tests/support/tempdir.h"

static const struct lab_report_tools without_gnuplot = {.gnuplot = "/nonexistent/gnuplot"};

static const char *const tables[] = {
    "runs",   "rates",       "rates-optima", "power", "claims",  "effects",      "part-1",
    "fig1",   "fig3a",       "table2",       "fig3b", "fig4",    "capacity",     "part-8",
    "table1", "fig1-minima", "fig4-minima",  "fits",  "outlook", "power-budgets"};

struct written {
    struct tempdir dir;
    struct study_case made;
    char *page, *results; /* report.html, RESULTS.md */
};

static char *read_file(const struct written *written, const char *name)
{
    struct tempfile file = tempdir_file(&written->dir, name);
    size_t size;
    char *bytes = tempfile_read(&file, &size), *text = strndup(bytes, size);
    cr_assert_eq(strlen(text), size, "%s holds a NUL", name);
    free(bytes);
    return text;
}

static char *read_table(const struct written *written, const char *table)
{
    char name[64];
    snprintf(name, sizeof name, "results/%s.csv", table);
    return read_file(written, name);
}

static bool there(const struct written *written, const char *name)
{
    struct tempfile file = tempdir_file(&written->dir, name);
    return !access(file.path, F_OK);
}

static struct written write_report(int seeds, int sizes, bool lost,
                                   const struct lab_report_tools *tools)
{
    struct written written = {.dir = tempdir_create(),
                              .made = study_case_make(&(struct study_case_config){
                                  .seeds = seeds, .sizes = sizes, .lost = lost})};
    struct study_case *made = &written.made;
    made->report.info = &made->info;
    cr_assert_eq(lab_study_report_write(made->ctx, written.dir.path, &made->report, tools), PEER_OK,
                 "%s", peer_ctx_error(made->ctx));
    written.page = read_file(&written, "report.html");
    written.results = read_file(&written, "RESULTS.md");
    markup_check(written.page);
    return written;
}

static void tear_down(struct written *written)
{
    free(written->page);
    free(written->results);
    study_case_free(&written->made);
    tempdir_remove(&written->dir);
}

static void expect_both(const struct written *written, const char *text)
{
    cr_expect(strstr(written->page, text), "the page lacks \"%s\"", text);
    cr_expect(strstr(written->results, text), "RESULTS.md lacks \"%s\"", text);
}

/* No number that is none reaches a reader. */
static void expect_no_nan(const struct written *written)
{
    static const char *const forms[] = {"nan", "inf ", "-inf", "(null)"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        const char *found = strstr(written->results, forms[i]);
        cr_expect_not(found, "RESULTS.md says \"%.60s\"", found);
    }
}

static void expect_figures(const struct written *written)
{
    const char *note = strstr(written->results, "Figures are missing");
    cr_expect_not(note, "%.200s", note);
}

static void expect_pictures(const struct written *written)
{
    static const char *const names[] = {"claims", "rates",   "power",        "fig1", "fig1-total",
                                        "fig3a",  "table2",  "fig3b",        "fig4", "capacity",
                                        "table1", "outlook", "power-budgets"};
    expect_figures(written);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[64], link[80];
        snprintf(name, sizeof name, "results/%s.svg", names[i]);
        snprintf(link, sizeof link, "](%s)", name);
        cr_expect(there(written, name), "%s", name);
        cr_expect(strstr(written->results, link), "RESULTS.md lacks %s", link);
        snprintf(name, sizeof name, "results/%s.pdf", names[i]);
        cr_expect(there(written, name), "%s", name);
    }
}

static bool have_gnuplot(void)
{
    return !system("gnuplot --version >/dev/null 2>&1");
}

Test(study_report, has_everything)
{
    if (!have_gnuplot())
        cr_skip_test("gnuplot is not installed");
    struct written written = write_report(3, 5, false, NULL);
    expect_pictures(&written);
    expect_no_nan(&written);
    cr_expect_not(strstr(strstr(written.page, "<script") + 1, "<script"));
    expect_both(&written, "Of 2 claims: 1 reproduced, 1 not measured");
    expect_both(&written, "-0.0300 to -0.0100");
    expect_both(&written, "1.50 times over its text");
    expect_both(&written, "a made-up machine");
    expect_both(&written, "4000 bits that nothing but the text tells");
    expect_both(&written, "2.2500 bits per byte");
    expect_both(&written, "12.5\xC2\xA0%");
    expect_both(&written, "512 tokens, retrieves each of 16\xC2\xB2 experts 64 times on average, "
                          "each of 32\xC2\xB2 16 times");
    expect_both(&written, "Figure 1: joint laws");
    expect_both(&written, "ten times the largest budget");
    expect_both(&written, "With ten times the FLOPs");
    expect_both(&written, "0 of 216 planned runs are missing");
    tear_down(&written);
}

Test(study_report, draws_one_seed_and_two_sizes)
{
    if (!have_gnuplot())
        cr_skip_test("gnuplot is not installed");
    struct written written = write_report(1, 2, false, NULL);
    expect_figures(&written);
    cr_expect(there(&written, "results/fig1.svg"));
    cr_expect_not(there(&written, "results/power.svg"));
    expect_no_nan(&written);
    expect_both(&written, "noise is unknown");
    expect_both(&written, "fewer than 3 sizes");
    expect_both(&written, "1 seed");
    tear_down(&written);
}

Test(study_report, escapes_hostile_names)
{
    struct written written = write_report(2, 3, true, &without_gnuplot);
    cr_expect_not(strstr(written.page, "<b>"));
    cr_expect_not(strstr(written.results, "<b>"));
    cr_expect(strstr(written.page, "&lt;b&gt;&quot;x&quot;, |y`"));
    cr_expect(strstr(written.results, "&lt;b&gt;\"x\", \\|y\\`"));
    cr_expect(strstr(written.page, "reproduce own/part --scale made --out &lt;here&gt;"));
    char *runs = read_table(&written, "runs");
    cr_expect(strstr(runs, "\"<b>'x', |y`\""));
    free(runs);
    tear_down(&written);
}

Test(study_report, names_what_is_lost)
{
    struct written written = write_report(2, 3, true, &without_gnuplot);
    expect_no_nan(&written);
    expect_both(&written, "5 of 8 runs are done, 1 missing, 2 failed or diverged");
    expect_both(&written, "dense (width 16, seed 1) diverged; dense (width 16, seed 2) failed");
    expect_both(&written, "8 of 100 planned runs are missing");
    expect_both(&written, "8 diverged, 8 failed");
    expect_both(&written, "With gnuplot installed there are figures.");
    char *runs = read_table(&written, "runs");
    cr_expect(strstr(runs, "fig3a,,peer-16,peer,256,4,8,batch,1e+11,16,3,1,missing,"));
    free(runs);
    tear_down(&written);
}

static void put(const struct tempdir *dir, const char *name, const char *text)
{
    struct tempfile file = tempdir_file(dir, name);
    tempfile_write(&file, text, strlen(text));
}

/* The first seed of peer-16 lost its file, the second has it; peer-32 tracked something else. */
Test(study_report, shows_what_a_run_tracked)
{
    struct tempdir dir = tempdir_create(), sweep = tempdir_create();
    struct study_case made =
        study_case_make(&(struct study_case_config){.seeds = 2, .sizes = 3, .lost = false});
    const struct lab_finding *fig3a = lab_findings_part(made.findings, "fig3a");
    for (int64_t i = 0; i < fig3a->rows.count; i++) {
        const struct lab_part_row *row = &fig3a->rows.row[i];
        struct lab_usage *usage = made.results[row->result->id - 1].usage;
        if (!usage)
            continue;
        usage->experts = 256;
        usage->side = 16;
        usage->block = 1;
        snprintf(usage->map, sizeof usage->map, "%d-%lld.txt", row->variant, (long long)row->seed);
    }
    char text[600];
    snprintf(text, sizeof text,
             "%s\n0,0,99,0.4,0.5,1,1,0.1,0,0.5,0,0\n7,64,99,0.6,0.75,1,1,0.125,0,0.25,0,0\n"
             "9,96,99,0.2,0.25,1,1,0.0625,0.03125,0.125,0.625,0\n",
             lab_track_columns);
    put(&sweep, "1-2.csv", text);
    put(&sweep, "2-1.csv", "step,other\n0,1\n");
    made.report.info = &made.info;
    made.report.sweep = sweep.path;
    cr_assert_eq(lab_study_report_write(made.ctx, dir.path, &made.report, &without_gnuplot),
                 PEER_OK);
    struct written written = {.dir = dir, .made = made};
    written.page = read_file(&written, "report.html");
    written.results = read_file(&written, "RESULTS.md");
    markup_check(written.page);
    cr_expect(strstr(written.results,
                     "| peer-16 | 16\xC2\xB2 | 2 | 50.0 | 75.0 | 7 | 25.0 | 9 | 12.5 "
                     "| 62.5 | 6.25 | 3.12 |"));
    char *section = strstr(written.results, "## Utilization over");
    cr_assert(section);
    *strstr(section + 1, "\n## ") = 0;
    cr_expect_not(strstr(section, "| peer-32 |"));
    cr_expect(there(&written, "results/usage_timeline.csv"));
    tempdir_remove(&sweep);
    tear_down(&written);
}

Test(study_report, tells_of_nothing)
{
    struct written written = write_report(0, 3, false, &without_gnuplot);
    expect_no_nan(&written);
    expect_both(&written, "0 of 4 runs are done, 4 missing");
    expect_both(&written, "No learning rate is searched yet");
    expect_both(&written, "Of 2 claims: 2 not measured");
    cr_expect_not(there(&written, "results/fig1-minima.csv"));
    tear_down(&written);
}

Test(study_report, tables_are_square)
{
    struct written written = write_report(2, 3, true, &without_gnuplot);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        char *text = read_table(&written, tables[i]);
        int rows = markup_check_csv(text);
        cr_expect_gt(rows, 1, "%s has no rows", tables[i]);
        cr_expect_not(strstr(text, "nan"), "%s", tables[i]);
        cr_expect_not(strstr(text, "inf"), "%s", tables[i]);
        free(text);
    }
    tear_down(&written);
}

Test(study_report, replaces_what_is_there)
{
    struct written written = write_report(2, 3, false, &without_gnuplot);
    cr_expect(there(&written, "results/fig1-minima.csv"));
    struct study_case none =
        study_case_make(&(struct study_case_config){.seeds = 0, .sizes = 3, .lost = false});
    none.report.info = &none.info;
    cr_assert_eq(lab_study_report_write(none.ctx, written.dir.path, &none.report, &without_gnuplot),
                 PEER_OK);
    cr_expect_not(there(&written, "results/fig1-minima.csv"));
    study_case_free(&none);
    tear_down(&written);
}

Test(study_report, effects_are_from_twins)
{
    struct study_case made =
        study_case_make(&(struct study_case_config){.seeds = 2, .sizes = 3, .lost = false});
    const struct lab_finding *finding = lab_findings_part(made.findings, "table2");
    cr_assert(finding);
    cr_expect_eq(lab_study_base(&finding->rows, 1), 3); /* peer-16: peer-16-none */
    cr_expect_eq(lab_study_base(&finding->rows, 2), 4);
    cr_expect_eq(lab_study_base(&finding->rows, 4), -1);
    struct lab_effect effect = lab_part_effect(&finding->rows, 1, 3, 0, 0);
    cr_expect_eq(effect.seeds, 2);
    double first = finding->rows.row[0].result->nats - finding->rows.row[2].result->nats;
    double second = finding->rows.row[1].result->nats - finding->rows.row[3].result->nats;
    cr_expect_float_eq(effect.mean, 0.5 * (first + second), 1e-12);
    finding = lab_findings_part(made.findings, "fig3a");
    cr_expect_eq(lab_study_base(&finding->rows, 2), 0);
    cr_expect_eq(lab_study_base(&finding->rows, 0), -1);
    study_case_free(&made);
}

Test(study_report, rule_of_a_cell)
{
    struct study_case made =
        study_case_make(&(struct study_case_config){.seeds = 1, .sizes = 3, .lost = false});
    struct lab_findings *f = made.findings;
    f->rates.width0 = 64; /* the cell's is 16: two octaves at -0.5 double the rate */
    cr_expect_float_eq(lab_study_ruled(f, &f->rates, &f->rates.cell[0]), 0.02, 1e-12);
    cr_expect(isnan(lab_study_ruled(f, &f->rates, &f->rates.cell[1])));
    f->rates.scale_rules = 1;
    f->rates.scale_rule[0] = (struct lab_scale_rule){.ffw = "pkm", .base = 1, .slope = 1};
    cr_expect_float_eq(lab_study_ruled(f, &f->rates, &f->rates.cell[1]), 2000, 1e-9);
    study_case_free(&made);
}

Test(study_report, powers_of_ten)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {{1.5e13, "1.5\xC3\x97"
                          "10\xC2\xB9\xC2\xB3"},
                 {9.999e9, "1\xC3\x97"
                           "10\xC2\xB9\xE2\x81\xB0"},
                 {2e-4, "2\xC3\x97"
                        "10\xE2\x81\xBB\xE2\x81\xB4"},
                 {0, "0"},
                 {NAN, "0"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[48];
        lab_power_text(text, cases[i].value);
        cr_expect_str_eq(text, cases[i].text);
    }
}

/* Beside the verdict, beside the part, and in the table. */
Test(study_report, shows_what_the_study_says_of_a_verdict)
{
    struct written written = {
        .dir = tempdir_create(),
        .made = study_case_make(&(struct study_case_config){.seeds = 3, .sizes = 3})};
    struct study_case *made = &written.made;
    const struct lab_claim *claim = &made->findings->claim[0];
    made->study->notes = 2;
    snprintf(made->study->note[0].on, sizeof made->study->note[0].on, "%.20s", claim->text);
    strcpy(made->study->note[0].text, "holds at this rate only");
    strcpy(made->study->note[1].on, "fig3a");
    strcpy(made->study->note[1].text, "measured at one rate");
    made->report.info = &made->info;
    cr_assert_eq(
        lab_study_report_write(made->ctx, written.dir.path, &made->report, &without_gnuplot),
        PEER_OK);
    written.page = read_file(&written, "report.html");
    written.results = read_file(&written, "RESULTS.md");
    char *csv = read_table(&written, "claims"), cell[160];
    snprintf(cell, sizeof cell, "%s<span class=\"range\">holds at this rate only</span>",
             lab_verdict_names[claim->verdict]);
    cr_expect(strstr(written.page, cell), "%s", cell);
    snprintf(cell, sizeof cell, "%s (holds at this rate only) |",
             lab_verdict_names[claim->verdict]);
    cr_expect(strstr(written.results, cell), "%s", cell);
    expect_both(&written, "measured at one rate");
    expect_both(&written, "with a note beside the verdict");
    cr_expect(strstr(csv, ",holds at this rate only\n"));
    free(csv);
    tear_down(&written);
}
