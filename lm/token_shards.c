/* SPDX-License-Identifier: MIT */
#include "lm/token_shards.h"

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum split { TRAIN, VALID, OTHER };

static const char separators[] = "_-.";

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Whether a part of the name is one of `words`, NULL-terminated. */
static bool has_part(const char *name, const char *const *words)
{
    for (; *name; name += strspn(name, separators)) {
        size_t length = strcspn(name, separators);
        for (const char *const *word = words; *word; word++)
            if (strlen(*word) == length && strncmp(name, *word, length) == 0)
                return true;
        name += length;
    }
    return false;
}

static enum split split_of(const char *path)
{
    static const char *const valid[] = {"val", "valid", "validation", NULL};
    static const char *const train[] = {"train", "training", NULL};
    const char *name = base_of(path);
    if (has_part(name, valid))
        return VALID;
    return has_part(name, train) ? TRAIN : OTHER;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Order of names, numbers in them by value. */
static int by_number(const void *left, const void *right)
{
    const char *a = *(const char *const *)left, *b = *(const char *const *)right;
    const char *whole_a = a, *whole_b = b;
    while (*a && *b) {
        if (is_digit(*a) && is_digit(*b)) {
            a += strspn(a, "0");
            b += strspn(b, "0");
            size_t digits = strspn(a, "0123456789"), others = strspn(b, "0123456789");
            if (digits != others)
                return digits < others ? -1 : 1;
            int order = strncmp(a, b, digits);
            if (order)
                return order;
            a += digits;
            b += digits;
        } else if (*a != *b) {
            break;
        } else {
            a++;
            b++;
        }
    }
    int order = (unsigned char)*a - (unsigned char)*b;
    return order ? order : strcmp(whole_a, whole_b);
}

static enum peer_status add(struct lm_shards *shards, bool valid, const char *path)
{
    char *copy =
        peer_pool_alloc(&shards->pool, "lm_dataset_open", 1, (int64_t)strlen(path) + 1, 1, 1);
    if (!copy)
        return PEER_ERR_MEMORY;
    strcpy(copy, path);
    if (valid)
        shards->valid[shards->valids++] = copy;
    else
        shards->train[shards->trains++] = copy;
    return PEER_OK;
}

/* Sorts what the pattern found; `folder`: a file must say what it is. */
static enum peer_status take(struct lm_shards *shards, const glob_t *found, bool folder)
{
    enum peer_status status = PEER_OK;
    int64_t count = (int64_t)found->gl_pathc + 1;
    const char **train =
        peer_pool_alloc(&shards->pool, "lm_dataset_open", sizeof *train, count, 1, 1);
    const char **valid =
        peer_pool_alloc(&shards->pool, "lm_dataset_open", sizeof *valid, count, 1, 1);
    if (shards->pool.failed)
        return PEER_ERR_MEMORY;
    shards->train = train;
    shards->valid = valid;
    for (size_t i = 0; i < found->gl_pathc && !status; i++) {
        enum split split = split_of(found->gl_pathv[i]);
        if (split != OTHER || !folder)
            status = add(shards, split == VALID, found->gl_pathv[i]);
    }
    qsort(shards->train, (size_t)shards->trains, sizeof *train, by_number);
    qsort(shards->valid, (size_t)shards->valids, sizeof *valid, by_number);
    return status;
}

/* A file of this very name is the whole split. */
static void prefer(const char **paths, int64_t *count, const char *const *names)
{
    for (; *names; names++)
        for (int64_t i = 0; i < *count; i++)
            if (strcmp(base_of(paths[i]), *names) == 0) {
                paths[0] = paths[i];
                *count = 1;
                return;
            }
}

/* Length of a name up to the number of its shard. */
static size_t stem(const char *name)
{
    size_t length = strlen(name);
    const char *dot = strrchr(name, '.');
    length = dot ? (size_t)(dot - name) : length;
    while (length > 0 && is_digit(name[length - 1]))
        length--;
    return length;
}

/* Appends the first `length` characters of `path`, so that a pattern means no more than they say;
 * false where they do not fit. */
static bool escape(char *text, size_t size, const char *path, size_t length)
{
    size_t used = strlen(text);
    for (; length > 0 && used + 2 < size; path++, length--) {
        if (strchr("*?[]\\", *path))
            text[used++] = '\\';
        text[used++] = *path;
    }
    text[used] = 0;
    return length == 0;
}

static enum peer_status two_sets(struct peer_ctx *ctx, const char *path, const char *other)
{
    char pattern[2 * PATH_MAX] = "";
    const char *name = base_of(path);
    escape(pattern, sizeof pattern, name, stem(name));
    return peer_fail(ctx, PEER_ERR_FORMAT,
                     "lm_dataset_open: %s and %s are of two sets; name one by a pattern, such as "
                     "data: '%.*s%s*%s'",
                     path, other, (int)(name - path), path, pattern, strrchr(name, '.'));
}

/* Shards of one set differ in their number alone. */
static enum peer_status check_set(struct peer_ctx *ctx, const char *const *paths, int64_t count)
{
    for (int64_t i = 1; i < count; i++) {
        const char *a = base_of(paths[0]), *b = base_of(paths[i]);
        const char *dot_a = strrchr(a, '.'), *dot_b = strrchr(b, '.');
        if (stem(a) != stem(b) || strncmp(a, b, stem(a)) != 0 || strcmp(dot_a, dot_b) != 0)
            return two_sets(ctx, paths[0], b);
    }
    return PEER_OK;
}

bool lm_shards_pattern(char *ret, size_t size, const char *where)
{
    struct stat info;
    char folder[PATH_MAX];
    size_t length = (size_t)(base_of(where) - where);
    const char *name = where + length;
    *ret = 0;
    if (stat(where, &info) == 0)
        return escape(ret, size, where, strlen(where));
    snprintf(folder, sizeof folder, "%.*s", (int)(length < PATH_MAX ? length : 0), where);
    if (*folder && stat(folder, &info) == 0 && !escape(ret, size, where, length))
        return false;
    if (!*ret)
        name = where;
    size_t used = strlen(ret);
    return snprintf(ret + used, size - used, "%s", name) < (int)(size - used);
}

static enum peer_status too_long(struct peer_ctx *ctx, const char *path)
{
    return peer_fail(ctx, PEER_ERR_IO, "lm_dataset_open: a path of %zu characters, at most %d",
                     strlen(path), PATH_MAX - 1);
}

/* A folder that is there and cannot be listed ends the search: shards would be missing. */
static int on_error(const char *path, int reason)
{
    (void)path;
    return reason != ENOENT && reason != ENOTDIR;
}

static enum peer_status search(glob_t *found, struct peer_ctx *ctx, const char *pattern, int flags)
{
    errno = 0;
    int result = glob(pattern, flags, on_error, found);
    if (result == GLOB_NOSPACE)
        return peer_fail(ctx, PEER_ERR_MEMORY, "lm_dataset_open: %s: no memory to list it",
                         pattern);
    if (result == GLOB_ABORTED)
        return peer_fail(ctx, PEER_ERR_IO, "lm_dataset_open: %s: cannot be listed: %s", pattern,
                         errno ? strerror(errno) : "the folder cannot be read");
    return PEER_OK;
}

static enum peer_status find_in_folder(struct lm_shards *shards, struct peer_ctx *ctx,
                                       const char *folder)
{
    static const char *const trains[] = {"train.bin", "train.npy", NULL};
    static const char *const valids[] = {"valid.bin", "val.bin", "valid.npy", "val.npy", NULL};
    static const char *const kinds[] = {"bin", "npy"};
    char escaped[2 * PATH_MAX], pattern[2 * PATH_MAX + 16];
    glob_t found = {0};
    enum peer_status status = PEER_OK;
    if (!lm_shards_pattern(escaped, sizeof escaped, folder))
        return too_long(ctx, folder);
    for (int i = 0; i < 2 && !status; i++) {
        snprintf(pattern, sizeof pattern, "%s/*.%s", escaped, kinds[i]);
        status = search(&found, ctx, pattern, GLOB_ERR | (i ? GLOB_APPEND : 0));
    }
    if (!status)
        status = take(shards, &found, true);
    globfree(&found);
    if (status)
        return status;
    prefer(shards->train, &shards->trains, trains);
    prefer(shards->valid, &shards->valids, valids);
    if (!shards->trains)
        return peer_fail(ctx, PEER_ERR_IO,
                         "lm_dataset_open: %s: no train.bin, train.npy or NAME_train_*.bin in it, "
                         "and no data.json",
                         folder);
    status = check_set(ctx, shards->train, shards->trains);
    return status ? status : check_set(ctx, shards->valid, shards->valids);
}

/* The pattern with the last "train" of its last part replaced. */
static bool for_valid(char *pattern, size_t size, const char *trains, const char *word)
{
    const char *at = NULL;
    for (const char *next = base_of(trains); (next = strstr(next, "train")); next++)
        at = next;
    return at && snprintf(pattern, size, "%.*s%s%s", (int)(at - trains), trains, word, at + 5) <
                     (int)size;
}

static enum peer_status find_by_pattern(struct lm_shards *shards, struct peer_ctx *ctx,
                                        const char *pattern)
{
    static const char *const words[] = {"val", "valid"};
    char trains[2 * PATH_MAX], other[2 * PATH_MAX];
    glob_t found = {0};
    if (!lm_shards_pattern(trains, sizeof trains, pattern))
        return too_long(ctx, pattern);
    enum peer_status status = search(&found, ctx, trains, 0);
    bool valid = false;
    for (size_t i = 0; i < found.gl_pathc; i++)
        valid |= split_of(found.gl_pathv[i]) == VALID;
    for (int i = 0; i < 2 && !status && !valid && found.gl_pathc; i++) {
        size_t before = found.gl_pathc;
        if (for_valid(other, sizeof other, trains, words[i]))
            status = search(&found, ctx, other, GLOB_APPEND);
        valid = found.gl_pathc > before;
    }
    if (!status)
        status = take(shards, &found, false);
    globfree(&found);
    if (!status && !shards->trains)
        status = peer_fail(ctx, PEER_ERR_IO,
                           "lm_dataset_open: %s: no such folder, and no file of training tokens "
                           "that it matches as a pattern",
                           pattern);
    return status;
}

enum peer_status lm_shards_find(struct lm_shards *ret, struct peer_ctx *ctx, const char *where)
{
    struct stat info;
    struct lm_shards shards = {.pool = {.ctx = ctx}};
    bool folder = stat(where, &info) == 0 && S_ISDIR(info.st_mode);
    enum peer_status status =
        folder ? find_in_folder(&shards, ctx, where) : find_by_pattern(&shards, ctx, where);
    if (status)
        lm_shards_free(&shards);
    else
        *ret = shards;
    return status;
}

void lm_shards_free(struct lm_shards *shards)
{
    peer_pool_free(&shards->pool);
}
