/* SPDX-License-Identifier: MIT */
#include "experiments/data/text_record.h"

#include <stdio.h>
#include <string.h>

/* Where reading is; `wrong` is set once, and reading stops there. */
struct scan {
    uint8_t *at, *end;
    const char *wrong;
};

struct text {
    uint8_t *bytes;
    int64_t count, repaired;
};

static bool fail(struct scan *s, const char *wrong)
{
    s->wrong = wrong;
    return false;
}

static void skip_space(struct scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\r' || *s->at == '\n'))
        s->at++;
}

/* Steps over white space and then `c`; false where something else stands there. */
static bool take(struct scan *s, char c)
{
    skip_space(s);
    bool there = s->at < s->end && *s->at == (uint8_t)c;
    s->at += there;
    return there;
}

/* Value of the XXXX of \uXXXX at `at`, or -1. */
static int32_t hexadecimal(const uint8_t *at, const uint8_t *end)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    int32_t value = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        const char *digit = at[i] ? strchr(digits, at[i]) : NULL;
        if (!digit)
            return -1;
        value = value * 16 + (int32_t)((digit - digits) % 16);
    }
    return value;
}

static uint8_t *put_character(uint8_t *out, int32_t c)
{
    static const uint8_t leads[] = {0, 0xc0, 0xe0, 0xf0};
    int more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    *out++ = (uint8_t)(leads[more] | c >> (6 * more));
    while (more-- > 0)
        *out++ = (uint8_t)(0x80 | (c >> (6 * more) & 0x3f));
    return out;
}

/* \uXXXX, of which s->at is behind the 'u'. A half of a pair that stands alone is no text; many
 * programs write it all the same. */
static bool decode_unicode(struct scan *s, uint8_t **out, int64_t *repaired)
{
    int32_t c = hexadecimal(s->at, s->end);
    if (c < 0)
        return fail(s, "expected four hexadecimal digits behind \\u");
    s->at += 4;
    if (c >= 0xd800 && c < 0xe000) {
        bool escape = s->end - s->at >= 6 && s->at[0] == '\\' && s->at[1] == 'u';
        int32_t low = c < 0xdc00 && escape ? hexadecimal(s->at + 2, s->end) : -1;
        bool pair = low >= 0xdc00 && low < 0xe000;
        c = pair ? 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00) : 0xfffd;
        s->at += pair ? 6 : 0;
        *repaired += !pair;
    }
    *out = put_character(*out, c);
    return true;
}

/* A string, decoded in place: what it stands for is never longer than how it is written. */
static bool read_string(struct scan *s, struct text *ret)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    uint8_t *out = ++s->at;
    *ret = (struct text){.bytes = out};
    while (s->at < s->end && *s->at != '"') {
        uint8_t *stop = s->at;
        while (stop < s->end && *stop != '"' && *stop != '\\')
            stop++;
        if (out != s->at)
            memmove(out, s->at, (size_t)(stop - s->at));
        out += stop - s->at;
        s->at = stop;
        if (s->at == s->end || *s->at == '"')
            break;
        uint8_t name = ++s->at < s->end ? *s->at++ : 0;
        const char *known = name ? strchr(names, name) : NULL;
        if (known)
            *out++ = (uint8_t)values[known - names];
        else if (name != 'u')
            return fail(s, "there is no such escape in a string");
        else if (!decode_unicode(s, &out, &ret->repaired))
            return false;
    }
    if (s->at == s->end)
        return fail(s, "a string does not end");
    s->at++;
    ret->count = out - ret->bytes;
    return true;
}

static bool take_digits(struct scan *s)
{
    const uint8_t *start = s->at;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
        s->at++;
    return s->at > start;
}

static bool take_word(struct scan *s, const char *word)
{
    size_t length = strlen(word);
    bool there = (size_t)(s->end - s->at) >= length && memcmp(s->at, word, length) == 0;
    s->at += there ? length : 0;
    return there;
}

/* A number of any size, null, true, false, NaN, Infinity. */
static bool skip_plain(struct scan *s)
{
    static const char *const words[] = {"null", "true", "false", "NaN"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (take_word(s, words[i]))
            return true;
    take_word(s, "-");
    if (take_word(s, "Infinity"))
        return true;
    if (!take_digits(s))
        return fail(s, "expected a value");
    if (take_word(s, ".") && !take_digits(s))
        return fail(s, "expected digits behind the point");
    if (take_word(s, "e") || take_word(s, "E")) {
        if (!take_word(s, "+"))
            take_word(s, "-");
        if (!take_digits(s))
            return fail(s, "expected the digits of an exponent");
    }
    return true;
}

static bool read_key(struct scan *s, struct text *key)
{
    skip_space(s);
    if (s->at == s->end || *s->at != '"')
        return fail(s, "expected the name of a field in quotes");
    return read_string(s, key) && (take(s, ':') || fail(s, "expected a colon"));
}

/* The lists and objects that are open: a bit each, 1 = object. */
struct nest {
    uint8_t bits[LAB_RECORD_DEPTH / 8];
    int depth;
};

static bool in_object(const struct nest *nest)
{
    int at = nest->depth - 1;
    return nest->bits[at / 8] >> at % 8 & 1;
}

/* Opens the list or object at s->at. */
static bool open_nest(struct scan *s, struct nest *nest)
{
    int at = nest->depth;
    if (at == LAB_RECORD_DEPTH)
        return fail(s, "more than 4096 lists and objects in one another");
    uint8_t bit = (uint8_t)(1 << at % 8);
    nest->bits[at / 8] &= (uint8_t)~bit;
    nest->bits[at / 8] |= *s->at == '{' ? bit : 0;
    nest->depth++;
    s->at++;
    return true;
}

/* Behind a value: closes what ends here, up to a comma. */
static bool close_nests(struct scan *s, struct nest *nest)
{
    while (nest->depth > 0) {
        bool object = in_object(nest);
        struct text key;
        if (take(s, ','))
            return !object || read_key(s, &key);
        if (!take(s, object ? '}' : ']'))
            return fail(s, object ? "expected a comma or }" : "expected a comma or ]");
        nest->depth--;
    }
    return true;
}

/* Any value; does not call itself, however deep it is. */
static bool skip_value(struct scan *s)
{
    struct nest nest = {.depth = 0};
    struct text unused;
    do {
        skip_space(s);
        uint8_t c = s->at < s->end ? *s->at : 0;
        bool good;
        if (c == '{' || c == '[') {
            if (!open_nest(s, &nest))
                return false;
            if (!take(s, c == '{' ? '}' : ']')) {
                if (c == '{' && !read_key(s, &unused))
                    return false;
                continue;
            }
            nest.depth--;
            good = true;
        } else {
            good = c == '"' ? read_string(s, &unused) : skip_plain(s);
        }
        if (!good || !close_nests(s, &nest))
            return false;
    } while (nest.depth > 0);
    return true;
}

/* Adds a name to the list for messages, where it fits. */
static void list_field(struct lab_record *record, const struct text *key)
{
    size_t used = strlen(record->fields), room = sizeof record->fields - used;
    if ((size_t)key->count + 3 > room)
        return;
    snprintf(record->fields + used, room, "%s%.*s", used ? ", " : "", (int)key->count,
             (const char *)key->bytes);
}

static bool read_field(struct scan *s, struct lab_record *record, const char *field)
{
    struct text key, text;
    if (!read_key(s, &key))
        return false;
    list_field(record, &key);
    skip_space(s);
    bool wanted =
        (size_t)key.count == strlen(field) && memcmp(key.bytes, field, strlen(field)) == 0;
    if (!wanted || s->at == s->end || *s->at != '"')
        return skip_value(s);
    if (!read_string(s, &text))
        return false;
    if (record->text &&
        (record->bytes != text.count || memcmp(record->text, text.bytes, (size_t)text.count) != 0))
        record->ambiguous = true;
    record->text = text.bytes;
    record->bytes = text.count;
    record->repaired = text.repaired;
    return true;
}

void lab_record_read(struct lab_record *ret, uint8_t *line, int64_t *at, int64_t end,
                     const char *field)
{
    struct scan s = {.at = line + *at + 1, .end = line + end};
    *ret = (struct lab_record){0};
    bool more = !take(&s, '}');
    while (more && read_field(&s, ret, field)) {
        more = take(&s, ',');
        if (!more && !take(&s, '}'))
            fail(&s, "expected a comma or }");
        if (s.wrong)
            break;
    }
    ret->wrong = s.wrong;
    *at = s.at - line;
}
