/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "experiments/runs/usage_track.h"
#include "tests/support/run_case.h"
#include "tests/support/run_lab.h"

static struct run_lab lab;

static void set_up(void)
{
    run_lab_open(&lab);
}

static void tear_down(void)
{
    run_lab_close(&lab);
}

TestSuite(usage_track, .init = set_up, .fini = tear_down);

/* Columns of one line of usage-1.csv, as documented. */
struct track_row {
    long long step, tokens, counted;
    double score_used, count_used, score_unevenness, count_unevenness, top1, overlap, born_dead,
        died, revived;
};

/* Reads usage-1.csv of a run; returns the number of rows. */
static int read_track(const char *name, struct track_row *rows, int most)
{
    char line[400];
    FILE *file = fopen(run_lab_file(&lab, name, "usage-1.csv").path, "r");
    int count = 0;
    cr_assert(file && fgets(line, sizeof line, file));
    cr_assert(!strncmp(line, lab_track_columns, strlen(lab_track_columns)), "%s", line);
    while (fgets(line, sizeof line, file)) {
        cr_assert_lt(count, most);
        struct track_row *r = &rows[count++];
        cr_assert_eq(sscanf(line, "%lld,%lld,%lld,%lf,%lf,%lf,%lf,%lf,%lf,%lf,%lf,%lf", &r->step,
                            &r->tokens, &r->counted, &r->score_used, &r->count_used,
                            &r->score_unevenness, &r->count_unevenness, &r->top1, &r->overlap,
                            &r->born_dead, &r->died, &r->revived),
                     12, "%s", line);
    }
    fclose(file);
    return count;
}

static void expect_same_track(const char *a, const char *b)
{
    run_lab_same_file(&lab, a, b, "usage-1.csv");
    run_lab_same_file(&lab, a, b, "usage-1.used");
    run_lab_same_file(&lab, a, b, "usage-1-maps.txt");
    run_lab_same_file(&lab, a, b, "usage-1-lorenz.csv");
}

/* 12 steps at 5 points: 0, 1, 12^(1/3) = 2.3, 12^(2/3) = 5.2, 12. */
Test(usage_track, utilization_is_tracked_and_changes_nothing)
{
    static const int steps[] = {0, 1, 2, 5, 12};
    struct track_row rows[8];
    size_t sizes[2];
    struct lab_result result;
    struct tempfile folder = tempdir_file(&lab.dir, "tracked"),
                    none = run_lab_file(&lab, "plain", "usage-1.csv");
    lab.config.train.lr = 0.05F; /* what is used moves */
    run_lab_whole(&lab, "plain");
    lab.config.train.usage_points = 5;
    run_lab_whole(&lab, "tracked");
    char *left = run_lab_tensors(&lab, "plain", &sizes[0]),
         *right = run_lab_tensors(&lab, "tracked", &sizes[1]);
    cr_expect(sizes[0] == sizes[1] && !memcmp(left, right, sizes[0]));
    free(left);
    free(right);
    cr_expect_neq(access(none.path, F_OK), 0);
    cr_assert_eq(read_track("tracked", rows, 8), 5);
    double most_died = 0;
    for (int i = 0; i < 5; i++) {
        cr_expect_eq(rows[i].step, steps[i]);
        cr_expect_eq(rows[i].tokens, steps[i] * 4 * RUN_CASE_CONTEXT);
        cr_expect_eq(rows[i].counted, 60);
        cr_expect_float_eq(rows[i].count_used + rows[i].born_dead + rows[i].died, 1, 1e-9);
        cr_expect_leq(rows[i].born_dead, i ? rows[i - 1].born_dead : 1);
        cr_expect(rows[i].overlap >= 0 && rows[i].overlap < 1);
        most_died = fmax(most_died, rows[i].died);
    }
    cr_expect_eq(rows[0].died, 0);
    cr_expect_eq(rows[0].revived, 0);
    cr_expect_gt(most_died, 0);
    cr_assert_eq(lab_run_result(&result, lab.ctx, folder.path), PEER_OK);
    cr_expect_float_eq(rows[4].score_unevenness, result.usage->report.score.unevenness, 1e-9);
    cr_expect_float_eq(rows[4].count_used, result.usage->report.count.used, 1e-9);
    cr_expect_float_eq(rows[4].overlap, result.usage->report.head_overlap, 1e-9);
    lab_result_free(&result);
}

Test(usage_track, a_stop_at_any_step_leaves_the_same_track)
{
    lab.config.train.usage_points = 7;
    lab.config.train.usage_tokens = 37;
    run_lab_whole(&lab, "whole");
    for (int64_t step = 0; step <= RUN_LAB_STEPS; step++)
        run_lab_stopped(&lab, "parts", (struct run_stopper){.step = step});
    run_lab_whole(&lab, "parts");
    run_lab_same_end(&lab, "whole", "parts");
    expect_same_track("whole", "parts");
    /* A kill after points that are later than the checkpoint. */
    static const char *const files[] = {"usage-1.csv", "usage-1.used", "usage-1-maps.txt"};
    run_lab_stopped(&lab, "killed", (struct run_stopper){.step = 2});
    for (int i = 0; i < 3; i++) {
        size_t size;
        struct tempfile from = run_lab_file(&lab, "whole", files[i]),
                        to = run_lab_file(&lab, "killed", files[i]);
        char *bytes = tempfile_read(&from, &size);
        tempfile_write(&to, bytes, size);
        free(bytes);
    }
    run_lab_whole(&lab, "killed");
    expect_same_track("whole", "killed");
}

Test(usage_track, a_damaged_track_is_named)
{
    static const char *const files[] = {"usage-1.used", "usage-1-maps.txt", "usage-1.csv"};
    lab.config.train.usage_points = 3;
    for (int i = 0; i < 3; i++) {
        size_t size;
        char name[] = "a";
        name[0] = (char)('a' + i);
        run_lab_stopped(&lab, name, (struct run_stopper){.step = 3});
        struct tempfile file = run_lab_file(&lab, name, files[i]);
        char *bytes = tempfile_read(&file, &size);
        tempfile_write(&file, bytes, i ? 0 : size - 1);
        run_lab_fails(&lab, name, PEER_ERR_FORMAT, files[i]);
        cr_expect(strstr(peer_ctx_error(lab.ctx), "before step 12"), "%s", peer_ctx_error(lab.ctx));
        cr_assert_eq(remove(file.path), 0);
        run_lab_fails(&lab, name, PEER_ERR_FORMAT, files[i ? i : 1]);
        tempfile_write(&file, bytes, size);
        free(bytes);
        run_lab_whole(&lab, name);
    }
}

/* Weights that decay by 10 times their size grow by the factor 9 in each step. */
Test(usage_track, a_run_that_diverges_keeps_its_points)
{
    struct lab_result result;
    struct track_row rows[3];
    struct tempfile folder = tempdir_file(&lab.dir, "a");
    lab.config.train.lr = 1;
    lab.config.train.warmup = 0;
    lab.config.train.optim.weight_decay = 10;
    lab.config.train.steps = 400;
    lab.config.train.usage_points = 3;
    run_lab_whole(&lab, "a");
    cr_assert_eq(lab_run_result(&result, lab.ctx, folder.path), PEER_OK);
    cr_expect_eq(result.state, LAB_DIVERGED);
    cr_expect_eq(result.usages, 0);
    cr_expect_eq(read_track("a", rows, 3), 2, "steps 0 and 1");
    lab_result_free(&result);
}
