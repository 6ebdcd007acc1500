/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "experiments/base/output.h"
#include "experiments/base/output_check.h"
#include "experiments/cli/command.h"
#include "experiments/cli/draws.h"
#include "experiments/cli/fits_print.h"
#include "experiments/cli/progress.h"
#include "experiments/cli/stop.h"
#include "experiments/cli/terminal.h"
#include "experiments/report/export.h"
#include "experiments/report/report.h"
#include "experiments/report/stage.h"
#include "experiments/runs/shell_word.h"
#include "experiments/sweeps/plan_estimate.h"
#include "experiments/sweeps/sweep_config.h"
#include "experiments/sweeps/sweep_folder.h"
#include "experiments/yaml/yaml_place.h"
#include "revision.h"

static const char help[] =
    "Usage: peerlab sweep plan SWEEP.yaml [--no-estimate]\n"
    "       peerlab sweep run SWEEP.yaml --out FOLDER [--jobs N] [--memory GIB] [--retry]\n"
    "       peerlab sweep status FOLDER\n"
    "       peerlab sweep fits FOLDER\n"
    "       peerlab sweep export FOLDER [--out TABLES]\n"
    "       peerlab sweep report FOLDER [--out REPORT]\n"
    "       peerlab sweep example\n\n"
    "An isoFLOP sweep: for each budget, models of several sizes and kinds, each trained on as\n"
    "many tokens as the budget pays for by the model's own count of FLOPs.\n\n"
    "  plan     what would run: tokens, FLOPs, memory of each run, and the time that it will\n"
    "           train here: the smallest and the largest model of each variant are trained for a\n"
    "           second or less, alone, on the threads of a run; those between by their FLOPs\n"
    "  run      trains what is not done yet; stop it at any moment (Ctrl-C, kill, power) and run\n"
    "           the same command again; adding budgets, sizes, variants or seeds extends a sweep\n"
    "  status   how far it is: runs planned, done, diverged and failed, and what differs between\n"
    "           variants of one name; also while it runs, and in a folder that may not be written\n"
    "  fits     what the finished runs show, and nothing is written: minima at each budget by\n"
    "           parabola and by Akima's interpolation; from three budgets on, for each variant,\n"
    "           loss = E + A / N^alpha + B / D^beta of N active parameters and D tokens, with\n"
    "           90 % intervals, the best N and D at each budget and their exponents; from three\n"
    "           granularities (heads x kept) of one PEER design on, the law of granularity\n"
    "  export   CSV tables: FOLDER/tables/*.csv, the fits in minima.csv and fits.csv\n"
    "  report   one HTML page: FOLDER/report/report.html, beside it figures/ (SVG, PDF)\n"
    "           and tables/\n"
    "  example  a commented SWEEP.yaml to start from\n\n"
    "  --out FOLDER   of run: holds sweep.db (SQLite) and runs/, later tables/ and report/; of\n"
    "                 export and report: where they write instead, beside a sweep that is only\n"
    "                 to be read\n"
    "  --jobs N       runs at once (default: cores / threads per run)\n"
    "  --memory GIB   memory that all runs at once may need (default: 90 % of what is free)\n"
    "  --retry        run failed runs again\n"
    "  --no-estimate  of plan: without times, and nothing is trained\n";

/* `seconds`: of training; NULL = not asked for. */
static void print_plan_row(const struct lab_plan_run *run, const double *seconds)
{
    char budget[24], active[24], total[24], tokens[24], memory[24], time[32] = "";
    struct peer_cost cost = {0};
    lm_config_cost(&cost, &run->config.model, run->config.train.length);
    lab_format_count(budget, sizeof budget, run->config.budget);
    lab_format_count(active, sizeof active, (double)cost.params_active);
    lab_format_count(total, sizeof total, (double)cost.params_total);
    lab_format_count(tokens, sizeof tokens, (double)run->tokens);
    lab_format_bytes(memory, sizeof memory, (double)run->memory);
    if (seconds)
        lab_format_seconds(time, sizeof time, *seconds);
    lab_print_cell(stdout, 16, run->config.variant);
    printf(seconds ? " %8s %6lld %6lld %5llu %9s %9s %9s %8lld %9s %12s\n"
                   : " %8s %6lld %6lld %5llu %9s %9s %9s %8lld %9s%s\n",
           budget, (long long)run->config.model.width, (long long)run->config.model.blocks,
           (unsigned long long)run->config.train.seed, active, total, tokens,
           (long long)run->config.train.steps, memory, time);
}

static void on_timing(void *user, int64_t done, int64_t models)
{
    struct lab_progress *progress = user;
    if (done == 0)
        lab_progress_start(progress, "timing models", "models", (double)models, 0);
    lab_progress_update(progress, (double)done, NULL);
}

/* With the threads of a run. Errors are told in `ctx`. */
static enum peer_status time_plan(struct lab_plan_times *ret, struct peer_ctx *ctx,
                                  const struct lab_plan *plan)
{
    struct lab_progress progress = {0};
    const struct lab_plan_watch watch = {
        .progress = on_timing, .stop = lab_stop_asked, .user = &progress};
    struct peer_ctx *own = lab_context(plan->threads ? (int)plan->threads : 1);
    if (!own)
        return peer_fail(ctx, PEER_ERR_MEMORY, "no time of training: no context of a run");
    enum peer_status status = lab_plan_estimate(ret, own, plan, 10, &watch);
    if (progress.unit)
        lab_progress_end(&progress);
    if (status == PEER_ERR_STOPPED)
        peer_fail(ctx, status, "stopped before all was timed");
    else if (status != PEER_OK)
        peer_fail(ctx, status, "no time of training: %s", peer_ctx_error(own));
    peer_ctx_destroy(&own);
    return status;
}

static void print_times(const struct lab_plan_times *times, const struct lab_plan *plan)
{
    char all[32], together[32];
    if (times->unknown == plan->count) {
        printf("time of training: not estimated: %s\n", times->reason);
        return;
    }
    lab_format_seconds(all, sizeof all, fmax(1e-3, times->all));
    lab_format_seconds(together, sizeof together, fmax(1e-3, times->together));
    printf("time of training, estimated: %s in all, %s with %lld run%s at once\n", all, together,
           (long long)times->jobs, times->jobs == 1 ? "" : "s");
    printf(
        "  %lld models were timed now on this machine, each alone on %lld thread%s%s; the others "
        "follow\n  by their FLOPs; evaluation and checkpoints are not counted\n",
        (long long)times->timed, (long long)(plan->threads ? plan->threads : 1),
        plan->threads > 1 ? "s" : "", times->made_up ? ", on made-up ids" : "");
    if (*times->reason)
        printf("  not timed: %s; %lld runs are without a time\n", times->reason,
               (long long)times->unknown);
}

/* Once, of the first run that it concerns. */
static void warn_of_passes(const struct lab_plan *plan)
{
    for (int64_t i = 0; i < plan->count; i++)
        if (lab_warn_of_passes(&plan->runs[i].config))
            return;
}

static void print_plan(const struct lab_plan *plan, const struct lab_plan_times *times)
{
    double flops = 0;
    char text[24];
    printf("%-16s %8s %6s %6s %5s %9s %9s %9s %8s %9s", "variant", "budget", "width", "blocks",
           "seed", "active", "total", "tokens", "steps", "memory");
    printf(times->seconds ? " %12s\n" : "%s\n", times->seconds ? "time" : "");
    for (int64_t i = 0; i < plan->count; i++) {
        print_plan_row(&plan->runs[i], times->seconds ? &times->seconds[i] : NULL);
        flops += plan->runs[i].flops;
    }
    lab_format_count(text, sizeof text, flops);
    printf("\n%lld runs, %s FLOPs in all\n", (long long)plan->count, text);
    if (times->seconds)
        print_times(times, plan);
    warn_of_passes(plan);
}

static enum peer_status plan(struct peer_ctx *ctx, const char *file, bool estimate)
{
    struct lab_plan plan;
    struct lab_plan_times times = {0};
    enum peer_status status = lab_plan_read(&plan, ctx, file);
    if (status != PEER_OK)
        return status;
    enum peer_status timed = estimate ? time_plan(&times, ctx, &plan) : PEER_OK;
    print_plan(&plan, &times);
    lab_plan_times_free(&times);
    lab_plan_free(&plan);
    return timed;
}

static void print_summary(const struct lab_schedule_result *result, const char *folder)
{
    char text[32];
    lab_format_seconds(text, sizeof text, result->seconds);
    printf("%lld runs done, %lld failed, %lld left, in %s", (long long)result->done,
           (long long)result->failed, (long long)result->left, text);
    if (result->diverged)
        printf(", %lld of those done diverged and count in no fit", (long long)result->diverged);
    if (result->training_seconds > 0)
        printf(", runs took %.0f %% of the cores' time, training alone %.0f %%",
               100 * result->running_seconds / result->core_seconds,
               100 * result->training_seconds / result->core_seconds);
    putchar('\n');
    if (result->failed) {
        char word[4 * LAB_PATH];
        lab_shell_word(word, sizeof word, folder);
        printf("peerlab sweep status %s says why; --retry runs them again\n", word);
    }
}

static enum peer_status run(struct peer_ctx *ctx, const char *file, const char *folder,
                            const struct lab_jobs *jobs, bool retry)
{
    struct lab_plan plan;
    struct lab_sweep_folder sweep;
    struct lab_schedule_result result = {0};
    char command[2048] = "peerlab sweep run ";
    enum peer_status status = lab_plan_read(&plan, ctx, file);
    if (status != PEER_OK)
        return status;
    warn_of_passes(&plan);
    lab_yaml_place_tell(stderr, file, "data", plan.data_name, plan.data);
    status = lab_sweep_folder_open(&sweep, ctx, folder, retry);
    if (status == PEER_OK) {
        if (sweep.taken)
            fprintf(stderr, "peerlab: %s/sweep.db is made anew; finished runs taken in: %lld\n",
                    folder, (long long)sweep.taken);
        lab_shell_append(command, sizeof command, file);
        strncat(command, " --out ", sizeof command - strlen(command) - 1);
        lab_shell_append(command, sizeof command, folder);
        status = lab_sweep_folder_describe(&sweep, &plan, PEERLAB_REVISION, command);
        if (status == PEER_OK)
            status = lab_sweep_folder_train(&result, &sweep, &plan, jobs);
        if (status == PEER_OK || status == PEER_ERR_STOPPED)
            print_summary(&result, folder);
        lab_sweep_folder_close(&sweep);
    }
    lab_plan_free(&plan);
    if (status == PEER_OK && result.failed)
        status = peer_fail(ctx, PEER_ERR_IO, "%lld runs failed", (long long)result.failed);
    return status;
}

static void print_status_row(const struct lab_result *r, int width)
{
    char budget[24], loss[24] = "-", seconds[32] = "-";
    lab_format_count(budget, sizeof budget, r->budget);
    if (r->state == LAB_DONE) {
        snprintf(loss, sizeof loss, "%.4f", r->nats);
        lab_format_seconds(seconds, sizeof seconds, r->seconds);
    }
    printf("%-5lld ", (long long)r->id);
    lab_print_cell(stdout, width, r->variant);
    printf(" %8s %6lld %6lld %5lld %-9s %9s %9s", budget, (long long)r->width, (long long)r->blocks,
           (long long)r->seed, lab_state_names[r->state], loss, seconds);
    if (*r->message) {
        fputs("  ", stdout);
        lab_print_cell(stdout, 0, r->message);
    }
    putchar('\n');
}

static enum peer_status show_status(struct peer_ctx *ctx, struct lab_store *store,
                                    const char *folder, const char *out)
{
    struct lab_result *rows = NULL;
    int64_t count = 0, states[LAB_STATE_COUNT] = {0};
    int width = 16;
    (void)ctx;
    (void)folder;
    (void)out;
    enum peer_status status = lab_store_results(store, &rows, &count);
    if (status != PEER_OK)
        return status;
    for (int64_t i = 0; i < count; i++)
        if (lab_cell_width(rows[i].variant) > width)
            width = lab_cell_width(rows[i].variant);
    printf("%-5s %-*s %8s %6s %6s %5s %-9s %9s %9s\n", "run", width, "variant", "budget", "width",
           "blocks", "seed", "state", "loss", "time");
    for (int64_t i = 0; i < count; i++) {
        print_status_row(&rows[i], width);
        states[rows[i].state]++;
    }
    printf("\n%lld runs:", (long long)count);
    for (int state = 0; state < LAB_STATE_COUNT; state++)
        if (states[state])
            printf(" %lld %s", (long long)states[state], lab_state_names[state]);
    putchar('\n');
    lab_results_free(&rows, count);
    return PEER_OK;
}

static enum peer_status show_fits(struct peer_ctx *ctx, struct lab_store *store, const char *folder,
                                  const char *out)
{
    struct lab_result *rows = NULL;
    int64_t count = 0;
    struct lab_minima *minima = NULL;
    struct lab_sweep_laws *laws = NULL;
    struct lab_progress progress;
    struct lab_watch watch = lab_watch_draws(&progress, lab_stop_asked);
    (void)folder;
    (void)out;
    enum peer_status status = lab_store_results(store, &rows, &count);
    if (status == PEER_OK)
        status = lab_minima_create(&minima, ctx, rows, count);
    if (status == PEER_OK)
        status = lab_sweep_laws_create(&laws, ctx, minima, rows, count, &watch);
    lab_progress_end(&progress);
    if (status == PEER_OK)
        lab_fits_print(minima, laws, rows, count);
    lab_sweep_laws_destroy(&laws);
    lab_minima_destroy(&minima);
    lab_results_free(&rows, count);
    return status;
}

/* Where a reader writes: `out`, or `name` in the sweep's folder. What cannot be written is refused
 * before the work. */
static enum peer_status find_place(char place[LAB_PATH], struct peer_ctx *ctx, const char *folder,
                                   const char *name, const char *out)
{
    int length = out ? snprintf(place, LAB_PATH, "%s", out)
                     : snprintf(place, LAB_PATH, "%s/%s", folder, name);
    if (length >= LAB_PATH)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "%.60s...: longer than %d bytes", place,
                         LAB_PATH - 1);
    if (out && lab_output_check_folder(ctx, place, LAB_HOLDS_ANY) != PEER_OK)
        return PEER_ERR_ARGUMENT;
    if (lab_may_write(place))
        return out ? PEER_OK : lab_output_folder(ctx, folder, name);
    return peer_fail(ctx, PEER_ERR_IO, "%s: cannot be written: %s%s", place, strerror(errno),
                     out ? "" : "; --out FOLDER writes elsewhere");
}

static enum peer_status export_tables(struct peer_ctx *ctx, struct lab_store *store,
                                      const char *folder, const char *out)
{
    struct lab_result *rows = NULL;
    int64_t count = 0;
    char tables[LAB_PATH];
    struct lab_progress progress;
    struct lab_watch watch = lab_watch_draws(&progress, lab_stop_asked);
    enum peer_status status = find_place(tables, ctx, folder, "tables", out);
    if (status == PEER_OK)
        status = lab_store_results(store, &rows, &count);
    if (status == PEER_OK)
        status = lab_export_csv(ctx, tables, rows, count, &watch);
    lab_progress_end(&progress);
    lab_results_free(&rows, count);
    if (status == PEER_OK)
        printf("%s\n", tables);
    return status;
}

static enum peer_status write_report(struct peer_ctx *ctx, struct lab_store *store,
                                     const char *folder, const char *out)
{
    struct lab_sweep_info info;
    struct lab_result *rows = NULL;
    int64_t count = 0;
    char report[LAB_PATH];
    struct lab_progress progress;
    struct lab_watch watch = lab_watch_draws(&progress, lab_stop_asked);
    const struct lab_report_tools tools = {.sweep = folder, .watch = &watch};
    enum peer_status status = find_place(report, ctx, folder, "report", out);
    if (status == PEER_OK)
        status = lab_store_info(store, &info);
    if (status == PEER_OK)
        status = lab_store_results(store, &rows, &count);
    if (status == PEER_OK)
        status = lab_report_write_with(ctx, report, &info, rows, count, &tools);
    lab_progress_end(&progress);
    lab_results_free(&rows, count);
    if (status == PEER_OK)
        printf("%s/report.html\n", report);
    return status;
}

/* The subcommands that read a store. */
static const struct {
    const char *name;
    enum peer_status (*run)(struct peer_ctx *ctx, struct lab_store *store, const char *folder,
                            const char *out);
} readers[] = {{"status", show_status},
               {"fits", show_fits},
               {"export", export_tables},
               {"report", write_report}};

static enum peer_status read_store(struct peer_ctx *ctx, size_t reader, const char *folder,
                                   const char *out)
{
    struct lab_store *store = NULL;
    enum peer_status status = lab_store_open(&store, ctx, folder, false);
    if (status == PEER_OK)
        status = readers[reader].run(ctx, store, folder, out);
    lab_store_close(&store);
    return status;
}

struct arguments {
    const char *action, *operand, *folder;
    int64_t jobs, memory;
    bool retry, silent;
};

/* Reading fits on all cores; a run's processes have contexts of their own. */
static int threads_of(const char *action)
{
    return strcmp(action, "run") == 0 || strcmp(action, "plan") == 0 ? 1 : 0;
}

static int dispatch(struct peer_ctx *ctx, const struct arguments *a)
{
    if (strcmp(a->action, "plan") == 0)
        return lab_report(ctx, plan(ctx, a->operand, !a->silent));
    if (strcmp(a->action, "run") == 0) {
        if (!a->folder)
            return lab_usage("sweep", "run needs --out FOLDER");
        const struct lab_jobs jobs = {.jobs = a->jobs,
                                      .memory = (double)a->memory * 1024 * 1024 * 1024,
                                      .stop = lab_stop_asked};
        return lab_report(ctx, run(ctx, a->operand, a->folder, &jobs, a->retry));
    }
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++)
        if (strcmp(a->action, readers[i].name) == 0)
            return lab_report(ctx, read_store(ctx, i, a->operand, a->folder));
    return lab_usage("sweep", "no action \"%s\"", a->action);
}

int lab_cmd_sweep(int argc, char **argv)
{
    static const struct lab_option options[] = {
        {"out", LAB_OPTION_TEXT, offsetof(struct arguments, folder), 0, 0},
        {"jobs", LAB_OPTION_INTEGER, offsetof(struct arguments, jobs), 1, 256},
        {"memory", LAB_OPTION_INTEGER, offsetof(struct arguments, memory), 1, 1 << 20},
        {"retry", LAB_OPTION_FLAG, offsetof(struct arguments, retry), 0, 0},
        {"no-estimate", LAB_OPTION_FLAG, offsetof(struct arguments, silent), 0, 0},
        {NULL, LAB_OPTION_TEXT, 0, 0, 0}};
    struct arguments a = {0};
    int operands = 0, status = lab_parse(&a, &operands, argc, argv, help, options);
    if (status != LAB_GO_ON)
        return status;
    a.action = operands ? argv[1] : "";
    if (operands == 1 && strcmp(a.action, "example") == 0) {
        fputs(lab_sweep_example, stdout);
        return LAB_DONE_OK;
    }
    if (operands != 2)
        return lab_usage("sweep", "expected an action and a file or folder");
    a.operand = argv[2];
    lab_stop_install();
    struct peer_ctx *ctx = lab_context(threads_of(a.action));
    if (!ctx)
        return LAB_FAILURE;
    status = dispatch(ctx, &a);
    peer_ctx_destroy(&ctx);
    return status;
}
