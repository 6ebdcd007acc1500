/* SPDX-License-Identifier: MIT */
#include "experiments/sweeps/settings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/base/text.h"

#include "nn/random.h"
#include "peer/types.h"

enum { NARROWEST = 2, WIDEST = 16384 };

void lab_settings_free(struct lab_settings *settings)
{
    free(settings->item);
    free(settings->text);
    *settings = (struct lab_settings){0};
}

bool lab_setting_is_place(const struct lab_setting *s)
{
    static const char *const places[][2] = {{"", "variant"},    {"", "budget"},
                                            {"model", "width"}, {"model", "blocks"},
                                            {"train", "seed"},  {"train", "steps"}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (!strcmp(s->group, places[i][0]) && !strcmp(s->name, places[i][1]))
            return true;
    return false;
}

/* A line "  name: value", or "  name:", which begins a group; cuts it. */
static bool cut_line(char *line, int *level, char **name, char **value)
{
    size_t spaces = strspn(line, " ");
    char *colon = strchr(line + spaces, ':');
    if (!colon || colon == line + spaces)
        return false;
    *level = spaces > 4 ? 2 : (int)(spaces / 2);
    *name = line + spaces;
    *colon = 0;
    *value = colon + 1 + strspn(colon + 1, " ");
    return true;
}

bool lab_settings_read(struct lab_settings *ret, const char *config)
{
    struct lab_settings settings = {.text = strdup(config)};
    const char *group[3] = {"", "", ""};
    int64_t room = 1;
    for (const char *c = config; *c; c++)
        room += *c == '\n';
    settings.item = malloc((size_t)room * sizeof *settings.item);
    if (!settings.text || !settings.item) {
        lab_settings_free(&settings);
        return false;
    }
    for (char *line = settings.text, *next; line && *line; line = next) {
        int level;
        char *name, *value;
        if ((next = strchr(line, '\n')))
            *next++ = 0;
        if (!cut_line(line, &level, &name, &value))
            continue;
        if (!*value && level < 2)
            group[level + 1] = name;
        else
            settings.item[settings.count++] =
                (struct lab_setting){.group = group[level], .name = name, .value = value};
    }
    *ret = settings;
    return true;
}

bool lab_setting_same_field(const struct lab_setting *a, const struct lab_setting *b)
{
    return !strcmp(a->name, b->name) && !strcmp(a->group, b->group);
}

const char *lab_settings_find(const struct lab_settings *settings, const struct lab_setting *like)
{
    for (int64_t i = 0; i < settings->count; i++)
        if (lab_setting_same_field(&settings->item[i], like))
            return settings->item[i].value;
    return NULL;
}

/* Whether a value is a number with a fraction or an exponent, which are floats. */
static bool as_float(const char *text, float *ret)
{
    char *end;
    if (!strpbrk(text, ".eE") || !strchr("0123456789.-", *text))
        return false;
    *ret = strtof(text, &end);
    return end != text && !*end && isfinite(*ret);
}

bool lab_settings_same(const char *a, const char *b)
{
    float x, y;
    if (!a || !b)
        return a == b;
    return !strcmp(a, b) || (as_float(a, &x) && as_float(b, &y) && x == y);
}

uint64_t lab_settings_add(uint64_t key, const struct lab_setting *setting, const char *value)
{
    char text[LAB_PATH * 4 + 128];
    float number;
    int used = snprintf(text, sizeof text, "%.40s.%.40s=", setting->group, setting->name);
    if (as_float(value, &number))
        snprintf(text + used, sizeof text - (size_t)used, "%.9g", (double)number);
    else
        snprintf(text + used, sizeof text - (size_t)used, "%s", value);
    return key + peer_stream(text);
}

void lab_settings_show(char *text, size_t size, const char *value)
{
    float number;
    if (as_float(value, &number)) {
        for (int digits = 1; digits <= 9; digits++) {
            snprintf(text, size, "%.*g", digits, (double)number);
            if (strtof(text, NULL) == number)
                return;
        }
        return;
    }
    size_t length = strlen(value);
    bool quoted = length >= 2 && *value == '"' && value[length - 1] == '"';
    size_t shown = quoted ? length - 2 : length;
    lab_text_cut(text, shown < size ? shown + 1 : size, value + quoted);
}

/* The settings of a run of that width, type of layer and all else by default. False: no memory. */
static bool read_default(struct lab_settings *ret, const char *ffw, int64_t width)
{
    struct lab_run_config config;
    const struct peer_ffw_type *type = ffw ? peer_ffw_find(ffw) : NULL;
    lab_run_config_default(&config, width, 1, type ? type : &peer_ffw_dense);
    char *text = lab_run_config_text(&config, false);
    bool good = text && lab_settings_read(ret, text);
    free(text);
    return good;
}

static const char *find(const struct lab_settings *settings, const char *group, const char *name)
{
    return lab_settings_find(settings, &(struct lab_setting){.group = group, .name = name});
}

bool lab_settings_mark(struct lab_settings *settings)
{
    struct lab_settings defaults;
    const char *text = find(settings, "model", "width");
    int64_t width = text ? strtoll(text, NULL, 10) : 0;
    if (width < NARROWEST || width > WIDEST)
        width = NARROWEST;
    if (!read_default(&defaults, find(settings, "model", "ffw"), width))
        return false;
    for (int64_t i = 0; i < settings->count; i++) {
        struct lab_setting *s = &settings->item[i];
        s->by_default = strcmp(s->name, "ffw") != 0 &&
                        lab_settings_same(s->value, lab_settings_find(&defaults, s));
    }
    lab_settings_free(&defaults);
    return true;
}

uint64_t lab_settings_key(const struct lab_settings *settings)
{
    uint64_t key = peer_stream("settings");
    for (int64_t i = 0; i < settings->count; i++) {
        const struct lab_setting *s = &settings->item[i];
        if (!lab_setting_is_place(s) && !s->by_default)
            key = lab_settings_add(key, s, s->value);
    }
    return key ? key : 1;
}

/* Takes the mark off what is said and only happens to be the default. False: no memory. */
static bool unmark_said(struct lab_settings *settings,
                        bool (*said)(void *user, const struct lab_setting *setting), void *user)
{
    struct lab_settings narrow = {0}, wide = {0};
    const char *ffw = find(settings, "model", "ffw");
    bool good = read_default(&narrow, ffw, NARROWEST) && read_default(&wide, ffw, WIDEST);
    for (int64_t i = 0; good && i < settings->count; i++) {
        struct lab_setting *s = &settings->item[i];
        bool follows =
            !lab_settings_same(lab_settings_find(&narrow, s), lab_settings_find(&wide, s));
        s->by_default &= !(follows && said(user, s));
    }
    lab_settings_free(&narrow);
    lab_settings_free(&wide);
    return good;
}

uint64_t lab_settings_plan_key(const struct lab_run_config *config,
                               bool (*said)(void *user, const struct lab_setting *setting),
                               void *user)
{
    struct lab_settings settings = {0};
    char *text = lab_run_config_text(config, false);
    uint64_t key = 0;
    if (text && lab_settings_read(&settings, text) && lab_settings_mark(&settings) &&
        unmark_said(&settings, said, user))
        key = lab_settings_key(&settings);
    lab_settings_free(&settings);
    free(text);
    return key;
}
