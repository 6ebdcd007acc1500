/* SPDX-License-Identifier: MIT */
#include "experiments/cli/study_options.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "experiments/base/text.h"
#include "experiments/cli/progress.h"
#include "experiments/cli/stop.h"
#include "experiments/runs/shell_word.h"
#include "experiments/yaml/yaml_place.h"
#include "revision.h"

/* Facts in the store. */
#define WORDS "study words"
#define DATA "study data"
#define OUT "study out"       /* as it was spelled: facts lie in it */
#define FOLDER "study folder" /* where the command was given */

const char lab_study_options_help[] =
    "  --scale NAME   demo (minutes), desk (a night on two cores) or paper (the paper's own\n"
    "                 setting, for a cluster)\n"
    "  --study FILE   a study of your own instead; peerlab reproduce example prints one\n"
    "  --data FOLDER  prepared text (peerlab data prepare)\n"
    "  --out FOLDER   where runs and results are; the same command again carries on there\n"
    "  --jobs N       runs at once (default: cores)\n"
    "  --memory GIB   memory that all runs at once may need (default: 90 % of what is free)\n"
    "  --hours H      stop after that time; run the command again to carry on\n"
    "  --retry        run failed runs again\n";

enum peer_status lab_study_options_path(char path[LAB_PATH], struct peer_ctx *ctx,
                                        const struct lab_study_options *options)
{
    const char *scale = options->scale ? options->scale : "demo";
    snprintf(path, LAB_PATH, "%s", options->file ? options->file : "");
    if (options->file)
        return PEER_OK;
    snprintf(path, LAB_PATH, "%s/study-%.60s.yaml", PEERLAB_CONFIGS_DIR, scale);
    if (access(path, R_OK) != 0)
        snprintf(path, LAB_PATH, "%s/study-%.60s.yaml", PEERLAB_CONFIGS_SOURCE, scale);
    return access(path, R_OK) == 0 && !strchr(scale, '/')
               ? PEER_OK
               : peer_fail(ctx, PEER_ERR_ARGUMENT,
                           "no scale \"%.60s\": expected demo, desk or paper, or --study FILE",
                           scale);
}

/* They become part of what runs are known by, which is kept as YAML. */
static enum peer_status check_paths(struct peer_ctx *ctx, const struct lab_study_options *options)
{
    const char *const names[] = {"data", "out"}, *const paths[] = {options->data, options->out};
    for (int i = 0; i < 2; i++)
        if (paths[i] && !lab_text_is_utf8(paths[i]))
            return peer_fail(ctx, PEER_ERR_ARGUMENT,
                             "--%s %.200s: not UTF-8, as a run's file must be; rename it, or give "
                             "a link",
                             names[i], paths[i]);
    return PEER_OK;
}

enum peer_status lab_study_options_read(struct lab_study **ret, struct peer_ctx *ctx,
                                        const struct lab_study_options *options)
{
    char path[LAB_PATH];
    enum peer_status status = check_paths(ctx, options);
    if (status == PEER_OK)
        status = lab_study_options_path(path, ctx, options);
    return status == PEER_OK ? lab_study_read(ret, ctx, path, options->data, options->out) : status;
}

/* lab_stop_asked(), or the hours are over; the schedule passes no argument. */
static double stop_at = 0;

static bool stop_asked(void *user)
{
    return lab_stop_asked(user) || (stop_at > 0 && lab_now() > stop_at);
}

enum peer_status lab_study_options_recall(struct lab_study **ret, struct peer_ctx *ctx,
                                          const struct lab_study_options *options)
{
    struct lab_study_options wanted = *options;
    struct lab_sweep_folder folder;
    char path[LAB_PATH + 16];
    enum peer_status status = check_paths(ctx, options);
    if (status == PEER_OK)
        status = lab_sweep_folder_read(&folder, ctx, options->out);
    if (status != PEER_OK)
        return status;
    char *text = NULL, *data = NULL, *out = NULL, *home = NULL;
    status = lab_store_fact(&text, folder.store, "config");
    if (status == PEER_OK)
        status = lab_store_fact(&data, folder.store, DATA);
    if (status == PEER_OK)
        status = lab_store_fact(&out, folder.store, OUT);
    if (status == PEER_OK)
        status = lab_store_fact(&home, folder.store, FOLDER);
    lab_sweep_folder_close(&folder);
    snprintf(path, sizeof path, "%s/sweep.db", options->out);
    if (!wanted.data)
        wanted.data = data;
    if (out)
        wanted.out = out;
    if (status == PEER_OK && data && !options->data && !lab_yaml_place_exists(data))
        status =
            peer_fail(ctx, PEER_ERR_IO,
                      "%s: its text %.200s is not there from this folder; show it in %s, where "
                      "it was trained",
                      path, data, home ? home : "the folder");
    else if (status == PEER_OK && text && !options->scale && !options->file)
        status = lab_study_parse(ret, ctx, path, text, wanted.data, wanted.out);
    else if (status == PEER_OK)
        status = lab_study_options_read(ret, ctx, &wanted);
    free(text);
    free(data);
    free(out);
    free(home);
    return status;
}

enum peer_status lab_study_options_words(char words[LAB_STUDY_WORDS],
                                         const struct lab_study_options *options,
                                         struct lab_campaign *campaign)
{
    const char *scale = options->scale ? options->scale : "demo";
    bool named = options->file || options->scale;
    char *kept = NULL;
    enum peer_status status = named ? PEER_OK : lab_store_fact(&kept, campaign->sweep.store, WORDS);
    if (status != PEER_OK)
        return status;
    if (kept)
        snprintf(words, LAB_STUDY_WORDS, "%s", kept);
    else {
        const char *parts[] = {options->file ? "--study " : "--scale ",
                               options->file ? options->file : scale,
                               " --data ",
                               campaign->study->data,
                               " --out ",
                               options->out};
        *words = 0;
        for (int i = 0; i < 6; i++)
            if (i % 2)
                lab_shell_append(words, LAB_STUDY_WORDS, parts[i]);
            else
                strncat(words, parts[i], LAB_STUDY_WORDS - strlen(words) - 1);
    }
    free(kept);
    return PEER_OK;
}

/* What was trained here last, for who repeats or reads it. */
static enum peer_status describe(struct lab_campaign *campaign,
                                 const struct lab_study_options *options, const char *verb)
{
    struct lab_study_options named = *options;
    char words[LAB_STUDY_WORDS], command[LAB_STUDY_WORDS + 64];
    if (!named.file && !named.scale)
        named.scale = "demo";
    enum peer_status status = lab_study_options_words(words, &named, campaign);
    if (status != PEER_OK)
        return status;
    snprintf(command, sizeof command, "peerlab %.40s %s", verb, words);
    status = lab_campaign_describe(campaign, PEERLAB_REVISION, command);
    char *home = getcwd(NULL, 0);
    const char *const facts[][2] = {
        {WORDS, words}, {DATA, campaign->study->data}, {OUT, options->out}, {FOLDER, home}};
    for (int i = 0; i < 4 && status == PEER_OK && *campaign->study->data; i++)
        if (facts[i][1])
            status = lab_store_set_fact(campaign->sweep.store, facts[i][0], facts[i][1]);
    free(home);
    return status;
}

enum peer_status lab_study_options_open(struct lab_campaign *ret, struct peer_ctx *ctx,
                                        const struct lab_study *study,
                                        const struct lab_study_options *options, const char *verb)
{
    struct lab_campaign campaign;
    enum peer_status status =
        lab_campaign_open(&campaign, ctx, study, options->out, options->retry, !verb);
    if (status != PEER_OK)
        return status;
    campaign.jobs = (struct lab_jobs){.jobs = options->jobs,
                                      .memory = (double)options->memory * 1024 * 1024 * 1024,
                                      .stop = stop_asked};
    if (options->hours > 0)
        stop_at = lab_now() + 3600 * options->hours;
    if (verb) {
        campaign.warn = lab_warn_of_passes;
        status = describe(&campaign, options, verb);
    }
    if (status != PEER_OK) {
        lab_campaign_close(&campaign);
        return status;
    }
    *ret = campaign;
    return PEER_OK;
}
