/* SPDX-License-Identifier: MIT */
/* What cannot be told is no absence: every reader of a file that may be missing gives an error
 * where the name is a ring of links, which cannot be followed, and none where there is no such
 * file, or a file where its folder should be. */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "experiments/base/output_check.h"
#include "experiments/facts/describe.h"
#include "experiments/report/usage_timeline.h"
#include "experiments/runs/run_result.h"
#include "experiments/runs/run_tokenizer.h"
#include "experiments/runs/usage_track.h"
#include "experiments/sweeps/store_rebuild.h"
#include "experiments/yaml/yaml_place.h"
#include "lm/dataset.h"
#include "nn/file.h"
#include "tests/support/tempdir.h"

static struct peer_ctx *ctx;
static struct tempdir dir;

static void set_up(void)
{
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    dir = tempdir_create();
}

static void tear_down(void)
{
    tempdir_remove(&dir);
    peer_ctx_destroy(&ctx);
}

TestSuite(absence, .init = set_up, .fini = tear_down);

static void make_ring(const char *name)
{
    struct tempfile file = tempdir_file(&dir, name);
    cr_assert_eq(symlink(name, file.path), 0);
}

/* An error that names the file. */
static void expect_said(enum peer_status status, const char *name)
{
    cr_expect_eq(status, PEER_ERR_IO, "%s", name);
    cr_expect(strstr(peer_ctx_error(ctx), name), "%s", peer_ctx_error(ctx));
}

Test(absence, is_told_from_what_cannot_be_told)
{
    struct tempfile file = tempdir_file(&dir, "file"), below = tempdir_file(&dir, "file/below"),
                    none = tempdir_file(&dir, "none"), ring = tempdir_file(&dir, "ring");
    bool there = false;
    FILE *stream = NULL;
    tempfile_write(&file, "x", 1);
    make_ring("ring");
    cr_expect_eq(peer_file_there(&there, ctx, NULL, file.path), PEER_OK);
    cr_expect(there);
    cr_expect_eq(peer_file_there(&there, ctx, NULL, none.path), PEER_OK);
    cr_expect_not(there);
    there = true;
    cr_expect_eq(peer_file_there(&there, ctx, NULL, below.path), PEER_OK);
    cr_expect_not(there);
    expect_said(peer_file_there(&there, ctx, "who", ring.path), "who: ");
    cr_assert_eq(peer_file_stream(&stream, ctx, NULL, file.path), PEER_OK);
    cr_assert(stream);
    cr_expect_eq(fgetc(stream), 'x');
    fclose(stream);
    cr_expect_eq(peer_file_stream(&stream, ctx, NULL, none.path), PEER_OK);
    cr_expect_null(stream);
    expect_said(peer_file_stream(&stream, ctx, NULL, ring.path), ring.path);
}

Test(absence, of_a_description_makes_a_folder_plain)
{
    struct lm_dataset data;
    make_ring("data.json");
    expect_said(lm_dataset_open(&data, ctx, dir.path, 9, LM_DTYPE_AUTO), "data.json");
}

Test(absence, of_facts_means_a_text_without)
{
    struct lab_facts *facts = NULL;
    cr_expect_eq(lab_facts_open(&facts, ctx, dir.path), PEER_OK);
    cr_expect_null(facts);
    make_ring("facts.json");
    expect_said(lab_facts_open(&facts, ctx, dir.path), "facts.json");
}

Test(absence, of_a_result_means_a_run_to_be_trained)
{
    bool finished = true;
    cr_expect_eq(lab_run_finished(&finished, ctx, dir.path), PEER_OK);
    cr_expect_not(finished);
    make_ring("result.json");
    expect_said(lab_run_finished(&finished, ctx, dir.path), "result.json");
}

Test(absence, of_a_tokenizer_is_found)
{
    bool kept = true;
    cr_expect_eq(lab_is_run_tokenizer(&kept, ctx, dir.path), PEER_OK);
    cr_expect_not(kept);
    make_ring("data.json");
    expect_said(lab_is_run_tokenizer(&kept, ctx, dir.path), "data.json");
}

Test(absence, of_marks_makes_a_folder_free)
{
    cr_expect_eq(lab_output_check_folder(ctx, dir.path, LAB_HOLDS_ANY), PEER_OK);
    make_ring("train.bin");
    expect_said(lab_output_check_folder(ctx, dir.path, LAB_HOLDS_ANY), "train.bin");
}

Test(absence, of_a_track_is_no_error)
{
    static const char *const suffixes[] = {".csv", "-maps.txt", "-lorenz.csv"};
    struct lab_stage stage;
    struct lab_tracked tracked;
    struct tempfile out = tempdir_file(&dir, "out"), stem = tempdir_file(&dir, "usage-1");
    const struct lab_track track = {.name = "a", .experts = 4, .side = 2, .stem = stem.path};
    cr_assert_eq(lab_stage_open(&stage, ctx, out.path), PEER_OK);
    cr_expect_eq(lab_track_tables(&tracked, &stage, "tables", &track, 1), PEER_OK);
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "usage-1%s", suffixes[i]);
        struct tempfile file = tempdir_file(&dir, name);
        make_ring(name);
        expect_said(lab_track_tables(&tracked, &stage, "tables", &track, 1), name);
        unlink(file.path);
        cr_assert_eq(mkdir(file.path, 0777), 0); /* opens, and cannot be read */
        expect_said(lab_track_tables(&tracked, &stage, "tables", &track, 1), name);
        rmdir(file.path);
    }
    lab_stage_discard(&stage);
}

/* A store made again without its runs would train them all again. */
Test(absence, of_runs_alone_makes_an_empty_store)
{
    struct lab_store *store = NULL;
    int64_t taken;
    cr_assert_eq(lab_store_open(&store, ctx, dir.path, true), PEER_OK);
    cr_expect_eq(lab_store_rebuild(store, ctx, dir.path, &taken), PEER_OK);
    make_ring("runs");
    expect_said(lab_store_rebuild(store, ctx, dir.path, &taken), "runs");
    lab_store_close(&store);
}

/* The place beside the file is taken, and opening it says what is wrong, not another file read. */
Test(absence, of_a_place_is_not_guessed)
{
    struct tempfile ring = tempdir_file(&dir, "ring"), none = tempdir_file(&dir, "none");
    make_ring("ring");
    cr_expect(lab_yaml_place_exists(ring.path));
    cr_expect_not(lab_yaml_place_exists(none.path));
}

Test(absence, of_earlier_points_begins_a_track)
{
    static const char *const names[] = {"usage-1.used", "usage-1-maps.txt", "usage-1.csv"};
    const struct peer_routing routing = {.experts = 4, .side = 2};
    struct lm_usage *usage = NULL;
    cr_assert_eq(lm_usage_create(&usage, ctx, &routing), PEER_OK);
    for (int i = 0; i < 3; i++) {
        struct tempfile file = tempdir_file(&dir, names[i]);
        make_ring(names[i]);
        expect_said(lab_track_add(ctx, dir.path, 1, 0, 0, usage), names[i]);
        unlink(file.path);
    }
    cr_expect_eq(lab_track_add(ctx, dir.path, 1, 0, 0, usage), PEER_OK, "%s", peer_ctx_error(ctx));
    lm_usage_destroy(&usage);
}
