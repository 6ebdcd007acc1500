/* SPDX-License-Identifier: MIT */
#include "experiments/runs/text_convert.h"

#include <errno.h>
#include <string.h>

#include "experiments/data/text_documents.h"
#include "experiments/data/text_json.h"

struct conversion {
    struct peer_ctx *ctx;
    struct lab_text_counts *counts;
    enum lab_form form;
    const char *name; /* of the file, for messages */
    FILE *file;
    struct lab_buffer document;
    int64_t line; /* on which it stands */
};

static void take_line(void *user, int64_t line)
{
    struct conversion *c = user;
    c->line = line;
}

static enum peer_status take_text(void *user, const uint8_t *bytes, int64_t count)
{
    struct conversion *c = user;
    return lab_buffer_add(&c->document, bytes, count);
}

static enum peer_status take_last_word(struct conversion *c)
{
    int32_t bytes = (int32_t)lab_last_word(&c->document);
    int64_t count = c->document.count;
    if (!bytes)
        return peer_fail(c->ctx, PEER_ERR_FORMAT,
                         "%s:%lld: a passage of %lld bytes has no last word: no space stands "
                         "between two words of \"%.*s\"",
                         c->name, (long long)c->line, (long long)count,
                         count < 40 ? (int)count : 40,
                         count ? (const char *)c->document.bytes : "");
    return lab_buffer_add(&c->counts->last_words, &bytes, sizeof bytes);
}

static void count_wikitext(struct conversion *c)
{
    c->counts->words += lab_wikitext_words(c->document.bytes, c->document.count);
    c->counts->bytes += c->document.count;
}

static enum peer_status cannot_write(const struct conversion *c)
{
    return peer_fail(c->ctx, PEER_ERR_IO, "%s: cannot write a copy of it: %s", c->name,
                     strerror(errno));
}

static enum peer_status take_document(void *user)
{
    struct conversion *c = user;
    struct lab_buffer *document = &c->document;
    enum peer_status status = PEER_OK;
    if (c->form == LAB_FORM_LAMBADA)
        status = take_last_word(c);
    else
        count_wikitext(c);
    if (c->form == LAB_FORM_DETOK)
        lab_detokenize(document);
    if (status == PEER_OK &&
        !lab_json_write_line(c->file, (const char *)document->bytes, document->count))
        status = cannot_write(c);
    c->counts->written += document->count;
    document->count = 0;
    return status;
}

enum peer_status lab_text_convert(struct lab_text_counts *ret, struct peer_ctx *ctx, FILE *file,
                                  enum lab_form form, const char *path)
{
    *ret = (struct lab_text_counts){.last_words = lab_buffer_create(ctx)};
    struct conversion c = {.ctx = ctx,
                           .counts = ret,
                           .form = form,
                           .name = strcmp(path, "-") == 0 ? "standard input" : path,
                           .file = file,
                           .document = lab_buffer_create(ctx)};
    struct lab_document_options options = {.format = form == LAB_FORM_LAMBADA ? LAB_TEXT_JSON
                                                                              : LAB_TEXT_AUTO};
    struct lab_document_sink sink = {
        .begins = take_line, .text = take_text, .end = take_document, .user = &c};
    int64_t repaired = 0;
    enum peer_status status = lab_buffer_reserve(&c.document, 1);
    if (status == PEER_OK)
        status = lab_documents_read(ctx, path, &options, &sink, &repaired);
    if (status == PEER_OK && fflush(file) != 0)
        status = cannot_write(&c);
    lab_buffer_free(&c.document);
    return status;
}
