/* SPDX-License-Identifier: MIT */
#include "tests/support/run_lab.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "peer/types.h"
#include "tests/support/run_case.h"

void run_lab_open(struct run_lab *lab)
{
    struct peer_ctx_config settings = peer_ctx_config_default();
    settings.threads = 2;
    cr_assert_eq(peer_ctx_create(&lab->ctx, &settings), PEER_OK);
    lab->dir = tempdir_create();
    lab->text = tempdir_create();
    struct lm_dataset data = run_case_data(lab->ctx, &lab->text, 400, 61);
    lm_dataset_close(&data);
    struct run_case tiny;
    run_case_init(&tiny, peer_ffw_find("peer"));
    lab_run_config_default(&lab->config, tiny.config.width, tiny.config.blocks, tiny.config.ffw);
    memcpy(lab->config.ffw_config, tiny.ffw_config, sizeof lab->config.ffw_config);
    lab->config.model.vocab = RUN_CASE_VOCAB;
    lab->config.model.heads = tiny.config.heads;
    lab->config.model.context = lab->config.train.length = RUN_CASE_CONTEXT;
    lab->config.model.passes = lab->config.train.accumulate = 2;
    lab->config.train.sequences = 4;
    lab->config.train.steps = RUN_LAB_STEPS;
    strcpy(lab->config.data, lab->text.path);
}

void run_lab_close(struct run_lab *lab)
{
    tempdir_remove(&lab->dir);
    tempdir_remove(&lab->text);
    peer_ctx_destroy(&lab->ctx);
}

enum peer_status run_lab_execute(const struct run_lab *lab, const char *name,
                                 const struct lab_run_watch *watch)
{
    struct tempfile folder = tempdir_file(&lab->dir, name);
    return lab_run_execute(lab->ctx, &lab->config, folder.path, watch);
}

struct tempfile run_lab_file(const struct run_lab *lab, const char *name, const char *file)
{
    char path[100];
    snprintf(path, sizeof path, "%s/%s", name, file);
    return tempdir_file(&lab->dir, path);
}

char *run_lab_tensors(const struct run_lab *lab, const char *name, size_t *size)
{
    struct tempfile file = run_lab_file(lab, name, "checkpoint.safetensors");
    uint64_t header;
    char *bytes = tempfile_read(&file, size);
    memcpy(&header, bytes, sizeof header);
    *size -= 8 + header;
    memmove(bytes, bytes + 8 + header, *size);
    return bytes;
}

void run_lab_same_file(const struct run_lab *lab, const char *a, const char *b, const char *file)
{
    size_t sizes[2];
    struct tempfile files[] = {run_lab_file(lab, a, file), run_lab_file(lab, b, file)};
    char *left = tempfile_read(&files[0], &sizes[0]), *right = tempfile_read(&files[1], &sizes[1]);
    cr_expect(sizes[0] == sizes[1] && !memcmp(left, right, sizes[0]), "%s of %s and %s", file, a,
              b);
    free(left);
    free(right);
}

void run_lab_same_end(const struct run_lab *lab, const char *a, const char *b)
{
    size_t sizes[2];
    struct lab_result results[2];
    char *left = run_lab_tensors(lab, a, &sizes[0]), *right = run_lab_tensors(lab, b, &sizes[1]);
    cr_assert_eq(sizes[0], sizes[1]);
    cr_expect_eq(memcmp(left, right, sizes[0]), 0, "tensors of %s and %s", a, b);
    free(left);
    free(right);
    run_lab_same_file(lab, a, b, "run.yaml");
    run_lab_same_file(lab, a, b, "usage-1.txt");
    for (int i = 0; i < 2; i++) {
        struct tempfile folder = tempdir_file(&lab->dir, i ? b : a);
        cr_assert_eq(lab_run_result(&results[i], lab->ctx, folder.path), PEER_OK, "%s",
                     peer_ctx_error(lab->ctx));
    }
    cr_expect_eq(results[0].nats, results[1].nats);
    cr_expect_eq(results[0].tokens, results[1].tokens);
    cr_expect_eq(results[0].flops, results[1].flops);
    cr_assert_eq(results[0].usages, 1);
    cr_assert_eq(results[1].usages, 1);
    cr_expect_eq(results[0].usage->report.score.unevenness,
                 results[1].usage->report.score.unevenness);
    lab_result_free(&results[0]);
    lab_result_free(&results[1]);
}

void run_lab_whole(const struct run_lab *lab, const char *name)
{
    cr_assert_eq(run_lab_execute(lab, name, NULL), PEER_OK, "%s", peer_ctx_error(lab->ctx));
}

static void on_progress(void *user, const struct lm_train_progress *progress, double flops)
{
    struct run_stopper *stopper = user;
    (void)flops;
    stopper->done = progress->step;
}

bool run_stop_asked(void *user)
{
    const struct run_stopper *stopper = user;
    return stopper->done >= stopper->step;
}

void run_lab_stopped(const struct run_lab *lab, const char *name, struct run_stopper stopper)
{
    const struct lab_run_watch watch = {
        .user = &stopper, .progress = on_progress, .stop = run_stop_asked};
    struct tempfile result = run_lab_file(lab, name, "result.json");
    cr_expect_eq(run_lab_execute(lab, name, &watch), PEER_ERR_STOPPED, "%s",
                 peer_ctx_error(lab->ctx));
    cr_expect_neq(access(result.path, F_OK), 0, "a stopped run has no result");
}

void run_lab_fails(const struct run_lab *lab, const char *name, enum peer_status status,
                   const char *part)
{
    cr_expect_eq(run_lab_execute(lab, name, NULL), status, "%s", part);
    cr_expect(strstr(peer_ctx_error(lab->ctx), part), "%s", peer_ctx_error(lab->ctx));
}
