/* SPDX-License-Identifier: MIT */
#include "experiments/runs/run_init.h"

#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "experiments/runs/checkpoint_model.h"
#include "experiments/runs/same_vocabulary.h"
#include "experiments/yaml/yaml_place.h"
#include "lm/checkpoint.h"
#include "lm/run_state.h"
#include "nn/file.h"

static enum peer_status look(bool *ret, struct peer_ctx *ctx, const char *folder, const char *name)
{
    char path[LAB_PATH];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return peer_file_there(ret, ctx, NULL, path);
}

static enum peer_status is_same_place(bool *ret, struct peer_ctx *ctx, const char *a, const char *b)
{
    char places[2][LAB_PATH];
    enum peer_status status = lab_yaml_place_everywhere(places[0], LAB_PATH, ctx, a);
    if (status == PEER_OK)
        status = lab_yaml_place_everywhere(places[1], LAB_PATH, ctx, b);
    *ret = status == PEER_OK && strcmp(places[0], places[1]) == 0;
    return status;
}

/* What the folder's run.yaml, if it has one, keeps of the same init; another run's is found out by
 * its text. */
static enum peer_status recall(struct lab_run_config *config, struct peer_ctx *ctx,
                               const char *folder)
{
    char path[LAB_PATH];
    struct lab_run_config kept;
    bool there = false, same = false;
    enum peer_status status = look(&there, ctx, folder, "run.yaml");
    if (!there || *config->init_crc32)
        return status;
    snprintf(path, sizeof path, "%s/run.yaml", folder);
    status = lab_run_config_read(&kept, ctx, path);
    if (status != PEER_OK)
        return status;
    status = is_same_place(&same, ctx, kept.init, config->init);
    if (same)
        memcpy(config->init_crc32, kept.init_crc32, sizeof config->init_crc32);
    return status;
}

/* CRC-32 of a whole file, as a checkpoint has it of its tensors. */
static enum peer_status sum_file(char ret[16], struct peer_ctx *ctx, const char *path)
{
    static const char who[] = "init";
    unsigned char bytes[1 << 14];
    int file;
    int64_t size;
    unsigned long sum = 0;
    enum peer_status status = peer_file_open(&file, &size, ctx, who, path);
    if (status != PEER_OK)
        return status;
    for (int64_t at = 0, n; at < size && status == PEER_OK; at += n) {
        n = size - at < (int64_t)sizeof bytes ? size - at : (int64_t)sizeof bytes;
        status = peer_file_read(bytes, n, at, ctx, file, who, path);
        sum = crc32_z(sum, bytes, (size_t)n);
    }
    close(file);
    snprintf(ret, 16, "%08lx", sum);
    return status;
}

/* What the file of weights says of itself; one of another program, its checksum alone. */
static enum peer_status origin_of(struct lm_run_origin *ret, struct peer_ctx *ctx, const char *path)
{
    bool own = false, there = false;
    enum peer_status status = lm_checkpoint_is_own(&own, ctx, path);
    if (status == PEER_OK)
        status = peer_file_there(&there, ctx, NULL, path);
    if (status != PEER_OK)
        return status;
    if (own || !there)
        return lm_run_origin(ret, ctx, path);
    memset(ret, 0, sizeof *ret);
    return sum_file(ret->crc32, ctx, path);
}

enum peer_status lab_run_init_pin(struct lab_run_config *config, struct peer_ctx *ctx,
                                  const char *folder)
{
    char path[LAB_PATH];
    struct lm_run_origin origin;
    if (!*config->init)
        return PEER_OK;
    bool there = false, finished = false, saved = false;
    enum peer_status status = recall(config, ctx, folder);
    lab_checkpoint_path(path, config->init);
    if (status == PEER_OK)
        status = peer_file_there(&there, ctx, NULL, path);
    if (status == PEER_OK)
        status = look(&finished, ctx, folder, "result.json");
    if (status == PEER_OK)
        status = look(&saved, ctx, folder, "checkpoint.safetensors");
    if (status != PEER_OK || finished || (!there && saved))
        return status;
    status = origin_of(&origin, ctx, path);
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
    enum peer_status status = origin_of(&origin, ctx, path);
    if (status != PEER_OK || !origin.vocab) /* another program's tells nothing */
        return status;
    if (origin.mapped)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: its tables are mapped, so that no run can start from them", path);
    return lab_same_vocabulary(ctx, path, &origin, config->data, data->vocab, data->vocabulary);
}

enum peer_status lab_run_init_load(struct lab_weights_told *told, struct peer_ctx *ctx,
                                   const struct lab_run_config *config,
                                   const struct lm_dataset *data, const struct peer_params *params)
{
    char path[LAB_PATH];
    struct lab_weights_in options = {.block = -1};
    memset(told, 0, sizeof *told);
    lab_checkpoint_path(path, config->init);
    enum peer_status status = lab_run_init_check(ctx, config, data);
    bool own = false;
    if (status == PEER_OK)
        status = lm_checkpoint_is_own(&own, ctx, path);
    if (status != PEER_OK)
        return status;
    if (own)
        return lm_checkpoint_load(ctx, path, params);
    return lab_weights_in(told, ctx, path, params, &config->model, &options);
}
