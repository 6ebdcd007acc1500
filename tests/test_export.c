/* SPDX-License-Identifier: MIT */
#include "experiments/report/export.h"

#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "experiments/report/csv.h"
#include "tests/support/failing.h"
#include "tests/support/synthetic.h"
#include "tests/support/tempdir.h"

static struct peer_ctx *new_ctx(void)
{
    struct peer_ctx *ctx = NULL;
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    return ctx;
}

static struct synthetic small_sweep(void)
{
    return synthetic_sweep(&(struct synthetic_config){
        .variants = 3, .budgets = 2, .sizes = 5, .seeds = 2, .noise = 0.003});
}

static char *read_table(const struct tempdir *dir, const char *name)
{
    struct tempfile file = tempdir_file(dir, name);
    size_t size;
    char *bytes = tempfile_read(&file, &size), *text = strndup(bytes, size);
    free(bytes);
    return text;
}

static int lines(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

Test(csv, cells_are_split_alike_by_all_readers)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    struct lab_csv row = {file, false};
    lab_csv_text(&row, "a \"b\", c\nd");
    lab_csv_text(&row, "");
    lab_csv_integer(&row, -7);
    lab_csv_number(&row, NAN);
    lab_csv_number(&row, 1e15 / 3);
    lab_csv_end(&row);
    fclose(file);
    cr_expect_str_eq(text, "\"a 'b', c d\",,-7,,3.333333333e+14\n");
    free(text);
}

Test(minima, are_those_of_the_law)
{
    struct synthetic sweep = synthetic_sweep(&(struct synthetic_config){
        .variants = 4, .budgets = 3, .sizes = 5, .seeds = 1, .noise = 0});
    struct peer_ctx *ctx = new_ctx();
    struct lab_minima *minima = NULL;
    cr_assert_eq(lab_minima_create(&minima, ctx, sweep.results, sweep.count), PEER_OK);
    cr_assert_eq(minima->variants, 4);
    cr_assert_eq(minima->budgets, 3);
    static const char *const order[] = {"dense", "peer-4k", "peer-16k", "pkm-4k"};
    static const int variant[] = {0, 2, 3, 1}; /* as the sweep numbers them */
    for (int i = 0; i < 12; i++) {
        const struct lab_curve *curve = &minima->curve[i];
        cr_expect_str_eq(curve->variant, order[i % 4]);
        double params = synthetic_params(variant[i % 4], curve->budget);
        double loss = synthetic_loss(variant[i % 4], curve->budget);
        cr_expect_eq(curve->budget, 1e13 * pow(4, i / 4));
        cr_expect_float_eq(curve->fit[LAB_ACTIVE].x, log10(params), 1e-9);
        cr_expect_float_eq(curve->fit[LAB_ACTIVE].y, loss, 1e-9);
        cr_expect_eq(curve->states[LAB_DONE], 5);
        cr_expect_eq(curve->seeds, 1);
        cr_expect_eq(curve->base, &minima->curve[i / 4 * 4]);
        double expected = i % 4 ? loss - synthetic_loss(0, curve->budget) : NAN;
        cr_expect(isnan(expected) ? isnan(curve->difference[LAB_ACTIVE].value)
                                  : fabs(curve->difference[LAB_ACTIVE].value - expected) < 1e-9);
    }
    lab_minima_destroy(&minima);
    cr_expect_null(minima);
    cr_expect_eq(peer_ctx_bytes(ctx), 0);
    peer_ctx_destroy(&ctx);
    synthetic_free(&sweep);
}

/* Runs that did not end in a finite loss are counted and stay out of the fits. */
Test(minima, leave_out_what_is_not_done)
{
    struct synthetic sweep = synthetic_sweep(&(struct synthetic_config){
        .variants = 2, .budgets = 1, .sizes = 5, .seeds = 1, .noise = 0});
    sweep.results[0].state = LAB_DIVERGED;
    sweep.results[0].nats = NAN;
    sweep.results[1].state = LAB_FAILED;
    sweep.results[1].nats = 0;
    sweep.results[5].nats = INFINITY;
    struct peer_ctx *ctx = new_ctx();
    struct lab_minima *minima = NULL;
    cr_assert_eq(lab_minima_create(&minima, ctx, sweep.results, sweep.count), PEER_OK);
    cr_expect_eq(minima->curve[0].fit[LAB_TOTAL].runs, 3);
    cr_expect_eq(minima->curve[0].states[LAB_DIVERGED], 1);
    cr_expect_eq(minima->curve[0].states[LAB_FAILED], 1);
    cr_expect_eq(minima->curve[1].fit[LAB_TOTAL].runs, 4);
    lab_minima_destroy(&minima);
    peer_ctx_destroy(&ctx);
    synthetic_free(&sweep);
}

/* The better of two dense variants, not the first. */
Test(minima, compare_with_the_best_dense_variant)
{
    struct synthetic sweep = synthetic_sweep(&(struct synthetic_config){
        .variants = 5, .budgets = 1, .sizes = 5, .seeds = 1, .noise = 0});
    struct peer_ctx *ctx = new_ctx();
    struct lab_minima *minima = NULL;
    cr_assert_eq(lab_minima_create(&minima, ctx, sweep.results, sweep.count), PEER_OK);
    for (int i = 0; i < 5; i++)
        cr_expect_str_eq(minima->curve[i].base->variant, "swiglu");
    cr_expect_str_eq(minima->curve[1].difference[LAB_ACTIVE].note, "the base");
    cr_expect_float_eq(minima->curve[0].difference[LAB_ACTIVE].value, 0.012, 1e-9);
    lab_minima_destroy(&minima);
    for (int i = 0; i < 25; i++)
        snprintf(sweep.results[i].ffw, sizeof sweep.results[i].ffw, "peer");
    cr_assert_eq(lab_minima_create(&minima, ctx, sweep.results, sweep.count), PEER_OK);
    cr_expect_null(minima->curve[1].base);
    cr_expect_str_eq(minima->curve[1].difference[LAB_TOTAL].note,
                     "no dense variant at this budget");
    lab_minima_destroy(&minima);
    peer_ctx_destroy(&ctx);
    synthetic_free(&sweep);
}

static enum peer_status create_minima(void **ret, struct peer_ctx *ctx, const void *config)
{
    const struct synthetic *sweep = config;
    return lab_minima_create((struct lab_minima **)ret, ctx, sweep->results, sweep->count);
}

static void destroy_minima(void **object)
{
    lab_minima_destroy((struct lab_minima **)object);
}

Test(minima, survive_every_failed_allocation)
{
    struct synthetic sweep = small_sweep();
    cr_expect_gt(failing_every_allocation(create_minima, destroy_minima, &sweep), 10);
    synthetic_free(&sweep);
}

Test(export, has_a_row_for_every_run_curve_and_block)
{
    struct synthetic sweep = small_sweep();
    struct peer_ctx *ctx = new_ctx();
    struct tempdir dir = tempdir_create();
    sweep.results[3].state = LAB_FAILED;
    snprintf(sweep.results[3].message, sizeof sweep.results[3].message, "no memory, \"really\"\n");
    sweep.results[0].facts = (struct lab_facts_score){50, 49, -1.5, 0.25, 2, 400, 0.75};
    struct tempfile folder = tempdir_file(&dir, "a/b");
    cr_assert_eq(lab_export_csv(ctx, folder.path, sweep.results, sweep.count, NULL), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    static const struct {
        const char *name;
        int rows;
    } tables[] = {{"a/b/runs.csv", 60},
                  {"a/b/utilization.csv", 40},
                  {"a/b/minima.csv", 12},
                  {"a/b/curves.csv", 12 * 65},
                  {"a/b/fits.csv", 3}};
    for (int i = 0; i < 5; i++) {
        char *text = read_table(&dir, tables[i].name);
        cr_expect_eq(lines(text), tables[i].rows + 1, "%s: %d", tables[i].name, lines(text));
        free(text);
    }
    char *runs = read_table(&dir, "a/b/runs.csv");
    cr_expect(strstr(runs, ",failed,") && strstr(runs, "\"no memory, 'really' \""));
    cr_expect(strstr(runs, ",,50,49,-1.5,0.25,2,400,0.75\n"), "of a run on facts");
    cr_expect(strstr(runs, ",,,,,,,,\n"), "of a run on another text");
    free(runs);
    char *fits = read_table(&dir, "a/b/fits.csv");
    cr_expect(strstr(fits, "\ndense,joint,active,,,,,,,,,,19,0,2,0,0,,,0,"
                           "\"2 budgets, 3 are needed to tell an exponent\","),
              "%s", fits);
    free(fits);
    tempdir_remove(&dir);
    peer_ctx_destroy(&ctx);
    synthetic_free(&sweep);
}

/* Five sizes, 0.2 apart in log10 parameters, the middle one 0.05 above the truth. */
Test(export, has_akima_beside_the_parabola)
{
    struct synthetic sweep = synthetic_sweep(&(struct synthetic_config){
        .variants = 1, .budgets = 1, .sizes = 5, .seeds = 1, .noise = 0});
    struct peer_ctx *ctx = new_ctx();
    struct tempdir dir = tempdir_create();
    cr_assert_eq(lab_export_csv(ctx, dir.path, sweep.results, sweep.count, NULL), PEER_OK);
    char *minima = read_table(&dir, "minima.csv");
    const char *end = strchr(strstr(minima, "dense,dense,1e+13,active,"), '\n');
    for (int cells = 0; cells < 4; cells += *end == ',')
        end--;
    double params = 0, loss = 0;
    cr_assert_eq(sscanf(end, ",1,,%lf,%lf", &params, &loss), 2, "%s", end);
    cr_expect_lt(fabs(params / synthetic_params(0, 1e13) - 1), 0.15, "%g", params);
    cr_expect_lt(fabs(loss - synthetic_loss(0, 1e13)), 2e-3, "%g", loss);
    free(minima);
    sweep.results[0].state = LAB_FAILED;
    cr_assert_eq(lab_export_csv(ctx, dir.path, sweep.results, sweep.count, NULL), PEER_OK);
    minima = read_table(&dir, "minima.csv");
    cr_expect(strstr(minima, ",the base,0,fewer than 5 sizes,,\n"), "%s", minima);
    free(minima);
    tempdir_remove(&dir);
    peer_ctx_destroy(&ctx);
    synthetic_free(&sweep);
}

Test(export, works_without_any_run)
{
    struct peer_ctx *ctx = new_ctx();
    struct tempdir dir = tempdir_create();
    cr_assert_eq(lab_export_csv(ctx, dir.path, NULL, 0, NULL), PEER_OK, "%s", peer_ctx_error(ctx));
    char *runs = read_table(&dir, "runs.csv");
    cr_expect_eq(lines(runs), 1);
    cr_expect_eq(strncmp(runs, "run,variant,", 12), 0);
    free(runs);
    tempdir_remove(&dir);
    peer_ctx_destroy(&ctx);
}

/* A limit on file sizes stands in for a full disk. */
Test(export, leaves_old_tables_whole_on_a_full_disk)
{
    struct synthetic sweep = small_sweep();
    struct peer_ctx *ctx = new_ctx();
    struct tempdir dir = tempdir_create();
    cr_assert_eq(lab_export_csv(ctx, dir.path, sweep.results, 7, NULL), PEER_OK);
    char *before = read_table(&dir, "runs.csv");
    int entries = tempdir_count(&dir);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit whole, limit;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &whole), 0);
    limit = whole;
    limit.rlim_cur = 6000;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    enum peer_status status = lab_export_csv(ctx, dir.path, sweep.results, sweep.count, NULL);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &whole), 0);
    cr_expect_eq(status, PEER_ERR_IO);
    cr_expect(strstr(peer_ctx_error(ctx), "runs.csv: cannot write: File too large"), "%s",
              peer_ctx_error(ctx));
    char *after = read_table(&dir, "runs.csv");
    cr_expect_str_eq(before, after);
    cr_expect_eq(tempdir_count(&dir), entries);
    free(before);
    free(after);
    tempdir_remove(&dir);
    peer_ctx_destroy(&ctx);
    synthetic_free(&sweep);
}

Test(export, names_the_folder_it_cannot_make)
{
    struct peer_ctx *ctx = new_ctx();
    struct tempdir dir = tempdir_create();
    struct tempfile file = tempdir_file(&dir, "file"), under = tempdir_file(&dir, "file/under");
    tempfile_write(&file, "x", 1);
    cr_expect_eq(lab_export_csv(ctx, under.path, NULL, 0, NULL), PEER_ERR_IO);
    cr_expect(strstr(peer_ctx_error(ctx), "/file"), "%s", peer_ctx_error(ctx));
    cr_expect(strstr(peer_ctx_error(ctx), "Not a directory"), "%s", peer_ctx_error(ctx));
    tempdir_remove(&dir);
    peer_ctx_destroy(&ctx);
}
