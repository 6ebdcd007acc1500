/* SPDX-License-Identifier: MIT */
#include "experiments/cli/help.h"

#include <string.h>

enum { USAGE = 600 };

/* The line behind this one, or the end of the text. */
static const char *next_line(const char *line)
{
    line += strcspn(line, "\n");
    return *line ? line + 1 : line;
}

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* Whether a word of `length` bytes, such as fig1|table1|...|all, is or lists the action. */
static bool lists(const char *word, size_t length, const char *action)
{
    size_t size = strlen(action);
    for (const char *end = word + length; word < end;) {
        const char *bar = memchr(word, '|', (size_t)(end - word));
        size_t part = (size_t)((bar ? bar : end) - word);
        if (part == size && memcmp(word, action, size) == 0)
            return true;
        word += part + 1;
    }
    return false;
}

/* Gathers the usage lines of the action; where none names it, those of a list that goes on. */
static void gather_usage(char usage[USAGE], const char *help, const char *action)
{
    size_t used = 0;
    usage[0] = 0;
    for (int open = 0; open < 2 && !used; open++)
        for (const char *line = help; *line && *line != '\n'; line = next_line(line)) {
            const char *command = strstr(line, "peerlab "), *word = command;
            if (!command || command >= next_line(line))
                continue;
            for (int i = 0; i < 2; i++)
                word += strcspn(word, " \n") + 1;
            size_t length = strcspn(word, " \n");
            bool wanted =
                open ? memmem(word, length, "...", 3) != NULL : lists(word, length, action);
            if (wanted)
                used += (size_t)snprintf(usage + used, USAGE - used, "%s%.*s\n",
                                         used ? "       " : "Usage: ", (int)strcspn(command, "\n"),
                                         command);
        }
}

/* A paragraph: its first line and those that are indented more. */
static const char *print_paragraph(FILE *file, const char *line)
{
    do {
        if (file)
            fprintf(file, "%.*s\n", (int)strcspn(line, "\n"), line);
        line = next_line(line);
    } while (starts(line, "   "));
    return line;
}

static const char *find_paragraph(const char *help, const char *action)
{
    size_t size = strlen(action);
    for (const char *line = help; *line; line = next_line(line))
        if (starts(line, "  ") && strncmp(line + 2, action, size) == 0 && line[2 + size] == ' ')
            return line;
    return NULL;
}

bool lab_help_action(FILE *file, const char *help, const char *action)
{
    char usage[USAGE], option[48];
    const char *own = find_paragraph(help, action);
    if (!own || *action == '-')
        return false;
    gather_usage(usage, help, action);
    fprintf(file, "%s\n", usage);
    print_paragraph(file, own);
    bool all = strstr(usage, " ...\n") || strstr(usage, "[OPTIONS]"), any = false;
    for (const char *line = help; *line;) {
        bool one = starts(line, "  --");
        snprintf(option, sizeof option, "%.*s", one ? (int)strcspn(line + 2, " ,\n") : 0, line + 2);
        bool wanted = one && (all || strstr(usage, option));
        if (wanted && !any)
            fputc('\n', file);
        any |= wanted;
        line = one ? print_paragraph(wanted ? file : NULL, line) : next_line(line);
    }
    return true;
}
