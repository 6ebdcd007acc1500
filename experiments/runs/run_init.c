/* SPDX-License-Identifier: MIT */
#include "experiments/runs/run_init.h"

#include <string.h>
#include <unistd.h>

#include "experiments/runs/checkpoint_model.h"
#include "lm/checkpoint.h"
#include "lm/run_state.h"

static bool is_there(const char *folder, const char *name)
{
    char path[LAB_PATH];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

/* What the folder's run.yaml keeps of the same init; another run's is found out by its text. */
static void recall(struct lab_run_config *config, struct peer_ctx *ctx, const char *folder)
{
    char path[LAB_PATH];
    struct lab_run_config kept;
    snprintf(path, sizeof path, "%s/run.yaml", folder);
    if (!*config->init_crc32 && lab_run_config_read(&kept, ctx, path) == PEER_OK &&
        strcmp(kept.init, config->init) == 0)
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

/* Ids must mean the same; where nothing says what they mean, their number must agree. */
static enum peer_status check_vocabulary(struct peer_ctx *ctx, const char *path, const char *folder,
                                         const struct lm_dataset *data)
{
    struct lm_run_origin origin;
    char crc[16] = "";
    enum peer_status status = lm_run_origin(&origin, ctx, path);
    if (status != PEER_OK)
        return status;
    if (origin.mapped)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: its tables are mapped, so that no run can start from them", path);
    const char *text = *origin.data ? origin.data : "a text that it does not name";
    if (origin.vocab != data->vocab)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: trained on %s with a vocabulary of %lld, but %s has one of %lld; "
                         "prepare the text with the tokenizer of the first",
                         path, text, (long long)origin.vocab, folder, (long long)data->vocab);
    if (data->vocabulary)
        snprintf(crc, sizeof crc, "%08x", (unsigned)lm_vocabulary_crc(data->vocabulary));
    if (!*crc || !*origin.vocabulary || strcmp(crc, origin.vocabulary) == 0)
        return PEER_OK;
    return peer_fail(ctx, PEER_ERR_ARGUMENT,
                     "%s: trained on %s with a vocabulary of checksum %s, but that of %s has %s: "
                     "prepare the text with the tokenizer of the first",
                     path, text, origin.vocabulary, folder, crc);
}

enum peer_status lab_run_init_check(struct peer_ctx *ctx, const struct lab_run_config *config,
                                    const struct lm_dataset *data)
{
    char path[LAB_PATH];
    lab_checkpoint_path(path, config->init);
    return check_vocabulary(ctx, path, config->data, data);
}

enum peer_status lab_run_init_load(struct peer_ctx *ctx, const struct lab_run_config *config,
                                   const struct lm_dataset *data, const struct peer_params *params)
{
    char path[LAB_PATH];
    lab_checkpoint_path(path, config->init);
    enum peer_status status = lab_run_init_check(ctx, config, data);
    return status == PEER_OK ? lm_checkpoint_load(ctx, path, params) : status;
}
