/* SPDX-License-Identifier: MIT */
#include "experiments/sweeps/store_rebuild.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/runs/run.h"
#include "experiments/runs/run_result.h"
#include "nn/file.h"

/* FLOPs that the run spends, by the model's own count. */
static double flops_of(const struct lab_run_config *config)
{
    struct peer_cost cost = {0};
    const struct lm_train_config *train = &config->train;
    lm_config_cost(&cost, &config->model, train->length);
    return (double)train->steps * (double)(train->sequences * train->length) *
           peer_cost_train(&cost);
}

/* A file that says nothing of use costs its run another training; one that could not be read now
 * does not. */
static enum peer_status passed_over(enum peer_status status)
{
    return status == PEER_ERR_MEMORY || status == PEER_ERR_IO ? status : PEER_OK;
}

/* What a finished run's folder says. */
static enum peer_status take_result(struct lab_store *store, struct peer_ctx *ctx, int64_t id,
                                    const char *folder, int64_t *taken)
{
    struct lab_result result;
    bool finished = false;
    enum peer_status status = lab_run_finished(&finished, ctx, folder);
    if (!finished)
        return status;
    status = lab_run_result(&result, ctx, folder);
    if (status != PEER_OK)
        return passed_over(status);
    enum lab_state state = result.state;
    lab_result_free(&result);
    status = lab_store_set(store, id, state, NULL, folder);
    *taken += status == PEER_OK;
    return status;
}

static enum peer_status take_run(struct lab_store *store, struct peer_ctx *ctx, int64_t id,
                                 const char *folder, int64_t *taken)
{
    struct lab_run_config config;
    char path[2 * LAB_PATH + 32];
    snprintf(path, sizeof path, "%s/planned.yaml", folder);
    bool planned = false;
    enum peer_status status = peer_file_there(&planned, ctx, NULL, path);
    if (!planned)
        return status;
    status = lab_run_config_read(&config, ctx, path);
    if (status != PEER_OK || config.model.vocab < 1)
        return passed_over(status);
    int64_t there = 0; /* of two folders with one config, the first counts */
    status = lab_store_restore(store, id, &config, flops_of(&config));
    if (status == PEER_OK)
        status = lab_store_find(store, &there, &config);
    return status == PEER_OK && there == id ? take_result(store, ctx, id, folder, taken) : status;
}

static int is_number(const struct dirent *entry)
{
    size_t digits = strspn(entry->d_name, "0123456789");
    return digits >= 6 && digits <= 15 && !entry->d_name[digits];
}

enum peer_status lab_store_rebuild(struct lab_store *store, struct peer_ctx *ctx,
                                   const char *folder, int64_t *taken)
{
    char runs[LAB_PATH], path[2 * LAB_PATH];
    struct dirent **entry = NULL;
    enum peer_status status = PEER_OK;
    snprintf(runs, sizeof runs, "%s/runs", folder);
    *taken = 0;
    int count = scandir(runs, &entry, is_number, alphasort);
    if (count < 0 && errno != ENOENT && errno != ENOTDIR)
        return peer_fail(ctx, PEER_ERR_IO, "%s: cannot be listed: %s", runs, strerror(errno));
    status = lab_store_begin(store); /* a store half made again would not be made further */
    bool begun = status == PEER_OK;
    for (int i = 0; i < count; i++) {
        long long id = strtoll(entry[i]->d_name, NULL, 10);
        int length = snprintf(path, sizeof path, "%s/%s", runs, entry[i]->d_name);
        if (status == PEER_OK && id > 0 && length < LAB_PATH - 32)
            status = take_run(store, ctx, id, path, taken);
        free(entry[i]);
    }
    free(entry);
    return begun ? lab_store_end(store, status) : status;
}
