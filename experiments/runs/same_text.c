/* SPDX-License-Identifier: MIT */
#include "experiments/runs/same_text.h"

#include <stdio.h>
#include <string.h>

#include "experiments/runs/run.h"

void lab_text_mark(struct lab_text_mark *ret, const struct lm_dataset *data)
{
    *ret = (struct lab_text_mark){.tokens = lm_corpus_tokens(data->train)};
    snprintf(ret->crc32, sizeof ret->crc32, "%08x", (unsigned)data->train_crc);
    if (data->vocabulary)
        snprintf(ret->vocabulary, sizeof ret->vocabulary, "%08x",
                 (unsigned)lm_vocabulary_crc(data->vocabulary));
}

static enum peer_status compare(struct peer_ctx *ctx, const char *folder, const char *data,
                                const struct lab_text_mark *had, const struct lab_text_mark *has)
{
    if (had->tokens != has->tokens || strcmp(had->crc32, has->crc32) != 0)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: the folder holds another run: it was trained on %lld tokens of "
                         "checksum %s, %s has %lld of %s; choose a new folder",
                         folder, (long long)had->tokens, had->crc32, data, (long long)has->tokens,
                         has->crc32);
    if (*had->vocabulary && *has->vocabulary && strcmp(had->vocabulary, has->vocabulary) != 0)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: the folder holds another run: it was trained with a vocabulary of "
                         "checksum %s, that of %s has %s; choose a new folder",
                         folder, had->vocabulary, data, has->vocabulary);
    return PEER_OK;
}

enum peer_status lab_same_text(struct peer_ctx *ctx, const char *folder,
                               const struct lab_run_config *config)
{
    struct lab_result result;
    struct lm_dataset data = {0};
    enum peer_status status = lab_run_result(&result, ctx, folder);
    if (status != PEER_OK)
        return status;
    struct lab_text_mark had = result.text, has;
    lab_result_free(&result);
    if (!*had.crc32)
        return PEER_OK;
    status = lm_dataset_open(&data, ctx, config->data, config->model.vocab, config->text.dtype);
    if (status == PEER_OK) {
        lab_text_mark(&has, &data);
        status = compare(ctx, folder, config->data, &had, &has);
    }
    lm_dataset_close(&data);
    return status;
}
