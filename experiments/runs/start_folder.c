/* SPDX-License-Identifier: MIT */
#include "experiments/runs/start_folder.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "experiments/base/output.h"
#include "experiments/base/output_check.h"
#include "experiments/base/text.h"
#include "experiments/report/stage.h"
#include "experiments/runs/run_tokenizer.h"
#include "experiments/yaml/yaml_place.h"
#include "lm/checkpoint.h"
#include "lm/json.h"
#include "lm/model_json.h"
#include "nn/file.h"

static void path_in(char ret[LAB_PATH], const char *out, const char *name)
{
    snprintf(ret, LAB_PATH, "%.*s/%s", LAB_FOLDER, out, name);
}

enum peer_status lab_start_folder_check(struct peer_ctx *ctx, const char *out)
{
    char checkpoint[LAB_PATH];
    if (strlen(out) > LAB_FOLDER)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "%.60s...: longer than %d bytes", out, LAB_FOLDER);
    if (!lab_text_is_utf8(out))
        return peer_fail(
            ctx, PEER_ERR_ARGUMENT,
            "%s: not UTF-8, as start.yaml must be, which names it; choose another name", out);
    path_in(checkpoint, out, "checkpoint.safetensors");
    bool there;
    enum peer_status status = peer_file_there(&there, ctx, NULL, checkpoint);
    if (status != PEER_OK)
        return status;
    if (there)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "%s is there already; choose a new folder",
                         checkpoint);
    return lab_output_check_folder(ctx, out, LAB_HOLDS_ANY);
}

static enum peer_status save(struct peer_ctx *ctx, const char *checkpoint,
                             const struct lm_model *model, const char *vocabulary)
{
    lm_json_watch();
    json_t *config = lm_config_json(lm_model_config(model));
    char *text = lm_json_text(config, JSON_COMPACT);
    bool lost = false;
    json_t *metadata = text ? json_pack("{s:s}", "model", text) : NULL;
    if (metadata && *vocabulary)
        lost = json_object_set_new(metadata, "vocabulary", json_string(vocabulary)) != 0;
    enum peer_status status =
        metadata && !lost
            ? lm_checkpoint_save(ctx, checkpoint, lm_model_params(model), metadata)
            : peer_fail(ctx, PEER_ERR_MEMORY, "%s: no memory to write it", checkpoint);
    json_decref(metadata);
    free(text);
    json_decref(config);
    return status;
}

static enum peer_status write_start(struct peer_ctx *ctx, const char *out,
                                    const struct lab_run_config *config)
{
    char start[LAB_PATH], folder[LAB_PATH];
    struct lab_run_config run;
    struct lab_output output;
    path_in(start, out, "start.yaml");
    lab_run_config_copy(&run, config);
    /* The checkpoint is not there yet, its folder is. */
    enum peer_status status = lab_yaml_place_everywhere(folder, LAB_FOLDER, ctx, out);
    if (status != PEER_OK)
        return status;
    path_in(run.init, folder, "checkpoint.safetensors");
    *run.init_name = *run.init_crc32 = '\0';
    status = lab_run_config_everywhere(&run, ctx);
    if (status == PEER_OK)
        status = lab_output_open(&output, ctx, start);
    if (status != PEER_OK)
        return status;
    lab_run_config_write(output.file, &run); /* errors stay in the stream */
    return lab_output_close(&output, PEER_OK);
}

enum peer_status lab_start_folder_write(struct peer_ctx *ctx, const char *out,
                                        const struct lm_model *model, const char *vocabulary,
                                        const char *tokenizer, const struct lab_run_config *run)
{
    char checkpoint[LAB_PATH];
    path_in(checkpoint, out, "checkpoint.safetensors");
    enum peer_status status = lab_make_folder(ctx, out);
    if (status == PEER_OK && run) /* first: a folder with a checkpoint is done */
        status = write_start(ctx, out, run);
    if (status == PEER_OK && *tokenizer)
        status = lab_run_tokenizer_copy(ctx, out, tokenizer);
    if (status != PEER_OK)
        return status;
    status = save(ctx, checkpoint, model, vocabulary);
    if (status != PEER_OK) /* it may be there, but not for sure on the disk */
        unlink(checkpoint);
    return status;
}
