/* SPDX-License-Identifier: MIT */
/* Which runs of a sweep are one variant, and what a variant is called. */
#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/fits/minima.h"
#include "experiments/sweeps/store.h"
#include "experiments/sweeps/sweep_config.h"
#include "experiments/sweeps/variants.h"
#include "tests/support/run_case.h"

static struct peer_ctx *ctx;
static struct tempdir dir, folder;
static struct lab_store *store;
static struct lab_result *rows;
static int64_t count;

static void set_up(void)
{
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    dir = tempdir_create();
    folder = tempdir_create();
    struct lm_dataset data = run_case_data(ctx, &dir, 400, 61);
    lm_dataset_close(&data);
}

static void tear_down(void)
{
    lab_results_free(&rows, count);
    lab_store_close(&store);
    tempdir_remove(&folder);
    tempdir_remove(&dir);
    peer_ctx_destroy(&ctx);
}

TestSuite(variants, .init = set_up, .fini = tear_down);

#define OK(call) cr_assert_eq((call), PEER_OK, "%s", peer_ctx_error(ctx))

/* Plans a sweep into the store; '@' stands for the folder of the data. */
static void plan(const char *text)
{
    struct lab_plan list;
    struct tempfile file = tempdir_file(&dir, "sweep.yaml");
    FILE *stream = fopen(file.path, "w");
    cr_assert(stream);
    for (; *text; text++)
        if (*text == '@')
            fputs(dir.path, stream);
        else
            fputc(*text, stream);
    cr_assert_eq(fclose(stream), 0);
    OK(lab_plan_read(&list, ctx, file.path));
    if (!store)
        OK(lab_store_open(&store, ctx, folder.path, true));
    for (int64_t i = 0; i < list.count; i++) {
        int64_t id;
        OK(lab_store_add(store, &id, &list.runs[i].config, list.runs[i].flops));
    }
    lab_plan_free(&list);
}

/* What an older program left: the same runs, and no word of what belongs together. */
static void forget(void)
{
    sqlite3 *db;
    struct tempfile file = tempdir_file(&folder, "sweep.db");
    lab_results_free(&rows, count);
    lab_store_close(&store);
    cr_assert_eq(sqlite3_open(file.path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "DROP VIEW results; DROP TABLE settings", NULL, NULL, NULL),
                 SQLITE_OK);
    sqlite3_close(db);
    OK(lab_store_open(&store, ctx, folder.path, false));
}

static void read_rows(void)
{
    lab_results_free(&rows, count);
    OK(lab_store_results(store, &rows, &count));
}

static int64_t runs_of(const char *variant)
{
    int64_t runs = 0;
    for (int64_t i = 0; i < count; i++)
        runs += !strcmp(rows[i].variant, variant);
    return runs;
}

static void expect_variants(int64_t expected)
{
    int64_t variants = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t j = 0;
        while (strcmp(rows[j].variant, rows[i].variant) != 0)
            j++;
        variants += i == j;
    }
    cr_expect_eq(variants, expected, "%lld", (long long)variants);
    for (int64_t i = 0; variants != expected && i < count; i++)
        cr_log_info("%s: width %lld, seed %lld", rows[i].variant, (long long)rows[i].width,
                    (long long)rows[i].seed);
}

#define SIZES "sizes: [{width: 8, blocks: 1}, {width: 64, blocks: 2}]\n"
#define PEER "variants: [{name: p, ffw: peer, options: {experts: 49, heads: 2, kept: 3}}]\n"
#define MODEL "model: {context: 9, vocab: 11}\n"

/* Widths 8 and 64 have other heads, hidden widths and query widths by default. */
Test(variants, sizes_budgets_and_seeds_are_one_variant)
{
    plan("data: @\nbudgets: [2e8, 5e8]\nseeds: [1, 2]\n" SIZES PEER MODEL);
    read_rows();
    expect_variants(1);
    cr_expect_eq(runs_of("p"), 8);
    forget();
    read_rows();
    cr_expect_eq(runs_of("p"), 8);
}

Test(variants, another_rate_is_another_variant_even_with_another_seed)
{
    plan("data: @\nbudgets: [2e8]\n" SIZES PEER MODEL "train: {lr: 0.004}\n");
    plan("data: @\nbudgets: [2e8]\nseeds: [7]\n" SIZES PEER MODEL "train: {lr: 0.0001}\n");
    for (int old = 0; old < 2; old++) {
        read_rows();
        expect_variants(2);
        cr_expect_eq(runs_of("p (lr 0.004)"), 2);
        cr_expect_eq(runs_of("p (lr 0.0001)"), 2);
        cr_expect_str_eq(rows[0].name, "p");
        if (!old)
            forget();
    }
}

/* Nothing of a recorded plan is one variant by chance: not at another size, nor another budget. */
Test(variants, another_rate_at_other_sizes_is_another_variant)
{
    plan("data: @\nbudgets: [2e8]\nsizes: [{width: 8, blocks: 1}]\n" PEER MODEL
         "train: {lr: 0.004}\n");
    plan("data: @\nbudgets: [5e8]\nsizes: [{width: 16, blocks: 1}]\n" PEER MODEL
         "train: {lr: 0.0001}\n");
    read_rows();
    cr_expect_eq(runs_of("p (lr 0.004)"), 1);
    cr_expect_eq(runs_of("p (lr 0.0001)"), 1);
}

Test(variants, what_a_size_has_of_its_own_belongs_to_it)
{
    plan("data: @\nbudgets: [2e8]\n" SIZES PEER MODEL "train: {lr: 0.004}\n");
    plan("data: @\nbudgets: [2e8]\nsizes: [{width: 8, blocks: 1}, {width: 64, blocks: 2},\n"
         "  {width: 72, blocks: 2, heads: 2, train: {lr: 0.001}}]\n" PEER MODEL
         "train: {lr: 0.004}\n");
    read_rows();
    expect_variants(1);
    cr_expect_eq(runs_of("p"), 3);
    forget();
    read_rows();
    expect_variants(1);
}

/* The size's own rate was edited: two rows of one place differ. */
Test(variants, two_rates_of_one_size_are_never_pooled)
{
    plan(
        "data: @\nbudgets: [2e8]\nsizes: [{width: 8, blocks: 1, train: {lr: 0.002}}]\n" PEER MODEL);
    plan(
        "data: @\nbudgets: [2e8]\nsizes: [{width: 8, blocks: 1, train: {lr: 0.001}}]\n" PEER MODEL);
    read_rows();
    cr_expect_eq(runs_of("p (lr 0.002)"), 1);
    cr_expect_eq(runs_of("p (lr 0.001)"), 1);
}

Test(variants, options_types_and_training_tell_apart)
{
    plan("data: @\nbudgets: [2e8]\n" SIZES PEER MODEL);
    plan("data: @\nbudgets: [2e8]\n" SIZES
         "variants: [{name: p, ffw: peer, options: {experts: 64, heads: 2, kept: 3}}]\n" MODEL);
    plan("data: @\nbudgets: [2e8]\n" SIZES PEER MODEL "train: {clip: 0.5, usage_points: 4}\n");
    plan("data: @\nbudgets: [2e8]\n" SIZES "variants: [{name: p, ffw: dense}]\n" MODEL);
    read_rows();
    expect_variants(4);
    for (int64_t i = 0; i < count; i++)
        cr_expect(strstr(rows[i].variant, "p (ffw ") == rows[i].variant, "%s", rows[i].variant);
    cr_expect_eq(runs_of("p (ffw peer, experts 49, clip 0.5, usage_points 4)"), 2);
    cr_expect_eq(runs_of("p (ffw peer, experts 64, clip 1, no usage_points)"), 2);
}

/* A default that follows the width is not the same as its value written down. */
Test(variants, a_default_that_is_written_down_stays_one_variant)
{
    plan("data: @\nbudgets: [2e8]\nsizes: [{width: 8, blocks: 1}, {width: 16, blocks: 1}]\n"
         "variants: [{name: d, ffw: dense, options: {hidden: 32}}]\n" MODEL "train: {lr: 0.003}\n");
    read_rows();
    expect_variants(1);
}

Test(variants, names_that_look_the_same_are_numbered)
{
    plan("data: @\nbudgets: [2e8]\n" SIZES
         "variants: [{name: p, ffw: dense}, {name: \"p (lr 0.5)\", ffw: dense}]\n" MODEL);
    plan("data: @\nbudgets: [2e8]\n" SIZES "variants: [{name: p, ffw: dense}]\n" MODEL
         "train: {lr: 0.5}\n");
    read_rows();
    expect_variants(3);
}

/* Run files that others wrote may have fields of any length; a name ends where its room does, once,
 * and what is cut alike is numbered. */
Test(variants, names_end_with_their_room)
{
    enum { FIELDS = 4, MOST = 200 };
    char text[2][FIELDS * MOST + 32];
    for (int length = 1; length < 160; length++) {
        struct lab_result row[2] = {{.name = "a name of its own \xe2\x82\xac"}, {.name = ""}};
        struct lab_variant_source source[2] = {{.config = text[0], .key = 1},
                                               {.config = text[1], .key = 2}};
        strcpy(row[1].name, row[0].name);
        for (int i = 0; i < 2; i++) {
            size_t used = (size_t)sprintf(text[i], "train:\n");
            for (int f = 0; f < FIELDS; f++)
                used += (size_t)sprintf(text[i] + used, "  %c%0*d: %d\n", 'a' + f, length, 0, i);
        }
        OK(lab_variants_tell_apart(row, ctx, source, 2));
        cr_expect_str_neq(row[0].variant, row[1].variant);
        for (int i = 0; i < 2; i++) {
            const char *mark = strstr(row[i].variant, "..");
            cr_expect_lt(strlen(row[i].variant), sizeof row[i].variant);
            cr_expect(!mark || !strstr(mark + 2, ".."), "%s", row[i].variant);
        }
    }
}

/* What runs are grouped by is what fits group by. */
Test(variants, fits_do_not_count_them_as_seeds)
{
    plan("data: @\nbudgets: [2e8]\n" SIZES PEER MODEL "train: {lr: 0.004}\n");
    plan("data: @\nbudgets: [2e8]\n" SIZES PEER MODEL "train: {lr: 0.0001}\n");
    read_rows();
    for (int64_t i = 0; i < count; i++) {
        rows[i].state = LAB_DONE;
        rows[i].nats = 3;
        rows[i].params_active = rows[i].params_total = 1000 * rows[i].width;
    }
    struct lab_minima *minima = NULL;
    OK(lab_minima_create(&minima, ctx, rows, count));
    cr_assert_eq(minima->variants, 2);
    for (int v = 0; v < 2; v++) {
        cr_expect_eq(minima->curve[v].states[LAB_DONE], 2);
        cr_expect_eq(minima->curve[v].seeds, 1);
    }
    lab_minima_destroy(&minima);
}
