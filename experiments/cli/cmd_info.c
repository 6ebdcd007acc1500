/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "experiments/cli/command.h"
#include "experiments/cli/progress.h"
#include "experiments/cli/restart.h"
#include "experiments/cli/stop.h"
#include "experiments/facts/describe.h"
#include "experiments/runs/machine.h"
#include "experiments/runs/run_check.h"
#include "experiments/runs/run_estimate.h"
#include "experiments/runs/run_init.h"
#include "lm/tables.h"
#include "nn/file.h"

static const char help[] =
    "Usage: peerlab info RUN.yaml [--no-estimate]\n\n"
    "RUN.yaml is a run file, or the folder of a run.\n"
    "Says what a run costs before anything is allocated: parameters total and active, FLOPs per\n"
    "token by part, bytes read per token, memory needed and had, tokens and FLOPs in all; then\n"
    "what this machine would run it on: kernels, BLAS, threads. What `peerlab train` would refuse\n"
    "is refused here too, in the same words and with status 1. Where the run's data folder is not\n"
    "there yet, give the vocabulary as model.vocab.\n\n"
    "How long it will train is estimated by training the model itself here for some two seconds,\n"
    "longer where it is large, on all cores and beside whatever else they do; evaluation and\n"
    "checkpoints, a tenth of the time at most, come on top.\n\n"
    "  --no-estimate  trains nothing\n\n"
    "FLOPs: a multiply-add is 2; routing and vocabulary are counted, activations and norms are\n"
    "not (nn/cost.h). What is frozen counts as if it were trained.\n";

static void print_cost(const struct peer_cost *cost)
{
    char count[24];
    printf("\n%-12s %14s %14s\n", "part", "forward", "backward");
    for (int part = 0; part < PEER_PART_COUNT; part++)
        if (cost->forward[part] > 0)
            printf("%-12s %14.0f %14.0f\n", peer_part_names[part], cost->forward[part],
                   cost->backward[part]);
    lab_format_count(count, sizeof count, peer_cost_train(cost));
    printf("%-12s %14.0f %14.0f   FLOPs per token; %s to train on one\n\n", "sum",
           peer_cost_forward(cost), peer_cost_train(cost) - peer_cost_forward(cost), count);
}

static void print_line(const char *what, double value, void (*format)(char *, int, double),
                       const char *unit)
{
    char text[32];
    format(text, sizeof text, value);
    printf("%-28s %12s%s%s\n", what, text, *unit ? " " : "", unit);
}

/* Bytes per expert: its weights and what the optimizer keeps for them. */
static void print_row_memory(const struct lm_config *model, const struct lm_train_config *train)
{
    struct peer_cost cost = {0};
    lm_config_cost(&cost, model, train->length);
    if (!cost.table_rows)
        return;
    double weights = (double)cost.table_bytes / (double)cost.table_rows;
    print_line("memory, expert", weights, lab_format_bytes, "weights of one");
    print_line("memory, expert's state", (double)lm_config_row_memory(model, &train->optim),
               lab_format_bytes, "optimizer, of one");
}

static void print_memory(const struct lab_run_config *config, const struct lm_config *model)
{
    size_t bytes = lab_run_memory(config, model);
    double need = bytes == SIZE_MAX ? INFINITY : (double)bytes;
    double total = lab_machine_memory_total(), now = lab_machine_memory();
    print_line("memory, in all", need, lab_format_bytes, "to train");
    print_line("memory, this machine", total, lab_format_bytes,
               isfinite(total) ? "in all, within the container's limit" : "");
    print_line("memory, free now", now, lab_format_bytes, "");
    if (need > total)
        puts("The run exceeds the memory of this machine; moments of tables grow with the rows in "
             "use.");
    else if (need > now)
        puts("The run exceeds the memory that is free now.");
}

static void print_options(const struct peer_option *options, const void *config)
{
    char text[64];
    for (; options->name; options++) {
        peer_option_text(text, sizeof text, config, options);
        printf(" %s: %s%s", options->name, text, options[1].name ? "," : "\n");
    }
}

/* What follows from the run's file without standing in it. */
static void print_choices(const struct lab_run_config *config, const struct lm_config *model)
{
    bool own = model->heads != lm_config_default_heads(model->width);
    printf("attention: %lld head%s of width %lld%s\n", (long long)model->heads,
           model->heads == 1 ? "" : "s", (long long)(model->width / model->heads),
           own ? "" : ", the default for this width (model.heads)");
    if (model->ffw) {
        printf("%s in block%s", model->ffw->name, config->middle ? "" : "s");
        for (int64_t block = 0; block < model->blocks; block++)
            if (model->sparse_at[block])
                printf(" %lld", (long long)block);
        printf(" of 0 to %lld%s:", (long long)model->blocks - 1,
               config->middle ? ", the middle one (model.sparse_at)" : "");
        print_options(model->ffw->options, model->ffw_config);
    }
    printf("dense:");
    print_options(peer_ffw_dense.options, &model->dense);
    printf("a step: %lld sequences of %lld tokens\n", (long long)config->train.sequences,
           (long long)config->train.length);
}

static void print_info(const struct lab_run_config *config, const struct lm_config *model)
{
    const struct lm_train_config *train = &config->train;
    struct peer_cost cost = {0};
    lm_config_cost(&cost, model, train->length);
    int64_t pass = train->sequences / train->accumulate * train->length;
    double tokens = (double)train->steps * (double)(train->sequences * train->length);
    printf("%s: width %lld, %lld blocks, %lld heads, vocabulary %lld, FFW %s\n", config->variant,
           (long long)model->width, (long long)model->blocks, (long long)model->heads,
           (long long)model->vocab, model->ffw ? model->ffw->name : "dense");
    print_choices(config, model);
    print_cost(&cost);
    print_line("parameters, total", (double)cost.params_total, lab_format_count, "");
    if (model->freeze != LM_FREEZE_NONE) {
        double frozen = (double)lm_config_frozen(model);
        print_line("parameters, trained", (double)cost.params_total - frozen, lab_format_count, "");
        print_line("parameters, frozen", frozen, lab_format_count, lm_freeze_names[model->freeze]);
    }
    print_line("parameters, active", (double)cost.params_active, lab_format_count, "per token");
    print_line("read, forward", cost.bytes_forward, lab_format_bytes, "per token, no reuse");
    print_line("moved, training", cost.bytes_train, lab_format_bytes, "per token, no reuse");
    print_line("memory, model", (double)lm_config_memory(model, pass), lab_format_bytes,
               "weights, gradients, activations");
    if (model->tables == LM_PLACE_MAPPED)
        print_line("disk, tables", (double)lm_tables_bytes(model), lab_format_bytes,
                   "mapped; while they are trained at most as much again for undo");
    print_line("memory, optimizer", (double)lm_config_optim_memory(model, &train->optim),
               lab_format_bytes, "moments");
    print_row_memory(model, train);
    print_memory(config, model);
    print_line("tokens", tokens, lab_format_count, "");
    print_line("FLOPs", tokens * peer_cost_train(&cost), lab_format_count, "to train");
    if (model->freeze != LM_FREEZE_NONE)
        puts("FLOPs, and bytes moved per token, are counted as if nothing were frozen.");
}

static void print_estimate(const struct lab_estimate *estimate, const struct lab_run_config *config,
                           int threads)
{
    char whole[32], part[64] = "";
    const char *unit = threads == 1 ? "thread" : "threads";
    if (isnan(estimate->step)) {
        printf("%-28s not estimated: %s\n", "time, training", estimate->reason);
        return;
    }
    lab_format_seconds(whole, sizeof whole,
                       fmax(1e-3, estimate->step * (double)config->train.steps));
    if (estimate->share < 1)
        snprintf(part, sizeof part, " with up to %.2g of a step's tokens", estimate->share);
    printf("%-28s %12s estimated, %.3g s a step: %lld step%s%s timed now on this machine, on %d "
           "%s%s; evaluation and checkpoints not counted\n",
           "time, training", whole, estimate->step, (long long)estimate->steps,
           estimate->steps == 1 ? "" : "s", part, threads, unit,
           estimate->made_up ? ", on made-up ids" : "");
}

/* How long it will take here, by training a little. */
static enum peer_status estimate(struct peer_ctx *ctx, const struct lab_run_config *config,
                                 const struct lm_config *model, const struct lm_dataset *data)
{
    struct lab_estimate ret;
    const struct lab_estimate_job job = {.config = config,
                                         .model = model,
                                         .data = data->train ? data : NULL,
                                         .seconds = 2,
                                         .stop = lab_stop_asked};
    lab_stop_install();
    enum peer_status status = lab_run_estimate(&ret, ctx, &job);
    if (status == PEER_OK)
        print_estimate(&ret, config, peer_ctx_threads(ctx));
    return status;
}

/* What `peerlab train` would refuse is refused; the model of the run, its vocabulary known, and its
 * data. Those that are not there yet are not asked. */
static enum peer_status check(struct lm_config *ret, struct lm_dataset *data, struct peer_ctx *ctx,
                              const struct lab_run_config *config)
{
    struct lab_facts *facts = NULL;
    data->vocab = config->model.vocab;
    bool pattern = strpbrk(config->data, "*?[") != NULL;
    bool there = true;
    enum peer_status status =
        data->vocab && !pattern ? peer_file_there(&there, ctx, NULL, config->data) : PEER_OK;
    if (status == PEER_OK && there)
        status = lab_run_open_data(data, &facts, ctx, config);
    if (status == PEER_OK && there && *config->init)
        status = lab_run_init_check(ctx, config, data);
    *ret = config->model;
    ret->vocab = data->vocab;
    if (status == PEER_OK)
        status = lab_run_check(ret, ctx, config, data->vocab);
    if (status == PEER_OK && !there)
        printf("%s is not there yet: the run is not checked against its text\n", config->data);
    lab_facts_destroy(&facts);
    return status;
}

/* The run file that `file` is, or that the run folder `file` has. */
static enum peer_status find_file(char ret[LAB_PATH], struct peer_ctx *ctx, const char *file)
{
    struct stat info;
    bool folder = stat(file, &info) == 0 && S_ISDIR(info.st_mode);
    int length = snprintf(ret, LAB_PATH, "%s%s", file, folder ? "/run.yaml" : "");
    if (length >= LAB_PATH)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "%.60s...: longer than %d bytes", file,
                         LAB_FOLDER);
    bool there = true;
    enum peer_status status = folder ? peer_file_there(&there, ctx, NULL, ret) : PEER_OK;
    if (status == PEER_OK && !there)
        return peer_fail(ctx, PEER_ERR_IO,
                         "%s is a folder without run.yaml; name the file of the run", file);
    return status;
}

static enum peer_status info(struct peer_ctx *ctx, const char *file, bool silent)
{
    struct lab_run_config config;
    struct lm_config model;
    struct lm_dataset data = {0};
    char path[LAB_PATH];
    enum peer_status status = find_file(path, ctx, file);
    if (status == PEER_OK)
        status = lab_run_config_read(&config, ctx, path);
    if (status != PEER_OK)
        return status;
    status = check(&model, &data, ctx, &config);
    if (status == PEER_OK || (status == PEER_ERR_MEMORY && model.vocab)) {
        print_info(&config, &model);
        fflush(stdout);
        if (status == PEER_OK && !silent)
            status = estimate(ctx, &config, &model, &data);
        puts("");
        lab_restart_print(stdout);
    }
    lm_dataset_close(&data);
    return status;
}

struct arguments {
    bool silent;
};

int lab_cmd_info(int argc, char **argv)
{
    static const struct lab_option options[] = {
        {"no-estimate", LAB_OPTION_FLAG, offsetof(struct arguments, silent), 0, 0},
        {NULL, LAB_OPTION_TEXT, 0, 0, 0}};
    struct arguments a = {0};
    int operands = 0, result = lab_parse(&a, &operands, argc, argv, help, options);
    if (result != LAB_GO_ON)
        return result;
    if (operands != 1)
        return lab_usage("info", "expected one run file");
    struct peer_ctx *ctx = lab_context(0);
    if (!ctx)
        return LAB_FAILURE;
    result = lab_report(ctx, info(ctx, argv[1], a.silent));
    peer_ctx_destroy(&ctx);
    return result;
}
