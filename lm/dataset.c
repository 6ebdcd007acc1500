/* SPDX-License-Identifier: MIT */
#include "lm/dataset.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lm/json.h"
#include "lm/model.h"
#include "lm/token_shards.h"
#include "nn/file.h"

/* Ids of prepared folders are uint16; a description lists the files that it was made of. */
enum { PREPARED_VOCAB = 65536, VERSION = 1, MAX_DESCRIPTION = 1 << 28 };

/* A file of the folder. */
struct path {
    char text[PATH_MAX];
};

static enum peer_status join(struct path *ret, struct peer_ctx *ctx, const char *folder,
                             const char *file)
{
    int length = snprintf(ret->text, sizeof ret->text, "%s/%s", folder, file);
    if (length >= PATH_MAX)
        return peer_fail(ctx, PEER_ERR_IO, "lm_dataset_open: a path of %d characters, at most %d",
                         length, PATH_MAX - 1);
    return PEER_OK;
}

/* Integer `name` of `object`, `minimum` ... `maximum`; `prefix` leads to it in the message. */
static enum peer_status read_integer(int64_t *ret, struct peer_ctx *ctx, const struct path *path,
                                     const json_t *object, const char *prefix, const char *name,
                                     int64_t minimum, int64_t maximum)
{
    const json_t *field = json_object_get(object, name);
    if (!json_is_integer(field) || json_integer_value(field) < minimum ||
        json_integer_value(field) > maximum)
        return peer_fail(ctx, PEER_ERR_FORMAT,
                         "lm_dataset_open: %s: %s%s: expected an integer from %lld to %lld",
                         path->text, prefix, name, (long long)minimum, (long long)maximum);
    *ret = json_integer_value(field);
    return PEER_OK;
}

/* Field `name` must be one of `texts`, which `expected` lists for the message. */
static enum peer_status expect_text(struct peer_ctx *ctx, const struct path *path,
                                    const json_t *description, const char *name,
                                    const char *const *texts, int count, const char *expected)
{
    const char *text = json_string_value(json_object_get(description, name));
    for (int i = 0; text && i < count; i++)
        if (strcmp(text, texts[i]) == 0)
            return PEER_OK;
    return peer_fail(ctx, PEER_ERR_FORMAT, "lm_dataset_open: %s: %s: expected %s", path->text, name,
                     expected);
}

static enum peer_status open_known(struct lm_corpus **ret, struct peer_ctx *ctx, const char *path,
                                   int64_t vocab)
{
    struct lm_corpus_source source = {
        .paths = &path, .count = 1, .dtype = LM_DTYPE_UINT16, .known = true};
    return lm_corpus_open(ret, ctx, &source, vocab);
}

/* Opens `file`, which must hold what the description says of it. */
static enum peer_status open_described(struct lm_corpus **ret, uint32_t *ret_crc,
                                       struct peer_ctx *ctx, const char *folder, const char *file,
                                       int64_t vocab, const struct path *description_path,
                                       const json_t *split, const char *prefix)
{
    struct path path;
    struct lm_corpus *corpus = NULL;
    int64_t tokens = 0, crc = 0;
    enum peer_status status =
        read_integer(&tokens, ctx, description_path, split, prefix, "tokens", 2, INT64_MAX);
    if (!status)
        status = read_integer(&crc, ctx, description_path, split, prefix, "crc32", 0, UINT32_MAX);
    if (!status)
        status = join(&path, ctx, folder, file);
    if (!status)
        status = open_known(&corpus, ctx, path.text, vocab);
    if (status)
        return status;
    int64_t held = lm_corpus_tokens(corpus), sum = lm_corpus_crc(corpus);
    if (held == tokens && sum == crc) {
        *ret = corpus;
        *ret_crc = (uint32_t)sum;
        return PEER_OK;
    }
    lm_corpus_close(&corpus);
    return peer_fail(ctx, PEER_ERR_FORMAT,
                     "lm_dataset_open: %s: tokens = %lld, crc32 = %lld, but data.json says "
                     "tokens = %lld, crc32 = %lld",
                     path.text, (long long)held, (long long)sum, (long long)tokens, (long long)crc);
}

static enum peer_status open_vocabulary(struct lm_dataset *data, struct peer_ctx *ctx,
                                        const char *folder, const struct path *description_path,
                                        const char *tokenizer)
{
    enum peer_status status;
    if (strcmp(tokenizer, "bytes") == 0) {
        status = lm_vocabulary_bytes(&data->vocabulary, ctx);
    } else {
        struct path path;
        status = join(&path, ctx, folder, "tokenizer.vocab");
        if (!status)
            status = lm_vocabulary_open(&data->vocabulary, ctx, path.text);
    }
    if (status)
        return status;
    int64_t size = lm_vocabulary_size(data->vocabulary);
    if (size != data->vocab)
        return peer_fail(ctx, PEER_ERR_FORMAT,
                         "lm_dataset_open: %s: vocab = %lld, but the vocabulary (%s) has %lld",
                         description_path->text, (long long)data->vocab, tokenizer,
                         (long long)size);
    return PEER_OK;
}

/* What data.json describes. */
static enum peer_status open_prepared(struct lm_dataset *data, struct peer_ctx *ctx,
                                      const char *folder, const struct path *path,
                                      const json_t *description)
{
    static const char *const formats[] = {"peerlab-data"};
    static const char *const tokenizers[] = {"sentencepiece", "words", "bytes"};
    int64_t version;
    enum peer_status status =
        expect_text(ctx, path, description, "format", formats, 1, "\"peerlab-data\"");
    if (!status)
        status = read_integer(&version, ctx, path, description, "", "version", VERSION, VERSION);
    if (!status)
        status = expect_text(ctx, path, description, "tokenizer", tokenizers, 3,
                             "\"sentencepiece\", \"words\" or \"bytes\"");
    if (!status)
        status = read_integer(&data->vocab, ctx, path, description, "", "vocab", 1, PREPARED_VOCAB);
    if (!status)
        status = open_vocabulary(data, ctx, folder, path,
                                 json_string_value(json_object_get(description, "tokenizer")));
    if (!status)
        status = open_described(&data->train, &data->train_crc, ctx, folder, "train.bin",
                                data->vocab, path, json_object_get(description, "train"), "train.");
    uint32_t unused;
    const json_t *valid = json_object_get(description, "valid");
    if (!status && valid)
        status = open_described(&data->valid, &unused, ctx, folder, "valid.bin", data->vocab, path,
                                valid, "valid.");
    return status;
}

/* Token files that nothing describes. */
static enum peer_status open_plain(struct lm_dataset *data, struct peer_ctx *ctx, const char *where,
                                   int64_t vocab, enum lm_dtype dtype)
{
    struct lm_shards shards;
    enum peer_status status = lm_shards_find(&shards, ctx, where);
    if (status)
        return status;
    data->vocab = vocab;
    if (vocab < 1 || vocab > LM_MAX_VOCAB)
        status = peer_fail(ctx, PEER_ERR_ARGUMENT,
                           "lm_dataset_open: %s has no data.json, and vocab = %lld, expected 1 ... "
                           "%d: say it in the run's model: {vocab: ...}",
                           where, (long long)vocab, LM_MAX_VOCAB);
    struct lm_corpus_source train = {shards.train, shards.trains, dtype, false};
    struct lm_corpus_source valid = {shards.valid, shards.valids, dtype, false};
    if (!status)
        status = lm_corpus_open(&data->train, ctx, &train, vocab);
    if (!status)
        data->train_crc = lm_corpus_crc(data->train);
    if (!status && shards.valids)
        status = lm_corpus_open(&data->valid, ctx, &valid, vocab);
    lm_shards_free(&shards);
    return status;
}

/* The last part of the path, whatever links and dots lead to it; a pattern names itself. */
static void set_name(struct lm_dataset *data, const char *folder)
{
    char whole[PATH_MAX];
    const char *path = realpath(folder, whole) ? whole : folder, *slash = strrchr(path, '/');
    snprintf(data->name, sizeof data->name, "%.*s", (int)sizeof data->name - 1,
             slash ? slash + 1 : path);
}

enum peer_status lm_dataset_open(struct lm_dataset *ret, struct peer_ctx *ctx, const char *folder,
                                 int64_t vocab, enum lm_dtype dtype)
{
    struct lm_dataset data = {0};
    struct path path;
    set_name(&data, folder);
    enum peer_status status = join(&path, ctx, folder, "data.json");
    if (status)
        return status;
    bool described = false;
    status = peer_file_there(&described, ctx, "lm_dataset_open", path.text);
    if (status)
        return status;
    if (!described) {
        status = open_plain(&data, ctx, folder, vocab, dtype);
    } else {
        json_t *description = NULL;
        status = lm_json_open(&description, ctx, "lm_dataset_open", path.text, MAX_DESCRIPTION,
                              JSON_REJECT_DUPLICATES);
        if (!status)
            status = open_prepared(&data, ctx, folder, &path, description);
        json_decref(description);
    }
    if (status) {
        lm_dataset_close(&data);
        return status;
    }
    *ret = data;
    return PEER_OK;
}

void lm_dataset_close(struct lm_dataset *dataset)
{
    if (!dataset)
        return;
    lm_corpus_close(&dataset->train);
    lm_corpus_close(&dataset->valid);
    lm_vocabulary_close(&dataset->vocabulary);
}
