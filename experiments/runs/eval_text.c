/* SPDX-License-Identifier: MIT */
#include "experiments/runs/eval_text.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "experiments/base/temporary.h"
#include "experiments/data/data_describe.h"
#include "experiments/data/data_tokenizer.h"
#include "experiments/data/text_inputs.h"
#include "experiments/runs/run_tokenizer.h"
#include "experiments/runs/same_vocabulary.h"
#include "experiments/runs/tokenize.h"

/* Turns bytes of last words into the number of tokens that hold them. No token of ours crosses the
 * space that begins a word (data/data_words.h). */
static enum peer_status find_tails(struct lab_eval_text *text, struct peer_ctx *ctx)
{
    const struct lab_buffer *tails = &text->counts.last_words;
    const struct lm_corpus *own = text->own;
    int64_t passages = tails->count / (int64_t)sizeof(int32_t), at = 0;
    text->tails = peer_pool_ids(&text->pool, "last words", passages, 1);
    if (text->pool.failed)
        return PEER_ERR_MEMORY;
    for (int64_t i = 0; i < passages; i++) {
        int32_t left, count = 0;
        memcpy(&left, tails->bytes + i * (int64_t)sizeof left, sizeof left);
        while (at < lm_corpus_tokens(own) && lm_corpus_id(own, at) != text->end)
            at++;
        while (left > 0 && count < at) {
            int64_t bytes;
            int32_t id = lm_corpus_id(own, at - 1 - count++);
            lm_vocabulary_text(text->data.vocabulary, id, &bytes);
            left -= (int32_t)bytes;
        }
        if (left != 0)
            return peer_fail(ctx, PEER_ERR_FORMAT,
                             "passage %lld: the tokens of its last word are %d bytes longer",
                             (long long)i + 1, -left);
        text->tails[i] = count;
        at++;
    }
    return PEER_OK;
}

static enum peer_status open_converted(struct lab_eval_text *text, struct peer_ctx *ctx,
                                       const char *folder, const struct lab_text_source *source)
{
    struct lab_document_options json = {.format = LAB_TEXT_JSON, .strict = true};
    char name[PATH_MAX];
    FILE *file = lab_temporary_file(name, ctx);
    if (!file)
        return PEER_ERR_IO;
    enum peer_status status = lab_text_convert(&text->counts, ctx, file, source, &text->notes);
    if (status == PEER_OK)
        status = lab_tokenize(&text->own, ctx, folder, name, &json, text->data.vocab, &text->notes);
    if (status == PEER_OK && text->form == LAB_FORM_LAMBADA)
        status = find_tails(text, ctx);
    fclose(file);
    unlink(name);
    return status;
}

/* Opens a text of the user's own. */
static enum peer_status open_own(struct lab_eval_text *text, struct peer_ctx *ctx,
                                 const char *folder, const struct lab_text_source *source)
{
    const char *path = source->path;
    struct lab_document_options options = {.format = text->form == LAB_FORM_JSON ? LAB_TEXT_JSON
                                                     : lab_is_json_name(path)    ? LAB_TEXT_PLAIN
                                                                                 : LAB_TEXT_AUTO,
                                           .strict = source->strict};
    struct lab_data_report report;
    enum peer_status status = lab_description_tokenizer(&report, ctx, folder);
    if (status != PEER_OK)
        return status;
    text->end = strcmp(report.tokenizer, "bytes") == 0 ? LAB_BYTES_VOCAB - 1 : LAB_TOKEN_END;
    if (text->form == LAB_FORM_PLAIN || text->form == LAB_FORM_JSON)
        status =
            lab_tokenize(&text->own, ctx, folder, path, &options, text->data.vocab, &text->notes);
    else
        status = open_converted(text, ctx, folder, source);
    /* That there is too little text is said without a file: there may be many. */
    if (status != PEER_ERR_ARGUMENT || strstr(peer_ctx_error(ctx), path))
        return status;
    char why[512];
    snprintf(why, sizeof why, "%s", peer_ctx_error(ctx));
    return peer_fail(ctx, status, "%s: %s", strcmp(path, "-") == 0 ? "standard input" : path, why);
}

static void set_name(struct lab_eval_text *text, const struct lab_text_source *source)
{
    const char *path = source->path ? source->path : text->data.name;
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    size_t first = length;
    while (first > 0 && path[first - 1] != '/')
        first--;
    snprintf(text->name, sizeof text->name, "%.*s", (int)(length - first), path + first);
}

/* A prepared folder, or what a run keeps of one. */
static enum peer_status open_folder(struct lab_eval_text *text, struct peer_ctx *ctx,
                                    const char *folder, int64_t vocab, enum lm_dtype dtype)
{
    int64_t begin;
    bool kept = false;
    enum peer_status status =
        text->form == LAB_FORM_HELD_OUT ? PEER_OK : lab_is_run_tokenizer(&kept, ctx, folder);
    if (status != PEER_OK)
        return status;
    if (!kept)
        return lm_dataset_open(&text->data, ctx, folder, vocab, dtype);
    return lab_run_tokenizer_open(&text->data.vocabulary, &text->data.vocab, &begin, ctx, folder);
}

/* `origin` is NULL, or of the checkpoint at `path`, which has the vocabulary `vocab`. */
static enum peer_status open_text(struct lab_eval_text *ret, struct peer_ctx *ctx,
                                  const char *folder, int64_t vocab, const char *path,
                                  const struct lm_run_origin *origin,
                                  const struct lab_text_source *source)
{
    memset(ret, 0, sizeof *ret);
    ret->pool.ctx = ctx;
    ret->form = source->form;
    enum peer_status status = open_folder(ret, ctx, folder, vocab, source->dtype);
    if (status == PEER_OK && origin)
        status =
            lab_same_vocabulary(ctx, path, origin, folder, ret->data.vocab, ret->data.vocabulary);
    if (status == PEER_OK && ret->data.vocab != vocab)
        status = peer_fail(ctx, PEER_ERR_ARGUMENT, "%s: vocabulary %lld, the model's is %lld",
                           folder, (long long)ret->data.vocab, (long long)vocab);
    bool held_out = source->form == LAB_FORM_HELD_OUT;
    if (status == PEER_OK && held_out && !ret->data.valid)
        status =
            peer_fail(ctx, PEER_ERR_ARGUMENT, "%s: has no validation text; give --text", folder);
    if (status == PEER_OK && !held_out)
        status = open_own(ret, ctx, folder, source);
    if (status == PEER_OK)
        set_name(ret, source);
    ret->scored = held_out ? ret->data.valid : ret->own;
    return status;
}

enum peer_status lab_eval_text_open(struct lab_eval_text *ret, struct peer_ctx *ctx,
                                    const char *folder, int64_t vocab,
                                    const struct lab_text_source *source)
{
    return open_text(ret, ctx, folder, vocab, NULL, NULL, source);
}

enum peer_status lab_eval_text_open_for(struct lab_eval_text *ret, struct peer_ctx *ctx,
                                        const char *folder, const char *path,
                                        const struct lm_run_origin *origin,
                                        const struct lab_text_source *source)
{
    return open_text(ret, ctx, folder, origin->vocab, path, origin, source);
}

void lab_eval_text_close(struct lab_eval_text *text)
{
    lm_corpus_close(&text->own);
    lm_dataset_close(&text->data);
    lab_buffer_free(&text->counts.last_words);
    peer_pool_free(&text->pool);
    text->scored = NULL;
    text->tails = NULL;
}
