/* SPDX-License-Identifier: MIT */
/* The fields of a run file, for reading, help texts and an example: those that no table of struct
 * peer_option has stand here, the others are those of lm/options.h and of the FFW types. */
#ifndef PEER_EXPERIMENTS_RUNS_RUN_FIELDS_H
#define PEER_EXPERIMENTS_RUNS_RUN_FIELDS_H

#include <stdio.h>

#include "nn/option.h"

struct lab_field {
    const char *name;     /* NULL ends a table */
    const char *standard; /* what holds where it is not given; "needed" */
    const char *meaning;  /* one sentence */
    const char *expected; /* what may stand there */
};

/* Of the file itself, beside lab_run_options; of `model`, beside lm_config_options. */
extern const struct lab_field lab_run_fields[], lab_model_fields[];

/* The tables whose options stand in the file itself; NULL ends the list. */
extern const struct peer_option *const lab_run_options[];

enum { LAB_FIELD_NAMES = 32 };

/* The names in a table of fields and, behind them, in a list of tables of options (or NULL), as
 * lab_yaml_keys() wants them. */
void lab_field_names(const char *names[LAB_FIELD_NAMES], const struct lab_field *fields,
                     const struct peer_option *const *tables);

/* Prints every field: name, default, meaning, what is expected. */
void lab_run_fields_print(FILE *file);

/* The same of one option, whose default is that of `config`; where `other`, the config of another
 * width, has another, it is marked with ~. */
void lab_option_print(FILE *file, const struct peer_option *option, const void *config,
                      const void *other);

/* A commented run file to start from. */
extern const char lab_run_example[];

#endif
