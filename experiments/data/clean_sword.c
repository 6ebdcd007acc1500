/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "experiments/data/clean.h"

enum { RECORD_BYTES = 12, BLOCK_MAX = 1 << 26 };

static uint32_t read_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

/* Whether the tag at text ("<name ..." or "</name ...") is called `name`. */
static bool is_tag(const char *tag, const char *name)
{
    size_t length = strlen(name);
    tag += 1 + (tag[1] == '/');
    return strncmp(tag, name, length) == 0 && strchr(" />\t\n", tag[length]);
}

static bool breaks_paragraph(const char *tag)
{
    static const char *const names[] = {"div",   "p",       "lb",        "l",   "lg",
                                        "title", "chapter", "milestone", "row", "table",
                                        "list",  "item",    "br"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is_tag(tag, names[i]))
            return true;
    return false;
}

/* Whether the tag that ends at `end` has `text` in it. */
static bool tag_has(const char *tag, const char *end, const char *text)
{
    const char *found = strstr(tag, text);
    return found && found < end;
}

/* Takes the tag at `tag`; returns what follows it, or follows the note that it begins. */
static const char *take_tag(struct lab_cleaner *cleaner, const char *tag)
{
    const char *end = strchr(tag, '>');
    if (!end)
        return tag + strlen(tag);
    if (is_tag(tag, "note") && tag[1] != '/' && end[-1] != '/') {
        const char *close = strstr(end, "</note>");
        return close ? close + 7 : end + 1;
    }
    if (is_tag(tag, "chapter") && tag_has(tag, end, "eID="))
        lab_clean_end(cleaner);
    else if (breaks_paragraph(tag) && !tag_has(tag, end, "type=\"x-milestone\""))
        lab_clean_gap(cleaner, LAB_GAP_PARAGRAPH);
    else if (is_tag(tag, "cell"))
        lab_clean_gap(cleaner, LAB_GAP_SPACE);
    return end + 1;
}

static const char *take_entity(struct lab_cleaner *cleaner, const char *text)
{
    static const struct {
        const char *name;
        char byte;
    } entities[] = {
        {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}, {"&amp;", '&'}};
    for (size_t i = 0; i < sizeof entities / sizeof *entities; i++) {
        size_t length = strlen(entities[i].name);
        if (strncmp(text, entities[i].name, length) == 0) {
            lab_clean_byte(cleaner, (uint8_t)entities[i].byte);
            return text + length;
        }
    }
    lab_clean_byte(cleaner, '&');
    return text + 1;
}

/* Text between tags; the paragraph sign, a mark of the edition, goes. */
static void clean_osis(struct lab_cleaner *cleaner, const char *text)
{
    while (*text) {
        if (*text == '<')
            text = take_tag(cleaner, text);
        else if (*text == '&')
            text = take_entity(cleaner, text);
        else if (strncmp(text, "\xc2\xb6", 2) == 0)
            text += 2;
        else
            lab_clean_byte(cleaner, (uint8_t)*text++);
    }
    lab_clean_end(cleaner);
}

static enum peer_status clean_block(struct lab_cleaner *cleaner, const char *path,
                                    const struct lab_buffer *data, const uint8_t *record)
{
    int64_t at = read_u32(record), packed = read_u32(record + 4), size = read_u32(record + 8);
    struct peer_pool pool = {.ctx = cleaner->ctx};
    if (packed == 0 || size == 0)
        return PEER_OK;
    if (at + packed > data->count || size > BLOCK_MAX)
        return peer_fail(cleaner->ctx, PEER_ERR_FORMAT,
                         "%s: a block of %lld bytes at %lld in %lld bytes of data", path,
                         (long long)packed, (long long)at, (long long)data->count);
    char *text = peer_pool_alloc(&pool, "text of a block", 1, size + 1, 1, 1);
    uLongf length = (uLongf)size;
    enum peer_status status = pool.failed ? PEER_ERR_MEMORY : PEER_OK;
    if (status == PEER_OK &&
        uncompress((Bytef *)text, &length, data->bytes + at, (uLong)packed) != Z_OK)
        status = peer_fail(cleaner->ctx, PEER_ERR_FORMAT, "%s: the block at %lld is damaged", path,
                           (long long)at);
    if (status == PEER_OK)
        clean_osis(cleaner, text);
    peer_pool_free(&pool);
    return status == PEER_OK ? cleaner->status : status;
}

enum peer_status lab_clean_sword(struct lab_cleaner *cleaner, const char *path)
{
    struct lab_buffer index, data;
    char data_path[LAB_PATH];
    snprintf(data_path, sizeof data_path, "%s", path);
    data_path[strlen(data_path) - 1] = 'z';
    enum peer_status status = lab_clean_read(&index, cleaner->ctx, path);
    if (status != PEER_OK)
        return status;
    status = lab_clean_read(&data, cleaner->ctx, data_path);
    if (status == PEER_OK) {
        for (int64_t at = 0; at + RECORD_BYTES <= index.count && status == PEER_OK;
             at += RECORD_BYTES)
            status = clean_block(cleaner, data_path, &data, index.bytes + at);
        lab_buffer_free(&data);
    }
    lab_buffer_free(&index);
    return status;
}
