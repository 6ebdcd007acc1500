/* SPDX-License-Identifier: MIT */
#include "experiments/runs/config_difference.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH = 4, NAME = 48, FIELD = DEPTH * (NAME + 1) };

/* Goes through the fields of a run file as lab_run_config_write() writes it. */
struct walk {
    const char *at;
    char name[DEPTH][NAME]; /* of the mappings that the field is in, and its own */
    char field[FIELD];      /* "model.dense.hidden" */
    char value[2 * LAB_PATH];
};

/* Cuts a line into depth, name and value; false where it is none. */
static bool read_line(struct walk *w, int *depth, const char *line, int length)
{
    int indent = 0;
    while (indent < length && line[indent] == ' ')
        indent++;
    const char *colon = memchr(line, ':', (size_t)length);
    *depth = indent / 2;
    if (!colon || *depth >= DEPTH)
        return false;
    snprintf(w->name[*depth], NAME, "%.*s", (int)(colon - line) - indent, line + indent);
    const char *value = colon + 1 + (colon + 1 < line + length);
    snprintf(w->value, sizeof w->value, "%.*s", (int)(line + length - value), value);
    return true;
}

/* The next field that has a value; false at the end. */
static bool next(struct walk *w)
{
    while (*w->at) {
        const char *line = w->at, *end = strchrnul(line, '\n');
        int depth = 0;
        w->at = *end ? end + 1 : end;
        if (!read_line(w, &depth, line, (int)(end - line)) || !*w->value)
            continue;
        *w->field = 0;
        for (int i = 0; i <= depth; i++) {
            size_t used = strlen(w->field);
            snprintf(w->field + used, sizeof w->field - used, "%s%s", i ? "." : "", w->name[i]);
        }
        return true;
    }
    return false;
}

static const char *value_in(struct walk *w, const char *file, const char *field)
{
    w->at = file;
    while (next(w))
        if (strcmp(w->field, field) == 0)
            return w->value;
    return NULL;
}

static void add(char *text, size_t size, const char *field, const char *kept, const char *mine)
{
    size_t used = strlen(text);
    snprintf(text + used, size - used, "%s%s = %s, here %s", used ? "; " : "", field,
             kept ? kept : "(none)", mine ? mine : "(none)");
}

/* Fields of `a` that `b` has not, or has with another value; `swapped`: `a` is mine. */
static void compare(char *text, size_t size, const char *a, const char *b, bool swapped,
                    bool (*is_free)(const char *field))
{
    struct walk first = {.at = a}, second;
    while (next(&first)) {
        const char *other = value_in(&second, b, first.field);
        if (is_free(first.field) || (other && (swapped || strcmp(other, first.value) == 0)))
            continue;
        add(text, size, first.field, swapped ? other : first.value, swapped ? first.value : other);
    }
}

enum peer_status lab_config_difference(char *text, size_t size, struct peer_ctx *ctx,
                                       const struct lab_run_config *kept,
                                       const struct lab_run_config *mine,
                                       bool (*is_free)(const char *field))
{
    char *a = lab_run_config_text(kept, false), *b = lab_run_config_text(mine, false);
    *text = 0;
    if (a && b) {
        compare(text, size, a, b, false, is_free);
        compare(text, size, b, a, true, is_free);
    }
    bool done = a && b;
    free(a);
    free(b);
    return done ? PEER_OK : peer_fail(ctx, PEER_ERR_MEMORY, "no memory to compare two runs");
}
