/* SPDX-License-Identifier: MIT */
#include "experiments/runs/run_init.h"

#include <string.h>
#include <unistd.h>

#include "experiments/runs/checkpoint_model.h"
#include "experiments/runs/same_vocabulary.h"
#include "experiments/yaml/yaml_place.h"
#include "lm/checkpoint.h"
#include "lm/run_state.h"

static bool is_there(const char *folder, const char *name)
{
    char path[LAB_PATH];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static bool is_same_place(const char *a, const char *b)
{
    char places[2][LAB_PATH];
    lab_yaml_place_everywhere(places[0], LAB_PATH, a);
    lab_yaml_place_everywhere(places[1], LAB_PATH, b);
    return strcmp(places[0], places[1]) == 0;
}

/* What the folder's run.yaml keeps of the same init; another run's is found out by its text. */
static void recall(struct lab_run_config *config, struct peer_ctx *ctx, const char *folder)
{
    char path[LAB_PATH];
    struct lab_run_config kept;
    snprintf(path, sizeof path, "%s/run.yaml", folder);
    if (!*config->init_crc32 && lab_run_config_read(&kept, ctx, path) == PEER_OK &&
        is_same_place(kept.init, config->init))
        memcpy(config->init_crc32, kept.init_crc32, sizeof config->init_crc32);
}

enum peer_status lab_run_init_pin(struct lab_run_config *config, struct peer_ctx *ctx,
                                  const char *folder)
{
    char path[LAB_PATH];
    struct lm_run_origin origin;
    if (!*config->init)
        return PEER_OK;
    if (is_there(folder, "run.yaml"))
        recall(config, ctx, folder);
    lab_checkpoint_path(path, config->init);
    bool gone = access(path, F_OK) != 0;
    if (is_there(folder, "result.json") || (gone && is_there(folder, "checkpoint.safetensors")))
        return PEER_OK;
    enum peer_status status = lm_run_origin(&origin, ctx, path);
    if (status != PEER_OK)
        return status;
    if (!*config->init_crc32)
        snprintf(config->init_crc32, sizeof config->init_crc32, "%s", origin.crc32);
    if (strcmp(config->init_crc32, origin.crc32) == 0)
        return PEER_OK;
    return peer_fail(ctx, PEER_ERR_ARGUMENT,
                     "%s has changed: the checksum of its tensors is %s, and was %s for this run",
                     path, origin.crc32, config->init_crc32);
}

enum peer_status lab_run_init_check(struct peer_ctx *ctx, const struct lab_run_config *config,
                                    const struct lm_dataset *data)
{
    char path[LAB_PATH];
    struct lm_run_origin origin;
    lab_checkpoint_path(path, config->init);
    enum peer_status status = lm_run_origin(&origin, ctx, path);
    if (status != PEER_OK)
        return status;
    if (origin.mapped)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: its tables are mapped, so that no run can start from them", path);
    return lab_same_vocabulary(ctx, path, &origin, config->data, data->vocab, data->vocabulary);
}

enum peer_status lab_run_init_load(struct peer_ctx *ctx, const struct lab_run_config *config,
                                   const struct lm_dataset *data, const struct peer_params *params)
{
    char path[LAB_PATH];
    lab_checkpoint_path(path, config->init);
    enum peer_status status = lab_run_init_check(ctx, config, data);
    return status == PEER_OK ? lm_checkpoint_load(ctx, path, params) : status;
}
