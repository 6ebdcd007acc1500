/* SPDX-License-Identifier: MIT */
#include "experiments/study/checkpoints.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "experiments/base/text.h"
#include "experiments/cli/progress.h"
#include "experiments/report/stage.h"
#include "experiments/runs/run.h"
#include "nn/file.h"

void lab_checkpoints_path(char *path, size_t size, const struct lab_campaign *campaign,
                          const struct lab_result *result)
{
    snprintf(path, size, "%s/runs/%06lld/checkpoint.safetensors", campaign->sweep.folder,
             (long long)result->id);
}

/* Whether a run is the one of that place in fig1's plan. */
static bool is_planned(const struct lab_campaign *campaign, int64_t place, int64_t id)
{
    int64_t of = 0;
    const struct lab_run_config *config = &campaign->fig1.runs[place].config;
    return lab_store_find(campaign->sweep.store, &of, config) == PEER_OK && of == id;
}

bool lab_checkpoints_may_keep(const struct lab_campaign *campaign, int64_t id)
{
    for (int64_t i = 0; i < campaign->fig1.count; i++)
        if (is_planned(campaign, i, id))
            return true;
    return false;
}

/* Whether a run may be one of the models of table1: it is one of fig1's, as the study is now. */
static bool wanted(const struct lab_campaign *campaign, const struct lab_result *result)
{
    if (result->state != LAB_DONE || !isfinite(result->nats))
        return false;
    for (int64_t i = 0; i < campaign->fig1.count; i++) {
        const struct lab_run_config *config = &campaign->fig1.runs[i].config;
        bool alike = config->budget == result->budget && config->model.width == result->width &&
                     strcmp(config->variant, result->name) == 0;
        if (alike && is_planned(campaign, i, result->id))
            return true;
    }
    return false;
}

const struct lab_result *lab_checkpoints_best(const struct lab_campaign *campaign,
                                              const char *variant, double budget)
{
    const struct lab_result *best = NULL;
    for (int64_t i = 0; i < campaign->count; i++) {
        const struct lab_result *result = &campaign->results[i];
        if (strcmp(result->name, variant) == 0 && result->budget == budget &&
            wanted(campaign, result) && (!best || result->nats < best->nats))
            best = result;
    }
    return best;
}

static void remove_checkpoint(const struct lab_campaign *campaign, const struct lab_result *result)
{
    char path[LAB_PATH];
    lab_checkpoints_path(path, sizeof path, campaign, result);
    unlink(path);
}

void lab_checkpoints_ended(const struct lab_campaign *campaign, const struct lab_result *result)
{
    const struct lab_result *best = lab_checkpoints_best(campaign, result->name, result->budget);
    if (!wanted(campaign, result) || (best && best->id != result->id && best->nats <= result->nats))
        remove_checkpoint(campaign, result);
    for (int64_t i = 0; wanted(campaign, result) && i < campaign->count; i++) {
        const struct lab_result *other = &campaign->results[i];
        if (other->id != result->id && strcmp(other->name, result->name) == 0 &&
            other->budget == result->budget && other->nats > result->nats &&
            wanted(campaign, other))
            remove_checkpoint(campaign, other);
    }
}

/* ---- training again ---- */

static void show(void *user, const struct lm_train_progress *p, double flops_per_token)
{
    struct lab_progress *progress = user;
    (void)flops_per_token;
    lab_progress_update(progress, (double)p->step, NULL);
}

/* Trains `file` in `folder`, and compares what came out. */
static enum peer_status repeat(const struct lab_campaign *campaign, const struct lab_result *result,
                               const char *file, const char *folder)
{
    struct lab_run_config config;
    struct lab_result again;
    struct lab_progress progress;
    const struct lab_run_watch watch = {
        .user = &progress, .progress = show, .stop = campaign->jobs.stop};
    char name[31], what[64];
    enum peer_status status = lab_run_config_read(&config, campaign->ctx, file);
    if (status != PEER_OK)
        return status;
    bool there = true;
    if (*campaign->study->data)
        status = peer_file_there(&there, campaign->ctx, NULL, config.data);
    if (status != PEER_OK)
        return status;
    if (!there) { /* the folder was moved */
        snprintf(config.data, sizeof config.data, "%s", campaign->study->data);
        *config.data_name = 0;
    }
    lab_text_cut(name, sizeof name, result->name);
    snprintf(what, sizeof what, "%s again, for its checkpoint", name);
    lab_progress_start(&progress, what, "steps", (double)config.train.steps, 0);
    status = lab_run_execute(campaign->ctx, &config, folder, &watch);
    lab_progress_end(&progress);
    if (status == PEER_OK)
        status = lab_run_result(&again, campaign->ctx, folder);
    if (status != PEER_OK)
        return status;
    double nats = again.nats;
    lab_result_free(&again);
    return nats == result->nats
               ? PEER_OK
               : peer_fail(campaign->ctx, PEER_ERR_FORMAT,
                           "%s: trained again it has a loss of %.9g, not %.9g: another program "
                           "or kind of processor",
                           folder, nats, result->nats);
}

enum peer_status lab_checkpoints_restore(const struct lab_campaign *campaign,
                                         const struct lab_result *result)
{
    enum { ROOM = LAB_PATH + 64 };
    char checkpoint[LAB_PATH], file[ROOM], folder[ROOM], made[ROOM + 32];
    lab_checkpoints_path(checkpoint, sizeof checkpoint, campaign, result);
    if (access(checkpoint, R_OK) == 0)
        return PEER_OK;
    const char *out = campaign->sweep.folder;
    snprintf(file, sizeof file, "%s/runs/%06lld/run.yaml", out, (long long)result->id);
    snprintf(folder, sizeof folder, "%s/runs/%06lld/again", out, (long long)result->id);
    snprintf(made, sizeof made, "%s/checkpoint.safetensors", folder);
    enum peer_status status = repeat(campaign, result, file, folder);
    if (status == PEER_OK && rename(made, checkpoint) != 0)
        status = peer_fail(campaign->ctx, PEER_ERR_IO, "%s: %s", made, strerror(errno));
    if (status == PEER_OK)
        lab_remove_tree(folder);
    return status;
}
