/* SPDX-License-Identifier: MIT */
#include "experiments/runs/text_form.h"

#include <string.h>
#include <strings.h>

#include "experiments/data/text_inputs.h"

const char *const lab_form_names[LAB_FORM_COUNT] = {"held-out", "plain", "json",
                                                    "wikitext", "detok", "lambada"};

static bool ends_in(const char *name, size_t length, const char *suffix)
{
    size_t size = strlen(suffix);
    return length > size && strncasecmp(name + length - size, suffix, size) == 0;
}

static enum lab_form form_of(const char *path)
{
    size_t length = strlen(path);
    if (lab_is_json_name(path))
        return LAB_FORM_JSON;
    if (ends_in(path, length, ".gz"))
        length -= 3;
    else if (ends_in(path, length, ".zst"))
        length -= 4;
    bool wiki = ends_in(path, length, ".tokens") || ends_in(path, length, ".raw");
    return wiki ? LAB_FORM_WIKITEXT : LAB_FORM_PLAIN;
}

struct lab_text_source lab_text_source_parse(const char *argument)
{
    const char *colon = strchr(argument, ':');
    for (int form = LAB_FORM_PLAIN; colon && form < LAB_FORM_COUNT; form++)
        if (strlen(lab_form_names[form]) == (size_t)(colon - argument) &&
            strncmp(argument, lab_form_names[form], (size_t)(colon - argument)) == 0)
            return (struct lab_text_source){.form = (enum lab_form)form, .path = colon + 1};
    return (struct lab_text_source){.form = form_of(argument), .path = argument};
}

static bool is_white(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

int64_t lab_wikitext_words(const uint8_t *text, int64_t bytes)
{
    int64_t words = 0;
    for (int64_t i = 0; i < bytes; i++) {
        words += text[i] == '\n';
        words += !is_white(text[i]) && (i == 0 || is_white(text[i - 1]));
    }
    return words;
}

/* Every `from`, from the left, becomes `to`, which is not longer. */
static void replace(struct lab_buffer *text, const char *from, const char *to)
{
    int64_t written = 0, at = 0, length = (int64_t)strlen(from), put = (int64_t)strlen(to);
    uint8_t *bytes = text->bytes;
    while (at < text->count) {
        if (text->count - at >= length && memcmp(bytes + at, from, (size_t)length) == 0) {
            memcpy(bytes + written, to, (size_t)put);
            written += put;
            at += length;
        } else {
            bytes[written++] = bytes[at++];
        }
    }
    text->count = written;
}

/* Takes white space away behind each `open` and before the next `close`; pairs do not nest. */
static void tighten(struct lab_buffer *text, char open, char close)
{
    int64_t written = 0, at = 0;
    uint8_t *bytes = text->bytes;
    while (at < text->count) {
        uint8_t byte = bytes[written++] = bytes[at++];
        const uint8_t *end = byte == (uint8_t)open && at < text->count
                                 ? memchr(bytes + at, close, (size_t)(text->count - at))
                                 : NULL;
        if (!end)
            continue;
        int64_t stop = end - bytes, last = stop;
        while (at < stop && is_white(bytes[at]))
            at++;
        while (last > at && is_white(bytes[last - 1]))
            last--;
        memmove(bytes + written, bytes + at, (size_t)(last - at));
        written += last - at;
        bytes[written++] = (uint8_t)close;
        at = stop + 1;
    }
    text->count = written;
}

void lab_detokenize(struct lab_buffer *text)
{
    static const char *const first[][2] = {
        {"s '", "s'"}, {" @-@ ", "-"}, {" @,@ ", ","}, {" @.@ ", "."}, {" : ", ": "},
        {" ; ", "; "}, {" . ", ". "},  {" ! ", "! "},  {" ? ", "? "},  {" , ", ", "}};
    static const char pairs[][2] = {{'(', ')'}, {'[', ']'}, {'{', '}'}, {'"', '"'}, {'\'', '\''}};
    static const char *const last[][2] = {
        {"= = = =", "===="}, {"= = =", "==="},
        {"= =", "=="},       {" \xc2\xb0 ", "\xc2\xb0"}, /* degrees */
        {" \n", "\n"},       {"\n ", "\n"},
        {" N ", " 1 "},      {" 's", "'s"}};
    for (size_t i = 0; i < sizeof first / sizeof *first; i++)
        replace(text, first[i][0], first[i][1]);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        tighten(text, pairs[i][0], pairs[i][1]);
    for (size_t i = 0; i < sizeof last / sizeof *last; i++)
        replace(text, last[i][0], last[i][1]);
}

int64_t lab_last_word(struct lab_buffer *text)
{
    while (text->count > 0 && is_white(text->bytes[text->count - 1]))
        text->count--;
    int64_t space = text->count - 1, before = 0;
    while (space >= 0 && text->bytes[space] != ' ')
        space--;
    while (before < space && is_white(text->bytes[before]))
        before++;
    return before < space ? text->count - space : 0;
}
