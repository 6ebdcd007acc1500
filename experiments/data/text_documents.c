/* SPDX-License-Identifier: MIT */
#include "experiments/data/text_documents.h"

#include <string.h>

#include "experiments/cli/terminal.h"
#include "experiments/data/text_inputs.h"
#include "experiments/data/text_json.h"
#include "experiments/data/text_stream.h"
#include "experiments/data/text_utf8.h"

enum { READ_BYTES = 1 << 16, MARK_BYTES = 200 };

enum peer_status lab_notes_skip(struct lab_document_notes *notes, struct peer_ctx *ctx, bool strict)
{
    if (strict)
        return PEER_ERR_FORMAT;
    if (notes->skipped++ == 0)
        snprintf(notes->first, sizeof notes->first, "%s", peer_ctx_error(ctx));
    return PEER_OK;
}

void lab_notes_add(struct lab_document_notes *all, const struct lab_document_notes *file)
{
    if (all->skipped == 0)
        memcpy(all->first, file->first, sizeof all->first);
    all->skipped += file->skipped;
    all->repaired += file->repaired;
}

void lab_notes_print(FILE *file, const struct lab_document_notes *notes)
{
    if (notes->repaired > 0)
        fprintf(file, "note: %lld times U+FFFD was put in for bytes that are not UTF-8\n",
                (long long)notes->repaired);
    if (notes->skipped > 0) {
        fprintf(file, "note: %lld %s left out, the first: ", (long long)notes->skipped,
                notes->skipped == 1 ? "record was" : "records were");
        lab_print_cell(file, 0, notes->first);
        fputc('\n', file);
    }
}

/* Plain text is cut at lines that are the mark: the start of a line is held back as long as it may
 * become one. */
struct splitter {
    const struct lab_document_sink *sink;
    const char *mark; /* NULL = never cut */
    size_t length;
    bool candidate; /* the line so far is a beginning of the mark */
    uint8_t held[MARK_BYTES + 1];
    size_t count;
    bool any; /* text since the last cut */
};

static enum peer_status pass_on(struct splitter *splitter, const uint8_t *bytes, int64_t count)
{
    if (count == 0)
        return PEER_OK;
    splitter->any = true;
    return splitter->sink->text(splitter->sink->user, bytes, count);
}

static enum peer_status release(struct splitter *splitter)
{
    size_t count = splitter->count;
    splitter->candidate = false;
    splitter->count = 0;
    return pass_on(splitter, splitter->held, (int64_t)count);
}

static enum peer_status cut(struct splitter *splitter)
{
    splitter->candidate = true;
    splitter->count = 0;
    if (!splitter->any)
        return PEER_OK;
    splitter->any = false;
    return splitter->sink->end(splitter->sink->user);
}

/* Whether the line held is the mark, with or without a carriage return. */
static bool is_mark(const struct splitter *splitter)
{
    return splitter->count >= splitter->length && splitter->count <= splitter->length + 1;
}

/* One byte at the start of a line that may be the mark. */
static enum peer_status try_mark(struct splitter *splitter, uint8_t byte)
{
    if (byte == '\n' && is_mark(splitter))
        return cut(splitter);
    size_t at = splitter->count;
    bool fits = at < splitter->length ? byte == (uint8_t)splitter->mark[at]
                                      : at == splitter->length && byte == '\r';
    splitter->held[splitter->count++] = byte;
    return fits ? PEER_OK : release(splitter);
}

static enum peer_status split(struct splitter *splitter, const uint8_t *bytes, int64_t count)
{
    enum peer_status status = PEER_OK;
    if (!splitter->mark)
        return pass_on(splitter, bytes, count);
    for (int64_t at = 0; at < count && status == PEER_OK;) {
        if (splitter->candidate) {
            bool ended = bytes[at] == '\n';
            status = try_mark(splitter, bytes[at++]);
            splitter->candidate = splitter->candidate || ended;
            continue;
        }
        const uint8_t *line = memchr(bytes + at, '\n', (size_t)(count - at));
        int64_t stop = line ? line - bytes + 1 : count;
        status = pass_on(splitter, bytes + at, stop - at);
        splitter->candidate = line != NULL;
        at = stop;
    }
    return status;
}

static enum peer_status finish_plain(struct splitter *splitter)
{
    enum peer_status status = PEER_OK;
    if (splitter->mark && splitter->candidate && splitter->count > 0 && is_mark(splitter))
        splitter->count = 0;
    status = release(splitter);
    if (status == PEER_OK && (splitter->any || !splitter->mark))
        status = splitter->sink->end(splitter->sink->user);
    return status;
}

struct reader {
    struct peer_ctx *ctx;
    const char *name;
    const struct lab_document_sink *sink;
    struct lab_stream *stream;
    struct lab_utf8 utf8;
    bool started, ended;
    uint8_t raw[READ_BYTES];
    uint8_t text[3 * (READ_BYTES + 4)];
};

/* The next part of the text, repaired; the last one sets `ended`. */
static enum peer_status next_part(struct reader *reader, int64_t *count)
{
    static const uint8_t mark[] = {0xef, 0xbb, 0xbf};
    int64_t got = 0, more = 1;
    while (got < 3 && more > 0) {
        enum peer_status status =
            lab_stream_read(reader->stream, reader->raw + got, READ_BYTES - got, &more);
        if (status != PEER_OK)
            return status;
        got += more;
    }
    const uint8_t *raw = reader->raw;
    bool start = !reader->started;
    reader->started = true;
    reader->ended = more == 0;
    if (start && got >= 2 &&
        ((raw[0] == 0xff && raw[1] == 0xfe) || (raw[0] == 0xfe && raw[1] == 0xff)))
        return peer_fail(reader->ctx, PEER_ERR_FORMAT,
                         "%s: the text is UTF-16; convert it first: iconv -f UTF-16 -t UTF-8",
                         reader->name);
    if (start && got >= 3 && memcmp(raw, mark, 3) == 0) {
        raw += 3;
        got -= 3;
    }
    *count = lab_utf8_repair(&reader->utf8, reader->text, raw, got);
    if (reader->ended)
        *count += lab_utf8_end(&reader->utf8, reader->text + *count);
    if (reader->sink->taken)
        reader->sink->taken(reader->sink->user, lab_stream_taken(reader->stream));
    return PEER_OK;
}

static enum peer_status read_plain(struct reader *reader, const char *mark)
{
    struct splitter splitter = {.sink = reader->sink,
                                .mark = mark,
                                .length = mark ? strlen(mark) : 0,
                                .candidate = mark != NULL};
    if (splitter.length >= MARK_BYTES)
        return peer_fail(reader->ctx, PEER_ERR_ARGUMENT,
                         "the mark between documents has %zu bytes, expected fewer than %d",
                         splitter.length, MARK_BYTES);
    enum peer_status status = PEER_OK;
    while (status == PEER_OK && !reader->ended) {
        int64_t count;
        status = next_part(reader, &count);
        if (status == PEER_OK)
            status = split(&splitter, reader->text, count);
    }
    return status == PEER_OK ? finish_plain(&splitter) : status;
}

static enum peer_status read_json(struct reader *reader, const struct lab_document_options *options,
                                  struct lab_document_notes *notes)
{
    struct lab_json_lines lines =
        lab_json_lines_start(reader->ctx, reader->name, options, reader->sink, notes);
    enum peer_status status = PEER_OK;
    while (status == PEER_OK && !reader->ended) {
        int64_t count;
        status = next_part(reader, &count);
        if (status == PEER_OK)
            status = lab_json_lines_add(&lines, reader->text, count);
    }
    if (status == PEER_OK)
        status = lab_json_lines_end(&lines);
    lab_json_lines_free(&lines);
    return status;
}

enum peer_status lab_documents_read(struct peer_ctx *ctx, const char *path,
                                    const struct lab_document_options *options,
                                    const struct lab_document_sink *sink,
                                    struct lab_document_notes *notes)
{
    struct peer_pool pool = {.ctx = ctx};
    struct lab_document_notes own = {0};
    struct reader *reader = peer_pool_alloc(&pool, "reader", sizeof *reader, 1, 1, 1);
    if (pool.failed)
        return PEER_ERR_MEMORY;
    reader->ctx = ctx;
    reader->sink = sink;
    reader->name = strcmp(path, "-") == 0 ? "standard input" : path;
    bool json = options->format == LAB_TEXT_JSON ||
                (options->format == LAB_TEXT_AUTO && lab_is_json_name(path));
    enum peer_status status = lab_stream_open(&reader->stream, ctx, path);
    if (status == PEER_OK)
        status = json ? read_json(reader, options, &own) : read_plain(reader, options->mark);
    own.repaired += reader->utf8.repaired;
    if (status == PEER_OK)
        lab_notes_add(notes, &own);
    lab_stream_close(&reader->stream);
    peer_pool_free(&pool);
    return status;
}
