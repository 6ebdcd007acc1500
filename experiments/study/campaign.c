/* SPDX-License-Identifier: MIT */
#include "experiments/study/campaign.h"

#include <stdlib.h>
#include <string.h>

#include "experiments/runs/run.h"
#include "experiments/runs/run_result.h"
#include "experiments/study/checkpoints.h"

static enum peer_status reload(struct lab_campaign *campaign)
{
    lab_results_free(&campaign->results, campaign->count);
    campaign->count = 0;
    return lab_store_results(campaign->sweep.store, &campaign->results, &campaign->count);
}

enum peer_status lab_campaign_open(struct lab_campaign *ret, struct peer_ctx *ctx,
                                   const struct lab_study *study, const char *folder, bool retry,
                                   bool only_read)
{
    struct lab_campaign campaign = {.ctx = ctx, .study = study, .plan_only = only_read};
    enum peer_status status = only_read
                                  ? lab_sweep_folder_read(&campaign.sweep, ctx, folder)
                                  : lab_sweep_folder_open(&campaign.sweep, ctx, folder, retry);
    if (status == PEER_OK)
        status = reload(&campaign);
    if (status != PEER_OK) {
        lab_campaign_close(&campaign);
        return status;
    }
    *ret = campaign;
    return PEER_OK;
}

void lab_campaign_close(struct lab_campaign *campaign)
{
    lab_plan_free(&campaign->fig1);
    lab_results_free(&campaign->results, campaign->count);
    lab_sweep_folder_close(&campaign->sweep);
}

enum peer_status lab_campaign_describe(struct lab_campaign *campaign, const char *revision,
                                       const char *command)
{
    const struct lab_study *study = campaign->study;
    if (!*study->data)
        return PEER_OK; /* nothing can be trained, so nothing is to be told */
    struct lab_plan_run run = {.config.model.vocab = study->vocab};
    struct lab_plan plan = {.runs = &run, .count = 1};
    char *text = strdup(lab_yaml_text(study->yaml));
    if (!text)
        return peer_fail(campaign->ctx, PEER_ERR_MEMORY, "no memory for the study's text");
    plan.text = text;
    snprintf(plan.name, sizeof plan.name, "%s", study->name);
    snprintf(plan.data, sizeof plan.data, "%s", study->data);
    enum peer_status status = lab_sweep_folder_describe(&campaign->sweep, &plan, revision, command);
    free(text);
    return status;
}

void lab_campaign_stage(struct lab_campaign *campaign)
{
    if (campaign->list && campaign->list->written > 0)
        campaign->list->only_count = true;
}

static const struct lab_result *find(const struct lab_campaign *campaign, int64_t id)
{
    for (int64_t i = 0; i < campaign->count; i++)
        if (campaign->results[i].id == id)
            return &campaign->results[i];
    return NULL;
}

/* Takes in what came back finished from a list of jobs. */
static enum peer_status take_finished(struct lab_campaign *campaign, const struct lab_plan *plan)
{
    bool taken = false;
    for (int64_t i = 0; i < plan->count; i++) {
        char folder[LAB_PATH];
        struct lab_result result;
        int64_t id = 0;
        enum peer_status status = lab_store_find(campaign->sweep.store, &id, &plan->runs[i].config);
        const struct lab_result *known = find(campaign, id);
        snprintf(folder, sizeof folder, "%s/runs/%06lld", campaign->sweep.folder, (long long)id);
        if (status != PEER_OK)
            return status;
        if (!known || known->state != LAB_PENDING)
            continue;
        bool finished = false;
        status = lab_run_finished(&finished, campaign->ctx, folder);
        if (status != PEER_OK)
            return status;
        if (!finished)
            continue;
        status = lab_run_result(&result, campaign->ctx, folder);
        if (status == PEER_OK) {
            status = lab_store_set(campaign->sweep.store, id, result.state, result.message, folder);
            lab_result_free(&result);
        }
        if (status != PEER_OK)
            return status;
        taken = true;
    }
    return taken ? reload(campaign) : PEER_OK;
}

/* Every run's result, by the run's config. */
static enum peer_status look_up(struct lab_campaign *campaign, const struct lab_plan *plan,
                                const struct lab_result **results)
{
    struct lab_store *store = campaign->sweep.store;
    enum peer_status taken = campaign->list ? take_finished(campaign, plan) : PEER_OK;
    if (taken != PEER_OK)
        return taken;
    for (int64_t i = 0; i < plan->count; i++) {
        const struct lab_plan_run *run = &plan->runs[i];
        int64_t id = 0;
        bool writes = campaign->list && !campaign->list->only_count;
        enum peer_status status = writes ? lab_store_add(store, &id, &run->config, run->flops)
                                         : lab_store_find(store, &id, &run->config);
        const struct lab_result *result = find(campaign, id);
        bool ended = result && (result->state == LAB_DONE || result->state == LAB_DIVERGED);
        results[i] = ended ? result : NULL;
        if (status == PEER_OK && campaign->list && !ended)
            status =
                lab_job_list_add(campaign->list, id, run, lab_checkpoints_may_keep(campaign, id));
        if (status != PEER_OK)
            return status;
    }
    return PEER_OK;
}

/* Results of runs that end are wanted for their checkpoints before the plan is done. */
static void ended(void *user, int64_t id, const char *run_folder)
{
    struct lab_campaign *campaign = user;
    (void)run_folder;
    if (reload(campaign) != PEER_OK)
        return; /* its checkpoint stays: only room is lost */
    const struct lab_result *result = find(campaign, id);
    if (result)
        lab_checkpoints_ended(campaign, result);
}

static bool keep(void *user, int64_t id)
{
    return lab_checkpoints_may_keep(user, id);
}

static void warn(struct lab_campaign *campaign, const struct lab_plan *plan)
{
    for (int64_t i = 0; i < plan->count && campaign->warn; i++)
        if (campaign->warn(&plan->runs[i].config))
            campaign->warn = NULL;
}

enum peer_status lab_campaign_train(struct lab_campaign *campaign, struct lab_plan *plan,
                                    const struct lab_result **results)
{
    struct lab_schedule_result done = {0};
    enum peer_status status = PEER_OK;
    warn(campaign, plan);
    campaign->jobs.ended = ended;
    campaign->jobs.keep = keep;
    campaign->jobs.user = campaign;
    if (!campaign->plan_only)
        status = lab_sweep_folder_train(&done, &campaign->sweep, plan, &campaign->jobs);
    campaign->seconds += done.seconds;
    campaign->core_seconds += done.core_seconds;
    campaign->running_seconds += done.running_seconds;
    campaign->training_seconds += done.training_seconds;
    enum peer_status read = campaign->plan_only ? PEER_OK : reload(campaign);
    if (status == PEER_OK)
        status = read;
    return status == PEER_OK ? look_up(campaign, plan, results) : status;
}
