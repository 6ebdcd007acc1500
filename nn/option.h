/* SPDX-License-Identifier: MIT */
/* Describes the fields of a config struct: name, range, default, meaning. One table serves
 * checking, configuration files, help texts and the record of a run. */
#ifndef PEER_NN_OPTION_H
#define PEER_NN_OPTION_H

#include "nn/context.h"

#ifdef __cplusplus
extern "C" {
#endif

enum peer_option_kind {
    PEER_OPTION_INT = 0, /* int64_t */
    PEER_OPTION_FLOAT,   /* float */
    PEER_OPTION_BOOL,    /* bool */
    PEER_OPTION_CHOICE,  /* an enum (int), by name */
};

struct peer_option {
    const char *name; /* NULL ends a table */
    enum peer_option_kind kind;
    size_t offset;                /* of the field in the struct */
    double min, max;              /* inclusive range of numbers */
    const char *const *choices;   /* names by value, NULL-terminated, for PEER_OPTION_CHOICE */
    const char *unit_and_meaning; /* one line */
};

/* The option called `name`, or NULL. */
PEER_API const struct peer_option *peer_option_find(const struct peer_option *options,
                                                    const char *name);

/* Sets a field from text ("128", "0.1", "true", "softmax"). Errors: PEER_ERR_ARGUMENT, whose text
 * says what was expected; the struct is untouched then. */
PEER_API enum peer_status peer_option_set(struct peer_ctx *ctx, void *config,
                                          const struct peer_option *option, const char *text);

/* The shortest decimal number that strtof() and strtod() read back to the same bits: "0.005". */
PEER_API void peer_float_text(char *text, size_t size, float value);
PEER_API void peer_double_text(char *text, size_t size, double value);

/* Writes the field's value as the shortest text that peer_option_set() reads back to the same
 * bits. */
PEER_API void peer_option_text(char *text, size_t size, const void *config,
                               const struct peer_option *option);

/* "an integer from 1 to 64", "one of: softmax, sigmoid, relu". */
PEER_API void peer_option_expected(char *text, size_t size, const struct peer_option *option);

/* Checks every field's range. Errors: PEER_ERR_ARGUMENT: "`who`: heads = 0, expected an integer
 * from 1 to 1024". */
PEER_API enum peer_status peer_options_check(struct peer_ctx *ctx, const char *who,
                                             const void *config, const struct peer_option *options);

#ifdef __cplusplus
}
#endif

#endif
