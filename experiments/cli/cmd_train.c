/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/base/memory.h"
#include "experiments/cli/command.h"
#include "experiments/cli/progress.h"
#include "experiments/cli/stop.h"
#include "experiments/facts/describe.h"
#include "experiments/runs/run.h"
#include "experiments/runs/run_fields.h"
#include "experiments/runs/shell_word.h"
#include "experiments/yaml/yaml_place.h"
#include "revision.h"

static const char help[] =
    "Usage: peerlab train RUN.yaml --out FOLDER [--threads N] [--discard] [--machine]\n"
    "       peerlab train example\n\n"
    "Trains one model. The folder receives run.yaml, checkpoint.safetensors, curve.csv,\n"
    "result.json, and usage maps. Stop it at any moment with Ctrl-C: the same command carries on\n"
    "from the checkpoint and ends with the same bits as an uninterrupted run.\n\n"
    "A run whose loss, gradient or weights are not finite, as when its rate is too high, or whose\n"
    "gradients are all 0, has diverged: it ends with exit status 4, says which step and tensor,\n"
    "keeps its last good checkpoint, and counts in no fit. train: {nonfinite: skip} passes such\n"
    "steps over and counts them instead.\n\n"
    "  --out FOLDER   where the run lives; made if it is not there, and left as it was where the\n"
    "                 run cannot start\n"
    "  --threads N    worker threads (default: all cores)\n"
    "  --discard      leaves no checkpoint behind once the run has ended, only its result\n"
    "  --machine      for programs: progress as lines \"step steps tokens loss seconds\" on\n"
    "                 stdout; waits while another process trains in the folder\n\n"
    "RUN.yaml needs the fields data, model.width and model.blocks; peerlab train example prints\n"
    "one to start from. With train: {eval_every: N} the validation loss after every N steps is a\n"
    "line here and a cell of curve.csv.\n\n";

struct watcher {
    struct lab_progress progress;
    bool machine, started;
    bool lines; /* one for each evaluation */
    /* Since the last line: sum of the steps' losses, their number, where it began. */
    double loss, seconds;
    int64_t steps, tokens;
};

static void begin_line(struct watcher *watcher, const struct lm_train_progress *p)
{
    watcher->loss = watcher->seconds = 0;
    watcher->steps = watcher->tokens = 0;
    if (p->step > 1) {
        watcher->seconds = p->seconds;
        watcher->tokens = p->tokens;
    }
}

/* The training loss is the mean over the steps since the line before. */
static void print_evaluation(struct watcher *watcher, const struct lm_train_progress *p)
{
    char rate[24];
    if (watcher->started)
        lab_progress_hide(&watcher->progress);
    printf("step %lld/%lld:", (long long)p->step, (long long)p->steps);
    if (watcher->steps > 0)
        printf(" train loss %.4f,", watcher->loss / (double)watcher->steps);
    printf(" validation loss %.4f", p->eval->nats);
    if (watcher->steps > 0)
        printf(", lr %.3g", p->lr);
    if (p->tokens > watcher->tokens && p->seconds > watcher->seconds) {
        lab_format_count(rate, sizeof rate,
                         (double)(p->tokens - watcher->tokens) / (p->seconds - watcher->seconds));
        printf(", %s tokens/s", rate);
    }
    putchar('\n');
    fflush(stdout);
    begin_line(watcher, p);
}

static void on_progress(void *user, const struct lm_train_progress *p, double flops_per_token)
{
    (void)flops_per_token;
    struct watcher *watcher = user;
    int64_t step_tokens = p->step ? p->tokens / p->step : 0;
    if (p->eval) {
        if (watcher->lines)
            print_evaluation(watcher, p);
        return;
    }
    if (watcher->machine) {
        printf("%lld %lld %lld %.6g %.6g\n", (long long)p->step, (long long)p->steps,
               (long long)p->tokens, p->loss, p->seconds);
        fflush(stdout);
        return;
    }
    if (!watcher->started) {
        watcher->started = true;
        lab_progress_start(&watcher->progress, "training", "tokens",
                           (double)(step_tokens * p->steps), (double)(p->tokens - step_tokens));
        if (!watcher->steps)
            begin_line(watcher, p);
    }
    if (isfinite(p->loss)) { /* not skipped */
        watcher->loss += p->loss;
        watcher->steps++;
    }
    char note[64];
    snprintf(note, sizeof note, "loss %.4f", p->loss);
    lab_progress_update(&watcher->progress, (double)p->tokens, note);
}

static void print_usage(const struct lab_usage *usage)
{
    const struct lm_usage_load *load = &usage->report.load;
    printf("  block %lld: %.1f %% of %lld experts used, unevenness %.3f nats",
           (long long)usage->block, 100 * usage->report.score.used, (long long)usage->experts,
           usage->report.score.unevenness);
    if (isfinite(load->entropy))
        printf("; load: entropy %.3f nats (%.1f %% of log N), CV %.3f, highest %.2f of the mean",
               load->entropy, 100 * load->entropy_share, load->cv, load->peak);
    if (isfinite(load->dropped))
        printf("; %.1f %% of choices dropped", 100 * load->dropped);
    if (isfinite(load->unserved))
        printf("; %.1f %% of tokens unserved", 100 * load->unserved);
    putchar('\n');
}

static void print_result(const struct lab_result *r)
{
    char params[24], frozen[24], seconds[32], rate[24];
    lab_format_count(params, sizeof params, (double)r->params_total);
    lab_format_count(frozen, sizeof frozen, (double)r->params_frozen);
    lab_format_seconds(seconds, sizeof seconds, r->seconds);
    lab_format_count(rate, sizeof rate, (double)r->tokens / r->seconds);
    if (r->state == LAB_DIVERGED)
        printf("%s: diverged after %lld tokens%s%s", r->variant, (long long)r->tokens,
               *r->message ? ": " : "", r->message);
    else
        printf("%s: %s parameters, %lld tokens in %s (%s/s)", r->variant, params,
               (long long)r->tokens, seconds, rate);
    if (r->state == LAB_DONE && isfinite(r->nats))
        printf(": validation loss %.4f nats per token, perplexity %.2f", r->nats, r->perplexity);
    if (r->state == LAB_DONE && isfinite(r->bits_per_byte))
        printf(", %.4f bits per byte", r->bits_per_byte);
    putchar('\n');
    if (r->skipped)
        printf("  %lld steps were skipped: their loss or gradient was not finite\n",
               (long long)r->skipped);
    if (r->skipped_statistics && r->state == LAB_DONE)
        printf("  running statistics of queries skipped what was not finite in %lld passes\n",
               (long long)r->skipped_statistics);
    if (r->params_frozen > 0)
        printf("  frozen: %s, %s parameters; FLOPs are counted as if they were trained\n",
               r->freeze, frozen);
    lab_facts_print_score(stdout, &r->facts);
    for (int i = 0; i < r->usages; i++)
        print_usage(&r->usage[i]);
}

static void on_taken(void *user, const char *path, const struct lab_weights_told *told)
{
    const struct watcher *watcher = user;
    if (!watcher->machine)
        lab_weights_told_print(stderr, path, told);
}

static enum peer_status train(struct peer_ctx *ctx, const char *file, const char *folder,
                              bool machine, bool discard, bool *diverged)
{
    struct lab_run_config config;
    struct lab_result result;
    struct watcher watcher = {.machine = machine};
    char command[4 * LAB_PATH] = "peerlab train ";
    lab_shell_append(command, sizeof command, file);
    strncat(command, " --out ", sizeof command - strlen(command) - 1);
    lab_shell_append(command, sizeof command, folder);
    struct lab_run_watch watch = {.user = &watcher,
                                  .taken = on_taken,
                                  .progress = on_progress,
                                  .stop = lab_stop_asked,
                                  .patient = machine,
                                  .command = command,
                                  .program = "peerlab " PEERLAB_VERSION " (" PEERLAB_REVISION ")",
                                  .discard = discard};
    enum peer_status status = lab_run_config_read(&config, ctx, file);
    watcher.lines = status == PEER_OK && config.train.eval_every && !machine;
    if (status == PEER_OK && !machine) {
        lab_yaml_place_tell(stderr, file, "data", config.data_name, config.data);
        lab_yaml_place_tell(stderr, file, "init", config.init_name, config.init);
        lab_warn_of_passes(&config);
    }
    if (status == PEER_OK)
        status = lab_run_execute(ctx, &config, folder, &watch);
    if (watcher.started)
        lab_progress_end(&watcher.progress);
    if (status == PEER_OK)
        status = lab_run_result(&result, ctx, folder);
    if (status != PEER_OK)
        return status;
    if (!machine)
        print_result(&result);
    *diverged = result.state == LAB_DIVERGED;
    lab_result_free(&result);
    return PEER_OK;
}

struct arguments {
    const char *folder;
    int64_t threads;
    bool machine, discard;
};

/* The help text and every field of a run file; malloc()ed, or NULL. */
static char *whole_help(void)
{
    struct lab_memory memory;
    if (!lab_memory_open(&memory))
        return NULL;
    fputs(help, memory.file);
    lab_run_fields_print(memory.file);
    return lab_memory_close(&memory, NULL);
}

int lab_cmd_train(int argc, char **argv)
{
    static const struct lab_option options[] = {
        {"out", LAB_OPTION_TEXT, offsetof(struct arguments, folder), 0, 0},
        {"threads", LAB_OPTION_INTEGER, offsetof(struct arguments, threads), 1, 1024},
        {"discard", LAB_OPTION_FLAG, offsetof(struct arguments, discard), 0, 0},
        {"machine", LAB_OPTION_FLAG, offsetof(struct arguments, machine), 0, 0},
        {NULL, LAB_OPTION_TEXT, 0, 0, 0}};
    struct arguments a = {0};
    char *text = whole_help();
    int operands = 0, result = lab_parse(&a, &operands, argc, argv, text ? text : help, options);
    free(text);
    if (result != LAB_GO_ON)
        return result;
    if (operands == 1 && !a.folder && strcmp(argv[1], "example") == 0) {
        fputs(lab_run_example, stdout);
        return LAB_DONE_OK;
    }
    if (operands != 1 || !a.folder)
        return lab_usage("train", "expected one run file and --out FOLDER");
    lab_stop_install();
    struct peer_ctx *ctx = lab_context((int)a.threads);
    if (!ctx)
        return LAB_FAILURE;
    bool diverged = false;
    result = lab_report(ctx, train(ctx, argv[1], a.folder, a.machine, a.discard, &diverged));
    if (result == LAB_DONE_OK && diverged)
        result = LAB_DID_DIVERGE;
    peer_ctx_destroy(&ctx);
    return result;
}
