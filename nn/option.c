/* SPDX-License-Identifier: MIT */
#include "nn/option.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT = 256 };

/* A field's value, as wide as any kind needs. A bool is read as a byte, because a bool that is
 * neither 0 nor 1 may not be read as one. */
struct value {
    int64_t integer;
    float number;
};

static struct value get(const void *config, const struct peer_option *option)
{
    const char *field = (const char *)config + option->offset;
    struct value value = {0};
    unsigned char byte;
    int choice;
    switch (option->kind) {
    case PEER_OPTION_INT:
        memcpy(&value.integer, field, sizeof value.integer);
        break;
    case PEER_OPTION_FLOAT:
        memcpy(&value.number, field, sizeof value.number);
        break;
    case PEER_OPTION_BOOL:
        memcpy(&byte, field, sizeof byte);
        value.integer = byte;
        break;
    case PEER_OPTION_CHOICE:
        memcpy(&choice, field, sizeof choice);
        value.integer = choice;
        break;
    }
    return value;
}

static void put(void *config, const struct peer_option *option, struct value value)
{
    char *field = (char *)config + option->offset;
    bool truth = value.integer != 0;
    int choice = (int)value.integer;
    switch (option->kind) {
    case PEER_OPTION_INT:
        memcpy(field, &value.integer, sizeof value.integer);
        break;
    case PEER_OPTION_FLOAT:
        memcpy(field, &value.number, sizeof value.number);
        break;
    case PEER_OPTION_BOOL:
        memcpy(field, &truth, sizeof truth);
        break;
    case PEER_OPTION_CHOICE:
        memcpy(field, &choice, sizeof choice);
        break;
    }
}

static int count_choices(const struct peer_option *option)
{
    int count = 0;
    while (option->choices[count])
        count++;
    return count;
}

/* Bounds of a float are compared as floats, so that 0.1 is allowed where the maximum is 0.1. NaN
 * is in no range. */
static bool in_range(const struct peer_option *option, struct value value)
{
    switch (option->kind) {
    case PEER_OPTION_INT:
        return (double)value.integer >= option->min && (double)value.integer <= option->max;
    case PEER_OPTION_FLOAT:
        return value.number >= (float)option->min && value.number <= (float)option->max;
    case PEER_OPTION_BOOL:
        return value.integer <= 1;
    case PEER_OPTION_CHOICE:
        return value.integer >= 0 && value.integer < count_choices(option);
    }
    return false;
}

/* False if `text` is not wholly one value of the option's kind. */
static bool parse(struct value *value, const char *text, const struct peer_option *option)
{
    char *end = NULL;
    errno = 0;
    switch (option->kind) {
    case PEER_OPTION_INT:
        value->integer = strtoll(text, &end, 10);
        return end != text && !*end && !errno && !isspace((unsigned char)*text);
    case PEER_OPTION_FLOAT:
        value->number = strtof(text, &end);
        return end != text && !*end && !isspace((unsigned char)*text);
    case PEER_OPTION_BOOL:
        value->integer = strcmp(text, "true") == 0;
        return value->integer || strcmp(text, "false") == 0;
    case PEER_OPTION_CHOICE:
        for (int i = 0; option->choices[i]; i++) {
            value->integer = i;
            if (strcmp(text, option->choices[i]) == 0)
                return true;
        }
        return false;
    }
    return false;
}

const struct peer_option *peer_option_find(const struct peer_option *options, const char *name)
{
    for (; options->name; options++)
        if (strcmp(options->name, name) == 0)
            return options;
    return NULL;
}

enum peer_status peer_option_set(struct peer_ctx *ctx, void *config,
                                 const struct peer_option *option, const char *text)
{
    struct value value = {0};
    if (!parse(&value, text, option) || !in_range(option, value)) {
        char expected[TEXT];
        peer_option_expected(expected, sizeof expected, option);
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "%s = %s, expected %s", option->name, text,
                         expected);
    }
    put(config, option, value);
    return PEER_OK;
}

/* Whole numbers are written out: 30, not 3e+01. */
static bool whole_text(char *text, size_t size, double value, double most)
{
    bool whole = value > -most && value < most && value == (double)(int64_t)value;
    if (whole)
        snprintf(text, size, "%.0f", value);
    return whole;
}

void peer_float_text(char *text, size_t size, float value)
{
    if (whole_text(text, size, (double)value, 1e9))
        return;
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, size, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value)
            return;
    }
}

void peer_double_text(char *text, size_t size, double value)
{
    if (whole_text(text, size, value, 1e15))
        return;
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, size, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            return;
    }
}

void peer_option_text(char *text, size_t size, const void *config, const struct peer_option *option)
{
    struct value value = get(config, option);
    if (option->kind == PEER_OPTION_FLOAT)
        peer_float_text(text, size, value.number);
    else if (option->kind == PEER_OPTION_INT || !in_range(option, value))
        snprintf(text, size, "%lld", (long long)value.integer);
    else if (option->kind == PEER_OPTION_BOOL)
        snprintf(text, size, "%s", value.integer ? "true" : "false");
    else
        snprintf(text, size, "%s", option->choices[value.integer]);
}

static void expected_choice(char *text, size_t size, const struct peer_option *option)
{
    size_t used = (size_t)snprintf(text, size, "one of: ");
    for (int i = 0; option->choices[i] && used < size; i++)
        used +=
            (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", option->choices[i]);
}

void peer_option_expected(char *text, size_t size, const struct peer_option *option)
{
    switch (option->kind) {
    case PEER_OPTION_INT:
        snprintf(text, size, "an integer from %.0f to %.0f", option->min, option->max);
        return;
    case PEER_OPTION_FLOAT:
        snprintf(text, size, "a number from %.9g to %.9g", option->min, option->max);
        return;
    case PEER_OPTION_BOOL:
        snprintf(text, size, "true or false");
        return;
    case PEER_OPTION_CHOICE:
        expected_choice(text, size, option);
        return;
    }
}

enum peer_status peer_options_check(struct peer_ctx *ctx, const char *who, const void *config,
                                    const struct peer_option *options)
{
    for (; options->name; options++) {
        if (in_range(options, get(config, options)))
            continue;
        char text[TEXT], expected[TEXT];
        peer_option_text(text, sizeof text, config, options);
        peer_option_expected(expected, sizeof expected, options);
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "%s: %s = %s, expected %s", who, options->name,
                         text, expected);
    }
    return PEER_OK;
}
