/* SPDX-License-Identifier: MIT */
#include "experiments/base/output_check.h"

#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "nn/file.h"

/* A file alone may be called run.yaml by a user; beside a lock it is a run's. */
static const struct {
    int kind;
    const char *file, *of, *beside;
} marks[] = {{LAB_HOLDS_SWEEP, "sweep.db", "a sweep", NULL},
             {LAB_HOLDS_RUN, "run.yaml", "a run", "lock"},
             {LAB_HOLDS_RUN, "planned.yaml", "a run", NULL},
             {LAB_HOLDS_RUN, "result.json", "a run", NULL},
             {LAB_HOLDS_RUN, "checkpoint.safetensors", "a run", NULL},
             {LAB_HOLDS_DATA, "data.json", "data", NULL},
             {LAB_HOLDS_DATA, "train.bin", "data", NULL},
             {LAB_HOLDS_DATA, "SOURCES", "data", NULL}};
enum { MARKS = sizeof marks / sizeof *marks };

static enum peer_status look(bool *ret, struct peer_ctx *ctx, const char *folder, const char *file)
{
    char path[PATH_MAX];
    *ret = false;
    return snprintf(path, sizeof path, "%s/%s", folder, file) < (int)sizeof path
               ? peer_file_there(ret, ctx, NULL, path)
               : PEER_OK;
}

/* The mark of one of `kinds` that the folder holds, or -1. */
static enum peer_status find_mark(int *ret, struct peer_ctx *ctx, const char *folder, int kinds)
{
    enum peer_status status = PEER_OK;
    *ret = -1;
    for (int i = 0; i < MARKS && status == PEER_OK && *ret < 0; i++) {
        bool has = false;
        if (marks[i].kind & kinds)
            status = look(&has, ctx, folder, marks[i].file);
        if (status == PEER_OK && has && marks[i].beside)
            status = look(&has, ctx, folder, marks[i].beside);
        if (status == PEER_OK && has)
            *ret = i;
    }
    return status;
}

enum peer_status lab_output_check_folder(struct peer_ctx *ctx, const char *folder, int kinds)
{
    int mark;
    enum peer_status status = find_mark(&mark, ctx, folder, kinds);
    if (status != PEER_OK || mark < 0)
        return status;
    return peer_fail(
        ctx, PEER_ERR_ARGUMENT,
        "%s: is the folder of %s (%s is in it); choose another folder, so that nothing "
        "of it is replaced",
        folder, marks[mark].of, marks[mark].file);
}

/* Names that such folders keep for themselves. */
static bool is_kept(const char *name)
{
    static const char *const names[] = {
        "run.yaml",  "planned.yaml", "start.yaml", "result.json", "checkpoint.safetensors*",
        "curve.csv", "usage-*",      "table-*",    "lock",        "log.txt",
        "card.md",   "tokenizer*",   "data.json",  "facts.json",  "*.bin",
        "SOURCES",   "sweep.db*",    "*.jsonl",    "runs",        "jobs.txt",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (fnmatch(names[i], name, 0) == 0)
            return true;
    return false;
}

static bool begins_with(const char *path, const char *start)
{
    char bytes[256];
    FILE *file = fopen(path, "re");
    size_t length = strlen(start), got = file ? fread(bytes, 1, sizeof bytes, file) : 0;
    if (file)
        fclose(file);
    return got >= length && memcmp(bytes, start, length) == 0;
}

enum peer_status lab_output_check_file(struct peer_ctx *ctx, const char *path, const char *start)
{
    struct stat info;
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path + 1) : 1,
             slash ? path : ".");
    int mark = -1;
    enum peer_status status =
        is_kept(name) ? find_mark(&mark, ctx, folder, LAB_HOLDS_ANY) : PEER_OK;
    if (status != PEER_OK)
        return status;
    if (mark >= 0)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: %s keeps a file of this name (%s is there); choose another name",
                         path, marks[mark].of, marks[mark].file);
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size == 0 ||
        begins_with(path, start))
        return PEER_OK;
    return peer_fail(ctx, PEER_ERR_ARGUMENT,
                     "%s: is there, and is not what this command wrote before; choose another name",
                     path);
}
