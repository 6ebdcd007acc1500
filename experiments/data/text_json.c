/* SPDX-License-Identifier: MIT */
#include "experiments/data/text_json.h"

#include <string.h>

#include "experiments/data/text_record.h"
#include "lm/json.h"

struct lab_json_lines lab_json_lines_start(struct peer_ctx *ctx, const char *name,
                                           const struct lab_document_options *options,
                                           const struct lab_document_sink *sink,
                                           struct lab_document_notes *notes)
{
    return (struct lab_json_lines){.name = name,
                                   .field = options->field ? options->field : "text",
                                   .strict = options->strict,
                                   .sink = sink,
                                   .notes = notes,
                                   .line = lab_buffer_create(ctx),
                                   .number = 1};
}

void lab_json_lines_free(struct lab_json_lines *lines)
{
    lab_buffer_free(&lines->line);
}

/* What is wrong is recorded; now to stop, or to leave the record out. */
static enum peer_status skip(struct lab_json_lines *lines)
{
    return lab_notes_skip(lines->notes, lines->line.pool.ctx, lines->strict);
}

static enum peer_status not_json(struct lab_json_lines *lines, int64_t at, const char *wrong)
{
    peer_fail(lines->line.pool.ctx, PEER_ERR_FORMAT, "%s:%lld: not JSON, column %lld: %s",
              lines->name, (long long)lines->number, (long long)at + 1, wrong);
    return skip(lines);
}

static enum peer_status use_record(struct lab_json_lines *lines, const struct lab_record *record)
{
    struct peer_ctx *ctx = lines->line.pool.ctx;
    const struct lab_document_sink *sink = lines->sink;
    if (!record->text || record->ambiguous) {
        peer_fail(ctx, PEER_ERR_FORMAT,
                  record->text ? "%s:%lld: the field \"%s\" is there twice (the fields are: %s)"
                               : "%s:%lld: no string in a field \"%s\" (the fields are: %s)",
                  lines->name, (long long)lines->number, lines->field,
                  *record->fields ? record->fields : "none");
        return skip(lines);
    }
    lines->documents++;
    lines->notes->repaired += record->repaired;
    if (sink->begins)
        sink->begins(sink->user, lines->number);
    enum peer_status status = sink->text(sink->user, record->text, record->bytes);
    return status == PEER_OK ? sink->end(sink->user) : status;
}

/* Where the next record of the line begins: behind white space, and byte order marks, which stand
 * in the middle of a file where several were joined. */
static int64_t next_record(const struct lab_buffer *line, int64_t at)
{
    const uint8_t *bytes = line->bytes;
    while (at < line->count) {
        if (line->count - at >= 3 && memcmp(bytes + at, "\xef\xbb\xbf", 3) == 0)
            at += 3;
        else if (bytes[at] == ' ' || bytes[at] == '\t' || bytes[at] == '\r')
            at++;
        else
            break;
    }
    return at;
}

/* Mostly one record; several where files were joined whose last line had no end. */
static enum peer_status use_line(struct lab_json_lines *lines)
{
    struct lab_buffer *line = &lines->line;
    enum peer_status status = PEER_OK;
    if (lines->too_long) {
        peer_fail(line->pool.ctx, PEER_ERR_FORMAT,
                  "%s:%lld: a line of more than %d bytes, the most that a record may have",
                  lines->name, (long long)lines->number, LAB_LINE_MOST);
        return skip(lines);
    }
    for (int64_t at = 0; status == PEER_OK && (at = next_record(line, at)) < line->count;) {
        struct lab_record record;
        if (line->bytes[at] != '{') {
            if (at > 0 && lines->documents > 0 && memchr(line->bytes, '{', (size_t)at))
                return not_json(lines, at, "more behind the record");
            peer_fail(line->pool.ctx, PEER_ERR_FORMAT,
                      "%s:%lld: expected a JSON object such as {\"%s\": \"...\"}", lines->name,
                      (long long)lines->number, lines->field);
            return skip(lines);
        }
        lab_record_read(&record, line->bytes, &at, line->count, lines->field);
        if (record.wrong)
            return not_json(lines, at, record.wrong);
        status = use_record(lines, &record);
    }
    return status;
}

/* More bytes of a line; of one that is too long nothing is kept. */
static enum peer_status extend(struct lab_json_lines *lines, const uint8_t *bytes, int64_t count)
{
    lines->too_long = lines->too_long || count > LAB_LINE_MOST - lines->line.count;
    return lines->too_long ? PEER_OK : lab_buffer_add(&lines->line, bytes, count);
}

enum peer_status lab_json_lines_add(struct lab_json_lines *lines, const uint8_t *bytes,
                                    int64_t count)
{
    for (int64_t at = 0; at < count;) {
        const uint8_t *feed = memchr(bytes + at, '\n', (size_t)(count - at));
        int64_t stop = feed ? feed - bytes : count;
        enum peer_status status = extend(lines, bytes + at, stop - at);
        if (status == PEER_OK && feed)
            status = use_line(lines);
        if (status != PEER_OK)
            return status;
        if (feed) {
            lines->line.count = 0;
            lines->too_long = false;
            lines->number++;
        }
        at = stop + 1;
    }
    return PEER_OK;
}

enum peer_status lab_json_lines_end(struct lab_json_lines *lines)
{
    enum peer_status status = use_line(lines);
    if (status == PEER_OK && lines->documents == 0 && lines->notes->skipped > 0)
        status = peer_fail(lines->line.pool.ctx, PEER_ERR_FORMAT,
                           "%s; not one of the %lld records of this file can be read",
                           lines->notes->first, (long long)lines->notes->skipped);
    return status;
}

bool lab_json_write_line(FILE *file, const char *text, int64_t bytes)
{
    lm_json_watch();
    json_t *object = json_pack("{s:o}", "text", json_stringn(text, (size_t)bytes));
    bool done = object && json_dumpf(object, file, JSON_COMPACT) == 0 && fputc('\n', file) != EOF &&
                !lm_json_failed();
    json_decref(object);
    return done;
}
