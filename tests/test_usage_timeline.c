/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/report/figures.h"
#include "tests/support/tempdir.h"

static struct peer_ctx *ctx;
static struct tempdir dir;
static struct lab_stage stage;
static struct lab_tracked tracked;

static void set_up(void)
{
    struct tempfile folder;
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    dir = tempdir_create();
    folder = tempdir_file(&dir, "out");
    cr_assert_eq(lab_stage_open(&stage, ctx, folder.path), PEER_OK, "%s", peer_ctx_error(ctx));
}

static void tear_down(void)
{
    lab_stage_discard(&stage);
    tempdir_remove(&dir);
    peer_ctx_destroy(&ctx);
}

TestSuite(usage_timeline, .init = set_up, .fini = tear_down);

static void put(const char *name, const char *text)
{
    struct tempfile file = tempdir_file(&dir, name);
    tempfile_write(&file, text, strlen(text));
}

static void put_table(const char *name, const char *header, const char *rows)
{
    char text[4000];
    snprintf(text, sizeof text, "%s\n%s", header, rows);
    put(name, text);
}

/* A table of the stage. */
static void expect_table(const char *name, const char *expected)
{
    char path[LAB_STAGE_PATH], text[4000];
    cr_assert_eq(lab_stage_path(&stage, path, name), PEER_OK);
    FILE *file = fopen(path, "r");
    cr_assert(file, "%s", path);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    cr_expect_str_eq(text, expected);
}

/* Blocks 1 (a grid of 2 x 2) and 3 (three experts) of one run. */
static void write_tables(void)
{
    static struct tempfile stems[2];
    stems[0] = tempdir_file(&dir, "usage-1");
    stems[1] = tempdir_file(&dir, "usage-3");
    const struct lab_track tracks[] = {
        {.name = "a",
         .number = 2,
         .run = 7,
         .block = 1,
         .experts = 4,
         .side = 2,
         .stem = stems[0].path},
        {.name = "a", .number = 2, .run = 7, .block = 3, .experts = 3, .stem = stems[1].path}};
    cr_assert_eq(lab_track_tables(&tracked, &stage, "tables", tracks, 2), PEER_OK, "%s",
                 peer_ctx_error(ctx));
}

static const char lorenz[] = "experts_share,score_share,count_share";

Test(usage_timeline, tables_have_worked_values)
{
    put_table("usage-1.csv", lab_track_columns,
              "0,0,9,1,1,0,0,1,0.5,0,0,0\n4,64,9,,1,,0,1,,0,0,0\n");
    put_table("usage-3.csv", lab_track_columns, "0,0,9,1,1,0,0,1,0,0,0,0\n");
    put("usage-1-maps.txt", "# step 0\n1 4\n3 0\n\n\n# step 4\n2 2\n2 2\n\n\n");
    put("usage-3-maps.txt", "# step 0\n1 4 5\n\n\n");
    put_table("usage-1-lorenz.csv", lorenz, "0,0,0\n1,1,1\n");
    write_tables();
    cr_expect_eq(tracked.timelines, 2);
    cr_expect_eq(tracked.maps, 2);
    cr_expect_eq(tracked.curves, 1);
    cr_expect_eq(tracked.unread, 0);
    char rows[1000];
    snprintf(rows, sizeof rows,
             "variant,number,budget_flops,run,block,%s\na,2,0,7,1,0,0,9,1,1,0,0,1,0.5,0,0,0\n"
             "a,2,0,7,1,4,64,9,,1,,0,1,,0,0,0\na,2,0,7,3,0,0,9,1,1,0,0,1,0,0,0,0\n",
             lab_track_columns);
    expect_table("tables/usage_timeline.csv", rows);
    expect_table("tables/usage_steps.csv", "variant,budget_flops,run,block,side,cell,step\n"
                                           "a,0,7,1,2,1,0\na,0,7,1,2,1,4\n");
    expect_table("tables/usage_step_maps.csv", "0.5,2\n1.5,0\n\n\n1,1\n1,1\n");
    expect_table("tables/usage_lorenz.csv",
                 "variant,number,budget_flops,run,block,experts_share,score_share,count_share\n"
                 "a,2,0,7,1,0,0,0\na,2,0,7,1,1,1,1\n");
}

/* 129 sub-keys in cells of 2: the last row and column have one, so half and a quarter of the
 * experts of a whole cell. */
Test(usage_timeline, cells_at_the_edge_are_smaller)
{
    enum { SIDE = 129, CELLS = 65 };
    cr_assert_eq(lab_track_cell(SIDE), 2);
    struct tempfile stem = tempdir_file(&dir, "usage-0"),
                    file = tempdir_file(&dir, "usage-0-maps.txt");
    FILE *out = fopen(file.path, "w");
    fputs("# step 9\n", out);
    for (int i = 0; i < CELLS; i++) /* every expert three times */
        for (int j = 0; j < CELLS; j++)
            fprintf(out, "%d%c", 12 / (1 + (i == CELLS - 1)) / (1 + (j == CELLS - 1)),
                    j + 1 < CELLS ? ' ' : '\n');
    fputs("\n\n", out);
    fclose(out);
    const struct lab_track track = {
        .name = "a", .number = 1, .experts = SIDE * SIDE, .side = SIDE, .stem = stem.path};
    cr_assert_eq(lab_track_tables(&tracked, &stage, "tables", &track, 1), PEER_OK);
    cr_expect_eq(tracked.maps, 1);
    char path[LAB_STAGE_PATH];
    cr_assert_eq(lab_stage_path(&stage, path, "tables/usage_step_maps.csv"), PEER_OK);
    FILE *in = fopen(path, "r");
    int cells = 0;
    for (double value; fscanf(in, "%lf,", &value) == 1; cells++)
        cr_expect_eq(value, 1);
    fclose(in);
    cr_expect_eq(cells, CELLS * CELLS);
}

Test(usage_timeline, chooses_steps_from_first_to_last)
{
    char text[600] = "", expected[600] = "variant,budget_flops,run,block,side,cell,step\n";
    for (int step = 0; step < 12; step++)
        sprintf(text + strlen(text), "# step %d\n1 1\n1 1\n\n\n", step);
    put("usage-1-maps.txt", text);
    write_tables();
    cr_expect_eq(tracked.maps, LAB_MOST_STEPS);
    static const int chosen[] = {0, 2, 4, 7, 9, 11}; /* of 11 j / 5, the nearest */
    for (int i = 0; i < 6; i++)
        sprintf(expected + strlen(expected), "a,0,7,1,2,1,%d\n", chosen[i]);
    expect_table("tables/usage_steps.csv", expected);
}

Test(usage_timeline, what_holds_something_else_is_counted)
{
    write_tables();
    cr_expect_eq(tracked.unread, 0, "files may be missing");
    static const char *const maps[] = {"", "# step 0\n1 2 3\n\n\n", "# step 0\n1 2\n3 4 5\n\n\n",
                                       "# step 0\n1 2\n3 x\n\n\n"};
    for (int i = 0; i < 4; i++) {
        put("usage-1-maps.txt", maps[i]);
        write_tables();
        cr_expect_eq(tracked.unread, 1, "%s", maps[i]);
        cr_expect_eq(tracked.maps, 0);
    }
    put_table("usage-1.csv", "step,other", "1,2\n");
    put_table("usage-1-lorenz.csv", "", "");
    write_tables();
    cr_expect_eq(tracked.unread, 3);
    cr_expect_eq(tracked.timelines + tracked.curves, 0);
}

/* A file of somebody's run does not decide how much memory is taken. */
Test(usage_timeline, a_line_without_end_ends_the_file)
{
    enum { LONG = 1 << 20 };
    char *text = malloc(LONG + 4000), header[1000];
    put_table("usage-1-lorenz.csv", lorenz, "0,0,0\n1,1,1\n");
    put("usage-1-maps.txt", "# step 0\n1 4\n3 0\n\n\n");
    sprintf(text, "%s\n0,0,9,1,1,0,0,1,0.5,0,0,0\n", lab_track_columns);
    size_t kept = strlen(text);
    memset(text + kept, '1', LONG);
    strcpy(text + kept + LONG, "\n4,64,9,,1,,0,1,,0,0,0\n");
    put("usage-1.csv", text);
    write_tables();
    cr_expect_eq(tracked.unread, 1);
    cr_expect_eq(tracked.timelines + tracked.curves, 2);
    snprintf(header, sizeof header,
             "variant,number,budget_flops,run,block,%s\na,2,0,7,1,0,0,9,1,1,0,0,1,0.5,0,0,0\n",
             lab_track_columns);
    expect_table("tables/usage_timeline.csv", header);
    sprintf(text, "# step 0\n1 4\n");
    memset(text + strlen(text), '3', LONG);
    put("usage-1-maps.txt", text);
    write_tables();
    cr_expect_eq(tracked.unread, 2);
    cr_expect_eq(tracked.maps, 0);
    free(text);
}

Test(usage_timeline, figures_are_drawn)
{
    static const enum lab_figure_id ids[] = {LAB_FIGURE_TIMELINE, LAB_FIGURE_STEPS,
                                             LAB_FIGURE_LORENZ};
    if (system("gnuplot --version >/dev/null 2>&1"))
        cr_skip_test("gnuplot is not installed");
    /* One step only, and a measure without a value. */
    put_table("usage-1.csv", lab_track_columns, "0,0,9,,1,,0,1,,0,0,0\n");
    put("usage-1-maps.txt", "# step 0\n1 4\n3 0\n\n\n");
    put_table("usage-1-lorenz.csv", lorenz, "0,,0\n0.5,,0.25\n1,,1\n");
    write_tables();
    for (int i = 0; i < 3; i++) {
        char note[512] = "";
        cr_assert_eq(lab_figure_one_draw(&stage, ids[i], 2, "one.svg", note, sizeof note), PEER_OK);
        cr_expect_str_eq(note, "", "%s", note);
    }
}
