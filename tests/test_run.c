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
#include "peer/types.h"
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

TestSuite(run, .init = set_up, .fini = tear_down);

Test(run, a_result_says_what_was_run)
{
    struct lab_result result;
    struct peer_cost cost = {0};
    struct tempfile folder = tempdir_file(&lab.dir, "a"),
                    map = run_lab_file(&lab, "a", "usage-1.txt");
    strcpy(lab.config.variant, "mine");
    lab.config.budget = 12345;
    run_lab_whole(&lab, "a");
    cr_assert_eq(lab_run_result(&result, lab.ctx, folder.path), PEER_OK, "%s",
                 peer_ctx_error(lab.ctx));
    lm_config_cost(&cost, &lab.config.model, RUN_CASE_CONTEXT);
    cr_expect_str_eq(result.variant, "mine");
    cr_expect_str_eq(result.ffw, "peer");
    cr_expect_eq(result.budget, 12345);
    cr_expect_eq(result.width, 12);
    cr_expect_eq(result.blocks, 3);
    cr_expect_eq(result.state, LAB_DONE);
    cr_expect_eq(result.tokens, RUN_LAB_STEPS * 4 * RUN_CASE_CONTEXT);
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
    run_lab_whole(&lab, "whole");
    for (int64_t step = 0; step < RUN_LAB_STEPS; step += 4)
        run_lab_stopped(&lab, "parts", (struct run_stopper){.step = step});
    run_lab_whole(&lab, "parts");
    run_lab_same_end(&lab, "whole", "parts");
    run_lab_same_file(&lab, "whole", "parts", "curve.csv");
}

/* 12 steps, evaluated after 4, 8 and the last; 400 rows are more than there are steps. */
Test(run, a_curve_has_the_validation_loss_where_it_was_measured)
{
    double nats;
    int64_t rows = 0, step;
    char line[200];
    lab.config.train.eval_every = 4;
    run_lab_whole(&lab, "a");
    struct tempfile curve = run_lab_file(&lab, "a", "curve.csv"),
                    folder = tempdir_file(&lab.dir, "a");
    struct lab_result result;
    cr_assert_eq(lab_run_result(&result, lab.ctx, folder.path), PEER_OK);
    FILE *file = fopen(curve.path, "r");
    cr_assert(file && fgets(line, sizeof line, file));
    cr_expect_str_eq(line, "step,tokens,loss,lr,grad_norm,valid_loss\n");
    for (; fgets(line, sizeof line, file); rows++) {
        int fields = sscanf(line, "%ld,%*d,%*f,%*f,%*f,%lf", &step, &nats);
        cr_expect_eq(step, rows + 1);
        cr_expect_eq(fields, step % 4 == 0 ? 2 : 1, "%s", line);
    }
    fclose(file);
    cr_expect_eq(rows, RUN_LAB_STEPS);
    cr_expect_float_eq(nats, result.nats, 1e-5 * nats);
    lab_result_free(&result);
}

/* A stop after each number of steps: as a step is told, and while it is evaluated. */
Test(run, stopped_and_carried_on_its_curve_has_every_step_once)
{
    lab.config.train.eval_every = 3;
    run_lab_whole(&lab, "whole");
    for (int64_t step = 1; step < RUN_LAB_STEPS; step++)
        run_lab_stopped(&lab, "parts", (struct run_stopper){.step = step});
    run_lab_whole(&lab, "parts");
    run_lab_same_file(&lab, "whole", "parts", "curve.csv");
}

/* What an older program appended: no column of the validation loss, steps taken again, a line that
 * a full disk cut, and steps beyond the checkpoint. */
Test(run, a_curve_of_an_older_program_is_carried_on)
{
    size_t size;
    static const char old[] = "step,tokens,loss,lr,grad_norm\n1,5,9.5,0.25,1.5\n2,10,9.25,0.125,2\n"
                              "3,15,7\n1,5,9.5,0.25,1.5\n9,45,1,1,1\n";
    static const char kept[] = "step,tokens,loss,lr,grad_norm,valid_loss\n1,5,9.5,0.25,1.5,\n"
                               "2,10,9.25,0.125,2,\n";
    run_lab_stopped(&lab, "a", (struct run_stopper){.step = 2});
    struct tempfile curve = run_lab_file(&lab, "a", "curve.csv");
    tempfile_write(&curve, old, strlen(old));
    run_lab_whole(&lab, "a");
    char *text = tempfile_read(&curve, &size);
    cr_expect(!strncmp(text, kept, strlen(kept)), "%.300s", text);
    cr_expect(!strncmp(text + strlen(kept), "3,", 2), "%.300s", text);
    cr_expect(text[size - 1] == '\n' && text[size - 2] != ',', "the last step is evaluated");
    free(text);
}

Test(run, stopped_after_training_it_is_evaluated_later)
{
    run_lab_whole(&lab, "whole");
    run_lab_stopped(&lab, "parts", (struct run_stopper){.step = RUN_LAB_STEPS});
    run_lab_whole(&lab, "parts");
    run_lab_same_end(&lab, "whole", "parts");
}

Test(run, a_finished_run_is_left_alone)
{
    size_t before_size, after_size;
    run_lab_whole(&lab, "a");
    struct tempfile result = run_lab_file(&lab, "a", "result.json");
    char *before = tempfile_read(&result, &before_size);
    strcpy(lab.config.data, lab.text.path);
    run_lab_whole(&lab, "a");
    char *after = tempfile_read(&result, &after_size);
    cr_expect(before_size == after_size && !memcmp(before, after, before_size));
    free(before);
    free(after);
}

/* The same text, of another place, and another one, where the first is gone. */
Test(run, a_finished_run_whose_text_is_gone_knows_it_again)
{
    struct tempdir other = tempdir_create();
    struct lm_dataset data = run_case_data(lab.ctx, &other, 420, 61);
    lm_dataset_close(&data);
    struct tempfile moved = tempdir_file(&lab.dir, "moved");
    run_lab_whole(&lab, "a");
    cr_assert_eq(rename(lab.text.path, moved.path), 0);
    strcpy(lab.config.data, moved.path);
    run_lab_whole(&lab, "a");
    strcpy(lab.config.data, other.path);
    run_lab_fails(&lab, "a", PEER_ERR_ARGUMENT,
                  "the folder holds another run: it was trained on 400 tokens of checksum ");
    cr_assert_eq(rename(moved.path, lab.text.path), 0);
    tempdir_remove(&other);
}

/* What is evaluated, how often a checkpoint is written, and names change no weight. */
Test(run, what_changes_no_weight_may_change)
{
    size_t size;
    run_lab_whole(&lab, "whole");
    run_lab_stopped(&lab, "parts", (struct run_stopper){.step = 5});
    lab.config.train.checkpoint_seconds = 7;
    lab.config.train.eval_every = 3;
    strcpy(lab.config.variant, "renamed");
    run_lab_whole(&lab, "parts");
    struct tempfile kept = run_lab_file(&lab, "parts", "run.yaml");
    char *text = tempfile_read(&kept, &size), *left, *right;
    cr_expect(strstr(text, "checkpoint_seconds: 7") && strstr(text, "variant: \"renamed\""), "%s",
              text);
    free(text);
    left = run_lab_tensors(&lab, "whole", &size);
    size_t whole = size;
    right = run_lab_tensors(&lab, "parts", &size);
    cr_expect(size == whole && memcmp(left, right, size) == 0);
    free(left);
    free(right);
}

Test(run, a_run_that_cannot_begin_leaves_nothing)
{
    struct tempfile folder = tempdir_file(&lab.dir, "a");
    lab.config.model.tables = LM_PLACE_MAPPED; /* AdamW's moments are not for mapped tables */
    cr_expect_neq(run_lab_execute(&lab, "a", NULL), PEER_OK);
    cr_expect_neq(access(folder.path, F_OK), 0);
    lab.config.model.tables = LM_PLACE_MEMORY;
    run_lab_whole(&lab, "a");
}

Test(run, a_folder_of_another_run_is_refused)
{
    run_lab_whole(&lab, "a");
    struct lab_run_config before = lab.config;
    lab.config.train.lr *= 2;
    run_lab_fails(&lab, "a", PEER_ERR_ARGUMENT,
                  "a/run.yaml: the folder holds another run: train.lr = 0.003, here 0.006; choose");
    lab_run_config_copy(&lab.config, &before);
    run_lab_stopped(&lab, "b", (struct run_stopper){.step = 3});
    lab.config.train.seed++;
    run_lab_fails(&lab, "b", PEER_ERR_ARGUMENT, "b/run.yaml: the folder holds another run");
    lab.config.train.seed--;
    run_lab_whole(&lab, "b");
    run_lab_same_end(&lab, "a", "b");
}

static double nats_of(const char *name);

/* Numbers as older programs wrote them, 0.00300000003 for 0.003. */
Test(run, a_folder_of_an_older_program_is_carried_on)
{
    size_t size;
    run_lab_whole(&lab, "whole");
    run_lab_stopped(&lab, "parts", (struct run_stopper){.step = 5});
    struct tempfile kept = run_lab_file(&lab, "parts", "run.yaml");
    char *text = tempfile_read(&kept, &size);
    cr_expect(strstr(text, "\n  lr: 0.003\n"), "%s", text);
    free(text);
    char *lengthy = lab_run_config_text(&lab.config, true);
    cr_assert(lengthy);
    tempfile_write(&kept, lengthy, strlen(lengthy));
    free(lengthy);
    text = tempfile_read(&kept, &size);
    cr_expect(strstr(text, "\n  lr: 0.00300000003\n"), "%s", text);
    free(text);
    run_lab_whole(&lab, "parts");
    cr_expect_eq(nats_of("parts"), nats_of("whole"));
}

static double nats_of(const char *name)
{
    struct tempfile folder = tempdir_file(&lab.dir, name);
    struct lab_result result;
    cr_assert_eq(lab_run_result(&result, lab.ctx, folder.path), PEER_OK, "%s",
                 peer_ctx_error(lab.ctx));
    lab_result_free(&result);
    return result.nats;
}

/* At a rate of 1e-9 Adam's 12 steps move each of fewer than 10^4 weights by some 1e-8 at most, and
 * the loss, whose slopes are below 0.1, by less than 1e-5; drawn weights are far from that. Running
 * statistics would follow the text at any rate. */
Test(run, starts_from_the_weights_of_another)
{
    struct tempfile first = tempdir_file(&lab.dir, "first");
    for (const struct peer_option *option = lab.config.model.ffw->options; option->name; option++)
        if (strcmp(option->name, "query_norm") == 0)
            cr_assert_eq(peer_option_set(lab.ctx, lab.config.ffw_config, option, "rms"), PEER_OK);
    run_lab_whole(&lab, "first");
    lab.config.train.seed++;
    strcpy(lab.config.init, first.path);
    run_lab_whole(&lab, "whole");
    run_lab_stopped(&lab, "parts", (struct run_stopper){.step = 5});
    run_lab_whole(&lab, "parts");
    run_lab_same_end(&lab, "whole", "parts");
    lab.config.train.lr = 1e-9F;
    run_lab_whole(&lab, "same");
    *lab.config.init = 0;
    run_lab_whole(&lab, "drawn");
    cr_expect_lt(fabs(nats_of("same") - nats_of("first")), 1e-5, "%g, %g", nats_of("same"),
                 nats_of("first"));
    cr_expect_gt(fabs(nats_of("drawn") - nats_of("first")), 1e-3);
    strcpy(lab.config.init, first.path);
    strcat(lab.config.init, "/checkpoint.safetensors");
    lab.config.model.dense.hidden = 7;
    run_lab_fails(&lab, "other", PEER_ERR_FORMAT, "[48, 12]");
    cr_expect(strstr(peer_ctx_error(lab.ctx), "[7, 12]"), "%s", peer_ctx_error(lab.ctx));
    strcpy(lab.config.init, "/nowhere/at/all");
    run_lab_fails(&lab, "none", PEER_ERR_IO, "/nowhere/at/all");
}

/* A frozen run's checkpoint has no moments of what stood still, and serves the next run. */
Test(run, frozen_parts_stay_through_a_stop)
{
    size_t size;
    struct tempfile first = tempdir_file(&lab.dir, "first"),
                    folder = tempdir_file(&lab.dir, "whole");
    struct lab_result result;
    run_lab_whole(&lab, "first");
    strcpy(lab.config.init, first.path);
    lab.config.model.freeze = LM_FREEZE_MIXTURE;
    run_lab_whole(&lab, "whole");
    run_lab_stopped(&lab, "parts", (struct run_stopper){.step = 5});
    lab.config.model.freeze = LM_FREEZE_ROUTER;
    run_lab_fails(&lab, "parts", PEER_ERR_ARGUMENT, "parts/run.yaml: the folder holds another run");
    struct tempfile kept = run_lab_file(&lab, "parts", "run.yaml");
    char *yaml = tempfile_read(&kept, &size);
    cr_assert_eq(remove(kept.path), 0);
    run_lab_fails(&lab, "parts", PEER_ERR_FORMAT,
                  "parts/checkpoint.safetensors is of another run: freeze = mixture, here router");
    tempfile_write(&kept, yaml, size);
    free(yaml);
    lab.config.model.freeze = LM_FREEZE_MIXTURE;
    run_lab_whole(&lab, "parts");
    run_lab_same_end(&lab, "whole", "parts");
    cr_assert_eq(lab_run_result(&result, lab.ctx, folder.path), PEER_OK);
    cr_expect_str_eq(result.freeze, "mixture");
    cr_expect_eq(result.params_frozen, lm_config_frozen(&lab.config.model));
    lab_result_free(&result);
    char *frozen = run_lab_tensors(&lab, "whole", &size);
    size_t whole_size = size;
    free(frozen);
    free(run_lab_tensors(&lab, "first", &size));
    cr_expect_eq(size - whole_size, 2 * sizeof(float) * (size_t)result.params_frozen,
                 "%zu, %zu bytes", size, whole_size);
    strcpy(lab.config.init, folder.path);
    lab.config.model.freeze = LM_FREEZE_NONE;
    run_lab_whole(&lab, "next");
}

Test(run, a_changed_init_is_noticed)
{
    struct tempfile first = tempdir_file(&lab.dir, "first");
    struct tempfile weights = run_lab_file(&lab, "first", "checkpoint.safetensors");
    run_lab_whole(&lab, "first");
    strcpy(lab.config.init, first.path);
    run_lab_whole(&lab, "done");
    run_lab_stopped(&lab, "a", (struct run_stopper){.step = 3});
    run_lab_stopped(&lab, "b", (struct run_stopper){.step = 3});
    run_lab_whole(&lab, "a");
    cr_assert_eq(rename(first.path, tempdir_file(&lab.dir, "moved").path), 0);
    *lab.config.init = 0;
    lab.config.train.seed++;
    run_lab_whole(&lab, "first");
    strcpy(lab.config.init, first.path);
    lab.config.train.seed--;
    run_lab_whole(&lab, "done");
    run_lab_fails(&lab, "b", PEER_ERR_ARGUMENT,
                  "first/checkpoint.safetensors has changed: the checksum of its tensors is ");
    strcpy(lab.config.init_crc32, "00000000");
    run_lab_fails(&lab, "new", PEER_ERR_ARGUMENT, ", and was 00000000 for this run");
    *lab.config.init_crc32 = 0;
    cr_assert_eq(remove(weights.path), 0);
    run_lab_whole(&lab, "b");
    run_lab_same_end(&lab, "a", "b");
    run_lab_fails(&lab, "new", PEER_ERR_IO, "first");
}

Test(run, a_checkpoint_of_another_model_is_refused)
{
    run_lab_stopped(&lab, "a", (struct run_stopper){.step = 3});
    struct tempfile moved = run_lab_file(&lab, "a", "run.yaml");
    cr_assert_eq(remove(moved.path), 0);
    lab.config.model.dense.hidden = 7;
    run_lab_fails(&lab, "a", PEER_ERR_FORMAT,
                  "a/checkpoint.safetensors is of another run: model: dense.hidden");
}

Test(run, a_damaged_checkpoint_is_refused_and_left_alone)
{
    size_t size, left;
    run_lab_stopped(&lab, "a", (struct run_stopper){.step = 3});
    struct tempfile file = run_lab_file(&lab, "a", "checkpoint.safetensors");
    char *bytes = tempfile_read(&file, &size);
    for (size_t cut = 0; cut < size; cut += size / 11) {
        tempfile_write(&file, bytes, cut);
        run_lab_fails(&lab, "a", PEER_ERR_FORMAT, "a/checkpoint.safetensors");
        free(tempfile_read(&file, &left));
        cr_expect_eq(left, cut);
    }
    tempfile_write(&file, bytes, size);
    free(bytes);
    run_lab_whole(&lab, "a");
}

Test(run, another_process_in_the_folder_is_waited_for_or_reported)
{
    run_lab_stopped(&lab, "a", (struct run_stopper){.step = 1});
    struct tempfile lock = run_lab_file(&lab, "a", "lock");
    int file = open(lock.path, O_RDWR);
    cr_assert_eq(flock(file, LOCK_EX | LOCK_NB), 0);
    run_lab_fails(&lab, "a", PEER_ERR_IO, "a: another process trains in this folder");
    struct run_stopper stopper = {.step = 0};
    struct lab_run_watch watch = {.user = &stopper, .stop = run_stop_asked, .patient = true};
    cr_expect_eq(run_lab_execute(&lab, "a", &watch), PEER_ERR_STOPPED, "waiting can be stopped");
    pid_t other = fork(); /* holds the same lock */
    if (other == 0) {
        usleep(300000);
        _exit(0);
    }
    close(file);
    watch.stop = NULL;
    cr_expect_eq(run_lab_execute(&lab, "a", &watch), PEER_OK, "%s", peer_ctx_error(lab.ctx));
}

Test(run, data_that_do_not_fit_leave_no_run_behind)
{
    static const uint16_t beyond[] = {1, 2, 11, 3, 1, 2, 3, 4, 5, 6, 7, 8};
    struct tempfile train = tempdir_file(&lab.text, "train.bin"),
                    kept = run_lab_file(&lab, "a", "run.yaml");
    strcpy(lab.config.data, "/nowhere");
    run_lab_fails(&lab, "a", PEER_ERR_IO, "/nowhere");
    strcpy(lab.config.data, lab.text.path);
    tempfile_write(&train, beyond, sizeof beyond);
    run_lab_fails(&lab, "a", PEER_ERR_FORMAT, "train.bin");
    cr_expect(strstr(peer_ctx_error(lab.ctx), "11"), "%s", peer_ctx_error(lab.ctx));
    tempfile_write(&train, beyond + 3, RUN_CASE_CONTEXT * sizeof *beyond);
    run_lab_fails(&lab, "a", PEER_ERR_ARGUMENT, "9 training tokens do not make one sequence of 9");
    tempfile_write(&train, beyond, 3);
    run_lab_fails(&lab, "a", PEER_ERR_FORMAT, "train.bin");
    cr_expect_neq(access(kept.path, F_OK), 0);
    struct tempfile valid = tempdir_file(&lab.text, "valid.bin");
    cr_assert_eq(remove(valid.path), 0);
    struct lm_dataset data = run_case_data(lab.ctx, &lab.text, 400, 0);
    lm_dataset_close(&data);
    run_lab_whole(&lab, "a");
}

Test(run, without_validation_text_the_loss_is_unknown)
{
    struct lab_result result;
    struct tempfile valid = tempdir_file(&lab.text, "valid.bin"),
                    folder = tempdir_file(&lab.dir, "a");
    cr_assert_eq(remove(valid.path), 0);
    run_lab_whole(&lab, "a");
    cr_assert_eq(lab_run_result(&result, lab.ctx, folder.path), PEER_OK);
    cr_expect(isnan(result.nats));
    cr_expect_eq(result.usages, 0);
    lab_result_free(&result);
}

/* Weights that decay by 10 times their size grow by the factor 9 in each step. */
Test(run, a_loss_that_is_no_number_is_a_result)
{
    struct lab_result result;
    struct tempfile folder = tempdir_file(&lab.dir, "a");
    lab.config.train.lr = 1;
    lab.config.train.warmup = 0;
    lab.config.train.optim.weight_decay = 10;
    lab.config.train.steps = 400;
    run_lab_whole(&lab, "a");
    cr_assert_eq(lab_run_result(&result, lab.ctx, folder.path), PEER_OK, "%s",
                 peer_ctx_error(lab.ctx));
    cr_expect_eq(result.state, LAB_DIVERGED);
    cr_expect(isnan(result.nats));
    cr_expect_lt(result.tokens, 400 * 4 * RUN_CASE_CONTEXT);
    cr_expect_eq(result.usages, 0);
    lab_result_free(&result);
}

Test(run, a_folder_that_cannot_be_written_is_named)
{
    tempdir_become_nobody(&lab.dir);
    cr_assert_eq(chmod(lab.dir.path, 0500), 0);
    run_lab_fails(&lab, "a", PEER_ERR_IO, "/a: cannot make the folder: Permission denied");
}

Test(run, a_result_of_a_newer_version_or_none_is_refused)
{
    struct lab_result result;
    struct tempfile folder = tempdir_file(&lab.dir, "a"),
                    file = run_lab_file(&lab, "a", "result.json");
    cr_assert_eq(mkdir(folder.path, 0777), 0);
    cr_expect_eq(lab_run_result(&result, lab.ctx, folder.path), PEER_ERR_IO);
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
        cr_expect_eq(lab_run_result(&result, lab.ctx, folder.path), PEER_ERR_FORMAT);
        cr_expect(strstr(peer_ctx_error(lab.ctx), cases[i].part), "%s", peer_ctx_error(lab.ctx));
    }
}
