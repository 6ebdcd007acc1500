/* SPDX-License-Identifier: MIT */
/* Runs whose tables lie in mapped files are the runs whose tables lie in memory, however they are
 * stopped. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "experiments/runs/checkpoint_model.h"
#include "experiments/runs/run.h"
#include "experiments/runs/upscale.h"
#include "lm/tables.h"
#include "peer/types.h"
#include "tests/support/run_case.h"
#include "tests/support/run_lab.h"

enum { STEPS = 40 };

static struct run_lab lab;

static void set_up(void)
{
    run_lab_open(&lab);
    lab.config.train.optim.rows = PEER_ROWS_ADAGRAD;
    lab.config.train.steps = STEPS;
    lab.config.model.tables = LM_PLACE_MAPPED;
}

static void tear_down(void)
{
    run_lab_close(&lab);
}

TestSuite(run_tables, .init = set_up, .fini = tear_down);

/* Sets a choice of the run's FFW. */
static void set_option(const char *name, const char *text)
{
    const struct peer_option *option = peer_option_find(lab.config.model.ffw->options, name);
    cr_assert(option);
    cr_assert_eq(peer_option_set(lab.ctx, lab.config.ffw_config, option, text), PEER_OK);
}

static double nats_of(const char *name)
{
    struct lab_result result;
    struct tempfile folder = tempdir_file(&lab.dir, name);
    cr_assert_eq(lab_run_result(&result, lab.ctx, folder.path), PEER_OK, "%s",
                 peer_ctx_error(lab.ctx));
    double nats = result.nats;
    lab_result_free(&result);
    return nats;
}

/* The loss of a run's model on a few ids. */
static double loss_of(const char *name, const char *table)
{
    struct lab_checkpoint_model loaded;
    struct tempfile folder = tempdir_file(&lab.dir, name);
    int32_t inputs[RUN_CASE_CONTEXT], targets[RUN_CASE_CONTEXT];
    int64_t scored;
    for (int i = 0; i < RUN_CASE_CONTEXT; i++) {
        inputs[i] = (3 * i + 1) % RUN_CASE_VOCAB;
        targets[i] = (5 * i + 2) % RUN_CASE_VOCAB;
    }
    cr_assert_eq(lab_checkpoint_model_open(&loaded, lab.ctx, folder.path, 1, table), PEER_OK, "%s",
                 peer_ctx_error(lab.ctx));
    double loss = lm_model_forward(loaded.model, &scored, NULL, inputs, targets, 1,
                                   RUN_CASE_CONTEXT, PEER_MODE_EVAL);
    lab_checkpoint_model_close(&loaded);
    return loss;
}

static void open_fails(const char *name, const char *table, enum peer_status status,
                       const char *words)
{
    struct lab_checkpoint_model loaded;
    struct tempfile folder = tempdir_file(&lab.dir, name);
    cr_expect_eq(lab_checkpoint_model_open(&loaded, lab.ctx, folder.path, 1, table), status);
    cr_expect(strstr(peer_ctx_error(lab.ctx), words), "%s", peer_ctx_error(lab.ctx));
}

static void same_tables(const char *a, const char *b)
{
    run_lab_same_end(&lab, a, b);
    run_lab_same_file(&lab, a, b, "table-1");
}

Test(run_tables, mapped_ones_give_what_those_in_memory_give)
{
    static const char *const types[] = {"f32", "bf16"};
    for (int i = 0; i < 4; i++) {
        char mapped[16], memory[16];
        snprintf(mapped, sizeof mapped, "mapped%d", i);
        snprintf(memory, sizeof memory, "memory%d", i);
        set_option("table", types[i % 2]);
        lab.config.train.optim.rows = i / 2 ? PEER_ROWS_SGD : PEER_ROWS_ADAGRAD;
        lab.config.model.tables = LM_PLACE_MAPPED;
        run_lab_whole(&lab, mapped);
        lab.config.model.tables = LM_PLACE_MEMORY;
        run_lab_whole(&lab, memory);
        cr_expect_eq(nats_of(mapped), nats_of(memory));
        cr_expect_eq(loss_of(mapped, NULL), loss_of(memory, NULL));
        run_lab_same_file(&lab, mapped, memory, "usage-1.txt");
    }
}

Test(run_tables, stopped_and_carried_on_a_run_ends_with_the_same_bits)
{
    lab.config.train.usage_points = 4;
    run_lab_whole(&lab, "whole");
    for (int64_t step = 0; step < STEPS; step += 9)
        run_lab_stopped(&lab, "parts", (struct run_stopper){.step = step});
    run_lab_whole(&lab, "parts");
    same_tables("whole", "parts");
}

/* Kills its process some steps after a checkpoint. */
struct killer {
    bool saved;
    int more;
};

static void kill_later(void *user, const struct lm_train_progress *progress, double flops)
{
    struct killer *killer = user;
    (void)flops;
    killer->saved |= progress->saved;
    if (killer->saved && !progress->saved && --killer->more == 0)
        raise(SIGKILL);
}

static void killed(const char *name, int more)
{
    pid_t child = fork();
    if (child == 0) {
        struct peer_ctx_config own = peer_ctx_config_default();
        struct killer killer = {.more = more};
        struct lab_run_watch watch = {.user = &killer, .progress = kill_later};
        own.threads = 1;
        peer_ctx_create(&lab.ctx, &own);
        _exit(run_lab_execute(&lab, name, &watch));
    }
    int status = 0;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %x", (unsigned)status);
}

Test(run_tables, killed_and_carried_on_a_run_ends_with_the_same_bits)
{
    lab.config.train.checkpoint_seconds = 0.001f;
    lab.config.train.eval_every = 3;
    for (int i = 0; i < 2; i++)
        killed("parts", 3 + i);
    open_fails("parts", NULL, PEER_ERR_FORMAT, "has changed since savepoint");
    run_lab_whole(&lab, "parts");
    run_lab_whole(&lab, "whole");
    same_tables("whole", "parts");
}

Test(run_tables, a_table_and_a_checkpoint_of_two_steps_do_not_belong_together)
{
    struct tempfile checkpoint = run_lab_file(&lab, "a", "checkpoint.safetensors");
    size_t size;
    run_lab_stopped(&lab, "a", (struct run_stopper){.step = 5});
    char *bytes = tempfile_read(&checkpoint, &size);
    run_lab_stopped(&lab, "a", (struct run_stopper){.step = 9});
    tempfile_write(&checkpoint, bytes, size);
    free(bytes);
    run_lab_fails(&lab, "a", PEER_ERR_FORMAT, "expected 5");
    open_fails("a", NULL, PEER_ERR_FORMAT, "savepoint 9");
}

Test(run_tables, of_a_file_are_not_converted_upscaled_or_started_from)
{
    int64_t blocks;
    struct tempfile from = tempdir_file(&lab.dir, "a"), to = tempdir_file(&lab.dir, "deep");
    run_lab_whole(&lab, "a");
    open_fails("a", "int8", PEER_ERR_ARGUMENT, "its tables are mapped");
    cr_expect_eq(lab_upscale(&blocks, lab.ctx, from.path, 1, to.path), PEER_ERR_ARGUMENT);
    cr_expect(strstr(peer_ctx_error(lab.ctx), "its tables are mapped"));
    lab.config.model.tables = LM_PLACE_MEMORY;
    strcpy(lab.config.init, from.path);
    run_lab_fails(&lab, "b", PEER_ERR_ARGUMENT, "its tables are mapped");
}

Test(run_tables, is_open_for_one_who_trains)
{
    struct lm_tables *tables = NULL;
    struct tempfile folder = tempdir_file(&lab.dir, "a");
    run_lab_whole(&lab, "a");
    cr_assert_eq(
        lm_tables_open(&tables, lab.ctx, &lab.config.model, folder.path, 1, PEER_TABLE_READ_WRITE),
        PEER_OK);
    open_fails("a", NULL, PEER_ERR_IO, "open for writing elsewhere");
    lm_tables_close(&tables);
}

Test(run_tables, go_with_a_checkpoint_that_nobody_wants)
{
    const struct lab_run_watch watch = {.discard = true};
    struct tempfile table = run_lab_file(&lab, "a", "table-1"),
                    undo = run_lab_file(&lab, "a", "table-1.undo");
    run_lab_stopped(&lab, "a", (struct run_stopper){.step = 5});
    cr_expect_eq(access(table.path, F_OK), 0);
    cr_assert_eq(run_lab_execute(&lab, "a", &watch), PEER_OK, "%s", peer_ctx_error(lab.ctx));
    cr_expect_eq(access(table.path, F_OK), -1);
    cr_expect_eq(access(undo.path, F_OK), -1);
    cr_expect(nats_of("a") > 0);
}

Test(run_tables, bytes_are_those_of_the_files)
{
    size_t size;
    struct tempfile table = run_lab_file(&lab, "a", "table-1");
    run_lab_stopped(&lab, "a", (struct run_stopper){.step = 1});
    free(tempfile_read(&table, &size));
    cr_expect_eq(lm_tables_bytes(&lab.config.model), size);
    struct lm_config memory = lab.config.model, mapped = lab.config.model;
    struct peer_cost cost = {0};
    memory.vocab = mapped.vocab = RUN_CASE_VOCAB;
    memory.tables = LM_PLACE_MEMORY;
    lm_config_cost(&cost, &mapped, 9);
    cr_expect_eq(lm_config_memory(&memory, 9) - lm_config_memory(&mapped, 9),
                 (size_t)cost.table_bytes);
}
