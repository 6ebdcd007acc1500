/* SPDX-License-Identifier: MIT */
#include "experiments/sweeps/variants.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/base/text.h"
#include "experiments/report/html.h"
#include "experiments/sweeps/settings.h"

enum { MOST_TOLD = 4, MOST_FIELDS = 256 };

struct entry {
    struct lab_result *row;
    struct lab_settings settings;
    uint64_t key;
    bool recorded;
    int64_t group; /* among those of its name */
};

static int by_number(double a, double b)
{
    return (a > b) - (a < b);
}

/* Runs that may differ in their seed alone are in one place. */
static int by_place(const struct lab_result *a, const struct lab_result *b)
{
    int order = by_number(a->budget, b->budget);
    if (order == 0)
        order = (a->width > b->width) - (a->width < b->width);
    if (order == 0)
        order = (a->blocks > b->blocks) - (a->blocks < b->blocks);
    return order;
}

static int by_id(const struct entry *a, const struct entry *b)
{
    return (a->row->id > b->row->id) - (a->row->id < b->row->id);
}

static int by_name_and_place(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    int order = strcmp(a->row->name, b->row->name);
    if (order == 0)
        order = by_place(a->row, b->row);
    return order ? order : by_id(a, b);
}

static int by_key_and_place(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    int order = (a->key > b->key) - (a->key < b->key);
    if (order == 0)
        order = by_place(a->row, b->row);
    return order ? order : by_id(a, b);
}

/* Of the runs of one name, those that older programs planned without recording a key. Where no two
 * of them in one place differ, what differs between places is taken to follow size and budget. */
static void join_unrecorded(struct entry *entry, int64_t count)
{
    const struct entry *last = NULL;
    uint64_t key = 0;
    for (int64_t i = 0; i < count; i++) {
        if (entry[i].recorded)
            continue;
        if (last && by_place(last->row, entry[i].row) == 0 && last->key != entry[i].key)
            return;
        last = &entry[i];
        if (key == 0)
            key = last->key;
        for (int64_t j = 0; j < count; j++)
            if (entry[j].recorded && entry[j].key == last->key)
                key = last->key;
    }
    for (int64_t i = 0; i < count; i++)
        if (!entry[i].recorded)
            entry[i].key = key;
}

/* All fields that runs of one name have. */
struct fields {
    int64_t count;
    const struct lab_setting *item[MOST_FIELDS];
};

static void list_fields(struct fields *ret, const struct entry *entry, int64_t count)
{
    ret->count = 0;
    for (int64_t i = 0; i < count; i++)
        for (int64_t f = 0; f < entry[i].settings.count; f++) {
            const struct lab_setting *field = &entry[i].settings.item[f];
            int64_t at = f < ret->count && lab_setting_same_field(ret->item[f], field) ? f : 0;
            while (at < ret->count && !lab_setting_same_field(ret->item[at], field))
                at++;
            if (at == ret->count && at < MOST_FIELDS)
                ret->item[ret->count++] = field;
        }
}

/* Marks the fields in which runs of one key and place differ. */
static bool find_conflicts(bool differs[MOST_FIELDS], const struct fields *fields,
                           const struct entry *entry, int64_t count)
{
    bool any = false;
    memset(differs, 0, MOST_FIELDS * sizeof *differs);
    for (int64_t i = 1; i < count; i++) {
        const struct lab_settings *a = &entry[i - 1].settings, *b = &entry[i].settings;
        if (by_place(entry[i - 1].row, entry[i].row) != 0)
            continue;
        for (int64_t f = 0; f < fields->count; f++)
            if (!lab_setting_is_place(fields->item[f]) &&
                !lab_settings_same(lab_settings_find(a, fields->item[f]),
                                   lab_settings_find(b, fields->item[f])))
                differs[f] = any = true;
    }
    return any;
}

/* Two rows of one place that differ in more than their seed are two variants, whatever the rule was
 * by which they were planned. */
static void split(struct entry *entry, int64_t count, const struct fields *fields)
{
    bool differs[MOST_FIELDS];
    if (!find_conflicts(differs, fields, entry, count))
        return;
    for (int64_t i = 0; i < count; i++) {
        uint64_t key = entry[i].key;
        for (int64_t f = 0; f < fields->count; f++) {
            const char *value = lab_settings_find(&entry[i].settings, fields->item[f]);
            if (differs[f])
                key = lab_settings_add(key, fields->item[f], value ? value : "");
        }
        entry[i].key = key;
    }
}

/* ---- names ---- */

/* The first run of the next variant of the name; runs of one stand side by side. */
static int64_t next_group(const struct entry *entry, int64_t count, int64_t first)
{
    int64_t next = first + 1;
    while (next < count && entry[next].group == entry[first].group)
        next++;
    return next;
}

/* The value that all these runs have; NULL where they differ, or some have none. */
static const char *value_of(const struct entry *entry, int64_t count,
                            const struct lab_setting *field)
{
    const char *value = lab_settings_find(&entry->settings, field);
    for (int64_t i = 1; i < count && value; i++)
        if (!lab_settings_same(lab_settings_find(&entry[i].settings, field), value))
            value = NULL;
    return value;
}

/* Whether a field's value is one for each of at least two variants, and not the same. */
static bool tells(const struct entry *entry, int64_t count, const struct lab_setting *field)
{
    const char *first = NULL;
    for (int64_t i = 0, next; i < count; i = next) {
        next = next_group(entry, count, i);
        const char *value = value_of(entry + i, next - i, field);
        if (value && first && !lab_settings_same(first, value))
            return true;
        first = first ? first : value;
    }
    return false;
}

/* Whether some run has the field and another has not. Options of another type of layer are told by
 * the type. */
static bool is_missing(const struct entry *entry, int64_t count, const struct lab_setting *field)
{
    int64_t has = 0;
    for (int64_t i = 0; i < count; i++)
        has += lab_settings_find(&entry[i].settings, field) != NULL;
    return has < count && strcmp(field->group, "options");
}

/* A variant's name on its way. */
struct name {
    char *text;
    size_t size;
    bool cut; /* there was no room for more */
};

/* Appends without cutting a character; what has been cut stays as it is. */
static void append(struct name *name, const char *more)
{
    char character[5];
    size_t used = strlen(name->text);
    for (int length; !name->cut && (length = lab_next_character(character, more)) > 0;
         more += length) {
        size_t bytes = strlen(character);
        name->cut = used + bytes + 4 > name->size; /* room for a bracket and the mark of a cut */
        if (!name->cut)
            memcpy(name->text + used, character, bytes + 1);
        else if (used + 3 <= name->size)
            memcpy(name->text + used, "..", 3);
        used += bytes;
    }
}

/* The last 40 bytes of a value say most: of paths it is the folder. */
static void append_field(struct name *name, const struct lab_setting *field, const char *value,
                         bool first)
{
    char shown[LAB_PATH * 2];
    append(name, first ? " (" : ", ");
    if (!value)
        append(name, "no ");
    if (!strcmp(field->group, "dense"))
        append(name, "dense ");
    append(name, field->name);
    if (!value)
        return;
    lab_settings_show(shown, sizeof shown, value);
    const char *tail = shown + (strlen(shown) > 40 ? strlen(shown) - 40 : 0);
    while (((unsigned char)*tail & 0xC0) == 0x80)
        tail++;
    append(name, tail == shown ? " " : " ..");
    append(name, tail);
}

/* What is told of the runs of one variant, in the order of the run file. */
static void label(struct name *name, const struct entry *entry, int64_t count,
                  const bool told[MOST_FIELDS], const struct fields *fields)
{
    int64_t number = 0;
    for (int64_t f = 0; f < fields->count && number < MOST_TOLD; f++) {
        const struct lab_setting *field = fields->item[f];
        const char *value = told[f] ? value_of(entry, count, field) : NULL;
        bool has = lab_settings_find(&entry->settings, field);
        if (told[f] && (value || !has) && (has || strcmp(field->group, "options")))
            append_field(name, field, value, number++ == 0);
    }
    if (number)
        append(name, ")");
}

/* Numbers the variants of one name, whose entries are sorted by key. */
static int64_t number_groups(struct entry *entry, int64_t count)
{
    int64_t groups = 0;
    for (int64_t i = 0; i < count; i++) {
        groups += i > 0 && entry[i].key != entry[i - 1].key;
        entry[i].group = groups;
    }
    return groups + 1;
}

/* Whether a field's value is the default wherever there is the field: it follows the width. */
static bool by_default(const struct entry *entry, int64_t count, const struct lab_setting *field)
{
    for (int64_t i = 0; i < count; i++)
        for (int64_t f = 0; f < entry[i].settings.count; f++)
            if (lab_setting_same_field(&entry[i].settings.item[f], field) &&
                !entry[i].settings.item[f].by_default)
                return false;
    return true;
}

/* Names the variants of one name. False: no memory. */
static bool name_groups(struct entry *entry, int64_t count, const struct fields *fields)
{
    bool told[MOST_FIELDS] = {false};
    if (number_groups(entry, count) == 1)
        return true;
    for (int64_t i = 0; i < count; i++)
        if (!lab_settings_mark(&entry[i].settings))
            return false;
    for (int64_t f = 0; f < fields->count; f++) {
        const struct lab_setting *field = fields->item[f];
        told[f] = !lab_setting_is_place(field) && !by_default(entry, count, field) &&
                  (is_missing(entry, count, field) || tells(entry, count, field));
    }
    for (int64_t i = 0, next; i < count; i = next) {
        char text[sizeof entry->row->variant];
        next = next_group(entry, count, i);
        snprintf(text, sizeof text, "%s", entry[i].row->name);
        struct name name = {.text = text, .size = sizeof text};
        label(&name, entry + i, next - i, told, fields);
        for (int64_t j = i; j < next; j++)
            strcpy(entry[j].row->variant, text);
    }
    return true;
}

/* Whether another variant, of any name, is called the same. */
static bool is_taken(const struct entry *entry, int64_t count, const struct entry *one,
                     const char *text)
{
    for (int64_t i = 0; i < count; i++)
        if ((strcmp(entry[i].row->name, one->row->name) || entry[i].group != one->group) &&
            !strcmp(entry[i].row->variant, text))
            return true;
    return false;
}

/* Where names were cut, or differ in nothing that can be told: "dense #2". */
static void make_unique(struct entry *entry, int64_t count)
{
    char text[sizeof entry->row->variant];
    for (int64_t i = 0, next; i < count; i = next) {
        for (next = i + 1; next < count && !strcmp(entry[next].row->name, entry[i].row->name) &&
                           entry[next].group == entry[i].group;)
            next++;
        if (!is_taken(entry, i, &entry[i], entry[i].row->variant))
            continue;
        for (int number = 2; number < 100000; number++) {
            lab_text_cut(text, sizeof text - 9, entry[i].row->variant);
            snprintf(text + strlen(text), 10, " #%d", number);
            if (!is_taken(entry, count, &entry[i], text))
                break;
        }
        for (int64_t j = i; j < next; j++)
            strcpy(entry[j].row->variant, text);
    }
}

/* The entries of one name, sorted by place. False: no memory. */
static bool tell_apart(struct entry *entry, int64_t count)
{
    struct fields fields;
    list_fields(&fields, entry, count);
    join_unrecorded(entry, count);
    qsort(entry, (size_t)count, sizeof *entry, by_key_and_place);
    for (int64_t i = 0, next; i < count; i = next) {
        for (next = i + 1; next < count && entry[next].key == entry[i].key;)
            next++;
        split(entry + i, next - i, &fields);
    }
    qsort(entry, (size_t)count, sizeof *entry, by_key_and_place);
    return name_groups(entry, count, &fields);
}

static enum peer_status no_memory(struct peer_ctx *ctx, int64_t count)
{
    return peer_fail(ctx, PEER_ERR_MEMORY, "no memory for the settings of %lld runs",
                     (long long)count);
}

static enum peer_status read_entries(struct entry *entry, struct peer_ctx *ctx,
                                     struct lab_result *rows,
                                     const struct lab_variant_source *source, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        entry[i] = (struct entry){.row = &rows[i], .key = source[i].key};
        entry[i].recorded = entry[i].key != 0;
        snprintf(rows[i].variant, sizeof rows[i].variant, "%s", rows[i].name);
        bool read = lab_settings_read(&entry[i].settings, source[i].config);
        if (read && !entry[i].recorded && (read = lab_settings_mark(&entry[i].settings)))
            entry[i].key = lab_settings_key(&entry[i].settings);
        if (!read)
            return no_memory(ctx, count);
    }
    return PEER_OK;
}

enum peer_status lab_variants_tell_apart(struct lab_result *rows, struct peer_ctx *ctx,
                                         const struct lab_variant_source *source, int64_t count)
{
    struct entry *entry = calloc((size_t)count + 1, sizeof *entry);
    if (!entry)
        return no_memory(ctx, count);
    enum peer_status status = read_entries(entry, ctx, rows, source, count);
    if (status == PEER_OK) {
        qsort(entry, (size_t)count, sizeof *entry, by_name_and_place);
        for (int64_t i = 0, next; i < count && status == PEER_OK; i = next) {
            for (next = i + 1; next < count && !strcmp(entry[next].row->name, entry[i].row->name);)
                next++;
            status = tell_apart(entry + i, next - i) ? PEER_OK : no_memory(ctx, count);
        }
        if (status == PEER_OK)
            make_unique(entry, count);
    }
    for (int64_t i = 0; i < count; i++)
        lab_settings_free(&entry[i].settings);
    free(entry);
    return status;
}
