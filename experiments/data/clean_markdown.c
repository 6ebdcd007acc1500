/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/data/clean.h"

/* Of every "[" and "(" the place of what closes it, of its own kind; -1 where nothing does. What is
 * open meanwhile holds the place of the one around it. */
static void find_closing(int64_t *closing, const uint8_t *text, int64_t end)
{
    int64_t open[2] = {-1, -1};
    for (int64_t at = 0; at < end; at++) {
        int64_t *top = &open[text[at] == '(' || text[at] == ')'];
        if (text[at] == '[' || text[at] == '(') {
            closing[at] = *top;
            *top = at;
        } else if ((text[at] == ']' || text[at] == ')') && *top >= 0) {
            int64_t around = closing[*top];
            closing[*top] = at;
            *top = around;
        }
    }
    for (int kind = 0; kind < 2; kind++)
        while (open[kind] >= 0) {
            int64_t around = closing[open[kind]];
            closing[open[kind]] = -1;
            open[kind] = around;
        }
}

/* Where "[...](...)" at text[at] has its "]"; -1 where there is no link. */
static int64_t link_text_end(const int64_t *closing, const uint8_t *text, int64_t at, int64_t end)
{
    int64_t stop = text[at] == '[' ? closing[at] : -1;
    return stop >= 0 && stop + 1 < end && text[stop + 1] == '(' && closing[stop + 1] >= 0 ? stop
                                                                                          : -1;
}

static bool is_word(const uint8_t *text, int64_t at, int64_t end)
{
    return at >= 0 && at < end && (isalnum(text[at]) || text[at] >= 0x80);
}

/* Whether the space before text[at] is one that html2text put between a mark and what follows. */
static bool hugs_left(const uint8_t *text, int64_t at, int64_t end)
{
    if (text[at] == '.')
        return !(at + 2 < end && text[at + 1] == ' ' && text[at + 2] == '.') &&
               !(at >= 2 && text[at - 2] == '.');
    return text[at] == ',' || text[at] == ';' || text[at] == ':' || text[at] == ')' ||
           text[at] == ']';
}

static void clean_marks(struct lab_cleaner *cleaner, const int64_t *closing, const uint8_t *text,
                        int64_t end)
{
    int64_t link = -1; /* "]" of the link that the text is in */
    for (int64_t at = 0; at < end; at++) {
        uint8_t byte = text[at];
        if (byte == '\\' && at + 1 < end && ispunct(text[at + 1])) {
            lab_clean_byte(cleaner, text[++at]);
        } else if (byte == '*' && at + 1 < end && text[at + 1] == '*') {
            while (at + 1 < end && text[at + 1] == '*')
                at++;
        } else if (byte == '_' && !(is_word(text, at - 1, end) && is_word(text, at + 1, end))) {
            continue;
        } else if (byte == '!' && at + 1 < end && link_text_end(closing, text, at + 1, end) >= 0) {
            continue;
        } else if (link < 0 && byte == '[' && (link = link_text_end(closing, text, at, end)) >= 0) {
            continue;
        } else if (at == link) {
            at = closing[at + 1];
            link = -1;
        } else {
            if (cleaner->gap == LAB_GAP_SPACE && hugs_left(text, at, end))
                cleaner->gap = LAB_GAP_NONE;
            lab_clean_byte(cleaner, byte);
            if (byte == '[' || byte == '(')
                while (at + 1 < end && text[at + 1] == ' ')
                    at++;
        }
    }
}

/* One line of a paragraph without its marks. */
static void clean_inline(struct lab_cleaner *cleaner, const uint8_t *text, int64_t end)
{
    int64_t *closing = malloc(((size_t)end + 1) * sizeof *closing);
    if (closing) {
        find_closing(closing, text, end);
        clean_marks(cleaner, closing, text, end);
    } else if (cleaner->status == PEER_OK) {
        cleaner->status = peer_fail(cleaner->ctx, PEER_ERR_MEMORY,
                                    "no memory for a line of %lld bytes", (long long)end);
    }
    free(closing);
}

static bool has_words(const uint8_t *text, int64_t bytes)
{
    int letters = 0;
    for (int64_t i = 0; i < bytes; i++) {
        letters = isalpha(text[i]) ? letters + 1 : 0;
        if (letters == 3)
            return true;
    }
    return false;
}

static bool is_blank(const uint8_t *line, int64_t bytes)
{
    for (int64_t i = 0; i < bytes; i++)
        if (!isspace(line[i]))
            return false;
    return true;
}

/* The line without the mark of a heading or of a quotation. */
static int64_t line_start(const uint8_t *line, int64_t bytes)
{
    int64_t at = 0;
    while (at < bytes && line[at] == '#')
        at++;
    if (at == 0 && bytes > 0 && line[0] == '>')
        at = 1;
    while (at > 0 && at < bytes && line[at] == ' ')
        at++;
    return at;
}

/* Links to the neighbouring pages, between U+2039 and U+203A. */
static bool is_navigation(const struct lab_buffer *paragraph)
{
    return memmem(paragraph->bytes, (size_t)paragraph->count, "\xe2\x80\xb9", 3) ||
           memmem(paragraph->bytes, (size_t)paragraph->count, "\xe2\x80\xba", 3);
}

static void end_paragraph(struct lab_cleaner *cleaner, struct lab_buffer *paragraph)
{
    if (has_words(paragraph->bytes, paragraph->count) && !is_navigation(paragraph)) {
        lab_clean_gap(cleaner, LAB_GAP_PARAGRAPH);
        for (int64_t at = 0, stop; at < paragraph->count; at = stop + 1) {
            const uint8_t *start = paragraph->bytes + at;
            const uint8_t *feed = memchr(start, '\n', (size_t)(paragraph->count - at));
            stop = feed ? feed - paragraph->bytes : paragraph->count;
            clean_inline(cleaner, start, stop - at);
            lab_clean_gap(cleaner, LAB_GAP_LINE);
        }
    }
    paragraph->count = 0;
}

/* Joins a line to the paragraph: behind two spaces, which are Markdown's line break, and before an
 * indented line by a line feed, otherwise by a space. */
static enum peer_status add_line(struct lab_buffer *paragraph, const uint8_t *line, int64_t bytes)
{
    int64_t count = paragraph->count;
    const uint8_t *end = count ? paragraph->bytes + count : NULL;
    bool broken = count >= 2 && end[-1] == ' ' && end[-2] == ' ';
    enum peer_status status = PEER_OK;
    if (count > 0)
        status = lab_buffer_add(paragraph, broken || line[0] == ' ' ? "\n" : " ", 1);
    return status == PEER_OK ? lab_buffer_add(paragraph, line, bytes) : status;
}

enum peer_status lab_clean_markdown(struct lab_cleaner *cleaner, const char *path)
{
    struct lab_buffer text, paragraph = lab_buffer_create(cleaner->ctx);
    enum peer_status status = lab_clean_read(&text, cleaner->ctx, path);
    if (status != PEER_OK)
        return status;
    for (int64_t at = 0, stop; at < text.count && status == PEER_OK; at = stop + 1) {
        const uint8_t *line = text.bytes + at;
        const uint8_t *feed = memchr(line, '\n', (size_t)(text.count - at));
        stop = feed ? feed - text.bytes : text.count;
        int64_t skip = line_start(line, stop - at);
        if (is_blank(line, stop - at))
            end_paragraph(cleaner, &paragraph);
        else
            status = add_line(&paragraph, line + skip, stop - at - skip);
    }
    end_paragraph(cleaner, &paragraph);
    lab_clean_end(cleaner);
    lab_buffer_free(&paragraph);
    lab_buffer_free(&text);
    return status == PEER_OK ? cleaner->status : status;
}
