/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "experiments/runs/run.h"
#include "experiments/runs/usage_track.h"
#include "lm/variants.h"
#include "tests/support/run_case.h"

enum { STEPS = 12 };

static struct peer_ctx *ctx;
static struct tempdir dir, text; /* of runs; of the data */
static struct lab_run_config config;

static void set_up(void)
{
    struct peer_ctx_config settings = peer_ctx_config_default();
    settings.threads = 2;
    cr_assert_eq(peer_ctx_create(&ctx, &settings), PEER_OK);
    dir = tempdir_create();
    text = tempdir_create();
    struct lm_dataset data = run_case_data(ctx, &text, 400, 61);
    lm_dataset_close(&data);
    struct run_case tiny;
    run_case_init(&tiny, lm_variant_find("peer"));
    lab_run_config_default(&config, tiny.config.width, tiny.config.blocks, tiny.config.ffw);
    memcpy(config.ffw_config, tiny.ffw_config, sizeof config.ffw_config);
    config.model.vocab = RUN_CASE_VOCAB;
    config.model.heads = tiny.config.heads;
    config.model.context = config.train.length = RUN_CASE_CONTEXT;
    config.model.passes = config.train.accumulate = 2;
    config.train.sequences = 4;
    config.train.steps = STEPS;
    strcpy(config.data, text.path);
}

static void tear_down(void)
{
    tempdir_remove(&dir);
    tempdir_remove(&text);
    peer_ctx_destroy(&ctx);
}

TestSuite(run, .init = set_up, .fini = tear_down);

static enum peer_status execute(const char *name, const struct lab_run_watch *watch)
{
    struct tempfile folder = tempdir_file(&dir, name);
    return lab_run_execute(ctx, &config, folder.path, watch);
}

static struct tempfile in_run(const char *name, const char *file)
{
    char path[100];
    snprintf(path, sizeof path, "%s/%s", name, file);
    return tempdir_file(&dir, path);
}

/* The tensors of a run's checkpoint; what stands before them holds the time it took. */
static char *tensors(const char *name, size_t *size)
{
    struct tempfile file = in_run(name, "checkpoint.safetensors");
    uint64_t header;
    char *bytes = tempfile_read(&file, size);
    memcpy(&header, bytes, sizeof header);
    *size -= 8 + header;
    memmove(bytes, bytes + 8 + header, *size);
    return bytes;
}

static void expect_same_file(const char *a, const char *b, const char *file)
{
    size_t sizes[2];
    struct tempfile files[] = {in_run(a, file), in_run(b, file)};
    char *left = tempfile_read(&files[0], &sizes[0]), *right = tempfile_read(&files[1], &sizes[1]);
    cr_expect(sizes[0] == sizes[1] && !memcmp(left, right, sizes[0]), "%s of %s and %s", file, a,
              b);
    free(left);
    free(right);
}

static void expect_same_end(const char *a, const char *b)
{
    size_t sizes[2];
    struct lab_result results[2];
    char *left = tensors(a, &sizes[0]), *right = tensors(b, &sizes[1]);
    cr_assert_eq(sizes[0], sizes[1]);
    cr_expect_eq(memcmp(left, right, sizes[0]), 0, "tensors of %s and %s", a, b);
    free(left);
    free(right);
    expect_same_file(a, b, "run.yaml");
    expect_same_file(a, b, "usage-1.txt");
    for (int i = 0; i < 2; i++) {
        struct tempfile folder = tempdir_file(&dir, i ? b : a);
        cr_assert_eq(lab_run_result(&results[i], ctx, folder.path), PEER_OK, "%s",
                     peer_ctx_error(ctx));
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

static void run_whole(const char *name)
{
    cr_assert_eq(execute(name, NULL), PEER_OK, "%s", peer_ctx_error(ctx));
}

/* Asks for a stop once `step` steps are done, and with `evaluated` the last evaluation too. */
struct stopper {
    int64_t step, done;
    bool evaluated, seen;
};

static void on_progress(void *user, const struct lm_train_progress *progress, double flops)
{
    struct stopper *stopper = user;
    (void)flops;
    stopper->done = progress->step;
    stopper->seen = progress->eval != NULL;
}

static bool stop_asked(void *user)
{
    const struct stopper *stopper = user;
    return stopper->done >= stopper->step && (!stopper->evaluated || stopper->seen);
}

static void expect_stopped(const char *name, struct stopper stopper)
{
    const struct lab_run_watch watch = {
        .user = &stopper, .progress = on_progress, .stop = stop_asked};
    struct tempfile result = in_run(name, "result.json");
    cr_expect_eq(execute(name, &watch), PEER_ERR_STOPPED, "%s", peer_ctx_error(ctx));
    cr_expect_neq(access(result.path, F_OK), 0, "a stopped run has no result");
}

static void expect_failure(const char *name, enum peer_status status, const char *part)
{
    cr_expect_eq(execute(name, NULL), status, "%s", part);
    cr_expect(strstr(peer_ctx_error(ctx), part), "%s", peer_ctx_error(ctx));
}

Test(run, a_result_says_what_was_run)
{
    struct lab_result result;
    struct peer_cost cost = {0};
    struct tempfile folder = tempdir_file(&dir, "a"), map = in_run("a", "usage-1.txt");
    strcpy(config.variant, "mine");
    config.budget = 12345;
    run_whole("a");
    cr_assert_eq(lab_run_result(&result, ctx, folder.path), PEER_OK, "%s", peer_ctx_error(ctx));
    lm_config_cost(&cost, &config.model, RUN_CASE_CONTEXT);
    cr_expect_str_eq(result.variant, "mine");
    cr_expect_str_eq(result.ffw, "peer");
    cr_expect_eq(result.budget, 12345);
    cr_expect_eq(result.width, 12);
    cr_expect_eq(result.blocks, 3);
    cr_expect_eq(result.state, LAB_DONE);
    cr_expect_eq(result.tokens, STEPS * 4 * RUN_CASE_CONTEXT);
    cr_expect_eq(result.flops, (double)result.tokens * peer_cost_train(&cost));
    cr_expect_eq(result.params_total, cost.params_total);
    cr_expect_eq(result.params_active, cost.params_active);
    cr_expect_eq(result.epochs, (double)result.tokens / 400);
    cr_expect(result.nats > 0 && result.nats < 2 * log(RUN_CASE_VOCAB), "%g", result.nats);
    cr_expect_float_eq(result.perplexity, exp(result.nats), 1e-9 * result.perplexity);
    cr_expect(isnan(result.bits_per_byte), "the text of these tokens is not known");
    cr_expect_gt(result.seconds, 0);
    cr_assert_eq(result.usages, 1);
    cr_expect_eq(result.usage->block, 1);
    cr_expect_eq(result.usage->experts, 49);
    cr_expect_eq(result.usage->side, 7);
    cr_expect_str_eq(result.usage->map, "usage-1.txt");
    lab_result_free(&result);
    /* 60 tokens are scored, 2 heads keep 3 each. */
    long sum = 0, lines = 0, count;
    FILE *file = fopen(map.path, "r");
    cr_assert(file);
    for (char end; fscanf(file, "%ld%c", &count, &end) == 2; lines += end == '\n')
        sum += count;
    fclose(file);
    cr_expect_eq(lines, 7);
    cr_expect_eq(sum, 60 * 2 * 3);
}

Test(run, stopped_and_carried_on_it_ends_with_the_same_bits)
{
    run_whole("whole");
    for (int64_t step = 0; step < STEPS; step += 4)
        expect_stopped("parts", (struct stopper){.step = step});
    run_whole("parts");
    expect_same_end("whole", "parts");
    expect_same_file("whole", "parts", "curve.csv");
}

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
    FILE *file = fopen(in_run(name, "usage-1.csv").path, "r");
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
    expect_same_file(a, b, "usage-1.csv");
    expect_same_file(a, b, "usage-1.used");
    expect_same_file(a, b, "usage-1-maps.txt");
    expect_same_file(a, b, "usage-1-lorenz.csv");
}

/* 12 steps at 5 points: 0, 1, 12^(1/3) = 2.3, 12^(2/3) = 5.2, 12. */
Test(run, utilization_is_tracked_and_changes_nothing)
{
    static const int steps[] = {0, 1, 2, 5, 12};
    struct track_row rows[8];
    size_t sizes[2];
    struct lab_result result;
    struct tempfile folder = tempdir_file(&dir, "tracked"), none = in_run("plain", "usage-1.csv");
    config.train.lr = 0.05F; /* what is used moves */
    run_whole("plain");
    config.train.usage_points = 5;
    run_whole("tracked");
    char *left = tensors("plain", &sizes[0]), *right = tensors("tracked", &sizes[1]);
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
    cr_assert_eq(lab_run_result(&result, ctx, folder.path), PEER_OK);
    cr_expect_float_eq(rows[4].score_unevenness, result.usage->report.score.unevenness, 1e-9);
    cr_expect_float_eq(rows[4].count_used, result.usage->report.count.used, 1e-9);
    cr_expect_float_eq(rows[4].overlap, result.usage->report.head_overlap, 1e-9);
    lab_result_free(&result);
}

Test(run, a_stop_at_any_step_leaves_the_same_track)
{
    config.train.usage_points = 7;
    config.train.usage_tokens = 37;
    run_whole("whole");
    for (int64_t step = 0; step <= STEPS; step++)
        expect_stopped("parts", (struct stopper){.step = step});
    run_whole("parts");
    expect_same_end("whole", "parts");
    expect_same_track("whole", "parts");
    /* A kill after points that are later than the checkpoint. */
    static const char *const files[] = {"usage-1.csv", "usage-1.used", "usage-1-maps.txt"};
    expect_stopped("killed", (struct stopper){.step = 2});
    for (int i = 0; i < 3; i++) {
        size_t size;
        struct tempfile from = in_run("whole", files[i]), to = in_run("killed", files[i]);
        char *bytes = tempfile_read(&from, &size);
        tempfile_write(&to, bytes, size);
        free(bytes);
    }
    run_whole("killed");
    expect_same_track("whole", "killed");
}

Test(run, a_damaged_track_is_named)
{
    static const char *const files[] = {"usage-1.used", "usage-1-maps.txt", "usage-1.csv"};
    config.train.usage_points = 3;
    for (int i = 0; i < 3; i++) {
        size_t size;
        char name[] = "a";
        name[0] = (char)('a' + i);
        expect_stopped(name, (struct stopper){.step = 3});
        struct tempfile file = in_run(name, files[i]);
        char *bytes = tempfile_read(&file, &size);
        tempfile_write(&file, bytes, i ? 0 : size - 1);
        expect_failure(name, PEER_ERR_FORMAT, files[i]);
        cr_expect(strstr(peer_ctx_error(ctx), "before step 12"), "%s", peer_ctx_error(ctx));
        cr_assert_eq(remove(file.path), 0);
        expect_failure(name, PEER_ERR_FORMAT, files[i ? i : 1]);
        tempfile_write(&file, bytes, size);
        free(bytes);
        run_whole(name);
    }
}

Test(run, stopped_after_training_it_is_evaluated_later)
{
    run_whole("whole");
    expect_stopped("parts", (struct stopper){.step = STEPS});
    expect_stopped("parts", (struct stopper){.evaluated = true});
    run_whole("parts");
    expect_same_end("whole", "parts");
}

Test(run, a_finished_run_is_left_alone)
{
    size_t before_size, after_size;
    run_whole("a");
    struct tempfile result = in_run("a", "result.json");
    char *before = tempfile_read(&result, &before_size);
    strcpy(config.data, text.path);
    run_whole("a");
    char *after = tempfile_read(&result, &after_size);
    cr_expect(before_size == after_size && !memcmp(before, after, before_size));
    free(before);
    free(after);
}

Test(run, a_folder_of_another_run_is_refused)
{
    run_whole("a");
    struct lab_run_config before = config;
    config.train.lr *= 2;
    expect_failure("a", PEER_ERR_ARGUMENT, "a/run.yaml: the folder holds another run");
    lab_run_config_copy(&config, &before);
    expect_stopped("b", (struct stopper){.step = 3});
    config.train.seed++;
    expect_failure("b", PEER_ERR_ARGUMENT, "b/run.yaml: the folder holds another run");
    config.train.seed--;
    run_whole("b");
    expect_same_end("a", "b");
}

static double nats_of(const char *name)
{
    struct tempfile folder = tempdir_file(&dir, name);
    struct lab_result result;
    cr_assert_eq(lab_run_result(&result, ctx, folder.path), PEER_OK, "%s", peer_ctx_error(ctx));
    lab_result_free(&result);
    return result.nats;
}

/* At a rate of 1e-9 Adam's 12 steps move each of fewer than 10^4 weights by some 1e-8 at most, and
 * the loss, whose slopes are below 0.1, by less than 1e-5; drawn weights are far from that. Running
 * statistics would follow the text at any rate. */
Test(run, starts_from_the_weights_of_another)
{
    struct tempfile first = tempdir_file(&dir, "first");
    for (const struct peer_option *option = config.model.ffw->options; option->name; option++)
        if (strcmp(option->name, "query_norm") == 0)
            cr_assert_eq(peer_option_set(ctx, config.ffw_config, option, "rms"), PEER_OK);
    run_whole("first");
    config.train.seed++;
    strcpy(config.init, first.path);
    run_whole("whole");
    expect_stopped("parts", (struct stopper){.step = 5});
    run_whole("parts");
    expect_same_end("whole", "parts");
    config.train.lr = 1e-9F;
    run_whole("same");
    *config.init = 0;
    run_whole("drawn");
    cr_expect_lt(fabs(nats_of("same") - nats_of("first")), 1e-5, "%g, %g", nats_of("same"),
                 nats_of("first"));
    cr_expect_gt(fabs(nats_of("drawn") - nats_of("first")), 1e-3);
    strcpy(config.init, first.path);
    strcat(config.init, "/checkpoint.safetensors");
    config.model.dense.hidden = 7;
    expect_failure("other", PEER_ERR_FORMAT, "[48, 12]");
    cr_expect(strstr(peer_ctx_error(ctx), "[7, 12]"), "%s", peer_ctx_error(ctx));
    strcpy(config.init, "/nowhere/at/all");
    expect_failure("none", PEER_ERR_IO, "/nowhere/at/all");
}

/* A frozen run's checkpoint has no moments of what stood still, and serves the next run. */
Test(run, frozen_parts_stay_through_a_stop)
{
    size_t size;
    struct tempfile first = tempdir_file(&dir, "first"), folder = tempdir_file(&dir, "whole");
    struct lab_result result;
    run_whole("first");
    strcpy(config.init, first.path);
    config.model.freeze = LM_FREEZE_MIXTURE;
    run_whole("whole");
    expect_stopped("parts", (struct stopper){.step = 5});
    config.model.freeze = LM_FREEZE_ROUTER;
    expect_failure("parts", PEER_ERR_ARGUMENT, "parts/run.yaml: the folder holds another run");
    struct tempfile kept = in_run("parts", "run.yaml");
    char *yaml = tempfile_read(&kept, &size);
    cr_assert_eq(remove(kept.path), 0);
    expect_failure("parts", PEER_ERR_FORMAT,
                   "parts/checkpoint.safetensors is of another run: freeze = mixture, here router");
    tempfile_write(&kept, yaml, size);
    free(yaml);
    config.model.freeze = LM_FREEZE_MIXTURE;
    run_whole("parts");
    expect_same_end("whole", "parts");
    cr_assert_eq(lab_run_result(&result, ctx, folder.path), PEER_OK);
    cr_expect_str_eq(result.freeze, "mixture");
    cr_expect_eq(result.params_frozen, lm_config_frozen(&config.model));
    lab_result_free(&result);
    char *frozen = tensors("whole", &size);
    size_t whole_size = size;
    free(frozen);
    free(tensors("first", &size));
    cr_expect_eq(size - whole_size, 2 * sizeof(float) * (size_t)result.params_frozen,
                 "%zu, %zu bytes", size, whole_size);
    strcpy(config.init, folder.path);
    config.model.freeze = LM_FREEZE_NONE;
    run_whole("next");
}

Test(run, a_changed_init_is_noticed)
{
    struct tempfile first = tempdir_file(&dir, "first");
    struct tempfile weights = in_run("first", "checkpoint.safetensors");
    run_whole("first");
    strcpy(config.init, first.path);
    run_whole("done");
    expect_stopped("a", (struct stopper){.step = 3});
    expect_stopped("b", (struct stopper){.step = 3});
    run_whole("a");
    cr_assert_eq(rename(first.path, tempdir_file(&dir, "moved").path), 0);
    *config.init = 0;
    config.train.seed++;
    run_whole("first");
    strcpy(config.init, first.path);
    config.train.seed--;
    run_whole("done");
    expect_failure("b", PEER_ERR_ARGUMENT,
                   "first/checkpoint.safetensors has changed: the checksum of its tensors is ");
    strcpy(config.init_crc32, "00000000");
    expect_failure("new", PEER_ERR_ARGUMENT, ", and was 00000000 for this run");
    *config.init_crc32 = 0;
    cr_assert_eq(remove(weights.path), 0);
    run_whole("b");
    expect_same_end("a", "b");
    expect_failure("new", PEER_ERR_IO, "first");
}

Test(run, a_checkpoint_of_another_model_is_refused)
{
    expect_stopped("a", (struct stopper){.step = 3});
    struct tempfile moved = in_run("a", "run.yaml");
    cr_assert_eq(remove(moved.path), 0);
    config.model.dense.hidden = 7;
    expect_failure("a", PEER_ERR_FORMAT,
                   "a/checkpoint.safetensors is of another run: model: dense.hidden");
}

Test(run, a_damaged_checkpoint_is_refused_and_left_alone)
{
    size_t size, left;
    expect_stopped("a", (struct stopper){.step = 3});
    struct tempfile file = in_run("a", "checkpoint.safetensors");
    char *bytes = tempfile_read(&file, &size);
    for (size_t cut = 0; cut < size; cut += size / 11) {
        tempfile_write(&file, bytes, cut);
        expect_failure("a", PEER_ERR_FORMAT, "a/checkpoint.safetensors");
        free(tempfile_read(&file, &left));
        cr_expect_eq(left, cut);
    }
    tempfile_write(&file, bytes, size);
    free(bytes);
    run_whole("a");
}

Test(run, another_process_in_the_folder_is_waited_for_or_reported)
{
    expect_stopped("a", (struct stopper){.step = 1});
    struct tempfile lock = in_run("a", "lock");
    int file = open(lock.path, O_RDWR);
    cr_assert_eq(flock(file, LOCK_EX | LOCK_NB), 0);
    expect_failure("a", PEER_ERR_IO, "a: another process trains in this folder");
    struct stopper stopper = {.step = 0};
    struct lab_run_watch watch = {.user = &stopper, .stop = stop_asked, .patient = true};
    cr_expect_eq(execute("a", &watch), PEER_ERR_STOPPED, "waiting can be stopped");
    pid_t other = fork(); /* holds the same lock */
    if (other == 0) {
        usleep(300000);
        _exit(0);
    }
    close(file);
    watch.stop = NULL;
    cr_expect_eq(execute("a", &watch), PEER_OK, "%s", peer_ctx_error(ctx));
}

Test(run, data_that_do_not_fit_leave_no_run_behind)
{
    static const uint16_t beyond[] = {1, 2, 11, 3, 1, 2, 3, 4, 5, 6, 7, 8};
    struct tempfile train = tempdir_file(&text, "train.bin"), kept = in_run("a", "run.yaml");
    strcpy(config.data, "/nowhere");
    expect_failure("a", PEER_ERR_IO, "/nowhere");
    strcpy(config.data, text.path);
    tempfile_write(&train, beyond, sizeof beyond);
    expect_failure("a", PEER_ERR_FORMAT, "train.bin");
    cr_expect(strstr(peer_ctx_error(ctx), "11"), "%s", peer_ctx_error(ctx));
    tempfile_write(&train, beyond + 3, RUN_CASE_CONTEXT * sizeof *beyond);
    expect_failure("a", PEER_ERR_ARGUMENT, "9 training tokens do not make one sequence of 9");
    tempfile_write(&train, beyond, 3);
    expect_failure("a", PEER_ERR_FORMAT, "train.bin");
    cr_expect_neq(access(kept.path, F_OK), 0);
    struct tempfile valid = tempdir_file(&text, "valid.bin");
    cr_assert_eq(remove(valid.path), 0);
    struct lm_dataset data = run_case_data(ctx, &text, 400, 0);
    lm_dataset_close(&data);
    run_whole("a");
}

Test(run, without_validation_text_the_loss_is_unknown)
{
    struct lab_result result;
    struct tempfile valid = tempdir_file(&text, "valid.bin"), folder = tempdir_file(&dir, "a");
    cr_assert_eq(remove(valid.path), 0);
    run_whole("a");
    cr_assert_eq(lab_run_result(&result, ctx, folder.path), PEER_OK);
    cr_expect(isnan(result.nats));
    cr_expect_eq(result.usages, 0);
    lab_result_free(&result);
}

/* Weights that decay by 10 times their size grow by the factor 9 in each step. */
Test(run, a_loss_that_is_no_number_is_a_result)
{
    struct lab_result result;
    struct tempfile folder = tempdir_file(&dir, "a");
    config.train.lr = 1;
    config.train.warmup = 0;
    config.train.optim.weight_decay = 10;
    config.train.steps = 400;
    config.train.usage_points = 3;
    run_whole("a");
    cr_assert_eq(lab_run_result(&result, ctx, folder.path), PEER_OK, "%s", peer_ctx_error(ctx));
    cr_expect_eq(result.state, LAB_DIVERGED);
    cr_expect(isnan(result.nats));
    cr_expect_lt(result.tokens, 400 * 4 * RUN_CASE_CONTEXT);
    cr_expect_eq(result.usages, 0);
    struct track_row rows[3];
    cr_expect_eq(read_track("a", rows, 3), 2, "before it diverged");
    lab_result_free(&result);
}

Test(run, a_folder_that_cannot_be_written_is_named)
{
    tempdir_become_nobody(&dir);
    cr_assert_eq(chmod(dir.path, 0500), 0);
    expect_failure("a", PEER_ERR_IO, "/a: cannot make the folder: Permission denied");
}

Test(run, a_result_of_a_newer_version_or_none_is_refused)
{
    struct lab_result result;
    struct tempfile folder = tempdir_file(&dir, "a"), file = in_run("a", "result.json");
    cr_assert_eq(mkdir(folder.path, 0777), 0);
    cr_expect_eq(lab_run_result(&result, ctx, folder.path), PEER_ERR_IO);
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"", "result.json:1: "},
        {"{\"format\": \"peerlab-re", "result.json:1: "},
        {"[]", "not a result of peerlab"},
        {"{\"format\": \"peerlab-result\", \"version\": 1, \"state\": \"odd\"}", "not a result"},
        {"{\"format\": \"peerlab-result\", \"version\": 2, \"state\": \"done\"}",
         "version 2, this program reads version 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tempfile_write(&file, cases[i].text, strlen(cases[i].text));
        cr_expect_eq(lab_run_result(&result, ctx, folder.path), PEER_ERR_FORMAT);
        cr_expect(strstr(peer_ctx_error(ctx), cases[i].part), "%s", peer_ctx_error(ctx));
    }
}
