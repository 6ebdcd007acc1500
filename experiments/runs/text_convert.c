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
    struct lab_document_notes *notes;
    bool strict;
};

static void take_line(void *user, int64_t line)
{
    struct conversion *c = user;
    c->line = line;
}

static enum peer_status take_text(void *user, const uint8_t *bytes, int64_t count)
{
    struct conversion *c = user;
    if (count > LAB_BUFFER_MOST - c->document.count)
        return peer_fail(c->ctx, PEER_ERR_FORMAT,
                         "%s: a document of more than %d bytes, the most of this form; cut it, or "
                         "score it as plain text",
                         c->name, LAB_BUFFER_MOST);
    return lab_buffer_add(&c->document, bytes, count);
}

/* A passage may have no last word: it is left out. */
static enum peer_status take_last_word(struct conversion *c, bool *leave_out)
{
    int32_t bytes = (int32_t)lab_last_word(&c->document);
    int64_t count = c->document.count;
    if (!bytes) {
        peer_fail(c->ctx, PEER_ERR_FORMAT,
                  "%s:%lld: a passage of %lld bytes has no last word: no space stands between two "
                  "words of \"%.*s\"",
                  c->name, (long long)c->line, (long long)count, count < 40 ? (int)count : 40,
                  count ? (const char *)c->document.bytes : "");
        *leave_out = true;
        return lab_notes_skip(c->notes, c->ctx, c->strict);
    }
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
    bool leave_out = false;
    if (c->form == LAB_FORM_LAMBADA)
        status = take_last_word(c, &leave_out);
    else
        count_wikitext(c);
    if (c->form == LAB_FORM_DETOK)
        lab_detokenize(document);
    if (status == PEER_OK && !leave_out &&
        !lab_json_write_line(c->file, (const char *)document->bytes, document->count))
        status = cannot_write(c);
    c->counts->written += leave_out ? 0 : document->count;
    document->count = 0;
    return status;
}

enum peer_status lab_text_convert(struct lab_text_counts *ret, struct peer_ctx *ctx, FILE *file,
                                  const struct lab_text_source *source,
                                  struct lab_document_notes *notes)
{
    const char *path = source->path;
    struct lab_document_notes own = {0};
    *ret = (struct lab_text_counts){.last_words = lab_buffer_create(ctx)};
    struct conversion c = {.ctx = ctx,
                           .counts = ret,
                           .form = source->form,
                           .notes = &own,
                           .strict = source->strict,
                           .name = strcmp(path, "-") == 0 ? "standard input" : path,
                           .file = file,
                           .document = lab_buffer_create(ctx)};
    struct lab_document_options options = {
        .format = source->form == LAB_FORM_LAMBADA ? LAB_TEXT_JSON : LAB_TEXT_AUTO,
        .strict = source->strict};
    struct lab_document_sink sink = {
        .begins = take_line, .text = take_text, .end = take_document, .user = &c};
    enum peer_status status = lab_buffer_reserve(&c.document, 1);
    if (status == PEER_OK)
        status = lab_documents_read(ctx, path, &options, &sink, &own);
    if (status == PEER_OK && own.skipped > 0 && ret->written == 0)
        status =
            peer_fail(ctx, PEER_ERR_FORMAT, "%s; no passage of this file can be used", own.first);
    if (status == PEER_OK)
        lab_notes_add(notes, &own);
    if (status == PEER_OK && fflush(file) != 0)
        status = cannot_write(&c);
    lab_buffer_free(&c.document);
    return status;
}
