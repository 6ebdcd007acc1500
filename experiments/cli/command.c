/* SPDX-License-Identifier: MIT */
#include "experiments/cli/command.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/cli/help.h"
#include "experiments/cli/terminal.h"
#include "experiments/runs/run_config.h"

struct peer_ctx *lab_context(int threads)
{
    struct peer_ctx_config config = peer_ctx_config_default();
    config.threads = threads;
    const char *level = getenv("PEER_CPU");
    if (level && *level) {
        int cpu = peer_cpu_from_name(level);
        if (cpu < 0) {
            fprintf(stderr, "peerlab: PEER_CPU is \"%s\", expected ref, avx2 or avx512\n", level);
            return NULL;
        }
        config.cpu_max = (enum peer_cpu)cpu;
    }
    struct peer_ctx *ctx = NULL;
    enum peer_status status = peer_ctx_create(&ctx, &config);
    if (status != PEER_OK)
        fprintf(stderr, "peerlab: no context for %d threads: %s\n", threads,
                peer_status_name(status));
    return ctx;
}

int lab_report(const struct peer_ctx *ctx, enum peer_status status)
{
    if (status == PEER_OK)
        return LAB_DONE_OK;
    fputs("peerlab: ", stderr);
    lab_print_cell(stderr, 0, peer_ctx_error(ctx));
    fputc('\n', stderr);
    return status == PEER_ERR_STOPPED ? LAB_INTERRUPTED : LAB_FAILURE;
}

bool lab_warn_of_passes(const struct lab_run_config *config)
{
    char text[512];
    bool differ = lm_train_passes_differ(text, sizeof text, &config->train, &config->model);
    if (differ)
        fprintf(stderr, "peerlab: warning: %s\n", text);
    return differ;
}

int lab_usage(const char *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "peerlab %s: ", command);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\nTry: peerlab %s --help\n", command);
    va_end(arguments);
    return LAB_USAGE;
}

bool lab_argument(int64_t *ret, const char *command, const char *option, const char *text,
                  int64_t min, int64_t max)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || value < min || value > max) {
        lab_usage(command, "%s: expected an integer from %lld to %lld, got \"%s\"", option,
                  (long long)min, (long long)max, text);
        return false;
    }
    *ret = value;
    return true;
}

static bool number_argument(double *ret, const char *command, const struct lab_option *option,
                            const char *text)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= (double)option->min && value <= (double)option->max)) {
        lab_usage(command, "--%s: expected a number from %lld to %lld, got \"%s\"", option->name,
                  (long long)option->min, (long long)option->max, text);
        return false;
    }
    *ret = value;
    return true;
}

static bool list_argument(struct lab_list *list, const char *command,
                          const struct lab_option *option, const char *text)
{
    if (list->count == LAB_LIST_MAX) {
        lab_usage(command, "--%s: at most %d times", option->name, LAB_LIST_MAX);
        return false;
    }
    list->items[list->count++] = text;
    return true;
}

/* Sets the option's field; false after saying what was expected. */
static bool set_option(void *arguments, const char *command, const struct lab_option *option,
                       const char *text)
{
    char *field = (char *)arguments + option->offset, name[64];
    switch (option->kind) {
    case LAB_OPTION_TEXT:
        memcpy(field, &text, sizeof text);
        return true;
    case LAB_OPTION_INTEGER:
        snprintf(name, sizeof name, "--%s", option->name);
        return lab_argument((int64_t *)(void *)field, command, name, text, option->min,
                            option->max);
    case LAB_OPTION_NUMBER:
        return number_argument((double *)(void *)field, command, option, text);
    case LAB_OPTION_FLAG:
        *(bool *)field = true;
        return true;
    case LAB_OPTION_LIST:
        return list_argument((struct lab_list *)(void *)field, command, option, text);
    }
    return false;
}

/* What getopt_long() found wrong with the argument before optind. */
static int wrong_option(const char *command, int what, const char *argument)
{
    return lab_usage(command, what == ':' ? "%s needs a value" : "no option \"%s\"", argument);
}

int lab_parse(void *arguments, int *operands, int argc, char **argv, const char *help,
              const struct lab_option *options)
{
    enum { HELP = 'h', FIRST = 256 };
    struct option list[LAB_MOST_OPTIONS + 2] = {{"help", no_argument, NULL, HELP}};
    for (int i = 0; options[i].name; i++) {
        assert(i < LAB_MOST_OPTIONS);
        bool flag = options[i].kind == LAB_OPTION_FLAG;
        list[i + 1] = (struct option){options[i].name, flag ? no_argument : required_argument, NULL,
                                      FIRST + i};
    }
    int found;
    while ((found = getopt_long(argc, argv, ":h", list, NULL)) != -1) {
        if (found == HELP) {
            if (argc < 2 || !lab_help_action(stdout, help, argv[1]))
                fputs(help, stdout);
            return LAB_DONE_OK;
        }
        if (found < FIRST)
            return wrong_option(argv[0], found, argv[optind - 1]);
        if (!set_option(arguments, argv[0], &options[found - FIRST], optarg))
            return LAB_USAGE;
    }
    *operands = argc - optind;
    memmove(argv + 1, argv + optind, (size_t)*operands * sizeof *argv);
    return LAB_GO_ON;
}
