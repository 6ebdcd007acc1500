/* SPDX-License-Identifier: MIT */
#include "experiments/data/text_inputs.h"

#include <errno.h>
#include <fts.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "experiments/data/corpus_text.h"

static bool ends_in(const char *name, size_t length, const char *suffix)
{
    size_t size = strlen(suffix);
    return length > size && strncasecmp(name + length - size, suffix, size) == 0;
}

/* Length of the name without .gz or .zst. */
static size_t plain_length(const char *name)
{
    size_t length = strlen(name);
    if (ends_in(name, length, ".gz"))
        return length - 3;
    if (ends_in(name, length, ".zst"))
        return length - 4;
    return length;
}

bool lab_is_json_name(const char *path)
{
    static const char *const suffixes[] = {".jsonl", ".ndjson", ".json"};
    size_t length = plain_length(path);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (ends_in(path, length, suffixes[i]))
            return true;
    return false;
}

static bool is_text_name(const char *name)
{
    static const char *const suffixes[] = {".txt", ".text", ".md", ".tokens"};
    size_t length = plain_length(name);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (ends_in(name, length, suffixes[i]))
            return true;
    return lab_is_json_name(name);
}

static enum peer_status add_path(struct lab_inputs *inputs, const char *path, int64_t bytes)
{
    inputs->files++;
    inputs->bytes += bytes;
    return lab_buffer_add(&inputs->paths, path, (int64_t)strlen(path) + 1);
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static enum peer_status visit(struct lab_inputs *inputs, FTS *tree, FTSENT *entry)
{
    struct peer_ctx *ctx = inputs->paths.pool.ctx;
    if (entry->fts_level > 0 && entry->fts_name[0] == '.') {
        fts_set(tree, entry, FTS_SKIP);
        return PEER_OK;
    }
    switch (entry->fts_info) {
    case FTS_F:
        if (is_text_name(entry->fts_name))
            return add_path(inputs, entry->fts_path, entry->fts_statp->st_size);
        inputs->passed_over += strcmp(entry->fts_name, LAB_SOURCES) != 0;
        return PEER_OK;
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        return peer_fail(ctx, PEER_ERR_IO, "%s: cannot read: %s", entry->fts_path,
                         strerror(entry->fts_errno));
    case FTS_DC:
        return peer_fail(ctx, PEER_ERR_IO, "%s: the folder contains itself through a link",
                         entry->fts_path);
    default:
        return PEER_OK;
    }
}

static enum peer_status add_folder(struct lab_inputs *inputs, char *folder)
{
    struct peer_ctx *ctx = inputs->paths.pool.ctx;
    char *roots[] = {folder, NULL};
    FTS *tree = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, by_name);
    if (!tree)
        return peer_fail(ctx, PEER_ERR_IO, "%s: cannot read: %s", folder, strerror(errno));
    int64_t before = inputs->files;
    enum peer_status status = PEER_OK;
    errno = 0;
    for (FTSENT *entry; status == PEER_OK && (entry = fts_read(tree));)
        status = visit(inputs, tree, entry);
    fts_close(tree);
    if (status == PEER_OK && inputs->files == before)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: no text in this folder (looked for .txt .text .md .tokens .jsonl "
                         ".ndjson .json, also with .gz or .zst); name files to use them whatever "
                         "they are called",
                         folder);
    return status;
}

static enum peer_status add_name(struct lab_inputs *inputs, const char *name)
{
    struct peer_ctx *ctx = inputs->paths.pool.ctx;
    struct stat about;
    if (strcmp(name, "-") == 0)
        return add_path(inputs, name, 0);
    if (stat(name, &about))
        return peer_fail(ctx, PEER_ERR_IO, "%s: cannot open: %s", name, strerror(errno));
    if (!S_ISDIR(about.st_mode))
        return add_path(inputs, name, S_ISREG(about.st_mode) ? about.st_size : 0);
    struct lab_buffer copy = lab_buffer_create(ctx);
    enum peer_status status = lab_buffer_add_text(&copy, name);
    if (status == PEER_OK)
        status = add_folder(inputs, (char *)copy.bytes);
    lab_buffer_free(&copy);
    return status;
}

enum peer_status lab_inputs_expand(struct lab_inputs *ret, struct peer_ctx *ctx,
                                   const char *const *names, int count)
{
    struct lab_inputs inputs = {.paths = lab_buffer_create(ctx)};
    enum peer_status status = PEER_OK;
    for (int i = 0; i < count && status == PEER_OK; i++)
        status = add_name(&inputs, names[i]);
    if (status == PEER_OK)
        *ret = inputs;
    else
        lab_inputs_free(&inputs);
    return status;
}

void lab_inputs_free(struct lab_inputs *inputs)
{
    lab_buffer_free(&inputs->paths);
}

const char *lab_inputs_next(const struct lab_inputs *inputs, const char *path)
{
    const char *first = (const char *)inputs->paths.bytes;
    if (!path)
        return inputs->files ? first : NULL;
    path += strlen(path) + 1;
    return path < first + inputs->paths.count ? path : NULL;
}
