/* SPDX-License-Identifier: MIT */
/* Collections of short entries: epigrams and a dictionary. */
#include <ctype.h>
#include <string.h>

#include "experiments/data/clean.h"

enum { DOCUMENT_BYTES = 1 << 15, MARK_MAX = 40 };

/* A part of a text that `next_line` walks through. */
struct lines {
    const uint8_t *at, *end;
};

/* The next line without its line feed; false at the end. */
static bool next_line(struct lines *lines, const uint8_t **line, int64_t *bytes)
{
    if (lines->at >= lines->end)
        return false;
    const uint8_t *feed = memchr(lines->at, '\n', (size_t)(lines->end - lines->at));
    *line = lines->at;
    *bytes = (feed ? feed : lines->end) - lines->at;
    lines->at += *bytes + 1;
    return true;
}

/* Whether at least half of the entry is letters, and all of it ASCII. */
static bool is_prose(const uint8_t *text, int64_t bytes)
{
    int64_t letters = 0;
    for (int64_t i = 0; i < bytes; i++) {
        if (text[i] >= 0x7f || (text[i] < ' ' && !isspace(text[i])))
            return false;
        letters += isalpha(text[i]) != 0;
    }
    return 2 * letters >= bytes && bytes > 0;
}

static void end_fortune(struct lab_cleaner *cleaner)
{
    if (!is_prose(cleaner->text.bytes, cleaner->text.count))
        cleaner->text.count = 0;
    lab_clean_end(cleaner);
}

enum peer_status lab_clean_fortunes(struct lab_cleaner *cleaner, const char *path)
{
    struct lab_buffer text;
    enum peer_status status = lab_clean_read(&text, cleaner->ctx, path);
    if (status != PEER_OK)
        return status;
    struct lines lines = {text.bytes, text.bytes + text.count};
    const uint8_t *line;
    int64_t bytes;
    while (next_line(&lines, &line, &bytes)) {
        if (bytes == 1 && *line == '%') {
            end_fortune(cleaner);
            continue;
        }
        lab_clean_gap(cleaner, bytes == 0 ? LAB_GAP_PARAGRAPH : LAB_GAP_LINE);
        lab_clean_text(cleaner, line, bytes);
    }
    end_fortune(cleaner);
    lab_buffer_free(&text);
    return cleaner->status;
}

/* Length of the mark of a source at text, such as "[1913 Webster]" or "[PJC]"; 0 where there is
 * none. */
static int64_t source_mark(const uint8_t *text, int64_t bytes)
{
    static const char *const names[] = {"1913 Webster", "PJC", "WordNet", "Century Dict",
                                        "RP",           "AS",  "JC",      "Webster 1913 Suppl"};
    const uint8_t *end = memchr(text, ']', (size_t)(bytes < MARK_MAX ? bytes : MARK_MAX));
    for (size_t i = 0; end && i < sizeof names / sizeof *names; i++)
        if (bytes > (int64_t)strlen(names[i]) && memcmp(text + 1, names[i], strlen(names[i])) == 0)
            return end + 1 - text;
    return 0;
}

/* Length of the pronunciation at text: "\Co*ag`u*la"tion\" and "(k[-o]*[aum][i^]"t[.a])" behind
 * it. */
static int64_t pronunciation(const uint8_t *text, int64_t bytes)
{
    const uint8_t *end = bytes > 1 ? memchr(text + 1, '\\', (size_t)(bytes - 1)) : NULL;
    if (!end)
        return 0;
    int64_t length = end + 1 - text;
    if (bytes - length > 2 && end[1] == ' ' && end[2] == '(') {
        const uint8_t *close = memchr(end, ')', (size_t)(text + bytes - end));
        if (close &&
            (memchr(end, '[', (size_t)(close - end)) || memchr(end, '"', (size_t)(close - end))))
            length = close + 1 - text;
    }
    return length;
}

/* A paragraph of the dictionary, its lines joined by spaces. */
static void clean_entry(struct lab_cleaner *cleaner, const uint8_t *text, int64_t bytes)
{
    lab_clean_gap(cleaner, LAB_GAP_PARAGRAPH);
    for (int64_t at = 0; at < bytes; at++) {
        int64_t mark = 0;
        if (text[at] == '[')
            mark = source_mark(text + at, bytes - at);
        else if (text[at] == '\\')
            mark = pronunciation(text + at, bytes - at);
        at += mark > 0 ? mark - 1 : 0;
        if (mark == 0 && text[at] != '{' && text[at] != '}') {
            if (cleaner->gap == LAB_GAP_SPACE && (text[at] == ',' || text[at] == '.'))
                cleaner->gap = LAB_GAP_NONE;
            lab_clean_byte(cleaner, text[at]);
        }
    }
}

enum peer_status lab_clean_gcide(struct lab_cleaner *cleaner, const char *path)
{
    struct lab_buffer text, entry = lab_buffer_create(cleaner->ctx);
    enum peer_status status = lab_clean_read(&text, cleaner->ctx, path);
    if (status != PEER_OK)
        return status;
    /* Descriptions of the data base come before the first entry. */
    const char *first = strstr((const char *)text.bytes, "\nA \\A");
    struct lines lines = {first ? (const uint8_t *)first : text.bytes, text.bytes + text.count};
    const uint8_t *line;
    int64_t bytes;
    while (status == PEER_OK && next_line(&lines, &line, &bytes)) {
        if (bytes > 0) {
            status = lab_buffer_add(&entry, line, bytes);
            if (status == PEER_OK)
                status = lab_buffer_add(&entry, " ", 1);
            continue;
        }
        bool headword = entry.count > 0 && entry.bytes[0] != ' ';
        if (headword && cleaner->text.count >= DOCUMENT_BYTES)
            lab_clean_end(cleaner);
        if (entry.count > 0)
            clean_entry(cleaner, entry.bytes, entry.count);
        entry.count = 0;
    }
    clean_entry(cleaner, entry.bytes, entry.count);
    lab_clean_end(cleaner);
    lab_buffer_free(&entry);
    lab_buffer_free(&text);
    return status == PEER_OK ? cleaner->status : status;
}
