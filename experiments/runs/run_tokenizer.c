/* SPDX-License-Identifier: MIT */
#include "experiments/runs/run_tokenizer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "experiments/base/output.h"
#include "experiments/runs/run_result.h"
#include "lm/json.h"
#include "nn/file.h"

static const char description[] = "data.json", model[] = "tokenizer.model",
                  vocab_file[] = "tokenizer.vocab";

enum { LARGEST = 1 << 20 /* bytes of a description */ };

struct paths {
    char from[PATH_MAX], to[PATH_MAX];
};

static bool join(struct paths *p, const char *from, const char *run, const char *name)
{
    return snprintf(p->from, sizeof p->from, "%s/%s", from, name) < (int)sizeof p->from &&
           snprintf(p->to, sizeof p->to, "%s/tokenizer/%s", run, name) < (int)sizeof p->to;
}

/* The file by another name, or a copy; 0 as checksum where there is none. */
static enum peer_status take(struct peer_ctx *ctx, const char *from, const char *run,
                             const char *name, int64_t *crc)
{
    struct paths p;
    size_t size = 0;
    *crc = 0;
    if (!join(&p, from, run, name))
        return peer_fail(ctx, PEER_ERR_IO, "%s: %s", from, strerror(ENAMETOOLONG));
    bool there;
    enum peer_status status = peer_file_there(&there, ctx, NULL, p.from);
    if (status != PEER_OK || !there)
        return status;
    char *bytes = lab_read_bytes(ctx, p.from, &size);
    if (!bytes)
        return PEER_ERR_IO;
    *crc = (int64_t)crc32_z(0, (const Bytef *)bytes, size);
    unlink(p.to);
    status = link(p.from, p.to) == 0 ? PEER_OK : lab_write_file(ctx, p.to, bytes, size);
    free(bytes);
    return status;
}

/* The prepared folder's word for its tokenizer. */
static enum peer_status find_name(char name[32], struct peer_ctx *ctx, const char *data)
{
    char path[PATH_MAX];
    json_t *object = NULL;
    snprintf(path, sizeof path, "%s/%s", data, description);
    enum peer_status status = lm_json_open(&object, ctx, NULL, path, LARGEST, 0);
    const char *text = json_string_value(json_object_get(object, "tokenizer"));
    snprintf(name, 32, "%s", text ? text : "");
    json_decref(object);
    return status;
}

static enum peer_status describe(struct peer_ctx *ctx, const char *run, const char *name,
                                 const struct lm_dataset *dataset, int64_t model_crc)
{
    char path[PATH_MAX], crc[16];
    snprintf(path, sizeof path, "%s/tokenizer/%s", run, description);
    snprintf(crc, sizeof crc, "%08x", (unsigned)lm_vocabulary_crc(dataset->vocabulary));
    lm_json_watch();
    json_t *object = json_pack("{s:s, s:i, s:s, s:I, s:s, s:I, s:I}", "format", "peerlab-data",
                               "version", 1, "tokenizer", name, "vocab", (json_int_t)dataset->vocab,
                               "vocabulary", crc, "model_crc32", (json_int_t)model_crc, "begin",
                               (json_int_t)lm_corpus_id(dataset->train, 0));
    char *text = lm_json_text(object, JSON_INDENT(2));
    enum peer_status status = text ? lab_write_file(ctx, path, text, strlen(text))
                                   : peer_fail(ctx, PEER_ERR_MEMORY, "%s: no memory", path);
    free(text);
    json_decref(object);
    return status;
}

enum peer_status lab_run_tokenizer_keep(struct peer_ctx *ctx, const char *run, const char *data,
                                        const struct lm_dataset *dataset)
{
    char path[PATH_MAX], name[32];
    int64_t model_crc = 0, unused;
    snprintf(path, sizeof path, "%s/tokenizer/%s", run, description);
    if (!dataset->vocabulary)
        return PEER_OK;
    bool there;
    enum peer_status status = peer_file_there(&there, ctx, NULL, path);
    if (status != PEER_OK || there)
        return status;
    status = find_name(name, ctx, data);
    if (status == PEER_OK)
        status = lab_output_folder(ctx, run, "tokenizer");
    if (status == PEER_OK)
        status = take(ctx, data, run, vocab_file, &unused);
    if (status == PEER_OK)
        status = take(ctx, data, run, model, &model_crc);
    if (status == PEER_OK) /* last: what it describes is there then */
        status = describe(ctx, run, name, dataset, model_crc);
    return status;
}

enum peer_status lab_run_tokenizer_copy(struct peer_ctx *ctx, const char *run,
                                        const char *tokenizer)
{
    static const char *const names[] = {vocab_file, model, description}; /* the last tells of all */
    int64_t unused;
    enum peer_status status = lab_output_folder(ctx, run, "tokenizer");
    for (int i = 0; i < 3 && status == PEER_OK; i++)
        status = take(ctx, tokenizer, run, names[i], &unused);
    return status;
}

enum peer_status lab_is_run_tokenizer(bool *ret, struct peer_ctx *ctx, const char *folder)
{
    char path[PATH_MAX];
    bool prepared = false, described = false;
    snprintf(path, sizeof path, "%s/train.bin", folder);
    enum peer_status status = peer_file_there(&prepared, ctx, NULL, path);
    snprintf(path, sizeof path, "%s/%s", folder, description);
    if (status == PEER_OK)
        status = peer_file_there(&described, ctx, NULL, path);
    *ret = status == PEER_OK && !prepared && described;
    return status;
}

static enum peer_status damaged(struct peer_ctx *ctx, const char *folder, const char *name)
{
    return peer_fail(ctx, PEER_ERR_FORMAT,
                     "%s/%s is not the one that the run was trained with: its checksum is another; "
                     "give --data FOLDER",
                     folder, name);
}

/* The model must be the one that was kept; only sentencepiece has one. */
static enum peer_status check_model(struct peer_ctx *ctx, const char *folder, int64_t crc)
{
    char path[PATH_MAX];
    size_t size = 0;
    if (!crc)
        return PEER_OK;
    snprintf(path, sizeof path, "%s/%s", folder, model);
    char *bytes = lab_read_bytes(ctx, path, &size);
    if (!bytes)
        return PEER_ERR_IO;
    bool same = (int64_t)crc32_z(0, (const Bytef *)bytes, size) == crc;
    free(bytes);
    return same ? PEER_OK : damaged(ctx, folder, model);
}

static enum peer_status open_described(struct lm_vocabulary **ret, struct peer_ctx *ctx,
                                       const char *folder, const json_t *object)
{
    char path[PATH_MAX], crc[16];
    const char *name = json_string_value(json_object_get(object, "tokenizer"));
    const char *kept = json_string_value(json_object_get(object, "vocabulary"));
    snprintf(path, sizeof path, "%s/%s", folder, vocab_file);
    enum peer_status status = name && strcmp(name, "bytes") == 0
                                  ? lm_vocabulary_bytes(ret, ctx)
                                  : lm_vocabulary_open(ret, ctx, path);
    if (status != PEER_OK)
        return status;
    snprintf(crc, sizeof crc, "%08x", (unsigned)lm_vocabulary_crc(*ret));
    if (kept && strcmp(kept, crc) != 0)
        status = damaged(ctx, folder, vocab_file);
    if (status == PEER_OK)
        status =
            check_model(ctx, folder, json_integer_value(json_object_get(object, "model_crc32")));
    if (status != PEER_OK)
        lm_vocabulary_close(ret);
    return status;
}

enum peer_status lab_run_tokenizer_open(struct lm_vocabulary **vocabulary, int64_t *vocab,
                                        int64_t *begin, struct peer_ctx *ctx, const char *folder)
{
    char path[PATH_MAX];
    json_t *object = NULL;
    snprintf(path, sizeof path, "%s/%s", folder, description);
    enum peer_status status =
        lm_json_open(&object, ctx, NULL, path, LARGEST, JSON_REJECT_DUPLICATES);
    if (status == PEER_OK)
        status = open_described(vocabulary, ctx, folder, object);
    if (status == PEER_OK) {
        *vocab = lm_vocabulary_size(*vocabulary);
        *begin = json_integer_value(json_object_get(object, "begin"));
        if (*begin < 0 || *begin >= *vocab)
            status = peer_fail(ctx, PEER_ERR_FORMAT, "%s: begin is %lld, expected 0 to %lld", path,
                               (long long)*begin, (long long)*vocab - 1);
        if (status != PEER_OK)
            lm_vocabulary_close(vocabulary);
    }
    json_decref(object);
    return status;
}
