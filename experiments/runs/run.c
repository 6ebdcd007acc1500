/* SPDX-License-Identifier: MIT */
#include "experiments/runs/run.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "experiments/cli/progress.h"
#include "experiments/cli/stop.h"
#include "experiments/facts/describe.h"
#include "experiments/facts/probe.h"
#include "experiments/runs/curve.h"
#include "experiments/runs/run_card.h"
#include "experiments/runs/run_check.h"
#include "experiments/runs/run_folder.h"
#include "experiments/runs/run_init.h"
#include "experiments/runs/run_result.h"
#include "experiments/runs/run_tokenizer.h"
#include "experiments/runs/same_text.h"
#include "experiments/runs/usage_track.h"
#include "lm/tables.h"
#include "nn/file.h"

/* Everything a run holds while it executes; released in one place. */
struct execution {
    struct peer_ctx *ctx;
    struct lab_run_config *config; /* a copy */
    const char *folder;
    const struct lab_run_watch *watch;
    struct lm_dataset data;
    struct lab_facts *facts; /* NULL where the text is none of facts */
    struct lab_facts_score score;
    struct lm_tables *tables; /* NULL where they are in memory */
    struct lm_model *model;
    struct lm_config model_config;
    struct lm_usage *usage[LM_MAX_BLOCKS]; /* made with the first measurement */
    bool measured;
    struct lab_run_folder place;
    bool fresh_tables; /* made here, for a run that has not begun */
    struct lab_curve_file curve;
    double flops_per_token;
};

static void path_in(char *path, const char *folder, const char *name)
{
    snprintf(path, LAB_PATH, "%s/%s", folder, name);
}

static bool stop_asked(void *user)
{
    const struct execution *run = user;
    return *run->curve.failure ||
           (run->watch && run->watch->stop && run->watch->stop(run->watch->user));
}

static void table_path(char *path, const struct execution *run, int block, const char *suffix)
{
    snprintf(path, LAB_PATH, "%s/table-%d%s", run->folder, block, suffix);
}

/* Whether tables made now are this run's alone. */
static enum peer_status look_for_tables(struct execution *run)
{
    char path[LAB_PATH];
    bool any = false;
    path_in(path, run->folder, "run.yaml");
    enum peer_status status = peer_file_there(&any, run->ctx, NULL, path);
    for (int block = 0; status == PEER_OK && !any && block < LM_MAX_BLOCKS; block++) {
        table_path(path, run, block, "");
        status = peer_file_there(&any, run->ctx, NULL, path);
    }
    run->fresh_tables = status == PEER_OK && !any;
    return status;
}

/* Those of a run that cannot begin. */
static void remove_tables(const struct execution *run)
{
    char path[LAB_PATH];
    for (int block = 0; block < LM_MAX_BLOCKS; block++) {
        table_path(path, run, block, "");
        unlink(path);
        table_path(path, run, block, ".undo");
        unlink(path);
    }
}

/* From here on the folder is this run's. */
static enum peer_status on_begin(void *user)
{
    struct execution *run = user;
    enum peer_status status =
        lab_run_tokenizer_keep(run->ctx, run->folder, run->config->data, &run->data);
    return status == PEER_OK ? lab_run_folder_begin(&run->place, run->config) : status;
}

static enum peer_status make_model(struct execution *run)
{
    const struct lab_run_config *config = run->config;
    enum peer_status status = PEER_OK;
    if (run->model_config.tables == LM_PLACE_MAPPED)
        status = lm_tables_open(&run->tables, run->ctx, &run->model_config, run->folder,
                                config->train.seed, PEER_TABLE_READ_WRITE);
    if (status != PEER_OK)
        return status;
    run->model_config.table_files = run->tables;
    struct peer_cost cost = {0};
    lm_config_cost(&cost, &run->model_config, config->train.length);
    run->flops_per_token = peer_cost_train(&cost);
    int64_t tokens = config->train.sequences / config->train.accumulate * config->train.length;
    return lm_model_create(&run->model, run->ctx, &run->model_config, tokens, config->train.seed,
                           true);
}

/* The weights that training starts from, by name; a run that is carried on has its own. */
static enum peer_status load_init(struct execution *run, const char *checkpoint)
{
    bool there = false;
    if (!*run->config->init)
        return PEER_OK;
    enum peer_status status = peer_file_there(&there, run->ctx, NULL, checkpoint);
    if (status != PEER_OK || there)
        return status;
    struct lab_weights_told told;
    status =
        lab_run_init_load(&told, run->ctx, run->config, &run->data, lm_model_params(run->model));
    if (status == PEER_OK && told.tensors && run->watch && run->watch->taken)
        run->watch->taken(run->watch->user, run->config->init, &told);
    return status;
}

/* Ctrl-C twice must not lose what a checkpoint is being written of. None is written while rows of
 * the curve could not be: a resumed run tells of the steps behind its checkpoint only. */
static enum peer_status on_saving(void *user, bool begins)
{
    struct execution *run = user;
    enum peer_status status = begins ? lab_curve_check(&run->curve) : PEER_OK;
    if (!begins)
        lab_stop_release();
    else if (status == PEER_OK)
        lab_stop_hold();
    return status;
}

static void on_progress(void *user, const struct lm_train_progress *progress)
{
    struct execution *run = user;
    lab_curve_add(&run->curve, progress);
    if (run->watch && run->watch->progress)
        run->watch->progress(run->watch->user, progress, run->flops_per_token);
}

/* Makes the sums of every block that routes, or empties them; *any: there is one. */
static enum peer_status empty_usage(struct execution *run, bool *any)
{
    enum peer_status status = PEER_OK;
    *any = false;
    if (!run->measured)
        status = lm_usage_of_model(run->usage, run->ctx, run->model);
    run->measured = true;
    for (int64_t block = 0; block < run->model_config.blocks && status == PEER_OK; block++) {
        if (run->usage[block])
            lm_usage_clear(run->usage[block]);
        *any |= run->usage[block] != NULL;
    }
    return status;
}

/* Routing over the validation text, of every block that routes. */
static enum peer_status measure_usage(struct execution *run, int64_t tokens)
{
    bool any = false;
    struct lm_eval_result ignored;
    const struct lm_train_config *train = &run->config->train;
    enum peer_status status = run->data.valid ? empty_usage(run, &any) : PEER_OK;
    if (status != PEER_OK || !any)
        return status;
    return lm_evaluate(&ignored, run->ctx, run->model, run->data.valid, run->data.vocabulary,
                       tokens, train->length, train->sequences / train->accumulate, run->usage,
                       stop_asked, run);
}

/* The final evaluation's routing is the run's. */
static enum peer_status final_usage(void *user, struct lm_usage *const **ret)
{
    struct execution *run = user;
    bool any = false;
    enum peer_status status = empty_usage(run, &any);
    if (status == PEER_OK && any)
        *ret = run->usage;
    return status;
}

/* Utilization at a step of the training. */
static enum peer_status track_usage(void *user, int64_t step, int64_t tokens)
{
    struct execution *run = user;
    const struct lm_train_config *train = &run->config->train;
    enum peer_status status =
        measure_usage(run, train->usage_tokens ? train->usage_tokens : train->eval_tokens);
    for (int64_t block = 0; block < run->model_config.blocks && status == PEER_OK; block++)
        if (run->usage[block])
            status = lab_track_add(run->ctx, run->folder, block, step, tokens, run->usage[block]);
    return status;
}

/* What the model has learned of the text's facts. */
static enum peer_status ask_facts(struct execution *run)
{
    if (!run->facts)
        return PEER_OK;
    return lab_facts_ask_lm(&run->score, run->ctx, run->facts, run->model,
                            run->config->train.length, LAB_FACTS_SAMPLE, stop_asked, run);
}

static void fill_result(struct lab_result *result, const struct execution *run,
                        const struct lm_train_result *trained)
{
    struct peer_cost cost = {0};
    struct rusage usage;
    const struct lab_run_config *config = run->config;
    const struct peer_ffw_type *ffw = config->model.ffw;
    memset(result, 0, sizeof *result);
    lm_config_cost(&cost, &run->model_config, config->train.length);
    getrusage(RUSAGE_SELF, &usage);
    snprintf(result->variant, sizeof result->variant, "%s", config->variant);
    snprintf(result->ffw, sizeof result->ffw, "%s", ffw ? ffw->name : "dense");
    result->budget = config->budget;
    result->width = config->model.width;
    result->blocks = config->model.blocks;
    result->seed = (int64_t)config->train.seed;
    result->state = trained->diverged ? LAB_DIVERGED : LAB_DONE;
    memcpy(result->message, trained->reason, sizeof trained->reason);
    result->skipped = trained->skipped;
    result->skipped_statistics = trained->skipped_statistics;
    result->params_total = cost.params_total;
    result->params_active = cost.params_active;
    result->tokens = trained->tokens;
    result->flops = trained->flops;
    result->bytes_per_token = cost.bytes_forward;
    result->seconds = trained->seconds;
    result->nats = trained->eval.nats;
    result->perplexity = trained->eval.perplexity;
    result->bits_per_byte = trained->eval.bits_per_byte;
    result->facts = run->score;
    result->peak_bytes = (int64_t)usage.ru_maxrss * 1024;
    result->epochs = (double)trained->tokens / (double)lm_corpus_tokens(run->data.train);
    lab_text_mark(&result->text, &run->data);
    result->params_frozen = lm_config_frozen(&run->model_config);
    snprintf(result->freeze, sizeof result->freeze, "%s",
             lm_freeze_names[run->model_config.freeze]);
    result->traits = ffw ? ffw->traits(config->model.ffw_config) : 0;
}

static enum peer_status write_result(struct execution *run, const struct lm_train_result *trained)
{
    struct lab_result result;
    struct lab_usage usages[LM_MAX_BLOCKS];
    fill_result(&result, run, trained);
    result.usage = usages;
    enum peer_status status = PEER_OK;
    for (int64_t block = 0; block < run->model_config.blocks && status == PEER_OK; block++) {
        if (!run->usage[block] || trained->diverged)
            continue;
        struct lab_usage *usage = &usages[result.usages++];
        memset(usage, 0, sizeof *usage);
        usage->block = block;
        usage->experts = run->usage[block]->experts;
        usage->side = run->usage[block]->side;
        snprintf(usage->map, sizeof usage->map, "usage-%lld.txt", (long long)block);
        status = lm_usage_summarize(&usage->report, run->ctx, run->usage[block]);
        if (status == PEER_OK)
            status = lab_usage_map_write(run->ctx, run->folder, usage->map, run->usage[block]);
        if (status == PEER_OK)
            status = lab_usage_lorenz_write(run->ctx, run->folder, block, run->usage[block]);
    }
    const struct lab_run_card card = {.config = run->config,
                                      .data = &run->data,
                                      .result = &result,
                                      .discarded = run->watch && run->watch->discard,
                                      .command = run->watch ? run->watch->command : NULL,
                                      .program = run->watch ? run->watch->program : NULL};
    if (status == PEER_OK)
        status = lab_run_card_write(run->ctx, run->folder, &card);
    if (status == PEER_OK) /* last: with it the run has ended */
        status = lab_run_result_write(run->ctx, run->folder, &result);
    return status;
}

static enum peer_status execute(struct execution *run)
{
    char checkpoint[LAB_PATH];
    path_in(checkpoint, run->folder, "checkpoint.safetensors");
    enum peer_status status = lab_run_folder_open(
        &run->place, run->ctx, run->folder, run->watch && run->watch->patient, stop_asked, run);
    bool finished = false;
    if (status == PEER_OK)
        status = lab_run_finished(&finished, run->ctx, run->folder);
    if (status == PEER_OK && !finished)
        status = lab_run_open_data(&run->data, &run->facts, run->ctx, run->config);
    if (status == PEER_OK && !finished)
        status = lab_run_check(&run->model_config, run->ctx, run->config, run->data.vocab);
    if (status == PEER_OK)
        status = lab_run_init_pin(run->config, run->ctx, run->folder);
    if (status == PEER_OK)
        status = lab_run_folder_check(&run->place, run->config);
    if (status != PEER_OK || finished)
        return status;
    status = look_for_tables(run);
    if (status == PEER_OK)
        status = make_model(run);
    if (status == PEER_OK)
        status = load_init(run, checkpoint);
    if (status != PEER_OK)
        return status;
    lab_curve_start(&run->curve, run->ctx, run->folder, &run->config->train);
    struct lm_train_hooks hooks = {.user = run,
                                   .progress = on_progress,
                                   .stop = stop_asked,
                                   .begin = on_begin,
                                   .measure = track_usage,
                                   .saving = on_saving,
                                   .final_usage = final_usage,
                                   .discard = run->watch && run->watch->discard};
    struct lm_train_result trained;
    status = lm_train(&trained, run->ctx, run->model, &run->data, &run->config->train, checkpoint,
                      &hooks);
    if (status == PEER_OK || status == PEER_ERR_STOPPED)
        status = lab_curve_check(&run->curve) != PEER_OK ? PEER_ERR_IO : status;
    if (status == PEER_OK && !trained.diverged)
        status = ask_facts(run);
    if (status != PEER_OK)
        return status;
    lab_stop_hold();
    status = write_result(run, &trained);
    if (status == PEER_OK && hooks.discard) {
        unlink(checkpoint);
        lm_tables_remove(run->tables);
    }
    lab_stop_release();
    return status;
}

enum peer_status lab_run_execute(struct peer_ctx *ctx, const struct lab_run_config *config,
                                 const char *folder, const struct lab_run_watch *watch)
{
    struct lab_run_config copy;
    lab_run_config_copy(&copy, config);
    struct execution run = {
        .ctx = ctx, .config = &copy, .folder = folder, .watch = watch, .place.lock = -1};
    enum peer_status status = execute(&run);
    for (int block = 0; block < LM_MAX_BLOCKS; block++)
        lm_usage_destroy(&run.usage[block]);
    lm_model_destroy(&run.model);
    lm_tables_close(&run.tables);
    lm_dataset_close(&run.data);
    lab_facts_destroy(&run.facts);
    lab_curve_end(&run.curve);
    if (!run.place.begun && run.fresh_tables)
        remove_tables(&run);
    lab_run_folder_close(&run.place);
    return status;
}
