/* SPDX-License-Identifier: MIT */
#include "nn/params/json_scan.h"

#include <string.h>

static bool fail(struct peer_json *json, const char *error)
{
    if (!json->error)
        json->error = error;
    return false;
}

/* Bytes of the UTF-8 character at `text`, by table 3-7 of the Unicode standard; 0 = none. */
static int64_t character(const unsigned char *text, int64_t size)
{
    static const struct {
        unsigned char from, to, second_from, second_to, bytes;
    } rows[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (text[0] < rows[i].from || text[0] > rows[i].to)
            continue;
        if (rows[i].bytes > size)
            return 0;
        bool whole =
            rows[i].bytes == 1 || (text[1] >= rows[i].second_from && text[1] <= rows[i].second_to);
        for (int j = 2; j < rows[i].bytes; j++)
            whole = whole && text[j] >= 0x80 && text[j] <= 0xbf;
        return whole ? rows[i].bytes : 0;
    }
    return 0;
}

struct peer_json peer_json_begin(const char *text, int64_t size)
{
    struct peer_json json = {.text = text, .size = size};
    while (json.at < size && !json.error) {
        int64_t bytes = character((const unsigned char *)text + json.at, size - json.at);
        if (bytes == 0)
            fail(&json, "no UTF-8");
        else
            json.at += bytes;
    }
    if (!json.error)
        json.at = 0;
    return json;
}

static char here(const struct peer_json *json)
{
    return !json->error && json->at < json->size ? json->text[json->at] : '\0';
}

char peer_json_peek(struct peer_json *json)
{
    while (here(json) && strchr(" \t\r\n", here(json)))
        json->at++;
    return here(json);
}

bool peer_json_enter(struct peer_json *json, char bracket)
{
    if (peer_json_peek(json) != bracket)
        return fail(json, bracket == '{' ? "expected an object" : "expected an array");
    if (json->depth == PEER_JSON_DEPTH)
        return fail(json, "more than 32 brackets inside one another");
    json->at++;
    json->closed[json->depth++] = bracket == '{';
    json->fresh = true;
    return true;
}

bool peer_json_more(struct peer_json *json)
{
    if (json->error || json->depth == 0)
        return false;
    char next = peer_json_peek(json), end = json->closed[json->depth - 1] ? '}' : ']';
    bool fresh = json->fresh;
    json->fresh = false;
    if (next == end) {
        json->at++;
        json->depth--;
        return false;
    }
    if (fresh)
        return next ? true : fail(json, "it ends inside a bracket");
    if (next != ',')
        return fail(json,
                    next ? "expected a comma or the end of a bracket" : "it ends inside a bracket");
    json->at++;
    return true;
}

static int digit_of(char c)
{
    const char *digits = "0123456789abcdef", *found = c ? strchr(digits, c | 0x20) : NULL;
    return c >= '0' && c <= '9' ? c - '0' : found && (c | 0x20) >= 'a' ? (int)(found - digits) : -1;
}

/* The four digits of a \u escape; -1 where they are not there. */
static int32_t code_of(const char *text, int64_t size)
{
    int32_t code = 0;
    if (size < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = digit_of(text[i]);
        if (digit < 0)
            return -1;
        code = 16 * code + digit;
    }
    return code;
}

/* The character of the escape at `text`, which begins with a backslash, and its bytes; 0 bytes =
 * it is none. */
static int64_t escape(int32_t *ret, const char *text, int64_t size)
{
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const char *name = size > 1 && text[1] ? strchr(names, text[1]) : NULL;
    if (name) {
        *ret = meant[name - names];
        return 2;
    }
    if (size < 6 || text[1] != 'u')
        return 0;
    int32_t code = code_of(text + 2, size - 2), low;
    *ret = code;
    if (code < 0 || (code >= 0xdc00 && code <= 0xdfff))
        return 0;
    if (code < 0xd800 || code > 0xdbff)
        return 6;
    if (size < 12 || text[6] != '\\' || text[7] != 'u')
        return 0;
    low = code_of(text + 8, size - 8);
    *ret = 0x10000 + (code - 0xd800) * 0x400 + (low - 0xdc00);
    return low >= 0xdc00 && low <= 0xdfff ? 12 : 0;
}

bool peer_json_text(struct peer_json *json, struct peer_json_string *ret)
{
    int32_t code;
    if (peer_json_peek(json) != '"')
        return fail(json, "expected a string");
    int64_t begin = ++json->at;
    while (json->at < json->size && json->text[json->at] != '"') {
        const char *at = json->text + json->at;
        if ((unsigned char)*at < 0x20)
            return fail(json, "a control character in a string");
        int64_t bytes = *at == '\\' ? escape(&code, at, json->size - json->at) : 1;
        if (bytes == 0)
            return fail(json, "an escape in a string that is none");
        json->at += bytes;
    }
    if (json->at >= json->size)
        return fail(json, "it ends inside a string");
    *ret = (struct peer_json_string){json->text + begin, json->at - begin};
    json->at++;
    return true;
}

bool peer_json_name(struct peer_json *json, struct peer_json_string *ret)
{
    if (!peer_json_text(json, ret))
        return false;
    if (peer_json_peek(json) != ':')
        return fail(json, "expected a colon");
    json->at++;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool peer_json_whole(struct peer_json *json, int64_t *ret)
{
    int64_t value = 0, begin;
    if (!is_digit(peer_json_peek(json)))
        return fail(json, "expected a whole number from 0 on");
    begin = json->at;
    while (is_digit(here(json))) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, here(json) - '0', &value))
            return fail(json, "a number of 2^63 or more");
        json->at++;
    }
    if (json->text[begin] == '0' && json->at > begin + 1)
        return fail(json, "a number that begins with 0");
    if (here(json) && strchr(".eE", here(json)))
        return fail(json, "expected a whole number from 0 on");
    *ret = value;
    return true;
}

static bool digits(struct peer_json *json)
{
    int64_t begin = json->at;
    while (is_digit(here(json)))
        json->at++;
    return json->at > begin || fail(json, "a number that is none");
}

static bool skip_number(struct peer_json *json)
{
    json->at += here(json) == '-';
    bool zero = here(json) == '0';
    int64_t begin = json->at;
    if (!digits(json))
        return false;
    if (zero && json->at > begin + 1)
        return fail(json, "a number that begins with 0");
    if (here(json) == '.') {
        json->at++;
        if (!digits(json))
            return false;
    }
    if (here(json) == 'e' || here(json) == 'E') {
        json->at++;
        json->at += here(json) == '+' || here(json) == '-';
        return digits(json);
    }
    return true;
}

static bool skip_word(struct peer_json *json)
{
    static const char *const words[] = {"true", "false", "null"};
    for (int i = 0; i < 3; i++) {
        int64_t length = (int64_t)strlen(words[i]);
        if (json->size - json->at >= length &&
            memcmp(json->text + json->at, words[i], (size_t)length) == 0) {
            json->at += length;
            return true;
        }
    }
    return fail(json, "expected a value");
}

/* Passes over what is no bracket. */
static bool skip_plain(struct peer_json *json, char first)
{
    struct peer_json_string string;
    if (first == '"')
        return peer_json_text(json, &string);
    return first == '-' || is_digit(first) ? skip_number(json) : skip_word(json);
}

bool peer_json_skip(struct peer_json *json)
{
    int outside = json->depth;
    do {
        struct peer_json_string name;
        char first = peer_json_peek(json);
        if (first == '{' || first == '[')
            peer_json_enter(json, first);
        else
            skip_plain(json, first);
        while (json->depth > outside && !peer_json_more(json) && !json->error)
            ;
        if (json->depth > outside && json->closed[json->depth - 1])
            peer_json_name(json, &name);
    } while (json->depth > outside && !json->error);
    return !json->error;
}

bool peer_json_end(struct peer_json *json)
{
    peer_json_peek(json);
    if (!json->error && (json->depth > 0 || json->at < json->size))
        fail(json, "something follows its end");
    return !json->error;
}

static int64_t put_utf8(char *to, int32_t code)
{
    int bytes = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const int lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (int i = bytes - 1; i > 0; i--, code >>= 6)
        to[i] = (char)(0x80 | (code & 0x3f));
    to[0] = (char)(lead[bytes] | code);
    return bytes;
}

int64_t peer_json_unescape(char *to, struct peer_json_string string)
{
    int64_t written = 0;
    for (int64_t i = 0; i < string.size;) {
        int32_t code = 0;
        if (string.text[i] != '\\') {
            to[written++] = string.text[i++];
            continue;
        }
        i += escape(&code, string.text + i, string.size - i);
        written += put_utf8(to + written, code);
    }
    return written;
}

bool peer_json_is(struct peer_json_string string, const char *text)
{
    char plain[128];
    if (string.size > (int64_t)sizeof plain)
        return false;
    int64_t size = peer_json_unescape(plain, string);
    return (int64_t)strlen(text) == size && memcmp(plain, text, (size_t)size) == 0;
}
