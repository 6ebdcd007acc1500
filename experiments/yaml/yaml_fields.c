/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/yaml/yaml_file.h"

/* Levenshtein distance, for keys of sane length. */
static int distance(const char *a, const char *b)
{
    enum { LONGEST = 64 };
    int row[LONGEST + 1];
    int n = (int)strnlen(b, LONGEST);
    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (int i = 1; a[i - 1] && i <= LONGEST; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            int change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            int insert = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = change < insert ? change : insert;
        }
    }
    return row[n];
}

static void consider(const char *name, const char *key, const char **best, int *best_distance)
{
    int d = distance(key, name);
    if (d < *best_distance) {
        *best_distance = d;
        *best = name;
    }
}

enum peer_status lab_yaml_keys(struct peer_ctx *ctx, const struct lab_yaml_node *mapping,
                               const char *const *keys, const struct peer_option *options)
{
    int64_t fields = lab_yaml_fields(mapping);
    if (fields < 0)
        return lab_yaml_expected(ctx, mapping, "a mapping (key: value)");
    for (int64_t i = 0; i < fields; i++) {
        const struct lab_yaml_node *node = lab_yaml_key(mapping, i);
        const char *key = lab_yaml_scalar(node), *best = NULL;
        int best_distance = 1000;
        for (const char *const *known = keys; known && *known; known++)
            consider(*known, key, &best, &best_distance);
        for (const struct peer_option *known = options; known && known->name; known++)
            consider(known->name, key, &best, &best_distance);
        if (best_distance == 0)
            continue;
        char text[200];
        if (best && best_distance <= 3)
            snprintf(text, sizeof text, "unknown field; did you mean \"%s\"?", best);
        else
            snprintf(text, sizeof text, "unknown field");
        return lab_yaml_complain(ctx, node, text);
    }
    return PEER_OK;
}

/* Reads a decimal number, in which underscores may part the digits; false if `text` is none. */
static bool read_number(const char *text, double *ret)
{
    char *end, digits[64];
    size_t used = 0;
    for (const char *c = text; *c; c++) {
        if (used + 1 == sizeof digits || !strchr("0123456789_.+-eE", *c))
            return false;
        if (*c != '_')
            digits[used++] = *c;
    }
    digits[used] = 0;
    *ret = strtod(digits, &end);
    return end != digits && !*end && isfinite(*ret);
}

/* An integer may be written as a number that is whole. */
static bool whole_number(const char *text, int64_t *ret)
{
    double value;
    if (!read_number(text, &value) || value != floor(value) || fabs(value) > 9e15)
        return false;
    *ret = (int64_t)value;
    return true;
}

/* `text` as peer_option_set() wants it, in `plain` where it is to be written differently. */
static const char *option_text(char *plain, size_t size, const char *text,
                               const struct peer_option *option)
{
    int64_t integer;
    double number;
    if (option->kind == PEER_OPTION_INT && whole_number(text, &integer))
        snprintf(plain, size, "%lld", (long long)integer);
    else if (option->kind == PEER_OPTION_FLOAT && strchr(text, '_') && read_number(text, &number))
        snprintf(plain, size, "%.17g", number);
    else
        return text;
    return plain;
}

enum peer_status lab_yaml_options(struct peer_ctx *ctx, void *config,
                                  const struct lab_yaml_node *mapping,
                                  const struct peer_option *options)
{
    for (const struct peer_option *option = options; option->name; option++) {
        const struct lab_yaml_node *node = lab_yaml_get(mapping, option->name);
        if (!node)
            continue;
        const char *text = lab_yaml_scalar(node);
        char plain[64], expected[256];
        if (text)
            text = option_text(plain, sizeof plain, text, option);
        if (!text || peer_option_set(ctx, config, option, text) != PEER_OK) {
            peer_option_expected(expected, sizeof expected, option);
            return lab_yaml_expected(ctx, node, expected);
        }
    }
    return PEER_OK;
}

enum peer_status lab_yaml_string(struct peer_ctx *ctx, char *ret, size_t size,
                                 const struct lab_yaml_node *node)
{
    const char *text = lab_yaml_scalar(node);
    if (!text || !*text || strlen(text) >= size) {
        char what[64];
        snprintf(what, sizeof what, "a text of 1 to %zu bytes", size - 1);
        return lab_yaml_expected(ctx, node, what);
    }
    strcpy(ret, text);
    return PEER_OK;
}

/* The first character that is no part of a line of text: a control character, or one that ends
 * lines, turns the direction of writing or stands for nothing. Returns its number, or 0; `*at` is
 * its place in bytes. The text is UTF-8, as all that libyaml reads. */
static unsigned find_odd(const char *text, size_t *at)
{
    const unsigned char *begin = (const unsigned char *)text;
    for (const unsigned char *c = begin; *c;) {
        int more = *c < 0x80 ? 0 : *c < 0xE0 ? 1 : *c < 0xF0 ? 2 : 3;
        unsigned code = more ? *c & (0x3Fu >> more) : *c;
        *at = (size_t)(c++ - begin);
        for (; more > 0 && (*c & 0xC0) == 0x80; more--)
            code = code << 6 | (*c++ & 0x3Fu);
        bool turns = code == 0x061C || code == 0x200E || code == 0x200F ||
                     (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
        if (code < 0x20 || (code >= 0x7F && code < 0xA0) || turns || code == 0xFEFF ||
            (code & 0xFFFE) == 0xFFFE)
            return code;
    }
    return 0;
}

enum peer_status lab_yaml_name(struct peer_ctx *ctx, char *ret, size_t size,
                               const struct lab_yaml_node *node)
{
    size_t at = 0;
    const char *text = lab_yaml_scalar(node);
    unsigned odd = text ? find_odd(text, &at) : 0;
    if (odd) {
        char what[96];
        snprintf(what, sizeof what, "a name holds no U+%04X, as this one does at byte %zu", odd,
                 at + 1);
        return lab_yaml_complain(ctx, node, what);
    }
    return lab_yaml_string(ctx, ret, size, node);
}

enum peer_status lab_yaml_number(struct peer_ctx *ctx, double *ret,
                                 const struct lab_yaml_node *node, double min, double max)
{
    const char *text = lab_yaml_scalar(node);
    double value;
    if (!text || !read_number(text, &value) || !(value >= min && value <= max)) {
        char what[96];
        snprintf(what, sizeof what, "a number from %g to %g", min, max);
        return lab_yaml_expected(ctx, node, what);
    }
    *ret = value;
    return PEER_OK;
}

enum peer_status lab_yaml_integer(struct peer_ctx *ctx, int64_t *ret,
                                  const struct lab_yaml_node *node, int64_t min, int64_t max)
{
    const char *text = lab_yaml_scalar(node);
    int64_t value;
    if (text && whole_number(text, &value) && value >= min && value <= max) {
        *ret = value;
        return PEER_OK;
    }
    char what[96];
    snprintf(what, sizeof what, "an integer from %lld to %lld", (long long)min, (long long)max);
    return lab_yaml_expected(ctx, node, what);
}
