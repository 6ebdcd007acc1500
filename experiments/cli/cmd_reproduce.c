/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/base/output.h"
#include "experiments/cli/progress.h"
#include "experiments/cli/stop.h"
#include "experiments/cli/study_options.h"
#include "experiments/report/study_report.h"
#include "experiments/runs/run_result.h"
#include "experiments/study/findings_print.h"

static const char help[] =
    "Usage: peerlab reproduce fig1|table1|fig3a|...|all --data FOLDER --out FOLDER ...\n"
    "       peerlab reproduce show --out FOLDER\n"
    "       peerlab reproduce plan --scale paper --out FOLDER [--data FOLDER] [--rate F]\n"
    "       peerlab reproduce example [--scale NAME]\n\n"
    "The study of the PEER paper (He 2024), repeated with intervals: its figures and tables at\n"
    "budgets that a CPU can pay. First learning rates are searched (peerlab tune) and the seeds'\n"
    "noise is measured; then as many paired seeds are taken as show the difference that the\n"
    "study asks for. Runs that two figures share are trained once. Stop it at any moment (Ctrl-C,\n"
    "kill, power); the same command carries on, and another figure extends what is there.\n\n"
    "  fig1     loss against size at equal FLOPs: dense, MoE, PKM, PEER\n"
    "  table1   the best models of fig1 on several texts: --text\n"
    "  fig3a    loss against the number of experts, at h k = 128 active ones\n"
    "  fig3b    loss against the active experts, heads h and experts per head k varied together\n"
    "  table2   norm of the queries: loss, usage, unevenness\n"
    "  fig4     query BatchNorm on and off, over sizes\n"
    "  capacity bits learned of a text of facts whose entropy is known (peerlab data facts)\n"
    "  all      all of these\n"
    "  show     what is there, without training, also while it goes on; without --scale, --study\n"
    "           and --data, of the study that was last trained there\n"
    "  plan     counts what is open, and writes what can start now for a cluster:\n"
    "           FOLDER/jobs.txt, one command a line. First the search for rates, then the noise,\n"
    "           then the rest, as finished folders come back. Without --data it only counts\n"
    "  example  prints a scale's file, to start one of your own from\n\n";

static const char own_help[] =
    "  --text FILE    table1: scores this text too, beside the held-out part; as in peerlab eval,\n"
    "                 FORM:FILE names its form; may be given more than once\n"
    "  --rate F       plan: FLOP/s that all jobs together will reach (default: 1e12)\n";

struct arguments {
    struct lab_study_options study;
    double rate; /* FLOP/s */
    struct lab_list text;
};

/* What is open, in a list of jobs. */
static enum peer_status write_plan(struct lab_campaign *campaign, double rate)
{
    struct lab_findings *findings = NULL;
    struct lab_job_list list;
    char memory[24], disk[24], time[32];
    enum peer_status status = lab_job_list_open(&list, &campaign->sweep, !*campaign->study->data);
    if (status != PEER_OK)
        return status;
    campaign->list = &list;
    status = lab_findings_make(&findings, campaign, &(struct lab_request){0});
    lab_findings_free(&findings);
    campaign->list = NULL;
    status = lab_job_list_close(&list, status);
    if (status != PEER_OK)
        return status;
    lab_format_bytes(memory, sizeof memory, (double)list.memory);
    lab_format_bytes(disk, sizeof disk, (double)list.disk);
    lab_format_seconds(time, sizeof time, list.flops / rate);
    printf("%lld jobs, %.3g FLOPs; the largest needs about %s; checkpoints to keep %s; %s at %.3g "
           "FLOP/s\n",
           (long long)list.count, list.flops, memory, disk, time, rate);
    if (*campaign->study->data)
        printf("%s/jobs.txt: the %lld that can start now, %.3g FLOPs; once they are done, plan "
               "again for the next\n",
               campaign->sweep.folder, (long long)list.written, list.written_flops);
    else
        puts("no text, no jobs.txt: give --data FOLDER, as it will be called where the jobs run");
    return PEER_OK;
}

/* Writes OUT/report and says so. */
static enum peer_status write_report(struct lab_campaign *campaign,
                                     const struct lab_findings *findings,
                                     const struct lab_study_options *options)
{
    char folder[LAB_PATH], again[LAB_STUDY_WORDS];
    struct lab_sweep_info info;
    enum peer_status status = lab_output_folder(campaign->ctx, options->out, "report");
    if (status == PEER_OK)
        status = lab_store_info(campaign->sweep.store, &info);
    if (status != PEER_OK)
        return status;
    snprintf(folder, sizeof folder, "%s/report", options->out);
    status = lab_study_options_words(again, options, campaign);
    if (status != PEER_OK)
        return status;
    status = lab_study_report_write(campaign->ctx, folder,
                                    &(struct lab_study_report){.findings = findings,
                                                               .info = &info,
                                                               .results = campaign->results,
                                                               .count = campaign->count,
                                                               .sweep = campaign->sweep.folder,
                                                               .options = again},
                                    NULL);
    if (status == PEER_OK)
        printf("\nreport: %s/report.html\n", folder);
    return status;
}

static enum peer_status work(struct lab_campaign *campaign, const struct arguments *a,
                             const char *action)
{
    struct lab_findings *findings = NULL;
    const char *names[] = {action, NULL};
    struct lab_text_source text[LAB_LIST_MAX + 1] = {{.form = LAB_FORM_HELD_OUT}};
    bool all = strcmp(action, "all") == 0, show = strcmp(action, "show") == 0;
    campaign->plan_only |= strcmp(action, "plan") == 0;
    if (strcmp(action, "plan") == 0)
        return write_plan(campaign, a->rate);
    for (int i = 0; i < a->text.count; i++)
        text[i + 1] = lab_text_source_parse(a->text.items[i]);
    const struct lab_request request = {
        .parts = all || show ? NULL : names, .text = text, .texts = a->text.count + 1};
    enum peer_status status = lab_findings_make(&findings, campaign, &request);
    if (findings) {
        lab_findings_print(findings);
        fflush(stdout);
        if (lab_stop_asked(NULL)) { /* what asks for it may soon kill */
            puts("\nno new report: stopped; the same command, or reproduce show, writes it");
        } else {
            enum peer_status written = write_report(campaign, findings, &a->study);
            status = status == PEER_OK ? written : status;
        }
    }
    if (campaign->training_seconds > 0)
        printf("\nruns took %.0f %% of the cores' time in %.0f s, training alone %.0f %%\n",
               100 * campaign->running_seconds / campaign->core_seconds, campaign->seconds,
               100 * campaign->training_seconds / campaign->core_seconds);
    lab_findings_free(&findings);
    return status;
}

/* A part of the study, or one of the words that mean none. */
static enum peer_status check_action(struct peer_ctx *ctx, const struct lab_study *study,
                                     const char *action)
{
    bool trains = strcmp(action, "show") != 0 && strcmp(action, "plan") != 0;
    if (trains && strcmp(action, "all") != 0 && strcmp(action, "table1") != 0 &&
        !lab_study_part(study, action))
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "this study has no part \"%.60s\"", action);
    if (trains && !*study->data)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "no text: give --data FOLDER (peerlab data prepare makes it)");
    return PEER_OK;
}

static enum peer_status reproduce(struct peer_ctx *ctx, const struct arguments *a,
                                  const char *action)
{
    struct lab_study *study = NULL;
    struct lab_campaign campaign;
    char verb[48];
    bool show = strcmp(action, "show") == 0;
    enum peer_status status = show ? lab_study_options_recall(&study, ctx, &a->study)
                                   : lab_study_options_read(&study, ctx, &a->study);
    if (status == PEER_OK)
        status = check_action(ctx, study, action);
    snprintf(verb, sizeof verb, "reproduce %.24s", action);
    if (status == PEER_OK)
        status = lab_study_options_open(&campaign, ctx, study, &a->study, show ? NULL : verb);
    if (status == PEER_OK) {
        status = work(&campaign, a, action);
        lab_campaign_close(&campaign);
    }
    lab_study_free(&study);
    return status;
}

/* Prints the study's file. */
static enum peer_status show_example(struct peer_ctx *ctx, const struct lab_study_options *options)
{
    char path[LAB_PATH];
    enum peer_status status = lab_study_options_path(path, ctx, options);
    char *text = status == PEER_OK ? lab_read_file(ctx, path) : NULL;
    if (text)
        fputs(text, stdout);
    free(text);
    return status != PEER_OK ? status : text ? PEER_OK : PEER_ERR_IO;
}

int lab_cmd_reproduce(int argc, char **argv)
{
    static const struct lab_option options[] = {
        LAB_STUDY_OPTION_ROWS(struct arguments, study),
        {"text", LAB_OPTION_LIST, offsetof(struct arguments, text), 0, 0},
        {"rate", LAB_OPTION_NUMBER, offsetof(struct arguments, rate), 1, INT64_MAX},
        {NULL, LAB_OPTION_TEXT, 0, 0, 0}};
    static char text[sizeof help + 1024];
    struct arguments a = {.rate = 1e12};
    int operands = 0;
    snprintf(text, sizeof text, "%s%s%s", help, lab_study_options_help, own_help);
    int status = lab_parse(&a, &operands, argc, argv, text, options);
    if (status != LAB_GO_ON)
        return status;
    bool example = operands == 1 && strcmp(argv[1], "example") == 0;
    if (operands != 1 || (!a.study.out && !example))
        return lab_usage("reproduce", "expected what to reproduce, and --out FOLDER");
    lab_stop_install();
    struct peer_ctx *ctx = lab_context(0); /* of table1; runs are processes of their own */
    if (!ctx)
        return LAB_FAILURE;
    status = lab_report(ctx, example ? show_example(ctx, &a.study) : reproduce(ctx, &a, argv[1]));
    peer_ctx_destroy(&ctx);
    return status;
}
