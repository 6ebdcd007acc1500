/* SPDX-License-Identifier: MIT */
/* The subcommands of peerlab. Each reads its own arguments, prints results on stdout and messages
 * on stderr, and returns the exit status: 0 done; 1 failed; 2 wrong usage; 3 stopped by a signal,
 * to be carried on; 4 a run that diverged, which is kept as a result. */
#ifndef PEER_EXPERIMENTS_CLI_COMMAND_H
#define PEER_EXPERIMENTS_CLI_COMMAND_H

#include "nn/context.h"

enum { LAB_DONE_OK = 0, LAB_FAILURE = 1, LAB_USAGE = 2, LAB_INTERRUPTED = 3, LAB_DID_DIVERGE = 4 };

/* argv[0] is the subcommand's name. */
int lab_cmd_data(int argc, char **argv);
int lab_cmd_facts(int argc, char **argv); /* peerlab data facts */
int lab_cmd_train(int argc, char **argv);
int lab_cmd_eval(int argc, char **argv);
int lab_cmd_export(int argc, char **argv);
int lab_cmd_import(int argc, char **argv);
int lab_cmd_plot(int argc, char **argv);
int lab_cmd_upscale(int argc, char **argv);
int lab_cmd_utilization(int argc, char **argv);
int lab_cmd_generate(int argc, char **argv);
int lab_cmd_info(int argc, char **argv);
int lab_cmd_variants(int argc, char **argv);
int lab_cmd_sweep(int argc, char **argv);
int lab_cmd_tune(int argc, char **argv);
int lab_cmd_reproduce(int argc, char **argv);

/* A context with `threads` threads (0 = all), kernels capped by the environment's PEER_CPU. On
 * failure says why on stderr and returns NULL. */
struct peer_ctx *lab_context(int threads);

/* Prints "peerlab: " and the context's error, and returns the exit status for `status`. */
int lab_report(const struct peer_ctx *ctx, enum peer_status status);

struct lab_run_config;

/* Says on stderr where accumulated passes of a run differ from one pass (lm/train.h); false where
 * they do not. */
bool lab_warn_of_passes(const struct lab_run_config *config);

/* Prints "peerlab COMMAND: " and the message, points at --help, and returns LAB_USAGE. */
int lab_usage(const char *command, const char *format, ...) PEER_PRINTF(2, 3);

enum lab_option_kind {
    LAB_OPTION_TEXT = 0, /* const char *, borrowed from argv */
    LAB_OPTION_INTEGER,  /* int64_t */
    LAB_OPTION_NUMBER,   /* double */
    LAB_OPTION_FLAG,     /* bool, without a value */
    LAB_OPTION_LIST,     /* struct lab_list; may be given more than once */
};

enum { LAB_LIST_MAX = 16 };

struct lab_list {
    const char *items[LAB_LIST_MAX]; /* [count], borrowed from argv */
    int count;
};

/* An option of a command: "--name value" sets a field of the command's arguments. */
struct lab_option {
    const char *name; /* NULL ends a table */
    enum lab_option_kind kind;
    size_t offset;
    int64_t min, max; /* inclusive range of numbers */
};

enum { LAB_GO_ON = -1, LAB_MOST_OPTIONS = 16 };

/* Reads the options of argv[0], and -h and --help, which print `help`, or behind an action that
 * it has a paragraph for what it says of that (experiments/cli/help.h). Returns LAB_GO_ON, with the
 * `operands` that stand besides the options moved to argv[1] ..., or the status to exit with after
 * a message. */
int lab_parse(void *arguments, int *operands, int argc, char **argv, const char *help,
              const struct lab_option *options);

/* An integer argument within [min, max]; false after saying what was expected. */
bool lab_argument(int64_t *ret, const char *command, const char *option, const char *text,
                  int64_t min, int64_t max);

#endif
