/* SPDX-License-Identifier: MIT */
/* Internal to sweeps. The settings of a run, out of the text of its run file: every field but its
 * place in the sweep (budget, width, blocks, seed, steps) and the name of its variant. */
#ifndef PEER_EXPERIMENTS_SWEEPS_SETTINGS_H
#define PEER_EXPERIMENTS_SWEEPS_SETTINGS_H

#include "experiments/runs/run_config.h"

struct lab_setting {
    const char *group, *name; /* "train", "lr"; the group of a field at the top is "" */
    const char *value;
    bool by_default; /* at that width; known after lab_settings_mark() */
};

/* Whether a field says where a run stands in its sweep, or what its variant is called: its steps
 * follow from budget, size and variant. */
bool lab_setting_is_place(const struct lab_setting *setting);

/* Whether two fields have one name, in groups of one name. */
bool lab_setting_same_field(const struct lab_setting *a, const struct lab_setting *b);

struct lab_settings {
    int64_t count;
    struct lab_setting *item; /* [count] */
    char *text;               /* what they point into */
};

/* Reads what lab_run_config_write() wrote, of whatever program; of other text whatever looks like
 * it. False: no memory. */
bool lab_settings_read(struct lab_settings *ret, const char *config);
void lab_settings_free(struct lab_settings *settings);

/* The field's value, or NULL. */
const char *lab_settings_find(const struct lab_settings *settings, const struct lab_setting *like);

/* Whether two values are the same; numbers as floats, however they are written. */
bool lab_settings_same(const char *a, const char *b);

/* A key with one field more; their order does not matter. */
uint64_t lab_settings_add(uint64_t key, const struct lab_setting *setting, const char *value);

/* Writes a value as people read it: without quotes, and numbers with no more digits than they
 * need. */
void lab_settings_show(char *text, size_t size, const char *value);

/* Marks what is the default for the width and the type of layer. False: no memory. */
bool lab_settings_mark(struct lab_settings *settings);

/* A key of all settings of a config, marked, but those by default. Never 0. */
uint64_t lab_settings_key(const struct lab_settings *settings);

/* The same of a config at plan time. Of fields whose default follows the width, those that
 * `said` names count also where they happen to be that default. 0: no memory. */
uint64_t lab_settings_plan_key(const struct lab_run_config *config,
                               bool (*said)(void *user, const struct lab_setting *setting),
                               void *user);

#endif
