/* SPDX-License-Identifier: MIT */
#include "experiments/data/text_json.h"

#include <jansson.h>
#include <string.h>

struct lab_json_lines lab_json_lines_start(struct peer_ctx *ctx, const char *name,
                                           const char *field, const struct lab_document_sink *sink)
{
    return (struct lab_json_lines){
        .name = name, .field = field, .sink = sink, .line = lab_buffer_create(ctx), .number = 1};
}

void lab_json_lines_free(struct lab_json_lines *lines)
{
    lab_buffer_free(&lines->line);
}

/* Value of the \uXXXX that begins at `text`, or -1. */
static int32_t unicode_escape(const uint8_t *text, const uint8_t *end)
{
    if (end - text < 6 || text[0] != '\\' || text[1] != 'u')
        return -1;
    int32_t value = 0;
    for (int i = 2; i < 6; i++) {
        const char *digits = "0123456789abcdef0123456789ABCDEF";
        const char *digit = text[i] ? strchr(digits, text[i]) : NULL;
        if (!digit)
            return -1;
        value = value * 16 + (int32_t)((digit - digits) % 16);
    }
    return value;
}

/* Halves of surrogate pairs that stand alone are no text; many programs write them all the same.
 * They become \ufffd in place. */
static int64_t repair_surrogates(uint8_t *text, int64_t bytes)
{
    int64_t repaired = 0;
    const uint8_t *end = text + bytes;
    uint8_t *at = memchr(text, '\\', (size_t)bytes);
    while (at && at + 1 < end) {
        int32_t value = unicode_escape(at, end);
        int32_t next = value >= 0xd800 && value < 0xdc00 ? unicode_escape(at + 6, end) : -1;
        int64_t length = value < 0 ? 2 : 6;
        if (next >= 0xdc00 && next < 0xe000) {
            length = 12;
        } else if (value >= 0xd800 && value < 0xe000) {
            memcpy(at + 2, "fffd", 4);
            repaired++;
        }
        at += length;
        at = at < end ? memchr(at, '\\', (size_t)(end - at)) : NULL;
    }
    return repaired;
}

/* Names of the object's fields, for a message. */
static void list_fields(char *list, size_t size, json_t *object)
{
    const char *key;
    json_t *value;
    size_t used = 0;
    *list = '\0';
    json_object_foreach (object, key, value) {
        int more = snprintf(list + used, size - used, "%s%s", used ? ", " : "", key);
        if (more < 0 || (size_t)more >= size - used)
            break;
        used += (size_t)more;
    }
}

static enum peer_status use_object(struct lab_json_lines *lines, json_t *object)
{
    struct peer_ctx *ctx = lines->line.pool.ctx;
    json_t *text = json_object_get(object, lines->field);
    if (!json_is_object(object))
        return peer_fail(ctx, PEER_ERR_FORMAT,
                         "%s:%lld: expected a JSON object such as {\"%s\": \"...\"}", lines->name,
                         (long long)lines->number, lines->field);
    if (!json_is_string(text)) {
        char fields[160];
        list_fields(fields, sizeof fields, object);
        return peer_fail(ctx, PEER_ERR_FORMAT,
                         "%s:%lld: no string in a field \"%s\" (the fields are: %s)", lines->name,
                         (long long)lines->number, lines->field, *fields ? fields : "none");
    }
    const struct lab_document_sink *sink = lines->sink;
    if (sink->begins)
        sink->begins(sink->user, lines->number);
    enum peer_status status = sink->text(sink->user, (const uint8_t *)json_string_value(text),
                                         (int64_t)json_string_length(text));
    return status == PEER_OK ? sink->end(sink->user) : status;
}

static bool is_blank(const uint8_t *text, int64_t bytes)
{
    for (int64_t i = 0; i < bytes; i++)
        if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r')
            return false;
    return true;
}

static enum peer_status use_line(struct lab_json_lines *lines)
{
    struct lab_buffer *line = &lines->line;
    if (is_blank(line->bytes, line->count))
        return PEER_OK;
    lines->repaired += repair_surrogates(line->bytes, line->count);
    json_error_t error;
    json_t *object =
        json_loadb((const char *)line->bytes, (size_t)line->count, JSON_ALLOW_NUL, &error);
    if (!object)
        return peer_fail(line->pool.ctx, PEER_ERR_FORMAT, "%s:%lld: not JSON, column %d: %s",
                         lines->name, (long long)lines->number, error.column, error.text);
    enum peer_status status = use_object(lines, object);
    json_decref(object);
    return status;
}

enum peer_status lab_json_lines_add(struct lab_json_lines *lines, const uint8_t *bytes,
                                    int64_t count)
{
    for (int64_t at = 0; at < count;) {
        const uint8_t *feed = memchr(bytes + at, '\n', (size_t)(count - at));
        int64_t stop = feed ? feed - bytes : count;
        enum peer_status status = lab_buffer_add(&lines->line, bytes + at, stop - at);
        if (status == PEER_OK && feed)
            status = use_line(lines);
        if (status != PEER_OK)
            return status;
        if (feed) {
            lines->line.count = 0;
            lines->number++;
        }
        at = stop + 1;
    }
    return PEER_OK;
}

enum peer_status lab_json_lines_end(struct lab_json_lines *lines)
{
    return use_line(lines);
}

bool lab_json_write_line(FILE *file, const char *text, int64_t bytes)
{
    json_t *object = json_pack("{s:o}", "text", json_stringn(text, (size_t)bytes));
    bool done = object && json_dumpf(object, file, JSON_COMPACT) == 0 && fputc('\n', file) != EOF;
    json_decref(object);
    return done;
}
