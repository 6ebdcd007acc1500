/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "experiments/cli/command.h"
#include "experiments/data/corpus.h"
#include "lm/dataset.h"
#include "tests/support/data_job.h"
#include "tests/support/failing.h"

static const struct lab_work work = {.show = false};
static struct data_place place;

static void setup(void)
{
    place = data_place_create();
}

static void teardown(void)
{
    data_place_remove(&place);
}

TestSuite(refusals, .init = setup, .fini = teardown);

Test(refusals, text_that_does_not_do_is_refused)
{
    static const struct {
        const char *text;
        int64_t vocab;
        const char *says;
    } cases[] = {
        {"", 0, "there is no text in the input"},
        {"one line", 0, "no part of it can be held out"},
        {"some words\n\nand some more\n\nand more\n", 4000,
         "larger than this text allows: use "
         "--vocab 2"},
        {"abcdefghij\n\nklmnopqrst\n\nuvwxyz\n", 262, "too small for this text"},
        {"\n\n\t\n\n\n\n", 300, "has no words to make a vocabulary of"},
        {"one line", 100, "the vocabulary is 100, expected 260 ... 65536"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct data_job job;
        data_text(&place, "in.txt", cases[i].text);
        data_job_make(&job, &place, "in.txt");
        job.options.vocab = cases[i].vocab;
        data_job_refused(&job, &place, PEER_ERR_ARGUMENT, cases[i].says, 1);
    }
    struct data_job job;
    data_text(&place, "in.txt", "");
    data_job_make(&job, &place, "in.txt");
    job.options.valid_share = 0;
    data_job_refused(&job, &place, PEER_ERR_ARGUMENT, "there is no text", 1);
    data_text(&place, "in.txt", "a\n\x01");
    job.options.vocab = 300;
    struct lab_data_report report;
    cr_expect_neq(lab_data_prepare(&report, place.ctx, &job.options, &work), PEER_OK);
    cr_expect_eq(tempdir_count(&place.dir), 1);
}

/* The numbers in the messages are right: the vocabulary they name works. */
Test(refusals, the_vocabulary_suggested_works)
{
    struct lab_data_report report;
    struct data_job job;
    data_text(&place, "in.txt", "some words of text\n\nand some more words\n\nand more text\n");
    data_job_make(&job, &place, "in.txt");
    job.options.vocab = 60000;
    cr_assert_eq(lab_data_prepare(&report, place.ctx, &job.options, &work), PEER_ERR_ARGUMENT);
    long long suggested = 0;
    const char *at = strstr(peer_ctx_error(place.ctx), "--vocab ");
    cr_assert(at && sscanf(at, "--vocab %lld", &suggested) == 1);
    job.options.vocab = suggested;
    cr_expect_eq(data_job_run(&job, &place).vocab, suggested);
}

Test(refusals, an_existing_folder_is_replaced_only_when_asked)
{
    struct data_job job;
    data_text(&place, "in.txt", "one\n\ntwo\n\nthree");
    data_job_make(&job, &place, "in.txt");
    struct tempfile mine = tempdir_file(&place.dir, "out/mine");
    cr_assert_eq(mkdir(job.out.path, 0700), 0);
    tempfile_write(&mine, "x", 1);
    job.options.force = true;
    data_job_refused(&job, &place, PEER_ERR_ARGUMENT, "was not made by this command", 2);
    cr_assert_eq(unlink(mine.path), 0);
    job.options.force = false;
    data_job_run(&job, &place);
    data_job_refused(&job, &place, PEER_ERR_ARGUMENT, "--force replaces it", 2);
    data_text(&place, "in.txt", "other\n\ntexts\n\n");
    job.options.force = true;
    data_job_run(&job, &place);
    struct lab_buffer text = data_decode(&place, job.out.path, LAB_TRAIN);
    cr_expect(memmem(text.bytes, (size_t)text.count, "o", 1) ||
              memmem(text.bytes, (size_t)text.count, "texts", 5));
    cr_expect_null(memmem(text.bytes, (size_t)text.count, "one", 3));
    lab_buffer_free(&text);
    cr_expect_eq(tempdir_count(&place.dir), 2);
}

/* A failure half-way leaves the old folder as it was, and nothing else. */
Test(refusals, failures_leave_the_old_folder)
{
    struct data_job job;
    data_text(&place, "in.txt", "one\n\ntwo\n\nthree");
    data_job_make(&job, &place, "in.txt");
    uint32_t crc = data_job_run(&job, &place).split[0].crc;
    struct tempfile bad = data_text(&place, "bad.jsonl", "{\"text\":\"x\"}\n{\"text\":");
    job.inputs[0] = bad.path;
    job.options.force = true;
    job.options.documents.strict = true;
    data_job_refused(&job, &place, PEER_ERR_FORMAT, "bad.jsonl:2: not JSON", 3);
    struct lm_dataset dataset;
    cr_expect_eq(lm_dataset_open(&dataset, place.ctx, job.out.path, 0, LM_DTYPE_AUTO), PEER_OK);
    lm_dataset_close(&dataset);
    job.inputs[0] = job.in.path;
    cr_expect_eq(data_job_run(&job, &place).split[0].crc, crc);
}

/* A disk that is full: files may not grow beyond a limit. */
Test(refusals, a_full_disk_leaves_nothing)
{
    static const rlim_t limits[] = {1, 5000, 30000, 60000, 100000};
    struct lab_buffer text = lab_buffer_create(place.ctx);
    struct data_job job;
    for (int i = 0; i < 4000; i++)
        lab_buffer_add_text(&text, i % 7 ? "some words " : "\n\n");
    struct tempfile in = tempdir_file(&place.dir, "in.txt");
    tempfile_write(&in, text.bytes, (size_t)text.count);
    lab_buffer_free(&text);
    signal(SIGXFSZ, SIG_IGN);
    data_job_make(&job, &place, "in.txt");
    struct rlimit old;
    getrlimit(RLIMIT_FSIZE, &old);
    int failures = 0;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct rlimit limit = {limits[i], old.rlim_max};
        struct lab_data_report report;
        job.options.force = true;
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        enum peer_status status = lab_data_prepare(&report, place.ctx, &job.options, &work);
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
        failures += status != PEER_OK;
        cr_expect(status == PEER_OK || status == PEER_ERR_IO, "%s", peer_ctx_error(place.ctx));
        if (status == PEER_ERR_IO)
            cr_expect(strstr(peer_ctx_error(place.ctx), "File too large"), "%s",
                      peer_ctx_error(place.ctx));
        cr_expect_eq(tempdir_count(&place.dir), status == PEER_OK ? 2 : 1);
    }
    cr_expect_geq(failures, 4);
}

static bool stop_at_once(void *user)
{
    int *left = user;
    return --*left < 0;
}

/* A stop at any moment leaves nothing. */
Test(refusals, a_stop_leaves_nothing)
{
    struct lab_buffer text = data_awkward_text(&place, 36, 30);
    struct data_job job;
    data_write_documents(&place, "in.jsonl", &text);
    data_job_make(&job, &place, "in.jsonl");
    job.options.vocab = 300;
    for (int after = 0;; after = 2 * after + 1) {
        int left = after;
        struct lab_work stopping = {.stopped = stop_at_once, .user = &left};
        struct lab_data_report report;
        enum peer_status status = lab_data_prepare(&report, place.ctx, &job.options, &stopping);
        if (status == PEER_OK) {
            cr_expect_gt(after, 60);
            break;
        }
        cr_expect_eq(status, PEER_ERR_STOPPED, "%s", peer_ctx_error(place.ctx));
        cr_expect_eq(tempdir_count(&place.dir), 1);
    }
    lab_buffer_free(&text);
}

Test(refusals, missing_programs_are_named)
{
    struct data_job job;
    data_text(&place, "in.txt", "one\n\ntwo\n\nthree");
    data_job_make(&job, &place, "in.txt");
    job.options.vocab = 300;
    setenv("PATH", place.dir.path, 1);
    data_job_refused(&job, &place, PEER_ERR_IO,
                     "spm_train is missing; it comes with the package sentencepiece", 1);
}

/* What a killed process left is removed by the next one; what belongs to a living one is not. */
Test(refusals, leavings_of_killed_processes_go)
{
    char host[40] = "", name[128];
    gethostname(host, sizeof host - 1);
    pid_t gone = fork();
    if (gone == 0)
        _exit(0);
    int status;
    waitpid(gone, &status, 0);
    struct data_job job;
    data_text(&place, "in.txt", "one\n\ntwo\n\nthree");
    data_job_make(&job, &place, "in.txt");
    const pid_t pids[] = {gone, getppid()};
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "out.partial-%s-%ld", host, (long)pids[i]);
        struct tempfile left = tempdir_file(&place.dir, name);
        cr_assert_eq(mkdir(left.path, 0700), 0);
    }
    data_job_run(&job, &place);
    cr_expect_eq(tempdir_count(&place.dir), 3);
}

/* Any allocation may fail: an error, the folder as it was, no memory kept. */
Test(refusals, failing_allocations_leave_nothing)
{
    struct data_job job;
    data_text(&place, "in.jsonl", "{\"text\":\"one\"}\n{\"text\":\"two and more\"}\n");
    data_job_make(&job, &place, "in.jsonl");
    for (int64_t granted = 0;; granted++) {
        struct failing failing = {.granted = -1};
        struct peer_ctx *poor = failing_ctx(&failing, 1);
        struct lab_data_report report;
        int64_t held = failing.held;
        failing.granted = failing.asked + granted;
        enum peer_status status = lab_data_prepare(&report, poor, &job.options, &work);
        cr_expect_eq(failing.held, held);
        peer_ctx_destroy(&poor);
        if (status == PEER_OK) {
            cr_expect_geq(granted, 6);
            break;
        }
        cr_expect_eq(status, PEER_ERR_MEMORY);
        cr_expect_eq(tempdir_count(&place.dir), 1);
    }
}

/* The command's exit status: 0 done, 1 failed, 2 wrong usage. */
Test(refusals, the_command_tells_usage_from_failure)
{
    struct data_job job;
    data_text(&place, "in.txt", "one\n\ntwo\n\nthree");
    data_job_make(&job, &place, "in.txt");
    char *in = job.in.path, *out = job.out.path, none[] = "/none.txt";
    char *lines[][8] = {
        {"data", "prepare", "--out", out, "--bytes", in},
        {"data", "info", out},
        {"data", "--help"},
        {"data", "prepare", "--help"},
        {"data", "corpus", "--help"},
        {"data", "synthetic", "--help"},
        {"data", "prepare", "--out", out, "--bytes", in},
        {"data", "prepare", "--out", out, "--force", "--bytes", none},
        {"data", "info", in},
        {"data"},
        {"data", "prepair"},
        {"data", "prepare", in},
        {"data", "prepare", "--out", out},
        {"data", "prepare", "--out", out, "--bytes", "--vocab", "300", in},
        {"data", "prepare", "--out", out, "--vocab", "12", in},
        {"data", "prepare", "--out", out, "--valid-share", "x", in},
        {"data", "prepare", "--out", out, "--format", "xml", in},
        {"data", "prepare", "--unknown", in},
        {"data", "corpus", "--out", out, "poems"},
        {"data", "synthetic", "--megabytes", "1"},
        {"data", "info"},
    };
    static const int expected[] = {0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2};
    cr_assert_not_null(freopen("/dev/null", "w", stdout));
    cr_assert_not_null(freopen("/dev/null", "w", stderr));
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        int count = 0;
        while (count < 8 && lines[i][count])
            count++;
        optind = 0;
        cr_expect_eq(lab_cmd_data(count, lines[i]), expected[i], "line %zu", i);
    }
}

/* Without apt-get there is a message, and nothing is left. */
Test(refusals, a_corpus_needs_apt)
{
    struct tempfile out = tempdir_file(&place.dir, "corpus");
    struct lab_corpus_options options = {.out = out.path};
    setenv("PATH", place.dir.path, 1);
    cr_expect_eq(lab_corpus_make(place.ctx, &options, &work, stderr), PEER_ERR_IO);
    cr_expect(strstr(peer_ctx_error(place.ctx), "apt-get is missing"), "%s",
              peer_ctx_error(place.ctx));
    cr_expect_eq(tempdir_count(&place.dir), 0);
}
